#include "base/secret.h"

static uint8_t difference(const volatile uint8_t *a, const volatile uint8_t *b, size_t n)
{
	uint8_t d = 0;
	for (size_t i = 0; i < n; i++)
		d = (uint8_t)(d | (a[i] ^ (b ? b[i] : 0)));
	return d;
}

bool secret_equal(const void *a, const void *b, size_t n) { return difference(a, b, n) == 0; }

bool secret_is_zero(const void *data, size_t n) { return difference(data, NULL, n) == 0; }
