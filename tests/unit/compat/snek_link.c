/*
 * src/compat/snek_link.c: two sessions' ends, with the kernel's TCP behind each:
 *
 *   TCP client -- interface, namespace 2 -- link -- UDP over lo -- link -- interface, namespace 1 -- TCP server
 */
#include "../net/netns.h"

#include "compat/snek_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAIT_MS 10000

/* The linker lets this pass through here, so that a thread can be refused. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context);

static int threads_left = 1000;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context)
{
	return threads_left-- > 0 ? __real_pthread_create(thread, attr, fn, context) : EAGAIN;
}

struct end {
	struct netlink *netlink;
	struct tun *tun;
	struct snek_link *link;
	int event_fd;
};

struct pair {
	struct end ends[2];
	int listener, client, server;
	uint8_t key[AEAD_KEY_LEN];
};

/* All sockets are of the first namespace, in which this thread may not be any more: so ahead, and in twos. */
struct sockets {
	struct udp *ends[2];
};

static struct sockets sockets_new(void)
{
	struct sockets s = {0};
	const struct udp_config config = {.bind = netns_addr("127.0.0.1", 0), .is_plain = true};
	for (int i = 0; i < 2; i++)
		assert_int_equal(udp_open(&s.ends[i], &config, NULL), OK);
	for (int i = 0; i < 2; i++) {
		const struct addr other = netns_addr("127.0.0.1", udp_local_port(s.ends[!i]));
		assert_int_equal(udp_connect(s.ends[i], &other), OK);
	}
	return s;
}

static void end_make(struct end *e, const char *prefix)
{
	e->netlink = netns_enter();
	e->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(e->event_fd >= 0);
	assert_int_equal(tun_open(&e->tun, &(struct tun_config){.n_queues = 1, .layer = 3}, NULL), OK);
	assert_int_equal(netlink_link_set_mtu(e->netlink, tun_ifindex(e->tun), 1536, NULL), OK);
	assert_int_equal(netlink_link_set_up(e->netlink, tun_ifindex(e->tun), NULL), OK);
	netns_address(e->netlink, tun_ifindex(e->tun), prefix);
}

static enum err end_start(struct end *e, struct udp *udp, struct udp *other, const uint8_t *key, struct fault *fault)
{
	const struct snek_link_config config = {.tun = e->tun,
		.udp = udp,
		.remote = netns_addr("127.0.0.1", udp_local_port(other)),
		.data_key = key,
		.event_fd = e->event_fd};
	return snek_link_start(&e->link, &config, fault);
}

static void end_stop(struct end *e)
{
	snek_link_stop(e->link);
	e->link = NULL;
}

static void end_free(struct end *e)
{
	end_stop(e);
	(void)close(e->event_fd);
	tun_close(e->tun);
	netlink_close(e->netlink);
}

/* Sessions one after another: their sockets, made in the first namespace. */
static struct pair pair_new(struct sockets *sockets, size_t n)
{
	struct pair p = {.server = -1, .key = {1}};
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(80)};
	end_make(&p.ends[0], "10.9.0.1/24");
	for (size_t i = 0; i < n; i++)
		sockets[i] = sockets_new();
	p.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(bind(p.listener, (struct sockaddr *)&name, sizeof name) == 0 && listen(p.listener, 1) == 0);
	end_make(&p.ends[1], "10.9.0.2/24");
	p.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return p;
}

static void pair_start(struct pair *p, const struct sockets *s)
{
	struct fault fault = {0};
	for (int i = 0; i < 2; i++)
		if (end_start(&p->ends[i], s->ends[i], s->ends[!i], p->key, &fault) != OK)
			fail_msg("%s", fault.text);
}

static void pair_connect(struct pair *p)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x0a090001)};
	assert_int_equal(connect(p->client, (struct sockaddr *)&name, sizeof name), 0);
	p->server = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(p->server >= 0);
}

static void pair_free(struct pair *p)
{
	(void)close(p->client);
	(void)close(p->server);
	(void)close(p->listener);
	end_free(&p->ends[0]);
	end_free(&p->ends[1]);
}

/* ---- a stream ---- */

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

static size_t receive(int fd, size_t at, size_t until)
{
	uint8_t data[65536];
	while (at < until) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};
		assert_int_equal(poll(&polled, 1, WAIT_MS), 1);
		const ssize_t n = recv(fd, data, sizeof data, 0);
		assert_true(n > 0);
		for (ssize_t i = 0; i < n; i++, at++)
			if (data[i] != pattern(at))
				fail_msg("byte %zu is wrong", at);
	}
	return at;
}

