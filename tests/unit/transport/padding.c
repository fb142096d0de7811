/* Sizes on the wire: never smaller than what is in them, and with buckets only four of them. */
#include "seeded.h"

#include "transport/padding.h"
#include "transport/path.h"

static void test_sizes(void **state)
{
	(void)state;
	for (size_t full = PATH_PLAIN_MIN; full <= 9000; full += 64)
		for (size_t len = 0; len <= full; len++) {
			assert_int_equal(padding_size(PADDING_NONE, len, full, 0), len);
			size_t size = padding_size(PADDING_BUCKETS, len, full, 0);
			assert_true(size >= len && size <= full);
			assert_true(size == 64 || size == 256 || size == 512 || size == full);
		}
}

static void test_edges(void **state)
{
	(void)state;
	static const size_t edges[][2] = {
		{0, 64}, {64, 64}, {65, 256}, {256, 256}, {257, 512}, {512, 512}, {513, 1408}};
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
		assert_int_equal(padding_size(PADDING_BUCKETS, edges[i][0], 1408, 0), edges[i][1]);
}

static void test_random_adds_what_fits(void **state)
{
	(void)state;
	assert_int_equal(padding_size(PADDING_RANDOM, 100, 1408, 0), 100);
	assert_int_equal(padding_size(PADDING_RANDOM, 100, 1408, 255), 355);
	assert_int_equal(padding_size(PADDING_RANDOM, 1400, 1408, 200), 1408);
	assert_int_equal(padding_size(PADDING_RANDOM, 1408, 1408, 1), 1408);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_edges),
		cmocka_unit_test(test_random_adds_what_fits)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
