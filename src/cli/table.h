/* Rows of texts in aligned columns, for a person. What stands in them may come from the other end of the world. */
#pragma once

#include <stdio.h>

#define TABLE_COLUMNS_MAX 6

/*
 * `cells`: n_rows times n_columns texts, row by row, the first row the titles; all are borrowed, NULL is "-". Control
 * characters become '?'. Nothing ends a line but its break.
 */
void table_print(FILE *out, const char *const *cells, size_t n_rows, size_t n_columns);