static void stream(int from, int to, size_t bytes)
{
	struct pump pump = {from, bytes};
	pthread_t thread;
	assert_int_equal(__real_pthread_create(&thread, NULL, pump_main, &pump), 0);
	assert_int_equal(receive(to, 0, bytes), bytes);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

static void test_a_session(void **state)
{
	struct sockets sockets;
	struct pair p = pair_new(&sockets, 1);
	char text[SNEK_LINK_TEXT_LEN];
	const usec before = clock_now();
	pair_start(&p, &sockets);
	assert_true(snek_link_heard_at(p.ends[0].link) >= before);
	const usec began = snek_link_heard_at(p.ends[0].link);
	pair_connect(&p);
	stream(p.client, p.server, (size_t)4 << 20);
	stream(p.server, p.client, (size_t)4 << 20);
	for (int i = 0; i < 2; i++) {
		struct snek_link *l = p.ends[i].link;
		assert_true(snek_link_heard_at(l) > began);
		assert_true(snek_link_has_sent(l));
		assert_non_null(strstr(snek_link_text(l, text), "forged 0, malformed 0, replayed 0, reflected 0"));
		assert_int_equal(carrier_trouble(snek_link_carrier(l)), 0);
		assert_int_equal(snek_link_remote(l)->port, udp_local_port(sockets.ends[!i]));
	}
	pair_free(&p);
	snek_link_stop(NULL);
}

/* With another key nothing is heard, and it is told which. */
static void test_two_keys(void **state)
{
	struct sockets sockets;
	struct pair p = pair_new(&sockets, 1);
	struct fault fault = {0};
	const uint8_t other_key[AEAD_KEY_LEN] = {2};
	char text[SNEK_LINK_TEXT_LEN];
	assert_int_equal(end_start(&p.ends[0], sockets.ends[0], sockets.ends[1], p.key, &fault), OK);
	assert_int_equal(end_start(&p.ends[1], sockets.ends[1], sockets.ends[0], other_key, &fault), OK);
	const usec began = snek_link_heard_at(p.ends[0].link), deadline = clock_now() + WAIT_MS * USEC_PER_MS;
	assert_int_equal(fcntl(p.client, F_SETFL, O_NONBLOCK), 0);
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(0x0a090001)};
	assert_true(connect(p.client, (struct sockaddr *)&name, sizeof name) < 0 && errno == EINPROGRESS);
	while (strstr(snek_link_text(p.ends[0].link, text), "forged 0,") && clock_now() < deadline)
		netns_settle();
	assert_null(strstr(text, "forged 0,"));
	assert_non_null(strstr(text, "packets in 0;"));
	assert_int_equal(snek_link_heard_at(p.ends[0].link), began);
	pair_free(&p);
}

static void test_whether_anything_was_sent(void **state)
{
	struct sockets sockets;
	struct pair p = pair_new(&sockets, 1);
	pair_start(&p, &sockets);
	pair_connect(&p);
	const usec deadline = clock_now() + WAIT_MS * USEC_PER_MS;
	while (!snek_link_has_sent(p.ends[1].link) && clock_now() < deadline)
		netns_settle();
	/* Once the handshake of TCP is over nobody has anything to say. */
	while (snek_link_has_sent(p.ends[1].link) && clock_now() < deadline)
		netns_settle();
	assert_false(snek_link_has_sent(p.ends[1].link));
	assert_int_equal(send(p.client, "x", 1, 0), 1);
	while (!snek_link_has_sent(p.ends[1].link) && clock_now() < deadline)
		netns_settle();
	assert_true(clock_now() < deadline);
	pair_free(&p);
}

/* A stream outlives the sessions under it. */
static void test_sessions_one_after_another(void **state)
{
	enum { SESSIONS = 6 };
	static const size_t bytes = (size_t)12 << 20;
	struct sockets sockets[SESSIONS];
	struct pair p = pair_new(sockets, SESSIONS);
	struct pump pump = {p.client, bytes};
	pthread_t thread;
	size_t got = 0;
	pair_start(&p, &sockets[0]);
	pair_connect(&p);
	assert_int_equal(__real_pthread_create(&thread, NULL, pump_main, &pump), 0);
	for (size_t i = 1; i < SESSIONS; i++) {
		got = receive(p.server, got, i * (bytes / SESSIONS));
		/* Each end when it is its turn: what the other one sends meanwhile is not of its session. */
		end_stop(&p.ends[i % 2]);
		end_stop(&p.ends[(i + 1) % 2]);
		p.key[1]++;
		pair_start(&p, &sockets[i]);
	}
	assert_int_equal(receive(p.server, got, bytes), bytes);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pair_free(&p);
}

static size_t descriptors(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* The socket is the link's also when there is none. */
static void test_a_start_that_fails(void **state)
{
	struct end e = {0};
	end_make(&e, "10.9.0.1/24");
	const size_t before = descriptors();
	for (int allowed = 0; allowed < 2; allowed++) {
		struct sockets s = sockets_new();
		struct fault fault = {0};
		const uint8_t key[AEAD_KEY_LEN] = {1};
		threads_left = allowed;
		assert_int_not_equal(end_start(&e, s.ends[0], s.ends[1], key, &fault), OK);
		threads_left = 1000;
		assert_null(e.link);
		assert_non_null(strstr(fault.text, "thread"));
		udp_close(s.ends[1]);
		assert_int_equal(descriptors(), before);
	}
	end_free(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_session),
		cmocka_unit_test(test_two_keys),
		cmocka_unit_test(test_whether_anything_was_sent),
		cmocka_unit_test(test_sessions_one_after_another),
		cmocka_unit_test(test_a_start_that_fails),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
