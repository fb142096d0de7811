/* The division of a pad against a naive model that writes both walks down, byte for byte. */
#include "seeded.h"

#include "pad/layout.h"

#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define MIB ((uint64_t)1 << 20)

static void test_sizes_outside_are_refused(void **state)
{
	(void)state;
	struct pad_layout l = {.size = 7};
	assert_err(pad_layout_of(&l, 0), ERR_FORMAT);
	assert_err(pad_layout_of(&l, PAD_SIZE_MIN - 1), ERR_FORMAT);
	assert_err(pad_layout_of(&l, PAD_SIZE_MAX + 1), ERR_TOO_BIG);
	assert_err(pad_layout_of(&l, UINT64_MAX), ERR_TOO_BIG);
	assert_int_equal(l.size, 7); /* unchanged */
	assert_err(pad_layout_of(&l, PAD_SIZE_MIN), OK);
	assert_err(pad_layout_of(&l, PAD_SIZE_MAX), OK);
}

/* What protocol.md says, in the order in which it says it. */
static void assert_divided(const struct pad_layout *l, uint64_t size)
{
	uint64_t hello = size / 16 < MIB ? size / 16 : MIB;
	assert_int_equal(l->size, size);
	assert_int_equal(l->n_slots, hello / 256);
	assert_true(l->traffic >= 64 + (uint64_t)l->n_slots * 256);
	assert_true(l->traffic - 64 - (uint64_t)l->n_slots * 256 < PAD_BLOCK); /* no block is wasted */
	uint64_t end = l->traffic + l->n_blocks * PAD_BLOCK;
	assert_true(end <= size && size - end < 4096);
	assert_int_equal(l->traffic % 4096, 0);
	assert_true(l->n_blocks >= 2);
	assert_true(pad_middle(l) > 0 && pad_middle(l) < l->n_blocks);
}

/* Both walks, written down: the offset of each position. */
static void write_walks(const struct pad_layout *l, uint64_t *up, uint64_t *down)
{
	uint64_t n = 0;
	for (uint64_t at = l->traffic; at < l->traffic + l->n_blocks * PAD_BLOCK; at++)
		up[n++] = at;
	n = 0;
	for (uint64_t end = l->traffic + l->n_blocks * PAD_BLOCK; end > l->traffic; end -= PAD_BLOCK)
		for (uint64_t at = end - PAD_BLOCK; at < end; at++)
			down[n++] = at;
}

static void assert_walk(const struct pad_layout *l, enum pad_role role, const uint64_t *walk, uint8_t *seen)
{
	memset(seen, 0, l->size);
	for (uint64_t q = 0; q < l->n_blocks * PAD_BLOCK; q++) {
		uint64_t back = UINT64_MAX;
		if (pad_offset(l, role, q) != walk[q] || !pad_position(l, role, walk[q], &back) || back != q)
			fail_msg("position %llu of role %d", (unsigned long long)q, (int)role);
		seen[walk[q]]++;
	}
	for (uint64_t at = 0; at < l->size; at++) {
		uint64_t position;
		bool is_traffic = at >= l->traffic && at < l->traffic + l->n_blocks * PAD_BLOCK;
		if (seen[at] != is_traffic || pad_position(l, role, at, &position) != is_traffic)
			fail_msg("offset %llu of role %d", (unsigned long long)at, (int)role);
	}
}

/* For each boundary: each byte of traffic has one owner. */
static void assert_owners(const struct pad_layout *l, const uint64_t *up, const uint64_t *down, uint8_t *seen)
{
	for (uint64_t boundary = 0; boundary <= l->n_blocks; boundary++) {
		memset(seen, 0, l->size);
		for (uint64_t q = 0; q < pad_share(l, PAD_RESPONDER, boundary); q++)
			seen[up[q]]++;
		for (uint64_t q = 0; q < pad_share(l, PAD_INITIATOR, boundary); q++)
			seen[down[q]]++;
		for (uint64_t at = 0; at < l->n_blocks * PAD_BLOCK; at++)
			if (seen[l->traffic + at] != 1)
				fail_msg("offset %llu at boundary %llu", (unsigned long long)(l->traffic + at),
					(unsigned long long)boundary);
	}
}

static void test_walks_agree_with_a_list(void **state)
{
	(void)state;
	struct seeded seed = {4};
	uint64_t sizes[14] = {MIB, MIB + 1, MIB + 4095, MIB + 4096, MIB + PAD_BLOCK, MIB + PAD_BLOCK - 1, 2 * MIB - 1,
		2 * MIB, 2 * MIB + 4097};
	for (size_t i = 9; i < 14; i++)
		sizes[i] = MIB + seeded_below(&seed, 2U << 20);
	for (size_t i = 0; i < 14; i++) {
		struct pad_layout l;
		assert_err(pad_layout_of(&l, sizes[i]), OK);
		assert_divided(&l, sizes[i]);
		uint64_t *up = malloc(l.size * sizeof *up), *down = malloc(l.size * sizeof *down);
		uint8_t *seen = malloc(l.size);
		write_walks(&l, up, down);
		assert_walk(&l, PAD_RESPONDER, up, seen);
		assert_walk(&l, PAD_INITIATOR, down, seen);
		if (i % 4 == 0)
			assert_owners(&l, up, down, seen);
		free(up);
		free(down);
		free(seen);
	}
}

static void test_large_pads_are_divided_alike(void **state)
{
	(void)state;
	struct seeded seed = {5};
	for (int i = 0; i < 20000; i++) {
		uint64_t size = seeded_next(&seed) % (PAD_SIZE_MAX >> seeded_below(&seed, 28));
		if (size < PAD_SIZE_MIN)
			size += PAD_SIZE_MIN;
		struct pad_layout l;
		assert_err(pad_layout_of(&l, size), OK);
		assert_divided(&l, size);
		for (enum pad_role role = PAD_RESPONDER; role <= PAD_INITIATOR; role++) {
			uint64_t q = seeded_next(&seed) % (l.n_blocks * PAD_BLOCK), back;
			assert_true(pad_position(&l, role, pad_offset(&l, role, q), &back));
			assert_int_equal(back, q);
			assert_false(pad_position(&l, role, l.traffic - 1, &back));
			assert_false(pad_position(&l, role, l.traffic + l.n_blocks * PAD_BLOCK, &back));
			assert_false(pad_position(&l, role, UINT64_MAX, &back));
		}
	}
}

static void test_slots_lie_between_identity_and_traffic(void **state)
{
	(void)state;
	struct pad_layout l;
	assert_err(pad_layout_of(&l, 100 * MIB + 12345), OK);
	assert_int_equal(l.n_slots, 4096);
	assert_int_equal(pad_slot_offset(0), 64);
	assert_int_equal(pad_slot_offset(l.n_slots), 64 + MIB);
	assert_true(pad_slot_offset(l.n_slots) <= l.traffic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_outside_are_refused),
		cmocka_unit_test(test_walks_agree_with_a_list),
		cmocka_unit_test(test_large_pads_are_divided_alike),
		cmocka_unit_test(test_slots_lie_between_identity_and_traffic),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
