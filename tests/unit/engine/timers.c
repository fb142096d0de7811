/* The heap of timers against a naive model: a flat array that is searched. */
#include "seeded.h"

#include "engine/timers.h"

#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define TIMERS 300

/* Every timer knows its place, and none is due before its parent. */
static void assert_heap(const struct timers *t)
{
	for (uint32_t i = 1; i <= t->count; i++) {
		assert_int_equal(t->heap[i]->place, i);
		assert_true(i == 1 || t->heap[i / 2]->due <= t->heap[i]->due);
	}
}

static void assert_as_model(const struct timers *t, const struct timer *timers, const usec *due)
{
	usec first = USEC_NEVER;
	uint32_t in = 0;
	for (int i = 0; i < TIMERS; i++) {
		assert_int_equal(timers[i].place != 0, due[i] != USEC_NEVER);
		in += due[i] != USEC_NEVER;
		first = due[i] < first ? due[i] : first;
	}
	assert_int_equal(t->count, in);
	const struct timer *found = timers_first(t);
	if (in == 0)
		assert_null(found);
	else
		assert_true(found && found->due == first && due[found - timers] == first);
}

static void run(uint64_t number, uint32_t span)
{
	struct seeded seed = {number};
	struct timers t = {0};
	struct timer timers[TIMERS] = {0};
	usec due[TIMERS];
	assert_err(timers_reserve(&t, TIMERS), OK);
	memset(due, 0xff, sizeof due);
	for (int step = 0; step < 5000; step++) {
		uint32_t i = seeded_below(&seed, TIMERS);
		/* some times all at once, some times never */
		due[i] = seeded_chance(&seed, step / 1000 % 2 ? 70 : 20) ? USEC_NEVER : seeded_below(&seed, span);
		timers_set(&t, &timers[i], due[i]);
		if (step % 50 == 0)
			assert_heap(&t);
		assert_as_model(&t, timers, due);
	}
	usec last = 0;
	for (struct timer *first; (first = timers_first(&t)) != NULL; timers_set(&t, first, USEC_NEVER)) {
		assert_true(first->due >= last);
		last = first->due;
	}
	timers_done(&t);
}

static void test_it_does_what_a_flat_array_does(void **state)
{
	(void)state;
	for (uint64_t number = 1; number <= 10; number++) {
		run(number, 1000000);
		run(number, 5); /* many that are due at once */
	}
}

static void test_an_empty_one_has_nothing_due(void **state)
{
	(void)state;
	struct timers t = {0};
	struct timer timer = {0};
	assert_null(timers_first(&t));
	timers_set(&t, &timer, USEC_NEVER); /* was not in: needs no room */
	assert_null(timers_first(&t));
	assert_int_equal(timer.place, 0);
	timers_done(&t);
}

static void test_room_grows_and_keeps_what_is_in(void **state)
{
	(void)state;
	static struct timer timers[10000];
	struct timers t = {0};
	for (uint32_t i = 0; i < 10000; i++) {
		assert_err(timers_reserve(&t, i + 1), OK);
		timers_set(&t, &timers[i], 10000 - i);
	}
	uint32_t size = t.size;
	assert_err(timers_reserve(&t, 5), OK);
	assert_int_equal(t.size, size);
	assert_heap(&t);
	for (uint32_t i = 10000; i-- > 0;) {
		assert_ptr_equal(timers_first(&t), &timers[i]);
		timers_set(&t, &timers[i], USEC_NEVER);
	}
	timers_done(&t);
	assert_int_equal(t.size, 0);
}

static void test_time_zero_is_a_time(void **state)
{
	(void)state;
	struct timers t = {0};
	struct timer a = {0}, b = {0};
	assert_err(timers_reserve(&t, 2), OK);
	timers_set(&t, &a, 1);
	timers_set(&t, &b, 0);
	assert_ptr_equal(timers_first(&t), &b);
	timers_set(&t, &b, USEC_NEVER - 1);
	assert_ptr_equal(timers_first(&t), &a);
	timers_set(&t, &a, USEC_NEVER);
	assert_ptr_equal(timers_first(&t), &b);
	timers_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_does_what_a_flat_array_does),
		cmocka_unit_test(test_an_empty_one_has_nothing_due),
		cmocka_unit_test(test_room_grows_and_keeps_what_is_in),
		cmocka_unit_test(test_time_zero_is_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
