/*
 * Gathering diagnostics (struct config_diagnostics in config.h): private to src/config.
 */
#pragma once

#include "config/config.h"

#include <stdbool.h>

#define DIAG_MAX 200 /* enough for any person; a file of garbage must not fill the memory */
#define QUOTE_LEN 72

/* Where a mistake is. section and key may be NULL. */
struct diag_place {
	unsigned line;
	const char *section, *key;
};

[[gnu::format(printf, 3, 4)]] void diag_error(
	struct config_diagnostics *diags, struct diag_place place, const char *format, ...);
[[gnu::format(printf, 3, 4)]] void diag_warning(
	struct config_diagnostics *diags, struct diag_place place, const char *format, ...);

/* Brings them into the order of lines; those of one line keep their order. */
void diag_sort(struct config_diagnostics *diags);

/* text for a message: shortened, control bytes replaced (a terminal reads this); returns out. */
const char *quote(char out[static QUOTE_LEN], const char *text);
