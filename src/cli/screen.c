#include "cli/screen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CLEAR "\033[H\033[J" /* the cursor to the first line, and all below it cleared */

bool screen_is_there(void)
{
	const char *kind = getenv("TERM");
	return isatty(STDOUT_FILENO) && kind && strcmp(kind, "dumb") != 0;
}

/* The bytes of a line's first `columns` characters, in UTF-8. */
static size_t line_cut(const char *line, size_t len, size_t columns)
{
	size_t n = 0;
	for (size_t i = 0; i < len; i++) {
		if (((unsigned char)line[i] & 0xc0) != 0x80 && n++ == columns)
			return i;
	}
	return len;
}

static size_t lines_count(const char *text)
{
	size_t n = 0;
	for (const char *end; (end = strchr(text, '\n')); text = end + 1)
		n++;
	return n;
}

char *screen_fit(const char *text, size_t rows, size_t columns)
{
	char *fit = NULL;
	size_t size, n = lines_count(text);
	/* the cursor stands on a line of its own below them */
	size_t room = n + 1 > rows ? (rows > 2 ? rows - 2 : 1) : n;
	FILE *out = open_memstream(&fit, &size);
	if (!out)
		return NULL;
	const char *line = text;
	for (size_t i = 0; i < room; i++) {
		size_t len = strcspn(line, "\n");
		fprintf(out, "%.*s\n", (int)line_cut(line, len, columns), line);
		line += len + 1;
	}
	if (room < n)
		fprintf(out, "(%zu more lines: the window is too small)\n", n - room);
	if (fclose(out) == 0)
		return fit;
	free(fit);
	return NULL;
}

void screen_draw(const char *text)
{
	struct winsize size = {0};
	bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0;
	char *fit = screen_fit(text, known ? size.ws_row : 24, known ? size.ws_col : 80);
	if (fit)
		printf(CLEAR "%s", fit);
	free(fit);
}
