/*
 * One direction of a pad in memory: what is taken is what was filled in, once, and no more than is there and allowed;
 * also by threads at once, while a feeder fills and clears. A byte's value says which position it belongs to.
 */
#include "seeded.h"

#include "pad/supply.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define RING ((uint64_t)256 << 10)
#define FAR UINT64_MAX

static uint8_t byte_of(uint64_t position)
{
	return (uint8_t)(position * 0x9e3779b97f4a7c15U >> 56);
}

static bool is_right(const uint8_t *bytes, uint64_t position, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != byte_of(position + i))
			return false;
	return true;
}

/* Up to `wanted` bytes more, in one piece; how many there were. */
static size_t fill(struct supply *s, size_t wanted)
{
	size_t n;
	const uint64_t from = supply_loaded(s);
	uint8_t *room = supply_room(s, wanted, &n);
	for (size_t i = 0; i < n; i++)
		room[i] = byte_of(from + i);
	supply_fill(s, n);
	return n;
}

static struct supply *new_supply(uint64_t position)
{
	struct supply *s;
	assert_err(supply_new(&s, RING, position), OK);
	return s;
}

static enum err take(struct supply *s, size_t len, uint64_t end, uint64_t expected)
{
	uint64_t position;
	const uint8_t *bytes;
	enum err err = supply_take(s, len, end, &position, &bytes);
	if (err != OK)
		return err;
	assert_int_equal(position, expected);
	assert_true(is_right(bytes, position, len));
	return OK;
}

static void test_nothing_is_taken_before_it_is_there_and_allowed(void **state)
{
	(void)state;
	struct supply *s = new_supply(1000);
	assert_err(take(s, 1, FAR, 0), ERR_AGAIN);
	assert_int_equal(fill(s, 500), 500);
	assert_err(take(s, 1, FAR, 0), ERR_AGAIN); /* there, not allowed */
	supply_allow(s, 1100);
	assert_err(take(s, 101, FAR, 0), ERR_AGAIN);
	assert_err(take(s, 60, 1059, 0), ERR_FULL);
	assert_err(take(s, 60, 1060, 1000), OK);
	supply_allow(s, 1050); /* never down again */
	assert_err(take(s, 40, FAR, 1060), OK);
	assert_err(take(s, 1, FAR, 0), ERR_AGAIN);
	supply_allow(s, 9000);
	assert_err(take(s, 400, FAR, 1100), OK);
	assert_err(take(s, 1, FAR, 0), ERR_AGAIN); /* allowed, not there */
	assert_int_equal(supply_next(s), 1500);
	supply_free(s);
	supply_free(NULL);
}

/* The feeder begins in front of lanes that have read for themselves: what lies between is in nobody's memory, and must
 * not be taken for zeros. */
static void test_what_a_jump_left_out_is_not_taken_from_memory(void **state)
{
	(void)state;
	uint64_t position;
	struct supply *s = new_supply(0);
	supply_allow(s, 9000);
	assert_int_equal(fill(s, 1000), 1000);
	assert_err(take(s, 900, FAR, 0), OK);
	assert_err(supply_take_unread(s, 4100, FAR, &position), OK);
	assert_int_equal(position, 900);
	supply_discard(s, 1000);
	supply_recycle(s);
	supply_jump(s, 6000);
	assert_int_equal(supply_next(s), 5000);
	assert_int_equal(fill(s, 1000), 1000);
	assert_err(take(s, 500, FAR, 0), ERR_AGAIN);
	assert_err(take(s, 1500, FAR, 0), ERR_AGAIN); /* its end is in memory, its beginning is not */
	assert_err(supply_take_unread(s, 1000, 5999, &position), ERR_FULL);
	assert_err(supply_take_unread(s, 4001, FAR, &position), ERR_AGAIN); /* not allowed */
	assert_err(supply_take_unread(s, 1000, FAR, &position), OK);
	assert_int_equal(position, 5000);
	assert_err(take(s, 1000, FAR, 6000), OK);
	supply_free(s);
}

