/* src/host/upstream.c: messages byte by byte; then a name server of the test's own, asked directly and by the keeper.
 */
#include "room.h"

#include "host/upstream.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BYTES(text) ((const uint8_t *)(text)), sizeof(text) - 1
#define HEAD "\x12\x34\x01\x00\0\x01\0\0\0\0\0\0"
#define NAME "\x03vpn\x04test\0"
#define QUESTION HEAD NAME "\0\x01\0\x01"
#define ANSWER_HEAD(flags, records) "\x12\x34" flags "\0\x01" records "\0\0\0\0" NAME "\0\x01\0\x01"
#define ALIAS "\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x07\x01w\x01x\x01y\0"
#define ADDRESS "\x01w\xc0\x10\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x4d"
#define PEER "[peer a]\nKeyID = q1c7OWb0MJxDeTVTp2mWuxjZz3sNgVNZdUCpm2G0fLc=\nEndpoint = vpn.test:77\n"

static void test_question(void **state)
{
	uint8_t out[512];
	char longest[300];
	assert_int_equal(upstream_question(out, sizeof out, 0x1234, "vpn.test", AF_INET), sizeof QUESTION - 1);
	assert_memory_equal(out, QUESTION, sizeof QUESTION - 1);
	assert_int_equal(upstream_question(out, sizeof out, 0x1234, "vpn.test.", AF_INET), sizeof QUESTION - 1);
	assert_memory_equal(out, QUESTION, sizeof QUESTION - 1);
	assert_int_equal(upstream_question(out, sizeof out, 0x1234, "vpn.test", AF_INET6), sizeof QUESTION - 1);
	assert_int_equal(out[sizeof QUESTION - 4], 28);

	assert_int_equal(upstream_question(out, sizeof QUESTION - 2, 1, "vpn.test", AF_INET), 0);
	assert_int_equal(upstream_question(out, sizeof out, 1, "", AF_INET), 0);
	assert_int_equal(upstream_question(out, sizeof out, 1, "vpn..test", AF_INET), 0);
	assert_int_equal(upstream_question(out, sizeof out, 1, ".test", AF_INET), 0);
	memset(longest, 'a', sizeof longest);
	longest[64] = '\0';
	assert_int_equal(upstream_question(out, sizeof out, 1, longest, AF_INET), 0);
	for (size_t i = 1; i < 254; i += 2)
		longest[i] = '.';
	longest[64] = 'a';
	longest[254] = '\0';
	assert_int_equal(upstream_question(out, sizeof out, 1, longest, AF_INET), 0);
}

static bool answers(const uint8_t *answer, size_t len, int family, struct sockaddr_storage *ret)
{
	return upstream_answer(answer, len, BYTES(QUESTION), family, ret);
}

static void test_answer(void **state)
{
	static const char whole[] = ANSWER_HEAD("\x81\x80", "\0\x02") ALIAS ADDRESS;
	struct sockaddr_storage got = {0};
	assert_true(answers(BYTES(whole), AF_INET, &got));
	assert_int_equal(got.ss_family, AF_INET);
	assert_int_equal(((struct sockaddr_in *)&got)->sin_addr.s_addr, htonl(0x7f00004d));

	got.ss_family = 99;
	for (size_t cut = 0; cut < sizeof whole - 1; cut++)
		assert_false(answers((const uint8_t *)whole, cut, AF_INET, &got));
	assert_false(answers(BYTES(whole), AF_INET6, &got));                                          /* no such */
	assert_false(answers(BYTES(ANSWER_HEAD("\x01\0", "\0\x02") ALIAS ADDRESS), AF_INET, &got));   /* no answer */
	assert_false(answers(BYTES(ANSWER_HEAD("\x81\x83", "\0\x02") ALIAS ADDRESS), AF_INET, &got)); /* NXDOMAIN */
	assert_false(answers(BYTES(ANSWER_HEAD("\x81\x80", "\0\x01") ALIAS ADDRESS), AF_INET, &got)); /* alias only */
	assert_false(answers(BYTES(ANSWER_HEAD("\x81\x80", "\xff\xff") ALIAS ALIAS), AF_INET, &got)); /* fewer */
	for (size_t i = 0; i < 25; i++) {
		char changed[sizeof whole];
		memcpy(changed, whole, sizeof whole);
		changed[i] ^= 0x20;
		bool matters = i < 2 || i == 4 || i == 5 || i >= 12; /* identity, count, the question itself */
		if (matters)
			assert_false(answers((const uint8_t *)changed, sizeof whole - 1, AF_INET, &got));
	}
	assert_int_equal(got.ss_family, 99);
}

