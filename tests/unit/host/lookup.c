/* src/host/lookup.c behind the keeper: names from a private /etc/hosts, bounded, asked by nobody in particular. */
#include "room.h"

#include "host/lookup.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PEER(name, key, host) "[peer " name "]\nKeyID = " key "\nEndpoint = " host ":77\n"
#define KEY_A "q1c7OWb0MJxDeTVTp2mWuxjZz3sNgVNZdUCpm2G0fLc="
#define KEY_B "q1c7OWb0MJxDeTVTp2mWuxjZz3sNgVNZdUCpm2G0fLg="
#define KEY_C "q1c7OWb0MJxDeTVTp2mWuxjZz3sNgVNZdUCpm2G0fLk="
#define PEERS PEER("a", KEY_A, "known.test") PEER("b", KEY_B, "unknown.test") PEER("c", KEY_C, "six.test")

static void take(struct keeper *keeper, struct keeper_answer *ret)
{
	struct pollfd readable = {.fd = keeper_fd(keeper), .events = POLLIN};
	assert_int_equal(poll(&readable, 1, 30000), 1);
	assert_int_equal(keeper_take(keeper, ret), OK);
}

static void answers_body(void)
{
	struct config *config = room_config("office", PEERS);
	struct keeper *keeper = room_keeper(config);
	struct keeper_answer answer;
	char text[ADDR_TEXT_LEN];
	assert_int_equal(keeper_resolve(keeper, 0xdeadbeef, "known.test", 77), OK);
	take(keeper, &answer);
	assert_int_equal(answer.tag, 0xdeadbeef);
	assert_int_equal(answer.err, OK);
	assert_string_equal(addr_format(&answer.address, text), "192.0.2.77:77");
	assert_int_equal(keeper_resolve(keeper, 2, "six.test", 65535), OK);
	take(keeper, &answer);
	assert_int_equal(answer.err, OK);
	assert_string_equal(addr_format(&answer.address, text), "[2001:db8::77]:65535");
	assert_int_equal(keeper_resolve(keeper, 3, "unknown.test", 77), OK);
	take(keeper, &answer);
	assert_int_equal(answer.tag, 3);
	assert_int_equal(answer.err, ERR_NOT_FOUND);
	assert_non_null(strstr(answer.text, "unknown.test: "));
	assert_int_equal(keeper_take(keeper, &answer), ERR_AGAIN);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_answers(void **state)
{
	room_run(answers_body);
}

static void refusals_body(void)
{
	static const char *const hosts[] = {"evil.test", "", "known.test.", "known"};
	struct config *config = room_config("office", PEERS);
	struct keeper *keeper = room_keeper(config);
	struct keeper_answer answer;
	char large[300];
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(keeper_resolve(keeper, i, hosts[i], 77), OK);
		take(keeper, &answer);
		assert_int_equal(answer.tag, i);
		assert_int_equal(answer.err, *hosts[i] ? ERR_PERMISSION : ERR_FORMAT);
	}
	assert_int_equal(keeper_resolve(keeper, 9, "known.test", 0), OK);
	take(keeper, &answer);
	assert_int_equal(answer.err, ERR_FORMAT);
	memset(large, 'a', sizeof large - 1);
	large[sizeof large - 1] = '\0';
	assert_int_equal(keeper_resolve(keeper, 10, large, 77), ERR_TOO_BIG);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_only_endpoints_are_looked_up(void **state)
{
	room_run(refusals_body);
}

static void bounded_body(void)
{
	struct config *config = room_config("office", PEERS);
	struct keeper *keeper = room_keeper(config);
	struct keeper_answer answer;
	unsigned seen = 0;
	for (uint32_t i = 0; i < LOOKUPS_MAX; i++)
		assert_int_equal(keeper_resolve(keeper, i, "known.test", 77), OK);
	assert_int_equal(keeper_resolve(keeper, 99, "known.test", 77), ERR_AGAIN);
	for (uint32_t i = 0; i < LOOKUPS_MAX; i++) {
		take(keeper, &answer);
		assert_int_equal(answer.err, OK);
		seen |= 1U << answer.tag;
	}
	assert_int_equal(seen, (1U << LOOKUPS_MAX) - 1);
	assert_int_equal(keeper_resolve(keeper, 99, "known.test", 77), OK);
	keeper_stop(keeper, true); /* with one under way */
	config_free(config);
}

static void test_bounded(void **state)
{
	room_run(bounded_body);
}

/* A name server of the test's own that hears the question, does not answer, and looks at who asks. */
struct seen {
	const struct keeper *keeper;
	pid_t pid;
};

/* The keeper's child, once it has given its rights up. */
static bool lookup_is_seen(const void *context)
{
	struct seen *seen = (struct seen *)(uintptr_t)context;
	char command[96];
	(void)snprintf(command, sizeof command, "grep -ls '^PPid:[[:space:]]*%d$' /proc/[0-9]*/status; true",
		keeper_pid(seen->keeper));
	(void)room_shell(command);
	return sscanf(room_said, "/proc/%d/status", &seen->pid) == 1;
}

static void rights_body(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server, (struct sockaddr *)&address, sizeof address), 0);
	room_write(ROOM "/nsswitch.conf", "hosts: files dns\n", 0644);
	room_write(ROOM "/resolv.conf", "nameserver 127.0.0.1\n", 0644);
	assert_int_equal(room_shell("mount --bind " ROOM "/resolv.conf /etc/resolv.conf"), 0);
	struct config *config = room_config("office", PEERS);
	struct keeper *keeper = room_keeper(config);
	struct keeper_answer answer;
	assert_int_equal(keeper_resolve(keeper, 5, "unknown.test", 77), OK);
	struct pollfd readable = {.fd = server, .events = POLLIN};
	assert_int_equal(poll(&readable, 1, 10000), 1); /* it waits for an answer now */

	struct seen seen = {.keeper = keeper};
	char path[64];
	room_wait(lookup_is_seen, &seen, "the process that asks");
	pid_t pid = seen.pid;
	(void)snprintf(path, sizeof path, "/proc/%d/status", pid);
	const char *status = room_read(path);
	assert_non_null(strstr(status, "Uid:\t65530\t65530\t65530\t65530"));
	assert_non_null(strstr(status, "Gid:\t65530\t65530\t65530\t65530"));
	assert_non_null(strstr(status, "Groups:\t \n"));
	assert_non_null(strstr(status, "CapEff:\t0000000000000000"));
	assert_non_null(strstr(status, "CapPrm:\t0000000000000000"));
	assert_non_null(strstr(status, "NoNewPrivs:\t1"));
	/* the keeper answers other things meanwhile, and what the child has open is its own */
	assert_int_equal(keeper_resolve(keeper, 6, "known.test", 77), OK);
	take(keeper, &answer);
	assert_int_equal(answer.tag, 6);
	char command[128];
	(void)snprintf(command, sizeof command, "ls /proc/%d/fd | tr '\\n' ' '", pid);
	assert_int_equal(room_shell(command), 0);
	assert_string_equal(room_said, "0 1 2 3 4 "); /* its answer's pipe, and the socket to the name server */

	keeper_stop(keeper, true);
	(void)snprintf(path, sizeof path, "/proc/%d", pid);
	assert_int_equal(access(path, F_OK), -1);
	close(server);
	config_free(config);
}

