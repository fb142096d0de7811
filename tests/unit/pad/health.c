#include "seeded.h"

#include "pad/health.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIZE ((size_t)4 << 20)

/* cmocka has this for float only. */
static void assert_near(double a, double b, double margin)
{
	assert_true(fabs(a - b) <= margin);
}

/* The report on `len` bytes, given in pieces of odd lengths. */
static struct health_report report_on(const uint8_t *data, size_t len)
{
	struct seeded pieces = {len};
	struct health_report report;
	struct health *h;
	assert_int_equal(health_new(&h, len), OK);
	for (size_t at = 0, n; at < len; at += n) {
		n = seeded_below(&pieces, 70000);
		n = n > len - at ? len - at : n;
		health_add(h, data + at, n);
	}
	health_report(h, &report);
	health_free(h);
	return report;
}

static uint8_t *random_bytes(uint64_t seed, size_t len)
{
	struct seeded s = {seed};
	uint8_t *data = malloc(len);
	assert_non_null(data);
	seeded_bytes(&s, data, len);
	return data;
}

/* Only these tests find something. */
static void assert_weak(const struct health_report *r, const char *names)
{
	static const char letters[] = "zrRobpc";
	char found[HEALTH_TESTS + 1] = "";
	size_t n = 0;
	for (size_t i = 0; i < HEALTH_TESTS; i++) {
		if (r->findings[i].weak)
			found[n++] = letters[i];
	}
	found[n] = '\0';
	assert_string_equal(found, names);
	assert_int_equal(r->weak, n > 0);
}

static void test_random_bytes_are_good(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		uint8_t *data = random_bytes(seed << 40, SIZE);
		struct health_report r = report_on(data, SIZE);
		assert_weak(&r, "");
		assert_int_equal(r.bytes, SIZE);
		assert_false(r.constant);
		assert_true(r.samples > SIZE >> 9 && r.samples < SIZE >> 7);
		for (size_t i = 0; i < HEALTH_TESTS; i++)
			assert_true(r.findings[i].tested);
		free(data);
	}
}

/* The sums, each computed in the plainest way. */
static void test_figures_are_those_of_a_naive_model(void **state)
{
	(void)state;
	size_t len = 700001, values[256] = {0}, *pairs = calloc(65536, sizeof(*pairs));
	uint8_t *data = random_bytes(1, len);
	double ones = 0, chi = 0, chi_pairs = 0, products = 0;
	memset(data + 1000, 0, 5);
	memset(data + 2000, 0xee, 6);
	struct health_report r = report_on(data, len);
	for (size_t i = 0; i < len; i++) {
		values[data[i]]++;
		ones += __builtin_popcount(data[i]);
		if (i % 2) {
			pairs[data[i - 1] << 8 | data[i]]++;
			products += (data[i - 1] - 127.5) * (data[i] - 127.5);
		}
	}
	for (size_t i = 0; i < 65536; i++) {
		double expected = (double)len / 256, expected_pairs = (double)(len / 2) / 65536;
		chi += i < 256 ? pow((double)values[i] - expected, 2) / expected : 0;
		chi_pairs += pow((double)pairs[i] - expected_pairs, 2) / expected_pairs;
	}
	assert_near(r.findings[HEALTH_ONES].value, ones / (double)len / 8, 1e-12);
	assert_near(r.findings[HEALTH_BYTES].value, chi, 1e-6);
	assert_near(r.findings[HEALTH_PAIRS].value, chi_pairs, 1e-4);
	assert_near(r.findings[HEALTH_CORRELATION].value, products / (double)(len / 2) / (65535.0 / 12), 1e-12);
	assert_near(r.findings[HEALTH_ZEROS].value, 5, 0);
	assert_near(r.findings[HEALTH_RUNS].value, 6, 0);
	assert_int_equal(r.findings[HEALTH_ZEROS].at, 1000);
	assert_int_equal(r.findings[HEALTH_RUNS].at, 2000);
	assert_weak(&r, "");
	free(pairs);
	free(data);
}

static void test_constant_bytes(void **state)
{
	(void)state;
	static const uint8_t bytes[] = {0, 0xff, 0x55};
	for (size_t i = 0; i < sizeof(bytes); i++) {
		uint8_t *data = malloc(SIZE);
		assert_non_null(data);
		memset(data, bytes[i], SIZE);
		struct health_report r = report_on(data, SIZE - 1);
		assert_true(r.constant && r.weak);
		assert_near(r.findings[HEALTH_RUNS].value, SIZE - 1, 0);
		data[SIZE / 2] ^= 1;
		r = report_on(data, SIZE);
		assert_true(!r.constant && r.weak);
		free(data);
	}
}

static void test_a_stretch_of_zeros(void **state)
{
	(void)state;
	uint8_t *data = random_bytes(2, SIZE);
	memset(data + 12345, 0, 8);
	data[12344] = data[12353] = 1;
	struct health_report r = report_on(data, SIZE);
	assert_weak(&r, "zr");
	assert_int_equal(r.findings[HEALTH_ZEROS].at, 12345);
	data[12350] = 1;
	r = report_on(data, SIZE);
	assert_weak(&r, "");
	memset(data + 12345, 7, 9);
	r = report_on(data, SIZE);
	assert_weak(&r, "r");
	free(data);
}

