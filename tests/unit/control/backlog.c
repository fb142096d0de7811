/* Bytes in, bytes out, in the same order, up to a bound. */
#include "control/backlog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Puts and takes of all sizes; what comes out is a sequence that anyone can continue. */
static void keeps_the_order(void **state)
{
	struct backlog b = {0};
	uint64_t seed = 5;
	unsigned char in = 0, out = 0;
	static char text[5000];
	size_t waiting = 0;
	for (int round = 0; round < 20000; round++) {
		seed = seed * 6364136223846793005U + 1442695040888963407U;
		size_t n = (size_t)(seed >> 33) % sizeof(text);
		if (seed >> 63) {
			for (size_t i = 0; i < n; i++)
				text[i] = (char)(unsigned char)(in + i);
			enum err e = backlog_put(&b, text, n);
			assert_int_equal(e, waiting + n > BACKLOG_MAX ? ERR_FULL : OK);
			if (e == OK) {
				waiting += n;
				in = (unsigned char)(in + n);
			}
		} else {
			size_t got = backlog_take(&b, text, n);
			assert_int_equal(got, waiting < n ? waiting : n);
			for (size_t i = 0; i < got; i++)
				assert_int_equal((unsigned char)text[i], out++);
			waiting -= got;
		}
		assert_int_equal(backlog_len(&b), waiting);
	}
	backlog_done(&b);
	assert_int_equal(backlog_len(&b), 0);
}

static void takes_all_or_nothing(void **state)
{
	struct backlog b = {0};
	static char text[BACKLOG_MAX + 1];
	assert_int_equal(backlog_put(&b, text, BACKLOG_MAX + 1), ERR_FULL);
	assert_int_equal(backlog_len(&b), 0);
	assert_int_equal(backlog_put(&b, text, BACKLOG_MAX), OK);
	assert_int_equal(backlog_put(&b, text, 1), ERR_FULL);
	assert_int_equal(backlog_put(&b, text, 0), OK);
	assert_int_equal(backlog_take(&b, text, 1), 1);
	assert_int_equal(backlog_put(&b, text, 1), OK);
	assert_int_equal(backlog_len(&b), BACKLOG_MAX);
	backlog_done(&b);
	assert_int_equal(backlog_take(&b, text, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_the_order),
		cmocka_unit_test(takes_all_or_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
