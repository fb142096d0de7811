#include "cli/sizes.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Reads up to the end or a comma, and returns what follows; NULL: it is no size. */
static const char *size_take(uint64_t *ret, const char *text)
{
	static const char units[] = "KMGT";
	uint64_t n = 0;
	if (!isdigit((unsigned char)*text))
		return NULL;
	for (; isdigit((unsigned char)*text); text++) {
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return NULL;
	}
	const char *unit = *text ? strchr(units, toupper((unsigned char)*text)) : NULL;
	if (unit) {
		text += strncasecmp(text + 1, "iB", 2) == 0 ? 3 : 1;
		for (const char *u = units; u <= unit; u++) {
			if (__builtin_mul_overflow(n, 1024, &n))
				return NULL;
		}
	}
	if (n > INT64_MAX || (*text && *text != ','))
		return NULL;
	*ret = n;
	return text;
}

bool size_read(uint64_t *ret, const char *text)
{
	uint64_t n;
	const char *end = size_take(&n, text);
	if (!end || *end)
		return false;
	*ret = n;
	return true;
}

bool sizes_read(uint64_t *ret, unsigned int max, unsigned int *ret_n, const char *text)
{
	*ret_n = 0;
	for (;;) {
		if (*ret_n == max || !(text = size_take(&ret[*ret_n], text)))
			return false;
		++*ret_n;
		if (!*text)
			return true;
		text++;
	}
}
