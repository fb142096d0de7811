#include "cli/numbers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool number_read(uint64_t *ret, const char *text, uint64_t min, uint64_t max)
{
	/* strtoull would take blanks and signs as well. */
	if (!*text || strspn(text, "0123456789") != strlen(text))
		return false;
	errno = 0;
	unsigned long long n = strtoull(text, NULL, 10);
	if (errno || n < min || n > max)
		return false;
	*ret = n;
	return true;
}

bool port_read(uint16_t *ret, const char *text)
{
	uint64_t n;
	if (!number_read(&n, text, 1, UINT16_MAX))
		return false;
	*ret = (uint16_t)n;
	return true;
}
