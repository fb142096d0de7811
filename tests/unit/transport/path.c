/*
 * The search for the path's size, in a path that answers only what fits and loses some of it: it finds
 * the largest size, falls back when the path shrinks, finds it again when it grows, never asks for
 * more than the interface takes, and asks to be called again only when there is something to do.
 */
#include "seeded.h"

#include "transport/path.h"

#include <string.h>

struct world {
	struct path path;
	struct seeded seed;
	usec now, rtt;
	uint32_t takes;   /* the path carries plaintexts up to here */
	uint32_t loss;    /* percent */
	uint32_t largest; /* that was asked for */
	uint32_t probes;
	bool busy, silent;
	usec echo_at; /* 0: none */
	uint8_t echo[PROBE_LEN];
};

static void poll(struct world *w)
{
	struct rng rng = seeded_rng(&w->seed);
	uint32_t size;
	while (path_poll(&w->path, w->now, w->busy, w->silent, &rng, &size)) {
		w->probes++;
		assert_true(size >= PATH_PLAIN_MIN && size % 64 == 0);
		if (size > w->largest)
			w->largest = size;
		if (size <= w->takes && !seeded_chance(&w->seed, w->loss)) {
			w->echo_at = w->now + w->rtt;
			memcpy(w->echo, w->path.nonce, PROBE_LEN);
		}
	}
}

/* Time goes on, from one event to the next, at most a second at a time. */
static void run(struct world *w, usec duration)
{
	usec end = w->now + duration;
	while (w->now < end) {
		poll(w);
		usec next = w->now + USEC_PER_SEC, deadline = path_deadline(&w->path);
		assert_true(deadline > w->now); /* else its owner would never sleep */
		if (deadline < next)
			next = deadline;
		if (w->echo_at && w->echo_at < next)
			next = w->echo_at;
		w->now = next;
		if (w->echo_at && w->now >= w->echo_at) {
			w->echo_at = 0;
			path_echo(&w->path, w->echo, w->now);
		}
	}
	poll(w);
}

static struct world world_of(uint32_t mtu, uint32_t path_mtu, uint32_t loss, uint64_t seed)
{
	struct world w = {.seed = {seed}, .now = USEC_PER_SEC, .rtt = 30 * USEC_PER_MS, .loss = loss};
	w.takes = path_plain_of_mtu(path_mtu);
	path_reset(&w.path, path_plain_of_mtu(mtu), w.now);
	return w;
}

static void test_sizes_of_interfaces(void **state)
{
	(void)state;
	for (uint32_t mtu = 0; mtu < 70000; mtu++) {
		uint32_t plain = path_plain_of_mtu(mtu);
		assert_true(plain >= PATH_PLAIN_MIN && plain <= PATH_PLAIN_MAX && plain % 64 == 0);
		if (mtu >= PATH_MTU_MIN && mtu < 65000) {
			assert_true(path_mtu_of_plain(plain, false) <= mtu);
			assert_true(path_mtu_of_plain(plain + 64, false) > mtu);
		}
	}
	assert_int_equal(path_plain_of_mtu(1500), 1408);
	assert_int_equal(path_mtu_of_plain(1408, true), 1468);
	assert_int_equal(path_mtu_of_plain(PATH_PLAIN_MAX, true) <= 65535, true);
}

static void test_every_path_is_found(void **state)
{
	(void)state;
	for (uint32_t path_mtu = 1280; path_mtu <= 9000; path_mtu += 7) {
		struct world w = world_of(9000, path_mtu, 0, path_mtu);
		run(&w, 10 * USEC_PER_SEC);
		assert_int_equal(w.path.state, PATH_FOUND);
		assert_int_equal(w.path.found, w.takes);
		assert_true(w.largest <= path_plain_of_mtu(9000));
		assert_true(w.probes <= 28);
	}
}

static void test_most_paths_carry_the_interface_and_need_two_probes(void **state)
{
	(void)state;
	for (uint32_t mtu = 1344; mtu <= 9000; mtu += 64) {
		struct world w = world_of(mtu, mtu, 0, mtu);
		run(&w, USEC_PER_SEC);
		assert_int_equal(w.path.state, PATH_FOUND);
		assert_int_equal(w.path.found, path_plain_of_mtu(mtu));
		assert_int_equal(w.probes, 2); /* for the round trip, and the size itself */
	}
}

static void test_loss_never_makes_it_too_large_and_time_repairs_it(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 300; seed++) {
		struct world w = world_of(9000, 1280 + (uint32_t)seed * 25, 20, seed);
		run(&w, 90 * USEC_PER_SEC);
		assert_int_equal(w.path.state, PATH_FOUND);
		assert_true(w.path.found <= w.takes);
		w.loss = 0;
		run(&w, 700 * USEC_PER_SEC); /* it tries again every ten minutes */
		assert_int_equal(w.path.found, w.takes);
	}
}

static void test_it_falls_back_when_the_path_shrinks_and_finds_the_new_size(void **state)
{
	(void)state;
	struct world w = world_of(9000, 9000, 0, 1);
	w.busy = true;
	run(&w, 60 * USEC_PER_SEC);
	assert_int_equal(w.path.found, path_plain_of_mtu(9000));
	w.takes = path_plain_of_mtu(1400);
	run(&w, 25 * USEC_PER_SEC);
	assert_int_equal(w.path.found, w.takes);
	w.takes = path_plain_of_mtu(9000); /* and grows again */
	run(&w, 650 * USEC_PER_SEC);
	assert_int_equal(w.path.found, w.takes);
}

