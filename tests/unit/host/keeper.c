/* The keeper as a daemon sees it, with a real host around it: a room of the test's own. */
#include "room.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVERYTHING                                                                                                     \
	"Name = snk7\nAddress = 10.9.0.1/24, fd09::1/64\nKillSwitch = yes\nMasquerade = yes\nFwMark = 0x99\n"          \
	"DNS = 192.0.2.53, corp.example\n[peer hub]\n"                                                                 \
	"KeyID = q1c7OWb0MJxDeTVTp2mWuxjZz3sNgVNZdUCpm2G0fLc=\nEndpoint = known.test:1\nAllowedIPs = 0.0.0.0/0, "      \
	"::/0\n"

static const struct keeper_facts everything = {
	.interface = "snk7", .fwmark = 0x99, .table = 700, .default_v4 = true, .default_v6 = true};

static void apply(struct keeper *keeper, const struct config *config, const struct keeper_facts *facts)
{
	struct fault fault = {0};
	struct keeper_facts with_dns = *facts;
	with_dns.dns = config->dns;
	if (keeper_apply(keeper, &with_dns, &fault))
		fail_msg("%s", fault.text);
}

/* A resolvconf that writes down how it was called. */
static void resolvconf_make(void)
{
	room_write(ROOM "/bin/resolvconf", "#!/bin/sh\necho \"$@\" >>" ROOM "/calls\n", 0755);
}

#define KILL_TABLE "nft list table inet jorm_kill_office"
#define NAT_TABLE "nft list table inet jorm_nat_office"
#define OUR_RULES "{ ip rule; ip -6 rule; } | grep -c 700"
#define FORWARDING "/proc/sys/net/ipv4/ip_forward"
#define FORWARDING_V6 "/proc/sys/net/ipv6/conf/all/forwarding"
#define VALID_MARK "/proc/sys/net/ipv4/conf/all/src_valid_mark"

static void assert_made(void)
{
	assert_int_equal(room_shell(KILL_TABLE), 0);
	assert_int_equal(room_shell(NAT_TABLE), 0);
	assert_int_equal(room_shell(OUR_RULES), 0);
	assert_string_equal(room_said, "2\n");
	assert_string_equal(room_read(FORWARDING), "1\n");
	assert_string_equal(room_read(FORWARDING_V6), "1\n");
	assert_string_equal(room_read(VALID_MARK), "1\n");
	assert_non_null(strstr(room_read(ROOM "/calls"), "-a snk7.jorm -m 0 -x"));
}

static void assert_undone(bool kill_switch_stays)
{
	assert_int_equal(room_shell(KILL_TABLE), kill_switch_stays ? 0 : 1);
	assert_int_equal(room_shell(NAT_TABLE), 1);
	assert_int_equal(room_shell("{ ip rule; ip -6 rule; } | grep -v 'from all lookup'"), 1);
	assert_string_equal(room_read(FORWARDING), "0\n");
	assert_string_equal(room_read(FORWARDING_V6), "0\n");
	assert_string_equal(room_read(VALID_MARK), "0\n");
	assert_non_null(strstr(room_read(ROOM "/calls"), "-d snk7.jorm"));
}

static void everything_body(void)
{
	resolvconf_make();
	struct config *config = room_config("office", EVERYTHING);
	for (int lift = 0; lift < 2; lift++) {
		struct keeper *keeper = room_keeper(config);
		apply(keeper, config, &everything);
		assert_made();
		apply(keeper, config, &everything);
		assert_made();
		keeper_stop(keeper, lift);
		assert_undone(!lift);
		assert_int_equal(room_shell("ls " CONFIG_SOCKET_FOLDER "/keeper/tunnel-*"), 2);
	}
	config_free(config);
}

static void test_makes_and_undoes(void **state)
{
	room_run(everything_body);
}

/* Another process with a keeper that has made everything, like a daemon; returns its pid and the keeper's. */
static pid_t daemon_start(const struct config *config, pid_t *ret_keeper)
{
	int ends[2];
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0); /* the keeper comes to us when its daemon dies */
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct keeper *keeper = room_keeper(config);
		apply(keeper, config, &everything);
		pid_t its = keeper_pid(keeper);
		if (write(ends[1], &its, sizeof its) == sizeof its)
			(void)pause();
		_exit(1);
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], ret_keeper, sizeof *ret_keeper), sizeof *ret_keeper);
	close(ends[0]);
	assert_made();
	return pid;
}