/* ---- a name server ---- */

/* Answers every question for an IPv4 address with `address`; other questions with that there is none. */
static void serve(int fd, const uint8_t address[static 4])
{
	uint8_t message[512];
	struct sockaddr_storage from;
	socklen_t from_len = sizeof from;
	ssize_t n;
	while ((n = recvfrom(fd, message, sizeof message - 16, 0, (struct sockaddr *)&from, &from_len)) > 16) {
		message[2] = 0x81;
		message[3] = 0x80;
		if (message[n - 3] == 1) {
			message[7] = 1;
			memcpy(message + n, "\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04", 12);
			memcpy(message + n + 12, address, 4);
			n += 16;
		}
		(void)sendto(fd, message, (size_t)n, 0, (struct sockaddr *)&from, from_len);
		from_len = sizeof from;
	}
}

static pid_t server_start(const char *at, const uint8_t address[static 4])
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(53)};
	assert_int_equal(inet_pton(AF_INET, at, &local.sin_addr), 1);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&local, sizeof local), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(fd, address);
		_exit(0);
	}
	assert_true(pid > 0);
	close(fd);
	return pid;
}

static void server_stop(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void resolved_pretend(const char *lines)
{
	assert_int_equal(room_shell("mkdir -p /run/systemd/resolve"), 0);
	room_write(UPSTREAM_FILE, lines, 0644);
}

static void ask_body(void)
{
	static const uint8_t near[] = {127, 0, 0, 77}, nowhere[] = {198, 51, 100, 1};
	struct sockaddr_storage got = {.ss_family = 99};
	assert_false(upstream_ask("vpn.test", 77, &got)); /* no resolved */
	resolved_pretend("# none\nsearch test\n");
	assert_false(upstream_ask("vpn.test", 77, &got));
	pid_t server = server_start("127.0.0.2", near);
	/* the first of them is not there */
	resolved_pretend("# ours\nnameserver 127.0.0.3\nnameserver nonsense\nnameserver 127.0.0.2\nsearch test\n");
	assert_false(upstream_ask("vpn..test", 77, &got));
	assert_int_equal(got.ss_family, 99);
	assert_true(upstream_ask("vpn.test", 77, &got));
	assert_int_equal(got.ss_family, AF_INET);
	assert_int_equal(((struct sockaddr_in *)&got)->sin_addr.s_addr, htonl(0x7f00004d));
	assert_int_equal(((struct sockaddr_in *)&got)->sin_port, htons(77));
	server_stop(server);
	server = server_start("127.0.0.2", nowhere);
	assert_false(upstream_ask("vpn.test", 77, &got)); /* no way there */
	server_stop(server);
}

static void test_ask(void **state)
{
	room_run(ask_body);
}

/* The host's own resolver fails, as resolved does behind a kill switch. */
static void keeper_body(void)
{
	static const uint8_t near[] = {127, 0, 0, 77};
	room_write(ROOM "/nsswitch.conf", "hosts: files dns\n", 0644);
	room_write(ROOM "/resolv.conf", "nameserver 127.0.0.53\n", 0644);
	assert_int_equal(room_shell("mount --bind " ROOM "/resolv.conf /etc/resolv.conf"), 0);
	struct config *config = room_config("office", PEER);
	struct keeper *keeper = room_keeper(config);
	struct keeper_answer answer;
	struct pollfd readable = {.fd = keeper_fd(keeper), .events = POLLIN};
	char text[ADDR_TEXT_LEN];

	assert_int_equal(keeper_resolve(keeper, 1, "vpn.test", 77), OK);
	assert_int_equal(poll(&readable, 1, 30000), 1);
	assert_int_equal(keeper_take(keeper, &answer), OK);
	assert_int_equal(answer.err, ERR_NOT_FOUND);
	pid_t server = server_start("127.0.0.2", near);
	resolved_pretend("nameserver 127.0.0.2\n");
	assert_int_equal(keeper_resolve(keeper, 2, "vpn.test", 77), OK);
	assert_int_equal(poll(&readable, 1, 30000), 1);
	assert_int_equal(keeper_take(keeper, &answer), OK);
	assert_int_equal(answer.err, OK);
	assert_string_equal(addr_format(&answer.address, text), "127.0.0.77:77");

	server_stop(server);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_keeper_asks_past_resolved(void **state)
{
	room_run(keeper_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_answer),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_keeper_asks_past_resolved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
