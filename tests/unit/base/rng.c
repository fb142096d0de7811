/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/rng.h"
#include "base/secret.h"

/* A source that gives listed values, and fails the test when they run out. */
struct script {
	const uint32_t *values;
	size_t n, at;
};

static void fill_from_script(void *context, uint8_t *out, size_t n)
{
	struct script *script = context;
	assert_int_equal(n, sizeof *script->values);
	assert_true(script->at < script->n);
	memcpy(out, &script->values[script->at++], n);
}

static uint32_t below(uint32_t bound, const uint32_t *values, size_t n)
{
	struct script script = {values, n, 0};
	const struct rng rng = {fill_from_script, &script};
	uint32_t result = rng_below(&rng, bound);
	assert_int_equal(script.at, n); /* all were used */
	return result;
}

#define BELOW(bound, ...)                                                                                              \
	below(bound, (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void below_drops_what_would_be_biased(void **state)
{
	(void)state;
	assert_int_equal(BELOW(1, 0), 0);
	assert_int_equal(BELOW(1, 12345), 0);
	assert_int_equal(BELOW(10, 7), 7);
	assert_int_equal(BELOW(10, 17), 7);
	/* 2^32 - 1 = 4294967295 is 5 mod 10, so values from 4294967290 on are drawn again. */
	assert_int_equal(BELOW(10, 4294967289), 9);
	assert_int_equal(BELOW(10, 4294967290, 3), 3);
	assert_int_equal(BELOW(10, UINT32_MAX, 4294967291, 12), 2);
	/* Just over a half: nearly every second value is dropped. */
	assert_int_equal(BELOW(0x80000001, 0x80000000), 0x80000000);
	assert_int_equal(BELOW(0x80000001, 0x80000001, 5), 5);
	assert_int_equal(BELOW(UINT32_MAX, UINT32_MAX - 1), UINT32_MAX - 1);
	assert_int_equal(BELOW(UINT32_MAX, UINT32_MAX, 0), 0);
}

static void below_stays_below_and_reaches_all(void **state)
{
	(void)state;
	const struct rng rng = rng_system();
	for (uint32_t bound = 1; bound <= 17; bound++) {
		uint32_t seen = 0;
		for (int i = 0; i < 1000; i++) {
			uint32_t v = rng_below(&rng, bound);
			assert_true(v < bound);
			seen |= 1U << v;
		}
		/* One of 17 values missing after 1000 draws: less than once in 10^25 runs. */
		assert_int_equal(seen, (1U << bound) - 1);
	}
}

static void system_fills_all_of_it(void **state)
{
	(void)state;
	const struct rng rng = rng_system();
	static uint8_t a[5000], b[5000]; /* getrandom may give less than asked for beyond 256 */
	const size_t sizes[] = {0, 16, 256, 257, sizeof a};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		memset(a, 0, sizeof a);
		rng_fill(&rng, a, sizes[i]);
		rng_fill(&rng, b, sizes[i]);
		assert_true(secret_is_zero(a + sizes[i], sizeof a - sizes[i]));
		if (sizes[i] > 0) {
			assert_false(secret_is_zero(a + sizes[i] - 16, 16));
			assert_memory_not_equal(a, b, sizes[i]);
		}
	}
}

static void u32_takes_four_bytes(void **state)
{
	(void)state;
	const uint32_t value = 0x01020304;
	struct script script = {&value, 1, 0};
	const struct rng rng = {fill_from_script, &script};
	assert_int_equal(rng_u32(&rng), value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(below_drops_what_would_be_biased),
		cmocka_unit_test(below_stays_below_and_reaches_all),
		cmocka_unit_test(system_fills_all_of_it),
		cmocka_unit_test(u32_takes_four_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
