#include "cli/table.h"

#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

static const char *shown(const char *cell)
{
	return cell && *cell ? cell : "-";
}

static void cell_print(FILE *out, const char *cell, size_t width)
{
	char *text = strdup(shown(cell));
	if (text)
		fprintf(out, "%-*s", (int)width, cli_harmless(text));
	free(text);
}

void table_print(FILE *out, const char *const *cells, size_t n_rows, size_t n_columns)
{
	size_t widths[TABLE_COLUMNS_MAX] = {0};
	for (size_t i = 0; i < n_rows * n_columns; i++) {
		size_t n = strlen(shown(cells[i])), column = i % n_columns;
		if (n > widths[column])
			widths[column] = n;
	}
	for (size_t row = 0; row < n_rows; row++) {
		for (size_t column = 0; column < n_columns; column++) {
			bool last = column + 1 == n_columns;
			cell_print(out, cells[row * n_columns + column], last ? 0 : widths[column]);
			fputs(last ? "\n" : "  ", out);
		}
	}
}
