/*
 * A pad that several threads use at once: lanes that take and find, the thread that serves, a control thread that asks
 * for marks and status. No byte is given out twice, and each is what the pad holds there.
 */
#include "disk.h"

#include "pad/pad.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define SIZE ((uint64_t)12 << 20)
#define LANES 3

struct crowd {
	struct pad *sends, *receives;
	struct pad_layout layout;
	struct disk disks[2];
	uint8_t *bytes;
	_Atomic uint8_t *taken;
	pthread_rwlock_t section; /* read sections of lanes */
	_Atomic unsigned int wrong, running;
	_Atomic uint64_t n;
};

static struct crowd crowd;

static void settle(void *context)
{
	(void)context;
	pthread_rwlock_wrlock(&crowd.section);
	pthread_rwlock_unlock(&crowd.section);
}

static bool is_right(const struct pad_stretch *stretch, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (stretch->bytes[i] != crowd.bytes[pad_offset(&crowd.layout, PAD_INITIATOR, stretch->position + i)])
			return false;
	return true;
}

/* Takes, and lets the other end find it. */
static void *run_lane(void *context)
{
	struct seeded seed = {(uintptr_t)context};
	uint8_t buffer[5000], own[5000];
	for (enum err err = OK; err != ERR_FULL;) {
		struct pad_stretch stretch, found;
		size_t len = 1 + seeded_below(&seed, sizeof buffer);
		pthread_rwlock_rdlock(&crowd.section);
		err = seeded_chance(&seed, 50) ? pad_take(crowd.sends, len, false, &stretch)
					       : pad_take_reading(crowd.sends, len, false, own, &stretch);
		if (err == OK) {
			crowd.wrong += !is_right(&stretch, len);
			if (pad_find(crowd.receives, stretch.offset, len, buffer, &found) == OK) {
				crowd.wrong += found.position != stretch.position || !is_right(&found, len);
				pad_received(crowd.receives, found.position + len);
			}
		}
		pthread_rwlock_unlock(&crowd.section);
		for (size_t i = 0; err == OK && i < len; i++)
			crowd.wrong +=
				crowd.taken[pad_offset(&crowd.layout, PAD_INITIATOR, stretch.position + i)]++ != 0;
		if (err == OK)
			crowd.n += len;
		else
			sched_yield();
	}
	crowd.running--;
	return NULL;
}

static void *run_feeder(void *context)
{
	(void)context;
	for (usec now = USEC_PER_SEC; crowd.running; now += USEC_PER_SEC / 5) {
		(void)pad_serve(crowd.sends, now, 1789000000);
		(void)pad_serve(crowd.receives, now, 1789000000);
		sched_yield();
	}
	return NULL;
}

/* What the control thread does meanwhile. */
static void watch(void)
{
	uint64_t sent = 0, received = 0;
	while (crowd.running) {
		struct pad_status status;
		pad_status(crowd.sends, &status);
		const struct pad_marks marks = pad_marks(crowd.sends, false);
		assert_true(marks.sent >= sent && status.sent <= marks.sent);
		sent = marks.sent;
		assert_true(pad_seen(crowd.receives) >= received);
		received = pad_seen(crowd.receives);
		sched_yield();
	}
}

static struct pad *open_pad(struct disk *d, enum pad_role role, struct seeded *seed)
{
	struct pad *p;
	struct fault fault;
	const struct pad_options options = {.role = role, .burns = true};
	disk_init(d, crowd.bytes, SIZE, seed);
	struct pad_medium medium = disk_medium(d);
	medium.settle = settle;
	assert_err(pad_new(&p, &medium, SIZE, d->copies, &options, "pad", &fault), OK);
	return p;
}

static void test_threads_use_no_byte_twice(void **state)
{
	(void)state;
	struct seeded seed = {1};
	pthread_t lanes[LANES], feeder;
	assert_err(pad_layout_of(&crowd.layout, SIZE), OK);
	crowd.bytes = malloc(SIZE);
	crowd.taken = calloc(SIZE, sizeof *crowd.taken);
	seeded_bytes(&seed, crowd.bytes, SIZE);
	pthread_rwlock_init(&crowd.section, NULL);
	crowd.sends = open_pad(&crowd.disks[0], PAD_INITIATOR, &seed);
	crowd.receives = open_pad(&crowd.disks[1], PAD_RESPONDER, &seed);
	crowd.running = LANES;
	for (size_t i = 0; i < LANES; i++)
		assert_int_equal(pthread_create(&lanes[i], NULL, run_lane, (void *)(i + 1)), 0);
	assert_int_equal(pthread_create(&feeder, NULL, run_feeder, NULL), 0);
	watch();
	for (size_t i = 0; i < LANES; i++)
		assert_int_equal(pthread_join(lanes[i], NULL), 0);
	assert_int_equal(pthread_join(feeder, NULL), 0);
	const uint64_t share = pad_share(&crowd.layout, PAD_INITIATOR, pad_middle(&crowd.layout));
	assert_int_equal(crowd.wrong, 0);
	assert_true(crowd.n <= share && crowd.n > share - 120000); /* and all of it */
	assert_int_equal(pad_marks(crowd.sends, false).sent, crowd.n);
	pad_free(crowd.sends);
	pad_free(crowd.receives);
	for (size_t i = 0; i < 2; i++)
		disk_done(&crowd.disks[i]);
	pthread_rwlock_destroy(&crowd.section);
	free(crowd.bytes);
	free(crowd.taken);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_use_no_byte_twice),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
