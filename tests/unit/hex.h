/* For tests: bytes from the hexadecimal text of a published test vector. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline unsigned hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, c);
	return c && at ? (unsigned)(at - digits) : 16;
}

/* The number of bytes, or SIZE_MAX: no lower-case hexadecimal text, or more than size bytes. */
static inline size_t hex_read(void *out, size_t size, const char *text)
{
	const size_t len = strlen(text) / 2;
	if (strlen(text) % 2 || len > size)
		return SIZE_MAX;
	for (size_t i = 0; i < len; i++) {
		unsigned high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
		if (high > 15 || low > 15)
			return SIZE_MAX;
		((uint8_t *)out)[i] = (uint8_t)(high << 4 | low);
	}
	return len;
}

/* The bytes of text, in an array that lives as long as the enclosing block. For cmocka programs. */
#define HEX(name, text)                                                                                                \
	uint8_t name[sizeof(text) / 2];                                                                                \
	assert_int_equal(hex_read(name, sizeof name, text), sizeof name)
