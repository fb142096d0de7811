/*
 * src/host/keeper_process.c against a daemon that was taken over: every truncation of every order, random bytes, orders
 * with descriptors that nobody asked for, answers that nobody reads. The keeper answers or ends; it does not crash, run
 * anything or change the host. With the sanitisers a crash is one, too.
 */
#include "room.h"

#include "base/rng.h"
#include "host/child.h"
#include "host/keeper_message.h"
#include "host/keeper_process.h"

#include "seeded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY_A "q1c7OWb0MJxDeTVTp2mWuxjZz3sNgVNZdUCpm2G0fLc="

/* The keeper's process without keeper.c before it. */
struct bare {
	const struct config *config;
	pid_t pid;
	int orders[2], questions[2];
};

static int bare_body(void *context)
{
	struct bare *bare = context;
	return keeper_process_run(bare->config, bare->orders[1], bare->questions[1]);
}

/* The next reply; false: the keeper has ended, or says nothing for 20 s. */
static bool reply_take(const struct bare *bare, struct keeper_reply *ret, int *ret_fd)
{
	struct pollfd readable = {.fd = bare->orders[0], .events = POLLIN};
	return poll(&readable, 1, 20000) == 1 &&
	       message_receive(bare->orders[0], ret, sizeof *ret, ret_fd) == sizeof *ret;
}

static void bare_start(struct bare *bare, const struct config *config)
{
	struct keeper_reply reply;
	*bare = (struct bare){.config = config};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bare->orders), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bare->questions), 0);
	bare->pid = child_start(bare_body, bare);
	assert_true(bare->pid > 0);
	close(bare->orders[1]);
	close(bare->questions[1]);
	assert_true(reply_take(bare, &reply, NULL));
	assert_int_equal(reply.err, OK);
}

/* Ends it by going away; it must not have crashed. */
static void bare_end(struct bare *bare)
{
	int status = -1;
	close(bare->orders[0]);
	close(bare->questions[0]);
	assert_true(child_wait(bare->pid, clock_now() + 20 * USEC_PER_SEC, &status));
	assert_int_equal(status, 0);
}

static struct config *scene_make(void)
{
	return room_config("office",
		"Name = snk7\nPreUp = touch " ROOM "/ran\nKillSwitch = yes\nFwMark = 0x99\n[peer a]\nKeyID = " KEY_A
		"\nEndpoint = known.test:77\n");
}

static void assert_untouched(void)
{
	assert_int_equal(access(ROOM "/ran", F_OK), -1);
	assert_int_equal(room_shell("nft list ruleset"), 0);
	assert_string_equal(room_said, "");
	assert_int_equal(room_shell("ip rule | grep 106"), 1);
}

static const size_t sizes[ORDER_COUNT] = {[ORDER_HOOK] = sizeof(struct order_hook),
	[ORDER_APPLY] = sizeof(struct order_apply),
	[ORDER_RELOAD] = sizeof(struct order_plain),
	[ORDER_OPEN] = sizeof(struct order_open),
	[ORDER_LOG] = sizeof(struct order_plain),
	[ORDER_STOP] = sizeof(struct order_plain)};

struct packet {
	int socket;
	const void *data;
	size_t size;
};

static bool packet_is_sent(const void *context)
{
	const struct packet *packet = context;
	return message_send(packet->socket, packet->data, packet->size, -1);
}

/* A socket holds some ten packets: more wait until the keeper has taken one. */
static void question_send(const struct bare *bare, const void *data, size_t size)
{
	struct packet packet = {.socket = bare->questions[0], .data = data, .size = size};
	room_wait(packet_is_sent, &packet, "a free place in the socket");
}

static void truncated_body(void)
{
	static union keeper_any_order order;
	struct config *config = scene_make();
	struct bare bare;
	struct keeper_reply reply;
	bare_start(&bare, config);
	for (uint32_t kind = 0; kind < ORDER_COUNT + 2; kind++) {
		size_t right = kind < ORDER_COUNT ? sizes[kind] : 0;
		for (size_t size = 1; size < sizeof order + 64;
			size += size < 64 || size > sizeof order - 64 ? 1 : 61) {
			char bytes[sizeof order + 64] = {0};
			if (size == right)
				continue;
			memset(&order, 0, sizeof order);
			order.order = kind;
			memcpy(bytes, &order, sizeof order);
			assert_true(message_send(bare.orders[0], bytes, size, -1));
			assert_true(reply_take(&bare, &reply, NULL));
			assert_int_equal(reply.err, ERR_FORMAT);
		}
	}
	/* questions get no answer when they are none */
	struct keeper_question q[2] = {{.tag = 1, .port = 77, .host = "known.test"}};
	for (size_t size = 1; size < sizeof q; size++) {
		if (size != sizeof q[0])
			question_send(&bare, q, size);
	}
	question_send(&bare, q, sizeof q[0]);
	struct keeper_answer answer;
	struct pollfd readable = {.fd = bare.questions[0], .events = POLLIN};
	assert_int_equal(poll(&readable, 1, 20000), 1);
	assert_int_equal(message_receive(bare.questions[0], &answer, sizeof answer, NULL), sizeof answer);
	assert_int_equal(answer.err, OK);
	assert_untouched();
	bare_end(&bare);
	config_free(config);
}