static void test_has_no_rights(void **state)
{
	room_run(rights_body);
}

/* With a kill switch, and all ways through a tunnel that is not up: only the question itself gets out. */
static bool question_got_out(const void *context)
{
	return room_shell("ip netns exec outside nft list table inet seen | grep 'counter packets [1-9]'") == 0;
}

static void kill_switch_body(void)
{
	room_write(ROOM "/nsswitch.conf", "hosts: files dns\n", 0644);
	room_write(ROOM "/resolv.conf", "nameserver 203.0.113.53\n", 0644);
	assert_int_equal(
		room_shell(
			"set -e; mount --bind " ROOM "/resolv.conf /etc/resolv.conf; mkdir -p /run/netns; ip netns add "
			"outside; ip link add wire type veth peer name far netns outside; ip address add 192.0.2.1/24 "
			"dev wire; ip link set wire up; ip -n outside address add 192.0.2.9/24 dev far; ip -n outside "
			"link set far up; ip route add default via 192.0.2.9; ip tuntap add snk7 mode tun; ip address "
			"add 10.9.0.1/24 dev snk7; ip link set snk7 up; ip route add default dev snk7 table 700; ip "
			"netns exec outside nft 'table inet seen { chain c { type filter hook prerouting priority 0; "
			"ip saddr 192.0.2.1 ip daddr 203.0.113.53 udp dport 53 counter; }; }'"),
		0);
	struct config *config = room_config("office", "Name = snk7\nKillSwitch = yes\nFwMark = 0x99\n" PEERS);
	struct keeper *keeper = room_keeper(config);
	const struct keeper_facts facts = {.interface = "snk7", .fwmark = 0x99, .table = 700, .default_v4 = true};
	assert_int_equal(keeper_apply(keeper, &facts, NULL), OK);
	assert_int_not_equal(room_shell("RES_OPTIONS='timeout:1 attempts:1' getent -s dns hosts unknown.test"),
		0); /* anybody else's does not */
	assert_false(question_got_out(NULL));
	assert_int_equal(keeper_resolve(keeper, 1, "unknown.test", 77), OK);
	room_wait(question_got_out, NULL, "the question on the wire");
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_passes_the_kill_switch(void **state)
{
	room_run(kill_switch_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_only_endpoints_are_looked_up),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_has_no_rights),
		cmocka_unit_test(test_passes_the_kill_switch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