/* Wherever in the ring the bytes in use stand: they stay, and the rest is good for use again. */
static void test_memory_that_is_given_back_is_not_in_use(void **state)
{
	(void)state;
	struct supply *s = new_supply(0);
	supply_allow(s, 100 * RING);
	for (uint64_t position = 0; position < 5 * RING; position += 50000) {
		while (supply_loaded(s) < position + 60000)
			assert_true(fill(s, position + 60000 - supply_loaded(s)) > 0);
		supply_release(s);
		assert_true(is_right(supply_at(s, position, 60000), position, 60000));
		assert_err(take(s, 50000, FAR, position), OK);
		supply_discard(s, position + 50000);
		supply_recycle(s);
	}
	while (fill(s, RING))
		;
	supply_release(s); /* all of it is in use */
	uint64_t next = supply_next(s);
	assert_true(is_right(supply_at(s, next, SUPPLY_TAKE_MAX), next, SUPPLY_TAKE_MAX));
	supply_free(s);
}

static void test_bytes_are_found_only_where_they_are(void **state)
{
	(void)state;
	struct supply *s = new_supply(1000);
	while (fill(s, 70000))
		;
	assert_int_equal(supply_loaded(s), 1000 + RING);
	assert_non_null(supply_at(s, 1000, SUPPLY_TAKE_MAX));
	assert_null(supply_at(s, 1000, SUPPLY_TAKE_MAX + 1));
	assert_null(supply_at(s, 999, 10));
	assert_null(supply_at(s, 1000 + RING, 1));
	assert_null(supply_at(s, 1000 + RING - 9, 10));
	assert_true(is_right(supply_at(s, 1000 + RING - 10, 10), 1000 + RING - 10, 10));
	supply_discard(s, 3000);
	supply_discard(s, 2000); /* never back */
	assert_int_equal(supply_floor(s), 3000);
	assert_null(supply_at(s, 2999, 1));
	assert_true(is_right(supply_at(s, 3000, 100), 3000, 100));
	assert_int_equal(supply_garbage(s), 2000);
	assert_int_equal(fill(s, 100), 0); /* not before it has been recycled */
	supply_recycle(s);
	assert_int_equal(supply_garbage(s), 0);
	size_t n = 0;
	for (size_t got; (got = fill(s, 900)) > 0;)
		n += got;
	assert_int_equal(n, 2000);
	supply_free(s);
}

static void test_what_was_discarded_is_wiped(void **state)
{
	(void)state;
	struct supply *s = new_supply(0);
	while (fill(s, 70000))
		;
	const uint8_t *bytes = supply_at(s, 0, 5000), *again = supply_at(s, RING - 10, 10);
	assert_ptr_equal(again + 10, bytes + RING); /* the first ones stand once more behind the end */
	supply_discard(s, 4000);
	assert_true(is_right(bytes, 0, 5000)); /* lanes may still hold them */
	supply_recycle(s);
	for (size_t i = 0; i < 4000; i++)
		assert_int_equal(bytes[i] | again[10 + i], 0);
	assert_true(is_right(bytes + 4000, 4000, 1000));
	supply_free(s);
}

static void test_it_goes_on_elsewhere_with_nothing_of_before(void **state)
{
	(void)state;
	struct supply *s = new_supply(0);
	(void)fill(s, 10000);
	const uint8_t *bytes = supply_at(s, 0, 10000);
	supply_discard(s, 10000);
	supply_recycle(s);
	supply_jump(s, 5 * RING + 77);
	for (size_t i = 0; i < 10000; i++)
		assert_int_equal(bytes[i], 0);
	assert_null(supply_at(s, 0, 1));
	assert_null(supply_at(s, 5 * RING + 77, 1));
	assert_int_equal(fill(s, 100), 100);
	assert_true(is_right(supply_at(s, 5 * RING + 77, 100), 5 * RING + 77, 100));
	supply_free(s);
}

