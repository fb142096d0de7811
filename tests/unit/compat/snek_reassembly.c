/* Fragments against a naive model, which keeps every piece in a place of its own; and the bounds. */
#include "seeded.h"

#include "compat/snek_reassembly.h"

#include <stdlib.h>
#include <string.h>

#define MODEL_PACKETS 40 /* of which most are under way at a time */

struct model {
	uint32_t id;
	uint8_t nonce[AEAD_NONCE_LEN];
	uint16_t count;
	uint64_t have;
	size_t len[SNEK_REASSEMBLY_PARTS], total;
	uint8_t bytes[SNEK_REASSEMBLY_PARTS][SNEK_REASSEMBLY_MAX];
};

static struct snek_counters counters;

static struct snek_reassembly *begin(void)
{
	struct snek_reassembly *r;
	memset(&counters, 0, sizeof counters);
	assert_int_equal(snek_reassembly_new(&r, &counters), OK);
	return r;
}

/* With the chunk in memory of exactly its length. */
static enum err add(
	struct snek_reassembly *r, struct snek_frame *frame, const uint8_t *chunk, usec now, struct snek_whole *ret)
{
	uint8_t *copy = malloc(frame->chunk_len ? frame->chunk_len : 1);
	assert_non_null(copy);
	memcpy(copy, chunk, frame->chunk_len);
	frame->chunk = copy;
	frame->is_fragment = true;
	memset(ret, 0xff, sizeof *ret);
	const enum err err = snek_reassembly_add(r, frame, now, ret);
	assert_true(err == OK || (ret->data == NULL && ret->len == 0));
	free(copy);
	return err;
}

static void model_begin(struct model *m, struct seeded *seed)
{
	m->id = seeded_below(seed, 3);
	seeded_bytes(seed, m->nonce, sizeof m->nonce);
	m->count = (uint16_t)(2 + seeded_below(seed, seeded_chance(seed, 50) ? 2 : SNEK_REASSEMBLY_PARTS - 1));
	m->have = m->total = 0;
}

/* What it says of a fragment; when all is there, *ret_all is it. */
static enum err model_add(struct model *m, const struct snek_frame *f, const uint8_t *chunk, uint8_t *ret_all)
{
	if (f->index >= m->count)
		return ERR_FORMAT;
	if (f->chunk_len + m->total > SNEK_REASSEMBLY_MAX)
		return ERR_TOO_BIG;
	if (m->have >> f->index & 1)
		return ERR_AGAIN;
	m->have |= UINT64_C(1) << f->index;
	m->len[f->index] = f->chunk_len;
	m->total += f->chunk_len;
	memcpy(m->bytes[f->index], chunk, f->chunk_len);
	size_t at = 0;
	for (size_t i = 0; i < m->count; at += m->len[i++]) {
		if (!(m->have >> i & 1))
			return ERR_AGAIN;
		memcpy(ret_all + at, m->bytes[i], m->len[i]);
	}
	return OK;
}

static void test_random_fragments_agree_with_a_model(void **state)
{
	(void)state;
	struct snek_reassembly *r = begin();
	struct seeded seed = {3};
	static struct model models[MODEL_PACKETS];
	static uint8_t chunk[SNEK_REASSEMBLY_MAX + 1], all[SNEK_REASSEMBLY_MAX];
	unsigned whole = 0, refused = 0;
	for (size_t i = 0; i < MODEL_PACKETS; i++)
		model_begin(&models[i], &seed);
	for (unsigned i = 0; i < 60000; i++) {
		struct model *m = &models[seeded_below(&seed, MODEL_PACKETS)];
		struct snek_whole got;
		struct snek_frame f = {.id = m->id, .count = m->count, .total = (uint32_t)seeded_next(&seed)};
		f.index = (uint16_t)seeded_below(&seed, m->count + (m->have && seeded_chance(&seed, 1) ? 2U : 0U));
		f.chunk_len = seeded_below(&seed, seeded_chance(&seed, 1) ? sizeof chunk + 1 : 100);
		memcpy(f.nonce, m->nonce, sizeof f.nonce);
		seeded_bytes(&seed, chunk, f.chunk_len);
		const enum err expected = model_add(m, &f, chunk, all);
		assert_int_equal(add(r, &f, chunk, i, &got), expected);
		refused += expected == ERR_TOO_BIG || expected == ERR_FORMAT;
		if (expected != OK)
			continue;
		assert_int_equal(got.len, m->total);
		assert_memory_equal(got.data, all, got.len);
		if (++whole % SNEK_REASSEMBLY_WHOLE == 0)
			snek_reassembly_release(r);
		model_begin(m, &seed);
	}
	assert_true(whole > 500 && refused > 100);
	assert_true(counters.expired == 0 && counters.evicted == 0);
	snek_reassembly_free(r);
}

/* The n-th packet of two fragments. */
static enum err add_half(struct snek_reassembly *r, uint32_t n, uint16_t index, usec now, struct snek_whole *ret)
{
	uint8_t chunk[100];
	struct snek_frame f = {.id = n, .count = 2, .index = index, .chunk_len = sizeof chunk};
	memset(chunk, (int)(n + index), sizeof chunk);
	return add(r, &f, chunk, now, ret);
}

