/* Reassembly: any order, loss, repeats, contradictions, the limits of number and time. */
#include "seeded.h"

#include "transport/fragments.h"

#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static struct fragments *fragments;

static int setup(void **state)
{
	(void)state;
	return fragments_new(&fragments) == OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	fragments_free(fragments);
	return 0;
}

static struct view packet;

static enum err add(uint32_t id, const uint8_t *whole, size_t from, size_t to, size_t total, usec now)
{
	struct fragment part = {.id = id,
		.offset = (uint16_t)from,
		.total = (uint16_t)total,
		.len = (uint16_t)(to - from),
		.data = whole + from};
	return fragments_add(fragments, &part, now, &packet);
}

static void test_any_order_gives_the_packet_back(void **state)
{
	(void)state;
	static uint8_t whole[65535];
	struct seeded seed = {7};
	seeded_bytes(&seed, whole, sizeof whole);
	for (int round = 0; round < 300; round++) {
		uint32_t total = 1 + seeded_below(&seed, sizeof whole), cuts[FRAGMENTS_PARTS + 1] = {0}, n = 0;
		while (cuts[n] < total && n < FRAGMENTS_PARTS - 1) {
			uint32_t left = total - cuts[n];
			n++;
			cuts[n] = cuts[n - 1] + 1 + seeded_below(&seed, left < 2000 ? left : 2000);
		}
		if (cuts[n] < total)
			cuts[++n] = total;
		uint32_t order[FRAGMENTS_PARTS];
		for (uint32_t i = 0; i < n; i++) {
			uint32_t j = seeded_below(&seed, i + 1);
			order[i] = order[j];
			order[j] = i;
		}
		for (uint32_t i = 0; i < n; i++) {
			enum err err = add((uint32_t)round, whole, cuts[order[i]], cuts[order[i] + 1], total, 5);
			assert_err(err, i + 1 == n ? OK : ERR_AGAIN);
			if (i + 1 < n && seeded_chance(&seed, 20))
				assert_err(add((uint32_t)round, whole, cuts[order[i]], cuts[order[i] + 1], total, 5),
					ERR_REPLAY);
		}
		assert_int_equal(packet.len, total);
		assert_memory_equal(packet.data, whole, total);
	}
}

static const uint8_t bytes[1000];

static void test_contradictions_are_refused_and_do_no_harm(void **state)
{
	(void)state;
	assert_err(add(1, bytes, 0, 100, 300, 0), ERR_AGAIN);
	assert_err(add(1, bytes, 50, 150, 300, 0), ERR_FORMAT); /* overlaps */
	assert_err(add(1, bytes, 99, 100, 300, 0), ERR_FORMAT);
	assert_err(add(1, bytes, 0, 101, 300, 0), ERR_FORMAT);
	assert_err(add(1, bytes, 0, 300, 300, 0), ERR_FORMAT);
	assert_err(add(1, bytes, 100, 200, 301, 0), ERR_FORMAT); /* another total */
	assert_err(add(1, bytes, 200, 300, 300, 0), ERR_AGAIN);
	assert_err(add(1, bytes, 100, 200, 300, 0), OK);
	assert_int_equal(packet.len, 300);
}

static void test_two_packets_do_not_mix(void **state)
{
	(void)state;
	static const uint8_t ones[200] = {1, 1, 1}, twos[200] = {2, 2, 2};
	assert_err(add(1, ones, 0, 100, 200, 0), ERR_AGAIN);
	assert_err(add(2, twos, 0, 100, 200, 0), ERR_AGAIN);
	assert_err(add(2, twos, 100, 200, 200, 0), OK);
	assert_memory_equal(packet.data, twos, 200);
	assert_err(add(1, ones, 100, 200, 200, 0), OK);
	assert_memory_equal(packet.data, ones, 200);
}

static void test_at_most_64_are_open_and_the_oldest_goes(void **state)
{
	(void)state;
	for (uint32_t id = 0; id < FRAGMENTS_OPEN + 1; id++)
		assert_err(add(id, bytes, 0, 100, 200, id), ERR_AGAIN);
	assert_err(add(1, bytes, 100, 200, 200, 100), OK);
	assert_err(add(FRAGMENTS_OPEN, bytes, 100, 200, 200, 100), OK);
	assert_err(add(0, bytes, 100, 200, 200, 100), ERR_AGAIN); /* its first half went */
	assert_err(add(0, bytes, 0, 100, 200, 100), OK);
}

static void test_they_expire_after_two_seconds(void **state)
{
	(void)state;
	assert_err(add(1, bytes, 0, 100, 200, USEC_PER_SEC), ERR_AGAIN);
	assert_err(add(2, bytes, 0, 100, 200, USEC_PER_SEC), ERR_AGAIN);
	assert_err(add(1, bytes, 100, 200, 200, 3 * USEC_PER_SEC), OK);
	assert_err(add(2, bytes, 100, 200, 200, 3 * USEC_PER_SEC + 1), ERR_AGAIN);
}

/* Lanes read the clock for themselves: one may be a moment behind the other. */
static void test_a_clock_that_is_behind_expires_nothing(void **state)
{
	(void)state;
	assert_err(add(1, bytes, 0, 100, 200, USEC_PER_SEC), ERR_AGAIN);
	assert_err(add(1, bytes, 100, 200, 200, USEC_PER_SEC - 1), OK);
}

static void test_a_packet_of_too_many_parts_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < FRAGMENTS_PARTS; i++)
		assert_err(add(1, bytes, i, i + 1, 1000, 0), ERR_AGAIN);
	assert_err(add(1, bytes, FRAGMENTS_PARTS, FRAGMENTS_PARTS + 1, 1000, 0), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_any_order_gives_the_packet_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contradictions_are_refused_and_do_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_packets_do_not_mix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_at_most_64_are_open_and_the_oldest_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_they_expire_after_two_seconds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_clock_that_is_behind_expires_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_packet_of_too_many_parts_is_refused, setup, teardown),
	};
	fragments_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