static void test_bytes_that_come_again(void **state)
{
	(void)state;
	uint8_t *data = random_bytes(3, SIZE);
	struct health_report r = report_on(data, SIZE);
	/* at another distance than any power of 2 */
	memmove(data + 3000001, data + 77777, r.repeat_found);
	r = report_on(data, SIZE);
	assert_weak(&r, "R");
	assert_int_equal(r.findings[HEALTH_REPEATS].at - r.repeat_of, 3000001 - 77777);
	assert_true(r.repeat_of >= 77777 && r.repeat_of < 77777 + r.repeat_found);
	/* the whole once more: every figure becomes too large */
	memcpy(data + SIZE / 2, data, SIZE / 2);
	r = report_on(data, SIZE);
	assert_true(r.findings[HEALTH_REPEATS].weak && r.findings[HEALTH_PAIRS].weak);
	free(data);
}

static void test_bias(void **state)
{
	(void)state;
	struct seeded s = {4};
	uint8_t *data = random_bytes(5, SIZE);
	/* one bit of 400 is set by force, so every second of them has changed */
	for (size_t i = 0; i < SIZE; i += 50)
		data[i] |= 1;
	struct health_report r = report_on(data, SIZE);
	assert_weak(&r, "obp");
	/* each byte leans on the one before, and each alone is random */
	free(data);
	data = random_bytes(6, SIZE);
	for (size_t i = 1; i < SIZE; i++) {
		if (seeded_chance(&s, 3))
			data[i] = data[i - 1];
	}
	r = report_on(data, SIZE);
	assert_true(r.findings[HEALTH_CORRELATION].weak && r.findings[HEALTH_PAIRS].weak);
	assert_false(r.findings[HEALTH_ONES].weak);
	/* as even as it can be: each value as often as the others */
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (uint8_t)(i * 167 + i / 256 * 89);
	r = report_on(data, SIZE);
	assert_true(r.findings[HEALTH_BYTES].weak && r.findings[HEALTH_BYTES].value < 1);
	assert_false(r.constant);
	free(data);
}

static void test_text_is_weak(void **state)
{
	(void)state;
	struct seeded s = {7};
	uint8_t *data = random_bytes(8, SIZE);
	for (size_t i = 0; i < SIZE; i++)
		data[i] = (uint8_t) "0123456789abcdef"[seeded_below(&s, 16)];
	struct health_report r = report_on(data, SIZE);
	assert_true(r.weak && r.findings[HEALTH_BYTES].weak && r.findings[HEALTH_ONES].weak);
	free(data);
}

static void test_what_is_skipped_joins_nothing(void **state)
{
	(void)state;
	uint8_t *data = random_bytes(9, SIZE);
	struct health_report r;
	struct health *h;
	memset(data + 1001 - 5, 0, 10);
	data[1001 - 6] = data[1001 + 5] = 1;
	assert_int_equal(health_new(&h, SIZE), OK);
	health_add(h, data, 1001);
	health_skip(h, 4096);
	health_add(h, data + 1001, SIZE - 1001);
	health_report(h, &r);
	health_free(h);
	assert_weak(&r, "");
	assert_near(r.findings[HEALTH_ZEROS].value, 5, 0);
	assert_int_equal(r.bytes, SIZE);
	r = report_on(data, SIZE);
	assert_weak(&r, "zr");
	free(data);
}

static void test_few_bytes(void **state)
{
	(void)state;
	uint8_t *data = random_bytes(10, SIZE);
	struct health_report r = report_on(data, 0);
	assert_true(!r.weak && !r.constant && r.bytes == 0);
	r = report_on(data, 1);
	assert_true(!r.weak && r.constant && r.bytes == 1);
	assert_near(r.findings[HEALTH_RUNS].value, 1, 0);
	r = report_on(data, 655359);
	assert_weak(&r, "");
	assert_false(r.findings[HEALTH_PAIRS].tested);
	r = report_on(data, 655360);
	assert_true(r.findings[HEALTH_PAIRS].tested);
	free(data);
}

/* Memory does not grow with the size that is announced, and what is found gets coarser. */
static void test_large_sizes_are_sampled(void **state)
{
	(void)state;
	static const struct {
		uint64_t size, found;
	} cases[] = {{1 << 20, 20 << 8}, {(uint64_t)1 << 26, 20 << 8}, {(uint64_t)1 << 30, 20 << 12},
		{(uint64_t)1 << 40, (uint64_t)20 << 22}, {UINT64_MAX, (uint64_t)20 << 45}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct health *h;
		struct health_report r;
		assert_int_equal(health_new(&h, cases[i].size), OK);
		health_report(h, &r);
		assert_int_equal(r.repeat_found, cases[i].found);
		health_free(h);
	}
	health_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_bytes_are_good),
		cmocka_unit_test(test_figures_are_those_of_a_naive_model),
		cmocka_unit_test(test_constant_bytes),
		cmocka_unit_test(test_a_stretch_of_zeros),
		cmocka_unit_test(test_bytes_that_come_again),
		cmocka_unit_test(test_bias),
		cmocka_unit_test(test_text_is_weak),
		cmocka_unit_test(test_what_is_skipped_joins_nothing),
		cmocka_unit_test(test_few_bytes),
		cmocka_unit_test(test_large_sizes_are_sampled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