static void killed_daemon_body(void)
{
	resolvconf_make();
	struct config *config = room_config("office", EVERYTHING);
	pid_t keeper = 0, daemon = daemon_start(config, &keeper);
	struct fault fault = {0};
	bool any = false;
	assert_int_equal(kill(daemon, SIGKILL), 0);
	assert_int_equal(waitpid(daemon, NULL, 0), daemon);
	int status = -1;
	assert_int_equal(waitpid(keeper, &status, 0), keeper);
	assert_int_equal(status, 0);
	assert_undone(true);
	assert_int_equal(keeper_sweep(config, &any, &fault), OK);
	assert_true(any);
	assert_undone(false);
	assert_int_equal(keeper_sweep(config, &any, &fault), OK);
	assert_false(any);
	config_free(config);
}

static void test_kill_switch_outlives_a_killed_daemon(void **state)
{
	room_run(killed_daemon_body);
}

/* Both killed; then `jorm down`, or the next daemon. */
static void killed_both(bool sweep)
{
	resolvconf_make();
	struct config *config = room_config("office", EVERYTHING);
	pid_t keeper = 0, daemon = daemon_start(config, &keeper);
	struct fault fault = {0};
	bool any = false;
	assert_int_equal(kill(keeper, SIGKILL), 0);
	assert_int_equal(kill(daemon, SIGKILL), 0);
	assert_int_equal(waitpid(daemon, NULL, 0), daemon);
	assert_int_equal(waitpid(keeper, NULL, 0), keeper);
	assert_made();
	if (sweep) {
		assert_int_equal(keeper_sweep(config, &any, &fault), OK);
		assert_true(any);
	} else {
		struct keeper *next = room_keeper(config);
		assert_undone(true);
		keeper_stop(next, true);
	}
	assert_undone(false);
	config_free(config);
}

static void sweep_body(void)
{
	killed_both(true);
}

static void next_daemon_body(void)
{
	killed_both(false);
}

static void test_sweep_after_both_are_killed(void **state)
{
	room_run(sweep_body);
}

static void test_next_daemon_after_both_are_killed(void **state)
{
	room_run(next_daemon_body);
}

static void alive_body(void)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGABRT, SIGPIPE, SIGUSR1};
	struct config *config = room_config("office", "Name = snk7\nPreUp = true\n");
	int inherited = open("/etc/passwd", O_RDONLY); /* without O_CLOEXEC */
	assert_true(inherited > 2);
	struct keeper *keeper = room_keeper(config);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		assert_int_equal(kill(keeper_pid(keeper), signals[i]), 0);
		assert_int_equal(keeper_hook(keeper, KEEPER_PRE_UP, NULL), OK);
	}
	char command[128], text[64];
	(void)snprintf(text, sizeof text, "/proc/%d/comm", keeper_pid(keeper));
	assert_string_equal(room_read(text), "jorm-keeper\n");
	(void)snprintf(command, sizeof command, "ls -l /proc/%d/fd | grep -c /etc/passwd", keeper_pid(keeper));
	assert_int_equal(room_shell(command), 1);
	assert_string_equal(room_said, "0\n");
	(void)snprintf(command, sizeof command, "ls /proc/%d/fd | wc -l", keeper_pid(keeper));
	assert_int_equal(room_shell(command), 0);
	assert_true(strtol(room_said, NULL, 10) <= 8);
	keeper_stop(keeper, true);
	close(inherited);
	config_free(config);
}

static void test_outlives_the_daemons_signals(void **state)
{
	room_run(alive_body);
}

static void lost_body(void)
{
	struct config *config = room_config("office", "Name = snk7\nPreUp = true\n");
	struct keeper *keeper = room_keeper(config);
	struct fault fault = {0};
	struct keeper_answer answer;
	int fd = -1;
	assert_int_equal(keeper_take(keeper, &answer), ERR_AGAIN);
	assert_int_equal(kill(keeper_pid(keeper), SIGKILL), 0);
	struct pollfd readable = {.fd = keeper_fd(keeper), .events = POLLIN};
	assert_int_equal(poll(&readable, 1, 10000), 1);
	assert_int_equal(keeper_take(keeper, &answer), ERR_STATE);
	assert_int_equal(keeper_hook(keeper, KEEPER_PRE_UP, &fault), ERR_STATE);
	assert_non_null(strstr(fault.text, "jorm-keeper"));
	assert_int_equal(keeper_open(keeper, config->path, false, &fd, &fault), ERR_STATE);
	assert_int_equal(keeper_reload(keeper, &fault), ERR_STATE);
	assert_int_equal(keeper_apply(keeper, &everything, &fault), ERR_STATE);
	assert_int_equal(keeper_log(keeper, STDERR_FILENO, &fault), ERR_STATE);
	assert_int_equal(keeper_resolve(keeper, 1, "known.test", 1), ERR_STATE);
	keeper_stop(keeper, true);
	keeper_stop(NULL, true);
	config_free(config);
}

static void test_a_dead_keeper_is_noticed(void **state)
{
	room_run(lost_body);
}