static void test_every_truncation(void **state)
{
	room_run(truncated_body);
}

/* Random bytes of the right sizes; only the number of the order is a real one. HOOK and RELOAD are left out where they
 * would be right: those orders do what the configuration says. */
static void random_body(void)
{
	static union keeper_any_order order;
	struct config *config = scene_make();
	struct seeded seeded = {.state = 4711};
	struct rng rng = seeded_rng(&seeded);
	struct bare bare;
	struct keeper_reply reply;
	bare_start(&bare, config);
	for (unsigned i = 0; i < 4000; i++) {
		static const uint32_t kinds[] = {ORDER_HOOK, ORDER_APPLY, ORDER_OPEN, ORDER_LOG};
		uint32_t kind = kinds[rng_below(&rng, 4)];
		int fd = -1;
		rng_fill(&rng, &order, sizeof order);
		order.order = kind;
		if (kind == ORDER_HOOK && order.hook.hook <= KEEPER_POST_DOWN)
			continue;
		if (kind == ORDER_APPLY && rng_below(&rng, 2)) {
			order.apply.default_v4 = order.apply.default_v6 = 1;
			order.apply.server_count = rng_below(&rng, DNS_SERVERS_MAX + 2);
			order.apply.domain_count = rng_below(&rng, DNS_DOMAINS_MAX + 2);
			memcpy(order.apply.interface, "snk7", 5);
		}
		if (kind == ORDER_OPEN && rng_below(&rng, 2))
			order.open.path[0] = '/';
		if (kind == ORDER_OPEN)
			order.open.writable %= 3;
		assert_true(message_send(bare.orders[0], &order, sizes[kind], -1));
		assert_true(reply_take(&bare, &reply, &fd));
		assert_int_not_equal(reply.err, OK);
		assert_non_null(memchr(reply.text, '\0', sizeof reply.text));
		assert_int_equal(fd, -1);
		struct keeper_question q;
		rng_fill(&rng, &q, sizeof q);
		(void)message_send(bare.questions[0], &q, sizeof q, -1);
	}
	assert_untouched();
	bare_end(&bare);
	config_free(config);
}

static void test_random_bytes(void **state)
{
	room_run(random_body);
}

static void descriptors_body(void)
{
	struct config *config = scene_make();
	struct bare bare;
	struct keeper_reply reply;
	char command[64], before[16];
	struct order_hook none = {.order = ORDER_HOOK, .hook = 9};
	struct order_plain without = {.order = ORDER_LOG};
	bare_start(&bare, config);
	(void)snprintf(command, sizeof command, "ls /proc/%d/fd | wc -l", bare.pid);
	assert_int_equal(room_shell(command), 0);
	(void)snprintf(before, sizeof before, "%.15s", room_said);
	for (int i = 0; i < 100; i++) {
		assert_true(message_send(bare.orders[0], &none, sizeof none, STDIN_FILENO));
		assert_true(reply_take(&bare, &reply, NULL));
		assert_int_equal(reply.err, ERR_FORMAT);
		assert_true(message_send(bare.questions[0], &none, sizeof none, STDIN_FILENO));
	}
	assert_true(message_send(bare.orders[0], &without, sizeof without, -1));
	assert_true(reply_take(&bare, &reply, NULL));
	assert_int_equal(reply.err, ERR_PERMISSION);
	assert_int_equal(room_shell(command), 0);
	assert_string_equal(room_said, before);
	bare_end(&bare);
	config_free(config);
}

static void test_descriptors_that_nobody_asked_for(void **state)
{
	room_run(descriptors_body);
}

/* Orders and questions as fast as they go in, and no reply is ever read: then the daemon goes. */
static void deaf_body(void)
{
	struct config *config = scene_make();
	struct bare bare;
	struct order_open order = {.order = ORDER_OPEN, .path = ROOM "/office.conf"};
	struct keeper_question q = {.tag = 1, .port = 77, .host = "known.test"};
	bare_start(&bare, config);
	for (int i = 0; i < 5000; i++) {
		(void)message_send(bare.orders[0], &order, sizeof order, -1);
		(void)message_send(bare.questions[0], &q, sizeof q, -1);
	}
	bare_end(&bare);
	assert_untouched();
	config_free(config);
}

static void test_a_daemon_that_reads_nothing(void **state)
{
	room_run(deaf_body);
}

static void empty_body(void)
{
	struct config *config = scene_make();
	struct bare bare;
	bare_start(&bare, config);
	assert_int_equal(send(bare.orders[0], "", 0, 0), 0); /* looks like the end, and is one */
	int status = -1;
	assert_true(child_wait(bare.pid, clock_now() + 20 * USEC_PER_SEC, &status));
	assert_int_equal(status, 0);
	close(bare.orders[0]);
	close(bare.questions[0]);
	config_free(config);
}

static void test_an_empty_packet_ends_it(void **state)
{
	room_run(empty_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_truncation),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_descriptors_that_nobody_asked_for),
		cmocka_unit_test(test_a_daemon_that_reads_nothing),
		cmocka_unit_test(test_an_empty_packet_ends_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