static void test_the_oldest_make_room(void **state)
{
	(void)state;
	struct snek_reassembly *r = begin();
	struct snek_whole whole;
	for (uint32_t n = 0; n < SNEK_REASSEMBLY_OPEN; n++)
		assert_int_equal(add_half(r, n, 1, n, &whole), ERR_AGAIN);
	assert_int_equal(counters.evicted, 0);
	assert_int_equal(add_half(r, 1, 0, 1000, &whole), OK); /* one is whole, and there is room for one */
	assert_int_equal(add_half(r, 1000, 0, 1000, &whole), ERR_AGAIN);
	assert_int_equal(counters.evicted, 0);
	assert_int_equal(add_half(r, 1001, 0, 1000, &whole), ERR_AGAIN);
	assert_int_equal(counters.evicted, 1);
	assert_int_equal(add_half(r, 0, 0, 1000, &whole), ERR_AGAIN); /* that one is gone; the next oldest goes */
	assert_int_equal(counters.evicted, 2);
	for (uint32_t n = 3; n < SNEK_REASSEMBLY_OPEN; n++) {
		assert_int_equal(add_half(r, n, 0, 1000, &whole), OK);
		assert_int_equal(whole.len, 200);
		assert_true(whole.data[0] == (uint8_t)n && whole.data[100] == (uint8_t)(n + 1));
		snek_reassembly_release(r);
	}
	assert_int_equal(counters.evicted, 2);
	snek_reassembly_free(r);
}

static void test_the_old_expire(void **state)
{
	(void)state;
	struct snek_reassembly *r = begin();
	struct snek_whole whole;
	for (uint32_t n = 0; n < 10; n++)
		assert_int_equal(add_half(r, n, 0, n, &whole), ERR_AGAIN);
	/* To the microsecond: at this time those up to 4 are too old. */
	assert_int_equal(add_half(r, 5, 1, SNEK_REASSEMBLY_LIFETIME + 4, &whole), OK);
	assert_int_equal(counters.expired, 5);
	assert_int_equal(add_half(r, 4, 1, SNEK_REASSEMBLY_LIFETIME + 4, &whole), ERR_AGAIN);
	assert_int_equal(add_half(r, 8, 1, SNEK_REASSEMBLY_LIFETIME + 7, &whole), OK);
	assert_int_equal(counters.expired, 7);
	assert_int_equal(add_half(r, 99, 0, 3 * SNEK_REASSEMBLY_LIFETIME, &whole), ERR_AGAIN);
	assert_int_equal(counters.expired, 9);
	assert_int_equal(counters.evicted, 0);
	snek_reassembly_free(r);
}

static void test_whole_ones_stay_until_they_are_released(void **state)
{
	(void)state;
	struct snek_reassembly *r = begin();
	struct snek_whole whole[SNEK_REASSEMBLY_WHOLE], none;
	for (unsigned round = 0; round < 5; round++) {
		for (uint32_t n = 0; n < SNEK_REASSEMBLY_WHOLE; n++) {
			assert_int_equal(add_half(r, n, 0, 0, &whole[n]), ERR_AGAIN);
			assert_int_equal(add_half(r, n, 1, 0, &whole[n]), OK);
		}
		assert_int_equal(add_half(r, 1000, 0, 0, &none), ERR_FULL);
		for (uint32_t n = 0; n < SNEK_REASSEMBLY_WHOLE; n++) {
			assert_int_equal(whole[n].len, 200);
			assert_true(whole[n].data[99] == n && whole[n].data[100] == n + 1);
		}
		snek_reassembly_release(r);
		assert_int_equal(add_half(r, 1000, 0, 0, &none), ERR_AGAIN);
		assert_int_equal(add_half(r, 1000, 1, 0, &none), OK);
		snek_reassembly_release(r);
	}
	snek_reassembly_free(r);
	snek_reassembly_free(NULL);
}

static void test_bounds_of_a_packet(void **state)
{
	(void)state;
	struct snek_reassembly *r = begin();
	struct snek_whole whole;
	static uint8_t chunk[SNEK_REASSEMBLY_MAX + 1];
	struct snek_frame f = {.count = SNEK_REASSEMBLY_PARTS + 1};
	assert_int_equal(add(r, &f, chunk, 0, &whole), ERR_TOO_BIG);
	f = (struct snek_frame){.count = 2, .chunk_len = sizeof chunk};
	assert_int_equal(add(r, &f, chunk, 0, &whole), ERR_TOO_BIG);
	f.chunk_len--;
	assert_int_equal(add(r, &f, chunk, 0, &whole), ERR_AGAIN);
	f.index = 1;
	f.chunk_len = 1;
	assert_int_equal(add(r, &f, chunk, 0, &whole), ERR_TOO_BIG);
	f.chunk_len = 0;
	assert_int_equal(add(r, &f, chunk, 0, &whole), OK);
	assert_int_equal(whole.len, SNEK_REASSEMBLY_MAX);
	/* None of the refused ones left anything behind. */
	f = (struct snek_frame){
		.count = SNEK_REASSEMBLY_PARTS, .chunk_len = SNEK_REASSEMBLY_MAX / SNEK_REASSEMBLY_PARTS};
	for (; f.index < SNEK_REASSEMBLY_PARTS; f.index++)
		assert_int_equal(add(r, &f, chunk, 0, &whole), f.index < SNEK_REASSEMBLY_PARTS - 1 ? ERR_AGAIN : OK);
	assert_int_equal(whole.len, SNEK_REASSEMBLY_MAX);
	snek_reassembly_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_fragments_agree_with_a_model),
		cmocka_unit_test(test_the_oldest_make_room),
		cmocka_unit_test(test_the_old_expire),
		cmocka_unit_test(test_whole_ones_stay_until_they_are_released),
		cmocka_unit_test(test_bounds_of_a_packet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
