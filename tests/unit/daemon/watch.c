/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "daemon/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/jorm-watch-XXXXXX";
static struct watch *watch;

static int begin(void **unused)
{
	struct fault fault;
	(void)unused;
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	return mkdtemp(folder) && watch_new(&watch, &fault) == OK ? 0 : -1;
}

static const char *path_of(const char *name)
{
	static char path[512];
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

static int end(void **unused)
{
	(void)unused;
	watch_free(watch);
	(void)unlink(path_of("a.pub"));
	(void)unlink(path_of("b.pub"));
	(void)rmdir(folder);
	return 0;
}

static void set(const char *name)
{
	struct fault fault;
	assert_int_equal(watch_set(watch, name, &fault), OK);
}

static void write_file(const char *name)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

/* The main loop's way, until a change is told or so many milliseconds have passed. */
static bool is_told_within(int ms)
{
	usec end = clock_now() + (usec)ms * (usec)USEC_PER_MS;
	for (;;) {
		bool changed;
		usec now = clock_now(), due = watch_poll(watch, now, &changed);
		if (changed)
			return true;
		if (now >= end)
			return false;
		usec until = due < end ? due : end;
		struct pollfd fd = {.fd = watch_fd(watch), .events = POLLIN};
		(void)poll(&fd, 1, until > now ? (int)((until - now) / (usec)USEC_PER_MS) + 1 : 0);
	}
}

static void changes_are_told_once(void **unused)
{
	(void)unused;
	set(folder);
	assert_false(is_told_within(20));
	write_file("a.pub");
	write_file("b.pub");
	assert_true(is_told_within(1000));
	assert_false(is_told_within(300));
	assert_int_equal(unlink(path_of("a.pub")), 0);
	assert_true(is_told_within(1000));
	assert_int_equal(rename(path_of("b.pub"), "/tmp/jorm-watch-moved"), 0);
	assert_true(is_told_within(1000));
	assert_int_equal(unlink("/tmp/jorm-watch-moved"), 0);
	assert_false(is_told_within(300));
}

/* A stream of changes does not put off the news for ever. */
static void it_does_not_wait_for_silence(void **unused)
{
	(void)unused;
	set(folder);
	usec begun = clock_now();
	bool told = false;
	while (!told && clock_now() - begun < 3 * USEC_PER_SEC) {
		write_file("a.pub");
		told = is_told_within(20);
	}
	assert_true(told);
}

static void a_folder_may_come_and_go(void **unused)
{
	(void)unused;
	char other[64];
	(void)snprintf(other, sizeof other, "%s-other", folder);
	set(other);
	assert_false(is_told_within(20));
	assert_int_equal(mkdir(other, 0700), 0);
	assert_true(is_told_within(2000));
	assert_int_equal(rmdir(other), 0);
	assert_true(is_told_within(2000));
}

static void another_folder_takes_the_place(void **unused)
{
	(void)unused;
	set(folder);
	set(NULL);
	write_file("a.pub");
	assert_false(is_told_within(300));
	set(folder);
	write_file("b.pub");
	assert_true(is_told_within(1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(changes_are_told_once, begin, end),
		cmocka_unit_test_setup_teardown(it_does_not_wait_for_silence, begin, end),
		cmocka_unit_test_setup_teardown(a_folder_may_come_and_go, begin, end),
		cmocka_unit_test_setup_teardown(another_folder_takes_the_place, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
