/* Text that is shown again and again in the same place, for `--watch`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Is standard output a terminal, on which one can draw? */
bool screen_is_there(void);

/* Puts the text in place of what the terminal shows; what does not fit into it is left out, and a last line says how
 * much. */
void screen_draw(const char *text);

/* The drawing itself, for a terminal of that size: to be freed, or NULL when memory runs out. */
char *screen_fit(const char *text, size_t rows, size_t columns);