static void refuse(struct keeper *keeper, const struct keeper_facts *facts, enum err code, const char *text)
{
	struct fault fault = {0};
	assert_int_equal(keeper_apply(keeper, facts, &fault), code);
	assert_fault(&fault, code, text);
}

static void contradictions_body(void)
{
	struct config *config = room_config("office", "Name = snk7\nFwMark = 0x99\nTable = 700\n");
	struct keeper *keeper = room_keeper(config);
	struct keeper_facts wrong = everything;
	memcpy(wrong.interface, "eth0", 5);
	refuse(keeper, &wrong, ERR_PERMISSION, "eth0");
	wrong = everything;
	wrong.fwmark = 0x98;
	refuse(keeper, &wrong, ERR_PERMISSION, "0x98");
	wrong = everything;
	wrong.table = 701;
	refuse(keeper, &wrong, ERR_PERMISSION, "701");
	memcpy(wrong.interface, "a b", 4);
	refuse(keeper, &wrong, ERR_FORMAT, "impossible");
	keeper_stop(keeper, true);
	config_free(config);

	/* without a Name: one of those that the daemon takes then, and always the same */
	config = room_config("office", "");
	keeper = room_keeper(config);
	static const uint32_t tables[] = {253, 254, 255};
	for (size_t i = 0; i < 3; i++) {
		wrong = everything;
		wrong.table = tables[i];
		refuse(keeper, &wrong, ERR_PERMISSION, "table");
	}
	wrong = everything;
	memcpy(wrong.interface, "eth0", 5);
	refuse(keeper, &wrong, ERR_PERMISSION, "eth0");
	memcpy(wrong.interface, "snk3x", 6);
	refuse(keeper, &wrong, ERR_PERMISSION, "snk3x");
	memcpy(wrong.interface, "snk3", 5);
	apply(keeper, config, &wrong);
	refuse(keeper, &everything, ERR_PERMISSION, "snk7");
	keeper_stop(keeper, true);
	config_free(config);

	config = room_config("office", "Name = snk7\nKillSwitch = yes\n");
	keeper = room_keeper(config);
	wrong = everything;
	wrong.fwmark = 0;
	refuse(keeper, &wrong, ERR_STATE, "FwMark");
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_refuses_facts_that_contradict_the_configuration(void **state)
{
	room_run(contradictions_body);
}

static void no_nft_body(void)
{
	struct fault fault = {0};
	assert_int_equal(
		room_shell("for f in /usr/sbin/nft /sbin/nft /usr/bin/nft; do [ ! -f $f ] || mount --bind /dev/null "
			   "$f; done; ! command -v nft || [ ! -f \"$(command -v nft)\" ]"),
		0);
	struct config *config = room_config("office", "Name = snk7\nKillSwitch = yes\nFwMark = 0x99\n");
	struct keeper *keeper = room_keeper(config);
	assert_int_equal(keeper_apply(keeper, &everything, &fault), ERR_NOT_FOUND);
	assert_string_equal(fault.text, "KillSwitch needs the program nft: install nftables (apt install nftables)");
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_says_that_nft_is_missing(void **state)
{
	room_run(no_nft_body);
}

static void reload_body(void)
{
	struct fault fault = {0};
	struct config *config = room_config("office", "Name = snk7\nKillSwitch = yes\nFwMark = 0x99\nPostUp = false\n");
	struct keeper *keeper = room_keeper(config);
	const struct keeper_facts facts = {.interface = "snk7", .fwmark = 0x99};
	apply(keeper, config, &facts);
	room_write(config->path, "[interface]\nPrivateKey = own.priv\nName = snk7\nKillSwitch = perhaps\n", 0600);
	assert_int_equal(keeper_reload(keeper, &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "office.conf:4"));
	apply(keeper, config, &facts);
	assert_int_equal(room_shell(KILL_TABLE), 0);
	assert_int_equal(keeper_hook(keeper, KEEPER_POST_UP, &fault), ERR_STATE);

	room_write(config->path, "[interface]\nPrivateKey = own.priv\nName = snk7\nPostUp = true\n", 0600);
	assert_int_equal(keeper_reload(keeper, &fault), OK);
	apply(keeper, config, &facts);
	assert_int_equal(room_shell(KILL_TABLE), 1);
	assert_int_equal(keeper_hook(keeper, KEEPER_POST_UP, &fault), OK);

	/* what somebody has taken away is put back by a reload */
	room_write(config->path, "[interface]\nPrivateKey = own.priv\nName = snk7\nKillSwitch = yes\n", 0600);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(keeper_reload(keeper, &fault), OK);
		apply(keeper, config, &facts);
		assert_int_equal(room_shell(KILL_TABLE), 0);
		assert_int_equal(room_shell("nft flush ruleset"), 0);
	}

	assert_int_equal(unlink(config->path), 0);
	assert_int_equal(keeper_reload(keeper, &fault), ERR_NOT_FOUND);
	keeper_stop(keeper, false);
	config_free(config);
}

static void test_reload(void **state)
{
	room_run(reload_body);
}

static void log_body(void)
{
	struct config *config = room_config("office", "Name = snk7\nPostUp = echo here I am; echo and here >&2\n");
	struct keeper *keeper = room_keeper(config);
	int fd = open(ROOM "/log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_int_equal(keeper_log(keeper, fd, NULL), OK);
	close(fd);
	assert_int_equal(keeper_hook(keeper, KEEPER_POST_UP, NULL), OK);
	assert_string_equal(room_read(ROOM "/log"), "here I am\nand here\n");
	keeper_stop(keeper, false);

	/* what it is already is fine, whatever it is */
	keeper = room_keeper(config);
	assert_int_equal(keeper_log(keeper, STDERR_FILENO, NULL), OK);
	keeper_stop(keeper, false);

	/* nothing that could make root wait, or that the kernel reads */
	static const char *const others[] = {"/dev/null", "/proc/self/comm"};
	for (size_t i = 0; i < 2; i++) {
		fd = open(others[i], O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		keeper = room_keeper(config);
		assert_int_equal(keeper_log(keeper, fd, NULL), ERR_PERMISSION);
		keeper_stop(keeper, false);
		close(fd);
	}

	/* and what the keeper says itself */
	keeper = room_keeper(config);
	fd = open(ROOM "/log", O_WRONLY | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	assert_int_equal(keeper_log(keeper, fd, NULL), OK);
	close(fd);
	struct keeper_facts facts = {.interface = "snk7"};
	uint8_t servers[1][16] = {{[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 53}};
	facts.dns = (struct config_dns){.servers = servers, .server_count = 1};
	assert_int_equal(keeper_apply(keeper, &facts, NULL), OK);
	assert_non_null(strstr(room_read(ROOM "/log"), "resolvectl"));
	assert_non_null(strstr(room_read(ROOM "/log"), "resolvconf"));
	keeper_stop(keeper, false);
	config_free(config);
}

static void test_log(void **state)
{
	room_run(log_body);
}

static void socket_make(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	close(fd);
}

static void socket_body(void)
{
	struct config *config = room_config("office", "Name = snk7\nControlSocket = " ROOM "/c.sock\n");
	bool any = false;
	for (int held = 0; held < 2; held++) {
		struct keeper *keeper = room_keeper(config);
		room_write(ROOM "/c.sock.lock", "", 0600);
		if (!held || access(ROOM "/c.sock", F_OK) < 0)
			socket_make(ROOM "/c.sock");
		int lock = open(ROOM "/c.sock.lock", O_RDWR | O_CLOEXEC);
		if (held)
			assert_int_equal(flock(lock, LOCK_EX), 0);
		keeper_stop(keeper, true);
		assert_int_equal(access(ROOM "/c.sock", F_OK), held ? 0 : -1);
		assert_int_equal(access(ROOM "/c.sock.lock", F_OK), held ? 0 : -1);
		assert_int_equal(keeper_sweep(config, &any, NULL), OK);
		assert_int_equal(access(ROOM "/c.sock", F_OK), held ? 0 : -1);
		assert_false(any);
		close(lock);
	}
	assert_int_equal(keeper_sweep(config, &any, NULL), OK);
	assert_true(any);
	assert_int_equal(access(ROOM "/c.sock", F_OK), -1);
	config_free(config);
}

static void test_removes_a_dead_control_socket_only(void **state)
{
	room_run(socket_body);
}

static bool sweep_as_nobody(void)
{
	struct config config = {.instance = (char *)(uintptr_t) "office"};
	bool any = true;
	struct fault fault;
	return netns_drop_root() && keeper_sweep(&config, &any, &fault) == ERR_PERMISSION && !any;
}

static void test_sweep_needs_root(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_true(netns_child(sweep_as_nobody));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_makes_and_undoes),
		cmocka_unit_test(test_kill_switch_outlives_a_killed_daemon),
		cmocka_unit_test(test_sweep_after_both_are_killed),
		cmocka_unit_test(test_next_daemon_after_both_are_killed),
		cmocka_unit_test(test_outlives_the_daemons_signals),
		cmocka_unit_test(test_a_dead_keeper_is_noticed),
		cmocka_unit_test(test_refuses_facts_that_contradict_the_configuration),
		cmocka_unit_test(test_says_that_nft_is_missing),
		cmocka_unit_test(test_reload),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_removes_a_dead_control_socket_only),
		cmocka_unit_test(test_sweep_needs_root),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
