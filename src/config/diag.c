#include "config/diag.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config_diagnostic *diag_new(struct config_diagnostics *diags)
{
	struct config_diagnostic *items = reallocarray(diags->items, diags->count + 1, sizeof(*items));
	if (!items) {
		diags->incomplete = true;
		return NULL;
	}
	diags->items = items;
	items[diags->count] = (struct config_diagnostic){0};
	return &items[diags->count++];
}

[[gnu::format(printf, 3, 0)]] static struct config_diagnostic *diag_add(
	struct config_diagnostics *diags, struct diag_place place, const char *format, va_list args)
{
	if (diags->count > DIAG_MAX)
		return NULL;
	struct config_diagnostic *d = diag_new(diags);
	if (!d)
		return NULL;
	d->line = place.line;
	if (diags->count > DIAG_MAX) {
		snprintf(d->text, sizeof(d->text), "more than %d mistakes; the rest is not shown", DIAG_MAX);
		return d;
	}
	snprintf(d->section, sizeof(d->section), "%s", place.section ? place.section : "");
	snprintf(d->key, sizeof(d->key), "%s", place.key ? place.key : "");
	vsnprintf(d->text, sizeof(d->text), format, args);
	return d;
}

void diag_error(struct config_diagnostics *diags, struct diag_place place, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	diag_add(diags, place, format, args);
	va_end(args);
	diags->errors++;
}

void diag_warning(struct config_diagnostics *diags, struct diag_place place, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	struct config_diagnostic *d = diag_add(diags, place, format, args);
	va_end(args);
	if (d)
		d->warning = true;
}

void diag_sort(struct config_diagnostics *diags)
{
	for (size_t i = 1; i < diags->count; i++) {
		struct config_diagnostic d = diags->items[i];
		size_t j = i;
		for (; j > 0 && diags->items[j - 1].line > d.line; j--)
			diags->items[j] = diags->items[j - 1];
		diags->items[j] = d;
	}
}

const char *quote(char out[static QUOTE_LEN], const char *text)
{
	size_t n = strlen(text);
	size_t keep = n < QUOTE_LEN ? n : QUOTE_LEN - 4;
	while (keep < n && keep > 0 && ((unsigned char)text[keep] & 0xc0) == 0x80)
		keep--; /* not amid a UTF-8 character */
	for (size_t i = 0; i < keep; i++)
		out[i] = iscntrl((unsigned char)text[i]) ? '?' : text[i];
	snprintf(out + keep, QUOTE_LEN - keep, "%s", keep < n ? "..." : "");
	return out;
}

const char *config_diagnostic_format(
	const struct config_diagnostic *d, const char *path, char out[static CONFIG_DIAGNOSTIC_TEXT_LEN])
{
	char line[16] = "";
	if (d->line)
		snprintf(line, sizeof(line), ":%u", d->line);
	snprintf(out, CONFIG_DIAGNOSTIC_TEXT_LEN, "%s%s: %s%s%s%s", path, line, d->warning ? "warning: " : "", d->key,
		d->key[0] ? ": " : "", d->text);
	return out;
}

void config_diagnostics_done(struct config_diagnostics *diags)
{
	free(diags->items);
	*diags = (struct config_diagnostics){0};
}
