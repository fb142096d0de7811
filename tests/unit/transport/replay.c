/* The replay window, in all its sizes, against a naive model: the set of all counters seen, and the highest. */
#include "seeded.h"

#include "transport/replay.h"

#include <string.h>

#define MODEL_MAX 400000

struct model {
	uint64_t next;
	bool seen[MODEL_MAX];
};

static bool model_accepts(struct model *m, uint64_t counter, uint64_t window)
{
	if (m->seen[counter] || counter + window < m->next)
		return false;
	m->seen[counter] = true;
	if (counter >= m->next)
		m->next = counter + 1;
	return true;
}

static struct model model;

/* A window, and the ring that it gets when it needs it. */
struct wide {
	struct replay window;
	uint64_t ring[REPLAY_WORDS];
};

static enum err accept(struct wide *wide, uint64_t counter)
{
	enum err err = replay_accept(&wide->window, counter);
	if (err != ERR_FULL)
		return err;
	assert_null(wide->window.ring);
	assert_true(counter >= REPLAY_NARROW);
	replay_widen(&wide->window, wide->ring, REPLAY_WORDS);
	return replay_accept(&wide->window, counter);
}

static void test_random_walks_agree_with_a_set(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 20; round++) {
		struct seeded seed = {round};
		struct wide window = {0};
		memset(&model, 0, sizeof model);
		uint64_t top = 0;
		for (int i = 0; i < 30000; i++) {
			uint32_t kind = seeded_below(&seed, 100);
			uint64_t counter = top;
			if (kind < 60)
				counter = top + seeded_below(&seed, 4);
			else if (kind < 95 && top)
				counter = top - seeded_below(&seed, (uint32_t)(top < 9000 ? top : 9000));
			else if (kind == 99)
				counter = top + seeded_below(&seed, 20000);
			if (counter >= MODEL_MAX)
				break;
			bool expected = model_accepts(&model, counter, REPLAY_WINDOW);
			assert_int_equal(replay_is_seen(&window.window, counter), !expected);
			assert_int_equal(accept(&window, counter) == OK, expected);
			assert_int_equal(window.window.next, model.next);
			if (counter > top)
				top = counter;
		}
	}
}

static void test_edges_of_the_window(void **state)
{
	(void)state;
	for (uint64_t top = REPLAY_WINDOW; top < REPLAY_WINDOW + 200; top++) {
		struct wide window = {0};
		assert_int_equal(accept(&window, top), OK);
		assert_int_equal(accept(&window, top - REPLAY_WINDOW + 1), OK);
		assert_int_equal(accept(&window, top - REPLAY_WINDOW + 1), ERR_REPLAY);
		assert_int_equal(accept(&window, top - REPLAY_WINDOW), ERR_REPLAY);
		assert_int_equal(accept(&window, 0), ERR_REPLAY);
	}
}

static void test_a_whole_window_may_arrive_backwards(void **state)
{
	(void)state;
	struct wide window = {0};
	for (uint64_t i = REPLAY_WINDOW; i-- > 0;)
		assert_int_equal(accept(&window, 1000 + i), OK);
	for (uint64_t i = 0; i < REPLAY_WINDOW; i++)
		assert_int_equal(accept(&window, 1000 + i), ERR_REPLAY);
}

static void test_great_jumps(void **state)
{
	(void)state;
	struct wide window = {0};
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t counter = UINT64_C(1) << bit;
		assert_int_equal(accept(&window, counter), OK);
		assert_int_equal(accept(&window, counter), ERR_REPLAY);
		if (counter > 2)
			assert_int_equal(accept(&window, counter - 1), OK);
	}
	assert_int_equal(accept(&window, UINT64_MAX - 1), OK);
	assert_int_equal(accept(&window, UINT64_MAX - 1), ERR_REPLAY);
	struct wide before = window;
	assert_true(replay_is_seen(&window.window, UINT64_MAX));
	assert_int_equal(accept(&window, UINT64_MAX), ERR_REPLAY);
	assert_memory_equal(&window, &before, sizeof window);
}

static void test_the_ring_is_asked_for_when_it_is_needed(void **state)
{
	(void)state;
	struct wide window = {0};
	for (uint64_t i = 0; i < REPLAY_NARROW; i += 3)
		assert_int_equal(replay_accept(&window.window, i), OK);
	struct wide before = window;
	assert_int_equal(replay_accept(&window.window, REPLAY_NARROW), ERR_FULL);
	assert_int_equal(replay_accept(&window.window, UINT64_MAX - 1), ERR_FULL);
	assert_memory_equal(&window, &before, sizeof window);
	replay_widen(&window.window, window.ring, REPLAY_WORDS);
	for (uint64_t i = 0; i < REPLAY_NARROW; i++) /* what it has seen it still knows */
		assert_int_equal(replay_accept(&window.window, i), i % 3 ? OK : ERR_REPLAY);
	assert_int_equal(replay_accept(&window.window, REPLAY_NARROW), OK);
}

/* As the window over a pad's positions is, and smaller ones. */
static void test_rings_of_other_sizes_agree_with_a_set(void **state)
{
	(void)state;
	static uint64_t ring[2049];
	const uint32_t sizes[] = {REPLAY_NARROW_WORDS + 1, 8, 128, REPLAY_WORDS + 1, 1000, 2049};
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		struct seeded seed = {s};
		struct replay window = {0};
		const uint32_t n = sizes[s], counts = REPLAY_WINDOW_OF(n);
		memset(&model, 0, sizeof model);
		memset(ring, 0, sizeof ring);
		replay_widen(&window, ring, n);
		unsigned late = 0, too_late = 0;
		for (int i = 0; i < 300000; i++) {
			const uint32_t kind = seeded_below(&seed, 1000);
			uint64_t counter = window.next;
			if (kind < 500)
				counter += seeded_below(&seed, 3);
			else if (kind == 500 && seeded_chance(&seed, 2))
				counter += seeded_below(&seed, 2 * counts);
			else if (kind < 550 && counter > counts + 99)
				counter -= counts + seeded_below(&seed, 99);
			else
				counter -= seeded_below(&seed, (uint32_t)(counter < counts ? counter : counts) + 1);
			if (counter >= MODEL_MAX)
				break;
			too_late += counter + counts < model.next;
			const bool expected = model_accepts(&model, counter, counts);
			late += expected && counter + 1 < model.next;
			assert_int_equal(replay_is_seen(&window, counter), !expected);
			assert_int_equal(replay_accept(&window, counter), expected ? OK : ERR_REPLAY);
			assert_int_equal(window.next, model.next);
		}
		assert_true(late > 100 && too_late > 100);
	}
}

/* What was marked before the ring is still known in one of another size. */
static void test_another_ring_takes_over_what_was_seen(void **state)
{
	(void)state;
	static uint64_t ring[2049];
	struct replay window = {0};
	for (uint64_t i = 0; i < REPLAY_NARROW; i += 3)
		assert_int_equal(replay_accept(&window, i), OK);
	replay_widen(&window, ring, 2049);
	for (uint64_t i = 0; i < REPLAY_NARROW; i++)
		assert_int_equal(replay_accept(&window, i), i % 3 ? OK : ERR_REPLAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_walks_agree_with_a_set),
		cmocka_unit_test(test_the_ring_is_asked_for_when_it_is_needed),
		cmocka_unit_test(test_edges_of_the_window),
		cmocka_unit_test(test_a_whole_window_may_arrive_backwards),
		cmocka_unit_test(test_great_jumps),
		cmocka_unit_test(test_rings_of_other_sizes_agree_with_a_set),
		cmocka_unit_test(test_another_ring_takes_over_what_was_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