static void test_what_is_taken_unread_is_taken_once_too(void **state)
{
	(void)state;
	struct supply *s = new_supply(0);
	uint64_t position = 0;
	supply_allow(s, 2000);
	assert_err(supply_take_unread(s, 2001, FAR, &position), ERR_AGAIN); /* not allowed */
	assert_err(supply_take_unread(s, 50, 49, &position), ERR_FULL);
	assert_err(supply_take_unread(s, 100, FAR, &position), OK);
	assert_int_equal(position, 0);
	assert_int_equal(fill(s, 500), 500);
	assert_err(take(s, 10, FAR, 100), OK); /* memory has caught up */
	assert_err(supply_take_unread(s, 600, FAR, &position), OK);
	assert_int_equal(position, 110);
	assert_err(take(s, 10, FAR, 0), ERR_AGAIN);
	/* The memory goes ahead; what lies before it is still taken unread, and never from it. */
	supply_discard(s, 500);
	supply_recycle(s);
	supply_jump(s, 900);
	assert_int_equal(fill(s, 3000), 3000);
	assert_int_equal(supply_next(s), 710);
	assert_err(take(s, 10, FAR, 0), ERR_AGAIN);
	assert_err(take(s, 200, FAR, 0), ERR_AGAIN); /* across its floor */
	assert_err(supply_take_unread(s, 200, FAR, &position), OK);
	assert_int_equal(position, 710);
	assert_err(take(s, 10, FAR, 910), OK);
	assert_err(take(s, 1081, FAR, 0), ERR_AGAIN);
	assert_err(take(s, 1080, FAR, 920), OK);
	supply_free(s);
}

static void test_random_use_agrees_with_counters(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 8; round++) {
		struct seeded seed = {round};
		uint64_t next = seeded_next(&seed) >> 20, floor = next, loaded = next, allowed = next, recycled = next;
		struct supply *s = new_supply(next);
		for (int i = 0; i < 4000; i++) {
			size_t n = 1 + seeded_below(&seed, seeded_chance(&seed, 10) ? SUPPLY_TAKE_MAX : 3000);
			switch (seeded_below(&seed, 6)) {
			case 0:
				loaded += fill(s, n * 2);
				assert_true(loaded <= recycled + RING);
				break;
			case 1:
				allowed += n;
				supply_allow(s, allowed);
				break;
			case 2: {
				floor = next - (next - floor) / (1 + seeded_below(&seed, 3));
				supply_discard(s, floor);
				if (seeded_chance(&seed, 50)) {
					recycled = floor;
					supply_recycle(s);
				}
				break;
			}
			case 3: {
				uint64_t at = floor - 100 + seeded_below(&seed, RING);
				const uint8_t *bytes = supply_at(s, at, n);
				assert_int_equal(bytes != NULL, at >= floor && at + n <= loaded);
				assert_true(!bytes || is_right(bytes, at, n));
				break;
			}
			default: {
				enum err err = take(s, n, FAR, next);
				bool can = next + n <= loaded && next + n <= allowed;
				assert_err(err, can ? OK : ERR_AGAIN);
				next += can ? n : 0;
			}
			}
		}
		assert_int_equal(supply_next(s), next);
		assert_int_equal(supply_loaded(s), loaded);
		supply_free(s);
	}
}

/* ---- threads ---- */

#define LANES 3
#define TOTAL ((uint64_t)6 << 20)

/* Lanes take in read sections, of which the feeder waits for the end, as the daemon's does by RCU. */
struct crowd {
	struct supply *s;
	pthread_rwlock_t section;
	_Atomic uint8_t *taken;
	_Atomic unsigned int wrong;
	_Atomic uint64_t n;
};

static void *run_lane(void *context)
{
	struct crowd *c = context;
	struct seeded seed = {(uintptr_t)&seed};
	for (bool is_done = false; !is_done;) {
		uint64_t position;
		const uint8_t *bytes;
		size_t len = 1 + seeded_below(&seed, 9000);
		pthread_rwlock_rdlock(&c->section);
		enum err err = supply_take(c->s, len, TOTAL, &position, &bytes);
		if (err == OK) {
			c->wrong += !is_right(bytes, position, len);
			const uint8_t *found = supply_at(c->s, position, len);
			c->wrong += found && !is_right(found, position, len);
		}
		pthread_rwlock_unlock(&c->section);
		for (size_t i = 0; err == OK && i < len; i++)
			c->wrong += c->taken[position + i]++ != 0;
		if (err == OK)
			c->n += len;
		else
			sched_yield();
		is_done = err == ERR_FULL;
	}
	return NULL;
}

