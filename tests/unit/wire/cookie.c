/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "wire/cookie.h"

static const struct cookie_datagram cookie = {.receiver = 0x04030201, .salt = "salt", .sealed = "sealed"};

static void built_is_parsed(void **state)
{
	(void)state;
	static const uint8_t header[] = {5, 4, 0, 0, 1, 2, 3, 4};
	uint8_t out[COOKIE_DATAGRAM_LEN];
	struct cookie_datagram got;
	cookie_build(out, &cookie);
	assert_int_equal(sizeof out, 64);
	assert_memory_equal(out, header, sizeof header);
	assert_memory_equal(out + 8, cookie.salt, sizeof cookie.salt);
	assert_memory_equal(out + 32, cookie.sealed, sizeof cookie.sealed);
	assert_int_equal(cookie_parse(&got, out, sizeof out), OK);
	assert_int_equal(got.receiver, cookie.receiver);
	assert_memory_equal(got.salt, cookie.salt, sizeof got.salt);
	assert_memory_equal(got.sealed, cookie.sealed, sizeof got.sealed);
}

static void parsing_is_strict(void **state)
{
	(void)state;
	uint8_t out[COOKIE_DATAGRAM_LEN + 1] = {0};
	struct cookie_datagram got = {.receiver = 99};
	cookie_build(out, &cookie);
	for (size_t n = 0; n <= sizeof out; n++)
		if (n != COOKIE_DATAGRAM_LEN)
			assert_int_equal(cookie_parse(&got, out, n), ERR_FORMAT);
	for (size_t at = 0; at < 4; at++) {
		out[at] ^= 1;
		assert_int_equal(cookie_parse(&got, out, COOKIE_DATAGRAM_LEN), ERR_FORMAT);
		out[at] ^= 1;
	}
	assert_int_equal(got.receiver, 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(built_is_parsed),
		cmocka_unit_test(parsing_is_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
