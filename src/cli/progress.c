#include "cli/progress.h"

#include "cli/status_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DRAW_EVERY (USEC_PER_SEC / 5)
#define LINE_EVERY (30 * USEC_PER_SEC)
#define BAR_MAX 60
#define CLEAR_LINE "\r\033[K"

void progress_begin(struct progress *p, const char *name, uint64_t total, uint64_t first)
{
	const char *kind = getenv("TERM");
	usec now = clock_now();
	*p = (struct progress){.name = name,
		.total = total,
		.first = first,
		.begun = now,
		.shown = now,
		.terminal = isatty(STDERR_FILENO) && kind && strcmp(kind, "dumb") != 0};
}

/* "43 %, 6.90 GiB of 16.00 GiB, 412.00 MiB/s, 22 seconds left" */
static void text_make(char *out, size_t size, const struct progress *p, uint64_t done, usec now)
{
	char so_far[STATUS_SPAN_LEN], total[STATUS_SPAN_LEN], rate[STATUS_SPAN_LEN], left[STATUS_SPAN_LEN];
	double seconds = (double)(now - p->begun) / (double)USEC_PER_SEC;
	double per_second = seconds > 0 ? (double)(done - p->first) / seconds : 0;
	status_bytes(so_far, (json_int_t)done);
	status_bytes(total, (json_int_t)p->total);
	int n = snprintf(out, size, "%.0f %%, %s of %s", p->total ? 100 * ((double)done / (double)p->total) : 100,
		so_far, total);
	if (per_second < 1 || n < 0 || (size_t)n >= size)
		return;
	status_bytes(rate, (json_int_t)per_second);
	status_span(left, (json_int_t)((double)(p->total - done) / per_second));
	snprintf(out + n, size - (size_t)n, ", %s/s, %s left", rate, left);
}

/* In one line of the terminal, however narrow it is. */
static void bar_draw(const struct progress *p, uint64_t done, const char *text)
{
	struct winsize size = {0};
	int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
	int room = columns - 1 - (int)strlen(text) - (int)strlen("[] "); /* a full line would begin the next one */
	if (room > BAR_MAX)
		room = BAR_MAX;
	if (room < 5) {
		fprintf(stderr, CLEAR_LINE "%.*s", columns - 1, text);
		return;
	}
	int full = p->total ? (int)((double)room * ((double)done / (double)p->total)) : room;
	fputs(CLEAR_LINE "[", stderr);
	for (int i = 0; i < room; i++)
		fputc(i < full ? '#' : '.', stderr);
	fprintf(stderr, "] %s", text);
}

void progress_show(struct progress *p, uint64_t done)
{
	char text[4 * STATUS_SPAN_LEN + 32];
	usec now = clock_now();
	if (now - p->shown < (p->terminal ? DRAW_EVERY : LINE_EVERY))
		return;
	p->shown = now;
	text_make(text, sizeof(text), p, done, now);
	if (p->terminal)
		bar_draw(p, done, text);
	else
		fprintf(stderr, "jorm %s: %s\n", p->name, text);
	p->drawn = p->terminal;
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs(CLEAR_LINE, stderr);
	p->drawn = false;
}
