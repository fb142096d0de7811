/* src/host/switches.c, record.c: kernel switches that tunnels share, and what the dead leave. */
#include "room.h"

#include "host/record.h"
#include "host/switches.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define V4 "/proc/sys/net/ipv4/"
#define V6 "/proc/sys/net/ipv6/conf/"
#define ALL (SWITCH_FORWARD_V4 | SWITCH_FORWARD_V6 | SWITCH_VALID_MARK)

static void assert_value(const char *path, const char *value)
{
	const char *is = room_read(path);
	if (strcmp(is, value) != 0)
		fail_msg("%s is %s", path, is);
}

/* A process that needs switches until it is told to end; returns its pid. */
static pid_t needer_start(unsigned wanted, int *ret_to)
{
	int ready[2], to[2];
	char byte = 0;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(pipe2(to, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		bool good = switches_need(wanted, NULL) == OK && write(ready[1], &byte, 1) == 1;
		_exit(good && read(to[0], &byte, 1) == 1 && switches_need(0, NULL) == OK ? 0 : 1);
	}
	close(to[0]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_to = to[1];
	return pid;
}

static void needer_end(pid_t pid, int to)
{
	int status = -1;
	assert_int_equal(write(to, "", 1), 1);
	close(to);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void one_body(void)
{
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(switches_need(ALL, NULL), OK);
		assert_value(V4 "ip_forward", "1\n");
		assert_value(V6 "all/forwarding", "1\n");
		assert_value(V4 "conf/all/src_valid_mark", "1\n");
	}
	assert_int_equal(switches_need(SWITCH_FORWARD_V6, NULL), OK);
	assert_value(V4 "ip_forward", "0\n");
	assert_value(V6 "all/forwarding", "1\n");
	assert_value(V4 "conf/all/src_valid_mark", "0\n");
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(switches_need(0, NULL), OK);
		assert_value(V6 "all/forwarding", "0\n");
	}
}

static void test_one_tunnel(void **state)
{
	room_run(one_body);
}

static void two_body(void)
{
	for (int order = 0; order < 2; order++) {
		int to[2];
		pid_t pids[2] = {needer_start(SWITCH_FORWARD_V4, &to[0]), needer_start(ALL, &to[1])};
		needer_end(pids[order], to[order]);
		assert_value(V4 "ip_forward", "1\n");
		assert_value(V6 "all/forwarding", order ? "0\n" : "1\n");
		needer_end(pids[!order], to[!order]);
		assert_value(V4 "ip_forward", "0\n");
		assert_value(V6 "all/forwarding", "0\n");
		assert_value(V4 "conf/all/src_valid_mark", "0\n");
	}
}

static void test_two_tunnels(void **state)
{
	room_run(two_body);
}

static void before_body(void)
{
	/* what was on stays on */
	room_write(V4 "ip_forward", "1", 0644);
	assert_int_equal(switches_need(SWITCH_FORWARD_V4, NULL), OK);
	assert_int_equal(switches_need(0, NULL), OK);
	assert_value(V4 "ip_forward", "1\n");
	/* and what somebody else has set meanwhile stays so */
	room_write(V4 "ip_forward", "0", 0644);
	assert_int_equal(switches_need(ALL, NULL), OK);
	room_write(V4 "conf/all/src_valid_mark", "0", 0644);
	assert_int_equal(switches_need(0, NULL), OK);
	assert_value(V4 "conf/all/src_valid_mark", "0\n");
	assert_value(V4 "ip_forward", "0\n");
}

static void test_restores_what_was(void **state)
{
	room_run(before_body);
}

static void interfaces_body(void)
{
	assert_int_equal(
		room_shell("ip link add eth0 type veth peer name far0 && ip link add eth1 type veth peer name far1"),
		0);
	room_write(V6 "eth0/accept_ra", "1", 0644);
	room_write(V6 "eth1/accept_ra", "0", 0644);
	room_write(V6 "eth1/forwarding", "1", 0644);
	room_write(V4 "conf/eth1/forwarding", "1", 0644);
	assert_int_equal(switches_need(ALL, NULL), OK);
	assert_value(V6 "eth0/accept_ra", "2\n");
	assert_value(V6 "eth1/accept_ra", "0\n");
	assert_value(V6 "eth0/forwarding", "1\n");
	assert_int_equal(room_shell("ip link add eth2 type veth peer name far2"), 0);
	assert_int_equal(switches_need(0, NULL), OK);
	assert_value(V6 "eth0/accept_ra", "1\n");
	assert_value(V6 "eth1/accept_ra", "0\n");
	assert_value(V6 "eth0/forwarding", "0\n");
	assert_value(V6 "eth1/forwarding", "1\n");
	assert_value(V6 "eth2/forwarding", "0\n");
	assert_value(V4 "conf/eth1/forwarding", "1\n");
	assert_value(V4 "conf/eth0/forwarding", "0\n");

	/* an interface that goes away meanwhile */
	assert_int_equal(switches_need(ALL, NULL), OK);
	assert_int_equal(room_shell("ip link delete eth0"), 0);
	assert_int_equal(switches_need(0, NULL), OK);
	assert_value(V6 "all/forwarding", "0\n");
}

static void test_interfaces_keep_theirs(void **state)
{
	room_run(interfaces_body);
}

static void dead_body(void)
{
	int to[2];
	bool any = true;
	assert_int_equal(switches_sweep(&any, NULL), OK);
	pid_t dead = needer_start(ALL, &to[0]);
	pid_t lives = needer_start(SWITCH_FORWARD_V4, &to[1]);
	any = false;
	assert_int_equal(switches_sweep(&any, NULL), OK);
	assert_false(any);
	assert_int_equal(kill(dead, SIGKILL), 0);
	assert_int_equal(waitpid(dead, NULL, 0), dead);
	close(to[0]);
	assert_value(V6 "all/forwarding", "1\n");
	assert_int_equal(switches_sweep(&any, NULL), OK);
	assert_true(any);
	assert_value(V6 "all/forwarding", "0\n");
	assert_value(V4 "conf/all/src_valid_mark", "0\n");
	assert_value(V4 "ip_forward", "1\n");
	needer_end(lives, to[1]);
	assert_value(V4 "ip_forward", "0\n");

	/* the next tunnel comes before anybody has swept */
	dead = needer_start(ALL, &to[0]);
	assert_int_equal(kill(dead, SIGKILL), 0);
	assert_int_equal(waitpid(dead, NULL, 0), dead);
	close(to[0]);
	assert_int_equal(switches_need(SWITCH_FORWARD_V4, NULL), OK);
	assert_value(V6 "all/forwarding", "0\n");
	assert_value(V4 "ip_forward", "1\n");
	assert_int_equal(switches_need(0, NULL), OK);
	assert_value(V4 "ip_forward", "0\n");
}

static void test_the_dead_are_forgotten(void **state)
{
	room_run(dead_body);
}

/* A file that somebody has filled with something else. */
static void garbage_body(void)
{
	char path[PATH_MAX];
	int fd = record_file_open(path, "switches", NULL, true, NULL);
	assert_true(fd >= 0);
	close(fd);
	room_write(path,
		"user 1 2\nuser x\nuser -5 1 4\nsaved 1 0\nnonsense\n\nsaved 99 0 1 0 net/ipv4/ip_forward\nuser "
		"99999999 "
		"12 0\n",
		0600);
	assert_int_equal(switches_need(SWITCH_FORWARD_V4, NULL), OK);
	assert_value(V4 "ip_forward", "1\n");
	assert_int_equal(switches_need(0, NULL), OK);
	assert_value(V4 "ip_forward", "0\n");
	assert_int_equal(truncate(path, 1 << 20), 0);
	struct fault fault = {0};
	assert_int_equal(switches_need(SWITCH_FORWARD_V4, &fault), ERR_TOO_BIG);
	assert_fault(&fault, ERR_TOO_BIG, path);
}

static void test_a_strange_file(void **state)
{
	room_run(garbage_body);
}

/* ---- record.c ---- */

static void record_body(void)
{
	struct record one, two;
	struct fault fault = {0};
	assert_int_equal(record_take(&one, "office", 0, true, &fault), ERR_NOT_FOUND);
	assert_int_equal(record_take(&one, "office", 0, false, &fault), OK);
	assert_int_equal(record_take(&two, "office", 0, false, &fault), ERR_EXISTS);
	assert_fault(&fault, ERR_EXISTS, "jorm down office");
	assert_int_equal(record_take(&two, "office2", 0, false, &fault), OK);
	record_remove(&two);
	assert_string_equal(one.interface, "");
	memcpy(one.interface, "snk7", 5);
	one.table = 4000000000U;
	one.dns = true;
	assert_int_equal(record_write(&one, NULL), OK);
	record_release(&one);
	assert_int_equal(record_take(&one, "office", 0, true, &fault), OK);
	assert_string_equal(one.interface, "snk7");
	assert_int_equal(one.table, 4000000000U);
	assert_true(one.dns);
	record_remove(&one);
	assert_int_equal(record_take(&one, "office", 0, true, &fault), ERR_NOT_FOUND);
}

static void test_record(void **state)
{
	room_run(record_body);
}

/* Nothing that another user may have put there is followed or believed. */
static void traps_body(void)
{
	struct record record;
	struct fault fault = {0};
	assert_int_equal(record_take(&record, "office", 0, false, &fault), OK);
	char path[PATH_MAX];
	(void)snprintf(path, sizeof path, "%s", record.path);
	record_remove(&record);
	room_write(ROOM "/target", "precious", 0600);
	assert_int_equal(symlink(ROOM "/target", path), 0);
	assert_int_equal(record_take(&record, "office", 0, false, &fault), ERR_IO);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(link(ROOM "/target", path), 0);
	assert_int_equal(record_take(&record, "office", 0, false, &fault), ERR_PERMISSION);
	assert_fault(&fault, ERR_PERMISSION, "remove it");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(record_take(&record, "office", 0, false, &fault), ERR_PERMISSION);
	assert_int_equal(unlink(path), 0);
	assert_string_equal(room_read(ROOM "/target"), "precious");
	assert_int_equal(chmod(CONFIG_SOCKET_FOLDER "/keeper", 0777), 0);
	assert_int_equal(record_take(&record, "office", 0, false, &fault), ERR_PERMISSION);
	assert_fault(&fault, ERR_PERMISSION, "only root");
}

static void test_traps(void **state)
{
	room_run(traps_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_tunnel),
		cmocka_unit_test(test_two_tunnels),
		cmocka_unit_test(test_restores_what_was),
		cmocka_unit_test(test_interfaces_keep_theirs),
		cmocka_unit_test(test_the_dead_are_forgotten),
		cmocka_unit_test(test_a_strange_file),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_traps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
