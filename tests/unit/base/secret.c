/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/secret.h"

static void equal_looks_at_every_byte(void **state)
{
	(void)state;
	uint8_t a[40], b[40];
	for (size_t n = 0; n <= sizeof a; n++) {
		memset(a, 0x5a, sizeof a);
		memset(b, 0x5a, sizeof b);
		assert_true(secret_equal(a, b, n));
		if (n < sizeof b) {
			b[n] ^= 0xff; /* one past the end does not count */
			assert_true(secret_equal(a, b, n));
			b[n] ^= 0xff;
		}
		for (size_t at = 0; at < n; at++) {
			for (unsigned bit = 0; bit < 8; bit++) {
				b[at] ^= (uint8_t)(1U << bit);
				assert_false(secret_equal(a, b, n));
				b[at] ^= (uint8_t)(1U << bit);
			}
		}
	}
}

static void differences_do_not_cancel_out(void **state)
{
	(void)state;
	const uint8_t a[4] = {1, 1, 0, 0}, b[4] = {0, 0, 0, 0};
	assert_false(secret_equal(a, b, 4));
	assert_false(secret_equal(b, a, 4));
}

static void zero_looks_at_every_byte(void **state)
{
	(void)state;
	uint8_t a[40] = {0};
	assert_true(secret_is_zero(a, 0));
	assert_true(secret_is_zero(a, sizeof a));
	for (size_t at = 0; at < sizeof a; at++) {
		a[at] = 0x80;
		assert_false(secret_is_zero(a, sizeof a));
		assert_true(secret_is_zero(a, at));
		a[at] = 0;
	}
}

static void wipe_wipes_what_it_is_told(void **state)
{
	(void)state;
	uint8_t a[10];
	memset(a, 9, sizeof a);
	secret_wipe(a + 1, 8);
	assert_int_equal(a[0], 9);
	assert_true(secret_is_zero(a + 1, 8));
	assert_int_equal(a[9], 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_looks_at_every_byte),
		cmocka_unit_test(differences_do_not_cancel_out),
		cmocka_unit_test(zero_looks_at_every_byte),
		cmocka_unit_test(wipe_wipes_what_it_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
