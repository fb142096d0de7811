/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "daemon/notify.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static int manager; /* the service manager's end */
static char address[sizeof((struct sockaddr_un *)0)->sun_path];

/* Listens as a service manager does, and says so in the environment. */
static void listen_at(const char *name)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t len = strlen(name);
	assert_true(len < sizeof address);
	memcpy(address, name, len + 1);
	memcpy(to.sun_path, name, len);
	if (*name == '@')
		to.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(manager >= 0);
	assert_int_equal(
		bind(manager, (struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
	setenv("NOTIFY_SOCKET", name, 1);
}

static void listen_at_path(void)
{
	char name[64];
	(void)snprintf(name, sizeof name, "/tmp/jorm-notify-%ld", (long)getpid());
	listen_at(name);
}

static void message_is(const char *expected)
{
	char message[1024];
	ssize_t n = recv(manager, message, sizeof message - 1, 0);
	assert_true(n > 0);
	message[n] = '\0';
	assert_string_equal(message, expected);
}

static void nothing_was_said(void)
{
	char message[1024];
	assert_int_equal(recv(manager, message, sizeof message, 0), -1);
}

static int set_up(void **state)
{
	(void)state;
	manager = -1;
	*address = '\0';
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

static int clean_up(void **state)
{
	(void)state;
	notify_close();
	if (manager >= 0)
		close(manager);
	if (*address == '/')
		unlink(address);
	return 0;
}

static const char *ready_text(char out[static 256], const char *status)
{
	(void)snprintf(out, 256, "READY=1\nMAINPID=%ld\nSTATUS=%s\n", (long)getpid(), status);
	return out;
}

static void states_are_told(void **state)
{
	char text[256];
	(void)state;
	listen_at_path();
	notify_open();
	nothing_was_said();
	notify_ready("wg is up");
	message_is(ready_text(text, "wg is up"));
	notify_stopping();
	message_is("STOPPING=1\nSTATUS=going down\n");
	nothing_was_said();
}

static void an_abstract_socket_is_reached(void **state)
{
	char name[64], text[256];
	(void)state;
	(void)snprintf(name, sizeof name, "@jorm-notify-%ld", (long)getpid());
	listen_at(name);
	notify_open();
	notify_ready("");
	message_is(ready_text(text, ""));
}

/* The manager drops a reload that seems to have begun before it asked, by its clock. */
static void a_reload_has_its_time(void **state)
{
	char message[1024];
	struct timespec before, after;
	uint64_t at;
	int used = 0;
	(void)state;
	listen_at_path();
	notify_open();
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &before), 0);
	notify_reloading(clock_now());
	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &after), 0);
	ssize_t n = recv(manager, message, sizeof message - 1, 0);
	assert_true(n > 0);
	message[n] = '\0';
	assert_int_equal(sscanf(message, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64 "\n%n", &at, &used), 1);
	assert_string_equal(message + used, "STATUS=reading the configuration anew\n");
	/* Two clocks are read one after the other: a millisecond for what lies between. */
	assert_true(at + 1000 >= (uint64_t)before.tv_sec * 1000000 + (uint64_t)before.tv_nsec / 1000);
	assert_true(at <= (uint64_t)after.tv_sec * 1000000 + (uint64_t)after.tv_nsec / 1000 + 1000);
}

static void a_status_is_one_line(void **state)
{
	char text[256], large[1024];
	(void)state;
	listen_at_path();
	notify_open();
	notify_ready("up\nMAINPID=1\tx");
	message_is(ready_text(text, "up MAINPID=1 x"));
	memset(large, 'x', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	notify_ready(large);
	char message[2048];
	ssize_t n = recv(manager, message, sizeof message, 0);
	assert_true(n > 0 && n <= 512);
	assert_int_equal(message[n - 1], '\n');
}

static void children_do_not_inherit_it(void **state)
{
	(void)state;
	listen_at_path();
	setenv("WATCHDOG_USEC", "1000000", 1);
	notify_open();
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
}

static void nothing_happens_without_a_manager(void **state)
{
	(void)state;
	setenv("WATCHDOG_USEC", "1000000", 1);
	notify_open();
	notify_ready("up");
	notify_reloading(clock_now());
	notify_stopping();
	assert_int_equal(notify_watchdog(5), USEC_NEVER);
	notify_close();
	notify_close();
}

static void bad_sockets_are_left_alone(void **state)
{
	static const char *const bad[] = {"", "relative", "vsock:2:1234", "@", "/", "/tmp/jorm-there-is-no-such-socket",
		"@jorm-there-is-no-such-socket",
		"/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaa"
		"aaaaaaaaaaa"};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		setenv("NOTIFY_SOCKET", bad[i], 1);
		setenv("WATCHDOG_USEC", "1000000", 1);
		notify_open();
		assert_null(getenv("NOTIFY_SOCKET"));
		notify_ready("up");
		assert_int_equal(notify_watchdog(5), USEC_NEVER);
	}
}

static void signs_of_life_come_twice_a_period(void **state)
{
	(void)state;
	listen_at_path();
	setenv("WATCHDOG_USEC", "3000000", 1);
	notify_open();
	usec now = 100 * USEC_PER_SEC;
	assert_int_equal(notify_watchdog(now), now + 1500000);
	message_is("WATCHDOG=1\n");
	assert_int_equal(notify_watchdog(now + 1499999), now + 1500000);
	nothing_was_said();
	assert_int_equal(notify_watchdog(now + 1500000), now + 3000000);
	message_is("WATCHDOG=1\n");
	/* Late: once is enough. */
	assert_int_equal(notify_watchdog(now + 9000000), now + 10500000);
	message_is("WATCHDOG=1\n");
	nothing_was_said();
}

static void a_watchdog_is_for_one_process(void **state)
{
	char pid[32];
	(void)state;
	for (int mine = 0; mine < 2; mine++) {
		if (manager < 0)
			listen_at_path();
		(void)snprintf(pid, sizeof pid, "%ld", (long)getpid() + !mine);
		setenv("NOTIFY_SOCKET", address, 1);
		setenv("WATCHDOG_USEC", "2000000", 1);
		setenv("WATCHDOG_PID", pid, 1);
		notify_open();
		assert_int_equal(notify_watchdog(5), mine ? 1000005 : USEC_NEVER);
	}
}

static void odd_periods_are_none(void **state)
{
	static const char *const odd[] = {"", "0", "1", "-1", "+5", " 5", "5s", "99999999999999999999999"};
	(void)state;
	listen_at_path();
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		setenv("NOTIFY_SOCKET", address, 1);
		setenv("WATCHDOG_USEC", odd[i], 1);
		notify_open();
		assert_int_equal(notify_watchdog(5), USEC_NEVER);
	}
	nothing_was_said();
}

/* It restarts, or its socket goes: the tunnel lives on. */
static void a_manager_that_has_gone_is_no_trouble(void **state)
{
	(void)state;
	listen_at_path();
	setenv("WATCHDOG_USEC", "2000000", 1);
	notify_open();
	close(manager);
	manager = -1;
	notify_ready("up");
	assert_int_equal(notify_watchdog(5), 1000005);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, clean_up)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(states_are_told), TEST(an_abstract_socket_is_reached),
		TEST(a_reload_has_its_time), TEST(a_status_is_one_line), TEST(children_do_not_inherit_it),
		TEST(nothing_happens_without_a_manager), TEST(bad_sockets_are_left_alone),
		TEST(signs_of_life_come_twice_a_period), TEST(a_watchdog_is_for_one_process),
		TEST(odd_periods_are_none), TEST(a_manager_that_has_gone_is_no_trouble)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
