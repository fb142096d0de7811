/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "crypto/algorithms.h"
#include "crypto/md5.h"
#include "hex.h"

static struct md5 *md5;

static int set_up(void **state)
{
	(void)state;
	return md5_new(&md5) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	md5_free(md5);
	return 0;
}

/* RFC 1321, A.5: its test suite. */
static const struct {
	const char *message, *sum;
} known[] = {
	{"", "d41d8cd98f00b204e9800998ecf8427e"},
	{"a", "0cc175b9c0f1b6a831c399e269772661"},
	{"abc", "900150983cd24fb0d6963f7d28e17f72"},
	{"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
	{"abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"},
	{"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", "d174ab98d277d9f5a5611c2c9f419d9f"},
	{"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
		"57edf4a22be3c955ac49da2e2107b67a"},
};

static void check_all(void)
{
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
		uint8_t expected[MD5_LEN], sum[MD5_LEN];
		assert_int_equal(hex_read(expected, sizeof expected, known[i].sum), sizeof expected);
		assert_int_equal(md5_sum(md5, sum, (const uint8_t *)known[i].message, strlen(known[i].message)), OK);
		assert_memory_equal(sum, expected, sizeof expected);
	}
	assert_int_equal(ERR_peek_error(), 0);
}

static void test_the_suite_of_the_rfc(void **state)
{
	(void)state;
	check_all();
	check_all(); /* nothing of what went before is in a sum */
}

static void test_every_bit_counts(void **state)
{
	(void)state;
	uint8_t message[100] = {0}, first[MD5_LEN], other[MD5_LEN];
	assert_int_equal(md5_sum(md5, first, message, sizeof message), OK);
	for (size_t bit = 0; bit < 8 * sizeof message; bit++) {
		message[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(md5_sum(md5, other, message, sizeof message), OK);
		assert_memory_not_equal(other, first, sizeof first);
		message[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_int_equal(md5_sum(md5, other, message, sizeof message - 1), OK);
	assert_memory_not_equal(other, first, sizeof first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_suite_of_the_rfc),
		cmocka_unit_test(test_every_bit_counts),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