static void test_silence_makes_it_look_at_once(void **state)
{
	(void)state;
	struct world w = world_of(1500, 1500, 0, 1);
	run(&w, 2 * USEC_PER_SEC);
	w.takes = PATH_PLAIN_MIN;
	w.silent = true;
	run(&w, 2 * USEC_PER_SEC);
	assert_int_equal(w.path.found, PATH_PLAIN_MIN);
}

static void test_an_idle_path_sends_nothing(void **state)
{
	(void)state;
	struct world w = world_of(1500, 1500, 0, 1);
	run(&w, 3600 * USEC_PER_SEC);
	assert_int_equal(w.probes, 2);
	w = world_of(PATH_MTU_MIN, 1500, 0, 1); /* nothing to search */
	w.busy = w.silent = true;
	run(&w, 3600 * USEC_PER_SEC);
	assert_int_equal(w.probes, 0);
	assert_int_equal(w.path.state, PATH_FOUND);
}

static void test_echoes_of_others_change_nothing(void **state)
{
	(void)state;
	struct world w = world_of(1500, 0, 0, 1);
	poll(&w);
	struct path before = w.path;
	uint8_t nonce[PROBE_LEN];
	for (unsigned bit = 0; bit < 64; bit++) {
		memcpy(nonce, w.path.nonce, sizeof nonce);
		nonce[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_false(path_echo(&w.path, nonce, w.now));
		assert_memory_equal(&w.path, &before, sizeof before);
	}
	memcpy(nonce, w.path.nonce, sizeof nonce);
	assert_false(path_echo(&w.path, nonce, w.now)); /* of the smallest size: tells the round trip only */
	poll(&w);
	memcpy(nonce, w.path.nonce, sizeof nonce);
	assert_true(path_echo(&w.path, nonce, w.now));
	assert_false(path_echo(&w.path, nonce, w.now)); /* twice */
}

static void test_a_long_way_is_waited_for(void **state)
{
	(void)state;
	struct world w = world_of(1500, 1500, 0, 1);
	struct rng rng = seeded_rng(&w.seed);
	uint32_t size;
	while (w.path.state == PATH_SEARCH && w.now < 60 * USEC_PER_SEC) { /* every echo takes two seconds */
		uint8_t nonce[PROBE_LEN];
		assert_true(path_poll(&w.path, w.now, false, false, &rng, &size));
		memcpy(nonce, w.path.nonce, sizeof nonce);
		for (usec back = w.now + 2 * USEC_PER_SEC; w.now < back; w.now += USEC_PER_MS)
			(void)path_poll(&w.path, w.now, false, false, &rng, &size);
		(void)path_echo(&w.path, nonce, w.now);
	}
	assert_int_equal(w.path.found, path_plain_of_mtu(1500));
}

static void test_an_interface_that_grows_is_used(void **state)
{
	(void)state;
	struct world w = world_of(1500, 9000, 0, 1);
	run(&w, 10 * USEC_PER_SEC);
	path_ceiling(&w.path, path_plain_of_mtu(9000), w.now);
	run(&w, 601 * USEC_PER_SEC);
	assert_int_equal(w.path.found, path_plain_of_mtu(9000));
}

static void test_a_refusal_by_the_kernel(void **state)
{
	(void)state;
	struct world w = world_of(9000, 9000, 0, 1);
	run(&w, 2 * USEC_PER_SEC);
	assert_false(path_refused(&w.path, path_plain_of_mtu(9000), w.now)); /* nothing has changed */
	w.largest = 0;
	assert_true(path_refused(&w.path, path_plain_of_mtu(1500), w.now));
	assert_int_equal(w.path.found, PATH_PLAIN_MIN);
	run(&w, 2 * USEC_PER_SEC);
	assert_int_equal(w.path.found, path_plain_of_mtu(1500));
	assert_int_equal(w.largest, path_plain_of_mtu(1500));
}

static void test_without_a_session_there_is_nothing_to_do(void **state)
{
	(void)state;
	struct path path = {0};
	struct seeded seed = {0};
	struct rng rng = seeded_rng(&seed);
	uint32_t size;
	assert_false(path_poll(&path, 5, true, true, &rng, &size));
	assert_true(path_deadline(&path) == USEC_NEVER);
	assert_false(path_refused(&path, 0, 5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_of_interfaces),
		cmocka_unit_test(test_every_path_is_found),
		cmocka_unit_test(test_most_paths_carry_the_interface_and_need_two_probes),
		cmocka_unit_test(test_loss_never_makes_it_too_large_and_time_repairs_it),
		cmocka_unit_test(test_it_falls_back_when_the_path_shrinks_and_finds_the_new_size),
		cmocka_unit_test(test_silence_makes_it_look_at_once),
		cmocka_unit_test(test_an_idle_path_sends_nothing),
		cmocka_unit_test(test_a_long_way_is_waited_for),
		cmocka_unit_test(test_an_interface_that_grows_is_used),
		cmocka_unit_test(test_echoes_of_others_change_nothing),
		cmocka_unit_test(test_a_refusal_by_the_kernel),
		cmocka_unit_test(test_without_a_session_there_is_nothing_to_do),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
