/*
 * Streams through two carriers (src/compat/carrier.c), whose super-packets they cut and join:
 *
 *   TCP client -- interface, namespace 2 -- carrier -- UDP over lo -- carrier -- interface, namespace 1 -- TCP server
 */
#include "carrier_ends.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct whole {
	struct end *a, *b;
	int listener, client, server;
};

/* Two namespaces; their carriers' sockets are both in the first one. */
static struct whole whole_new(void)
{
	struct whole w = {.a = calloc(1, sizeof *w.a), .b = calloc(1, sizeof *w.b)};
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(80)};
	assert_true(w.a && w.b);
	w.a->netlink = netns_enter();
	w.a->udp = end_udp();
	w.b->udp = end_udp();
	end_interface(w.a, 3, "10.9.0.1/24");
	w.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(bind(w.listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(w.listener, 1) == 0);
	w.b->netlink = netns_enter();
	end_interface(w.b, 3, "10.9.0.2/24");
	const struct addr a = end_address(w.a->udp), b = end_address(w.b->udp);
	end_config(w.a, 3, &b);
	end_config(w.b, 3, &a);
	w.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	w.server = -1;
	return w;
}

static void whole_connect(struct whole *w)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x0a090001)};
	assert_int_equal(connect(w->client, (struct sockaddr *)&name, sizeof name), 0);
	w->server = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(w->server >= 0);
}

static void whole_free(struct whole *w)
{
	(void)close(w->listener);
	(void)close(w->client);
	(void)close(w->server);
	end_free(w->a);
	end_free(w->b);
}

struct pump {
	int fd;
	size_t bytes;
};

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 >> 3);
}

static void *pump_main(void *context)
{
	const struct pump *p = context;
	uint8_t data[32768];
	for (size_t at = 0; at < p->bytes;) {
		size_t n = p->bytes - at < sizeof data ? p->bytes - at : sizeof data;
		for (size_t i = 0; i < n; i++)
			data[i] = pattern(at + i);
		const ssize_t sent = send(p->fd, data, n, MSG_NOSIGNAL);
		if (sent <= 0)
			break;
		at += (size_t)sent;
	}
	return NULL;
}

/* All of it arrives, and it is what was sent. */
static void stream(int from, int to, size_t bytes)
{
	struct pump pump = {from, bytes};
	uint8_t data[65536];
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, pump_main, &pump), 0);
	for (size_t at = 0; at < bytes;) {
		await(to);
		const ssize_t n = recv(to, data, sizeof data, 0);
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++, at++)
			if (data[i] != pattern(at))
				fail_msg("byte %zu is wrong", at);
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_streams(void **state)
{
	static const size_t bytes = (size_t)8 << 20;
	struct whole w = whole_new();
	end_start(w.a);
	end_start(w.b);
	whole_connect(&w);
	stream(w.client, w.server, bytes);
	stream(w.server, w.client, bytes);
	/* The system gave super-packets; none left whole, or with half a checksum. */
	for (int i = 0; i < 2; i++) {
		const struct end *e = i ? w.b : w.a;
		assert_int_equal(e->protocol.wrong, 0);
		assert_true(e->protocol.sealed > bytes / 1500);
		assert_int_equal(carrier_counters(e->carrier)->unreadable, 0);
	}
	whole_free(&w);
}

/* What is delivered may lie anywhere until `flushed`; after that it is not looked at. */
static void test_what_lies_elsewhere_until_it_is_written(void **state)
{
	static const size_t bytes = (size_t)4 << 20;
	struct whole w = whole_new();
	w.a->protocol.keeps = w.b->protocol.keeps = true;
	end_start(w.a);
	end_start(w.b);
	whole_connect(&w);
	stream(w.client, w.server, bytes);
	stream(w.server, w.client, bytes);
	assert_true(w.a->protocol.flushes >= w.a->protocol.opened / POOL);
	assert_true(w.b->protocol.flushes >= w.b->protocol.opened / POOL);
	whole_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_what_lies_elsewhere_until_it_is_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
