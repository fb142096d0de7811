/* kill -9 of a writing process, at any moment: what it had acknowledged is there. */
#include "random.h"
#include "scratch.h"

#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ROUNDS 200
#define KEYS 16

static struct fault fault;

/* Renews the leases in turn, with a number that grows, and tells of each that is said to be kept. */
[[gnu::noreturn]] static void write_on(int to, int64_t number)
{
	struct store *store;
	if (store_open(&store, "a.db", &fault) != OK)
		_exit(1);
	for (;; number++) {
		char text[32];
		(void)snprintf(text, sizeof text, "10.9.0.%u", (unsigned)(number % KEYS) + 1);
		struct store_lease lease = scratch_lease((uint8_t)(number % KEYS), text);
		lease.last_seen = number;
		if (store_lease_put(store, &lease, &fault) != OK || write(to, &number, sizeof number) != sizeof number)
			_exit(2);
	}
}

/* Waits for some acknowledgements and a moment more, kills, and takes the rest; the last one, or `number` if none came.
 */
static int64_t kill_writer(struct stream_random *rng, int64_t number)
{
	int ends[2], status;
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		(void)close(ends[0]);
		write_on(ends[1], number + 1);
	}
	(void)close(ends[1]);
	for (uint32_t n = random_below(rng, 12); n > 0; n--)
		assert_int_equal(read(ends[0], &number, sizeof number), sizeof number);
	for (uint32_t n = random_below(rng, 200); n > 0; n--)
		(void)sched_yield();
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	while (read(ends[0], &number, sizeof number) == sizeof number)
		;
	(void)close(ends[0]);
	return number;
}

struct seen {
	int64_t of[KEYS];
};

static bool take(void *context, const struct store_lease *lease)
{
	((struct seen *)context)->of[lease->key_id[0]] = lease->last_seen;
	return true;
}

/* Each key's last number up to `number`; the one after it was perhaps written, but not told of. Returns the newest. */
static int64_t expect_seen(int64_t number)
{
	struct store *store;
	struct seen seen = {0};
	fault = (struct fault){0};
	if (store_open(&store, "a.db", &fault) != OK)
		fail_msg("said: %s", fault.text);
	assert_int_equal(store_leases(store, take, &seen, &fault), OK);
	store_close(store);
	int64_t next = number + 1;
	bool has_next = seen.of[next % KEYS] == next;
	for (int64_t n = number > KEYS ? number - KEYS + 1 : 1; n <= number; n++)
		if (!has_next || n % KEYS != next % KEYS)
			assert_int_equal(seen.of[n % KEYS], n);
	return has_next ? next : number;
}

static void loses_nothing_by_kill(void **state)
{
	struct stream_random rng = {1};
	int64_t number = 0;
	for (int i = 0; i < ROUNDS; i++)
		number = expect_seen(kill_writer(&rng, number));
	assert_true(number > ROUNDS);
}

/* The same before there is a file: it is there whole, or not at all. */
static void makes_the_file_in_one_step(void **state)
{
	struct stream_random rng = {2};
	for (int i = 0; i < ROUNDS / 2; i++) {
		int status;
		scratch_clear();
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			struct store *store;
			_exit(store_open(&store, "a.db", NULL) == OK ? 0 : 1);
		}
		for (uint32_t n = random_below(&rng, 400); n > 0; n--)
			(void)sched_yield();
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, &status, 0), child);
		struct store *store;
		if (store_open(&store, "a.db", &fault) != OK)
			fail_msg("said: %s", fault.text);
		assert_int_equal(scratch_count(store), 0);
		store_close(store);
	}
}

/* Tries to open, tells how it went, and keeps the file until the parent has closed its end. */
[[gnu::noreturn]] static void compete(int to, int from)
{
	struct store *store;
	enum err err = store_open(&store, "a.db", NULL);
	char said = (char)(err == OK ? 'x' : err == ERR_EXISTS ? 'b' : 'e');
	_exit(write(to, &said, 1) == 1 && read(from, &said, 1) == 0 ? 0 : 1);
}

static void gives_one_of_several_the_file(void **state)
{
	for (int i = 0; i < ROUNDS / 4; i++) {
		int said[2], wait_end[2], status, n_open = 0;
		pid_t children[3];
		if (i % 5 == 0)
			scratch_clear(); /* they make it at once, too */
		assert_int_equal(pipe(said), 0);
		assert_int_equal(pipe(wait_end), 0);
		for (size_t k = 0; k < 3; k++) {
			children[k] = fork();
			assert_true(children[k] >= 0);
			if (children[k] == 0) {
				(void)close(wait_end[1]);
				compete(said[1], wait_end[0]);
			}
		}
		for (size_t k = 0; k < 3; k++) {
			char how;
			assert_int_equal(read(said[0], &how, 1), 1);
			assert_int_not_equal(how, 'e');
			n_open += how == 'x';
		}
		assert_int_equal(n_open, 1);
		(void)close(wait_end[1]);
		for (size_t k = 0; k < 3; k++) {
			assert_int_equal(waitpid(children[k], &status, 0), children[k]);
			assert_int_equal(status, 0);
		}
		(void)close(wait_end[0]);
		(void)close(said[0]);
		(void)close(said[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loses_nothing_by_kill),
		cmocka_unit_test(makes_the_file_in_one_step),
		cmocka_unit_test(gives_one_of_several_the_file),
	};
	return cmocka_run_group_tests(tests, scratch_set_up, scratch_tear_down);
}