static void feed(struct crowd *c)
{
	struct supply *s = c->s;
	while (supply_loaded(s) < TOTAL) {
		uint64_t left = TOTAL - supply_loaded(s);
		supply_allow(s, supply_loaded(s) + RING / 2);
		supply_discard(s, supply_next(s));
		if (supply_garbage(s) > RING / 4) {
			pthread_rwlock_wrlock(&c->section);
			pthread_rwlock_unlock(&c->section);
			supply_recycle(s);
		}
		if (fill(s, left < 50000 ? (size_t)left : 50000) == 0)
			sched_yield();
	}
	supply_allow(s, TOTAL);
}

static void test_threads_take_disjoint_ranges(void **state)
{
	(void)state;
	static _Atomic uint8_t taken[TOTAL];
	struct crowd c = {.s = new_supply(0), .taken = taken};
	pthread_t lanes[LANES];
	pthread_rwlock_init(&c.section, NULL);
	for (size_t i = 0; i < LANES; i++)
		assert_int_equal(pthread_create(&lanes[i], NULL, run_lane, &c), 0);
	feed(&c);
	for (size_t i = 0; i < LANES; i++)
		assert_int_equal(pthread_join(lanes[i], NULL), 0);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(c.n, supply_next(c.s));
	assert_true(c.n > TOTAL - 9000);
	for (uint64_t i = 0; i < c.n; i++)
		assert_int_equal(taken[i], 1);
	pthread_rwlock_destroy(&c.section);
	supply_free(c.s);
}

/* Nothing but takes, of few bytes each, so that they meet. */
static void *run_eager_lane(void *context)
{
	struct crowd *c = context;
	uint64_t position;
	const uint8_t *bytes;
	while (supply_take(c->s, 3, TOTAL, &position, &bytes) == OK)
		for (size_t i = 0; i < 3; i++)
			c->wrong += c->taken[position + i]++ != 0;
	return NULL;
}

static void test_eager_threads_take_disjoint_ranges(void **state)
{
	(void)state;
	static _Atomic uint8_t taken[TOTAL];
	struct crowd c = {.taken = taken};
	pthread_t lanes[LANES];
	assert_err(supply_new(&c.s, (uint64_t)8 << 20, 0), OK);
	while (supply_loaded(c.s) < TOTAL)
		(void)fill(c.s, TOTAL / 8);
	supply_allow(c.s, TOTAL);
	for (size_t i = 0; i < LANES; i++)
		assert_int_equal(pthread_create(&lanes[i], NULL, run_eager_lane, &c), 0);
	for (size_t i = 0; i < LANES; i++)
		assert_int_equal(pthread_join(lanes[i], NULL), 0);
	assert_int_equal(c.wrong, 0);
	assert_int_equal(supply_next(c.s), TOTAL / 3 * 3);
	supply_free(c.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_taken_before_it_is_there_and_allowed),
		cmocka_unit_test(test_what_a_jump_left_out_is_not_taken_from_memory),
		cmocka_unit_test(test_memory_that_is_given_back_is_not_in_use),
		cmocka_unit_test(test_bytes_are_found_only_where_they_are),
		cmocka_unit_test(test_what_was_discarded_is_wiped),
		cmocka_unit_test(test_it_goes_on_elsewhere_with_nothing_of_before),
		cmocka_unit_test(test_what_is_taken_unread_is_taken_once_too),
		cmocka_unit_test(test_random_use_agrees_with_counters),
		cmocka_unit_test(test_threads_take_disjoint_ranges),
		cmocka_unit_test(test_eager_threads_take_disjoint_ranges),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
