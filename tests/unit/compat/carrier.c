/*
 * src/compat/carrier.c with a real interface and socket, where the kernel judges headers and checksums:
 *
 *   socket 10.9.0.1 -- interface -- carrier -- UDP over lo -- this program, which plays the peer
 *
 * Streams are in carrier_stream.c.
 */
#include "carrier_ends.h"

#include "base/bytes.h"
#include "net/netlink_request.h"
#include "net/udp_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* The linker lets this pass through here, so that a thread can be refused. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context);

static int threads_left = 1000;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context)
{
	if (threads_left-- <= 0)
		return EAGAIN;
	return __real_pthread_create(thread, attr, fn, context);
}

/* ---- one end, and a socket in place of the other ---- */

struct half {
	struct end *end;
	struct udp *peer;  /* where datagrams come out */
	struct udp *inner; /* a socket of the system behind the interface */
	struct udp_batch *batch, *at_peer;
	size_t at; /* in at_peer's message */
};

static struct half half_new(unsigned int layer)
{
	struct half h = {.end = calloc(1, sizeof *h.end),
		.batch = udp_batch_new(1, UDP_RECEIVE_SIZE),
		.at_peer = udp_batch_new(1, UDP_RECEIVE_SIZE)};
	assert_true(h.end && h.batch && h.at_peer);
	h.end->config.event_fd = -1;
	h.end->netlink = netns_enter();
	end_interface(h.end, layer, "10.9.0.1/24");
	h.peer = end_udp();
	h.end->udp = end_udp();
	assert_int_equal(udp_open(&h.inner, &(struct udp_config){.is_plain = true}, NULL), OK);
	const struct addr remote = end_address(h.peer);
	end_config(h.end, layer, &remote);
	return h;
}

static void half_free(struct half *h)
{
	udp_close(h->inner);
	udp_close(h->peer);
	udp_batch_free(h->batch);
	udp_batch_free(h->at_peer);
	end_free(h->end);
}

/* From the system behind the interface, through it, to nobody. */
static void inner_send(struct half *h, const void *data, size_t len)
{
	const struct udp_route there = {.remote = netns_addr("10.9.0.2", 4000)};
	assert_int_equal(udp_send(h->inner, &there, data, len, len), OK);
}

/* The next packet or frame that came out at the peer, in the batch. */
static const uint8_t *peer_next(struct half *h, size_t *ret_len)
{
	const struct udp_message *m = &h->at_peer->messages[0];
	while (h->at_peer->n == 0 || h->at >= m->len) {
		await(udp_fd(h->peer));
		assert_int_equal(udp_receive(h->peer, h->at_peer), OK);
		h->at = 0;
	}
	const uint8_t *datagram = m->data + h->at;
	*ret_len = (m->len - h->at < m->segment ? m->len - h->at : m->segment) - 1;
	h->at += m->segment;
	assert_int_equal(datagram[0], MARK);
	return datagram + 1;
}

/* The payload of the next UDP packet; others (of IPv6's own) are passed over. */
static const uint8_t *peer_receive(struct half *h, size_t *ret_len)
{
	size_t len;
	const uint8_t *ip;
	do
		ip = peer_next(h, &len);
	while (ip[0] >> 4 != 4 || ip[9] != IPPROTO_UDP);
	assert_true(packet_is_complete(ip, len, 1500));
	*ret_len = len - IP_LEN - UDP_LEN;
	return ip + IP_LEN + UDP_LEN;
}

/* A datagram with a packet in it for the inner socket; returns its length. */
static size_t packet_make(const struct half *h, uint8_t out[static CARRIER_DATAGRAM_MAX], const void *data, size_t len)
{
	static const uint8_t addresses[8] = {10, 9, 0, 2, 10, 9, 0, 1};
	uint8_t *ip = out + 1, *udp = ip + IP_LEN;
	memset(out, 0, CARRIER_DATAGRAM_MAX);
	out[0] = MARK;
	ip[0] = 0x45;
	be16_put(ip + 2, (uint16_t)(IP_LEN + UDP_LEN + len));
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, addresses, sizeof addresses);
	be16_put(ip + 10, (uint16_t)~packet_sum(ip, IP_LEN, 0));
	be16_put(udp, 4000);
	be16_put(udp + 2, udp_local_port(h->inner));
	be16_put(udp + 4, (uint16_t)(UDP_LEN + len));
	memcpy(udp + UDP_LEN, data, len);
	const uint16_t check = (uint16_t)~packet_sum(
		udp, UDP_LEN + len, packet_sum(ip + 12, 8, (uint32_t)(IPPROTO_UDP + UDP_LEN + len)));
	be16_put(udp + 6, check ? check : 0xffff);
	return 1 + IP_LEN + UDP_LEN + len;
}

static void peer_send(struct half *h, const void *datagram, size_t len)
{
	const struct udp_route there = {.remote = end_address(h->end->udp)};
	assert_int_equal(udp_send(h->peer, &there, datagram, len, len), OK);
}

static void inner_gets(struct half *h, const void *data, size_t len)
{
	await(udp_fd(h->inner));
	assert_int_equal(udp_receive(h->inner, h->batch), OK);
	assert_int_equal(h->batch->n, 1);
	assert_int_equal(h->batch->messages[0].len, len);
	assert_memory_equal(h->batch->messages[0].data, data, len);
}

/* ---- packets ---- */

static void test_packets_both_ways(void **state)
{
	static const size_t sizes[] = {1, 2, 100, 1471, 1472};
	uint8_t data[1472], datagram[CARRIER_DATAGRAM_MAX];
	struct half h = half_new(3);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7 >> 2);
	end_start(h.end);
	assert_int_equal(carrier_heard_at(h.end->carrier), 0);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t len;
		inner_send(&h, data, sizes[i]);
		const uint8_t *got = peer_receive(&h, &len);
		assert_int_equal(len, sizes[i]);
		assert_memory_equal(got, data, len);
	}
	assert_int_equal(carrier_heard_at(h.end->carrier), 0);
	const usec before = clock_now();
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		peer_send(&h, datagram, packet_make(&h, datagram, data, sizes[i]));
		inner_gets(&h, data, sizes[i]);
	}
	assert_true(carrier_heard_at(h.end->carrier) >= before);
	const struct carrier_counters *c = carrier_counters(h.end->carrier);
	await_count(&c->sent, 5); /* counted when all is done */
	await_count(&c->received, 5);
	assert_true(c->sent_bytes >= (uint64_t)5 * (1 + IP_LEN + UDP_LEN));
	assert_int_equal(c->received, 5);
	assert_int_equal(c->unwritten + c->unreadable + c->no_route + c->unsent, 0);
	assert_int_equal(h.end->protocol.wrong, 0);
	assert_int_equal(carrier_trouble(h.end->carrier), 0);
	half_free(&h);
}

/* What the protocol does not take is no packet, and not from the peer. */
static void test_what_is_not_delivered(void **state)
{
	uint8_t datagram[CARRIER_DATAGRAM_MAX];
	struct half h = half_new(3);
	end_start(h.end);
	const struct carrier_counters *c = carrier_counters(h.end->carrier);
	const size_t len = packet_make(&h, datagram, "hidden", 6);
	datagram[0] = 0;
	peer_send(&h, datagram, len);
	await_count(&c->received, 1);
	assert_int_equal(carrier_heard_at(h.end->carrier), 0);
	/* Of no version of IP, or nothing but its first byte: the interface says no. */
	static const uint8_t odd[] = {MARK, 0x15, 1, 2, 3}, first[] = {MARK, 0x45};
	peer_send(&h, odd, sizeof odd);
	await_count(&c->unwritten, 1);
	peer_send(&h, first, sizeof first);
	await_count(&c->received, 3);
	(void)packet_make(&h, datagram, "seen", 4);
	peer_send(&h, datagram, len - 2);
	inner_gets(&h, "seen", 4);
	assert_int_equal(udp_receive(h.inner, h.batch), ERR_AGAIN);
	half_free(&h);
}

static void test_an_interface_that_is_down(void **state)
{
	uint8_t datagram[CARRIER_DATAGRAM_MAX];
	struct half h = half_new(3);
	struct netlink_request request;
	struct ifinfomsg *info = netlink_request_init(&request, RTM_NEWLINK, 0, sizeof *info);
	info->ifi_index = (int)tun_ifindex(h.end->tun);
	info->ifi_change = IFF_UP;
	assert_int_equal(netlink_request_run(h.end->netlink, &request, NULL, NULL), 0);
	end_start(h.end);
	const size_t len = packet_make(&h, datagram, "lost", 4);
	peer_send(&h, datagram, len);
	await_count(&carrier_counters(h.end->carrier)->unwritten, 1);
	/* And up again. */
	assert_int_equal(netlink_link_set_up(h.end->netlink, tun_ifindex(h.end->tun), NULL), OK);
	(void)packet_make(&h, datagram, "kept", 4);
	peer_send(&h, datagram, len);
	inner_gets(&h, "kept", 4);
	assert_int_equal(carrier_trouble(h.end->carrier), 0);
	half_free(&h);
}

static void test_frames(void **state)
{
	uint8_t frame[1 + 14 + CARRIER_DATAGRAM_MAX] = {MARK}, datagram[CARRIER_DATAGRAM_MAX];
	static const uint8_t ours[6] = {2, 0, 0, 0, 0, 1}, theirs[6] = {2, 0, 0, 0, 0, 2};
	struct half h = half_new(2);
	struct netlink_request request;
	struct ifinfomsg *info = netlink_request_init(&request, RTM_NEWLINK, 0, sizeof *info);
	info->ifi_index = (int)tun_ifindex(h.end->tun);
	mnl_attr_put(&request.header, IFLA_ADDRESS, sizeof ours, ours);
	assert_int_equal(netlink_request_run(h.end->netlink, &request, NULL, NULL), 0);
	end_start(h.end);
	const size_t len = packet_make(&h, datagram, "frame", 5) - 1;
	memcpy(frame + 1, ours, 6);
	memcpy(frame + 7, theirs, 6);
	be16_put(frame + 13, 0x0800);
	memcpy(frame + 15, datagram + 1, len);
	/* Shorter than its header: the interface says no. */
	peer_send(&h, frame, 1 + 13);
	await_count(&carrier_counters(h.end->carrier)->unwritten, 1);
	peer_send(&h, frame, 15 + len);
	inner_gets(&h, "frame", 5);
	/* Who is it? A question to all. */
	inner_send(&h, "?", 1);
	const uint8_t *asked;
	size_t asked_len;
	do {
		asked = peer_next(&h, &asked_len);
		assert_true(asked_len >= 14 && memcmp(asked + 6, ours, 6) == 0);
	} while (be16_get(asked + 12) != 0x0806 || memcmp(asked, "\xff\xff\xff\xff\xff\xff", 6) != 0);
	half_free(&h);
}

/* ---- where to ---- */

static void test_no_route(void **state)
{
	size_t len;
	struct half h = half_new(3);
	h.end->protocol.has_route = false;
	end_start(h.end);
	inner_send(&h, "nowhere", 7);
	await_count(&h.end->protocol.sealed_v4, 1);
	await_count(&carrier_counters(h.end->carrier)->no_route, h.end->protocol.sealed);
	h.end->protocol.has_route = true;
	inner_send(&h, "there", 5);
	assert_memory_equal(peer_receive(&h, &len), "there", 5);
	half_free(&h);
}

static void test_a_network_that_says_no(void **state)
{
	struct half h = half_new(3);
	h.end->protocol.remote = netns_addr("192.0.2.1", 9);
	end_start(h.end);
	inner_send(&h, "unreachable", 11);
	await_count(&carrier_counters(h.end->carrier)->unsent, 1);
	assert_int_equal(carrier_trouble(h.end->carrier), 0);
	half_free(&h);
}

static void test_nobody_has_the_port(void **state)
{
	struct half h = half_new(3);
	udp_close(h.peer);
	h.peer = NULL;
	end_start(h.end);
	/* Who is not connected hears nothing of it. */
	inner_send(&h, "?", 1);
	await_count(&h.end->protocol.sealed_v4, 1);
	await_count(&carrier_counters(h.end->carrier)->sent, h.end->protocol.sealed);
	netns_settle();
	assert_int_equal(carrier_trouble(h.end->carrier), 0);
	end_stop(h.end);
	assert_int_equal(udp_connect(h.end->udp, &h.end->protocol.remote), OK);
	end_start(h.end);
	inner_send(&h, "?", 1);
	assert_int_equal(await_trouble(h.end), CARRIER_REFUSED);
	/* And again. */
	inner_send(&h, "?", 1);
	assert_int_equal(await_trouble(h.end), CARRIER_REFUSED);
	half_free(&h);
}

/* ---- beginning and end ---- */

static void test_the_interface_is_removed(void **state)
{
	struct half h = half_new(3);
	struct netlink_request request;
	end_start(h.end);
	struct ifinfomsg *info = netlink_request_init(&request, RTM_DELLINK, 0, sizeof *info);
	info->ifi_index = (int)tun_ifindex(h.end->tun);
	assert_int_equal(netlink_request_run(h.end->netlink, &request, NULL, NULL), 0);
	assert_int_equal(await_trouble(h.end), CARRIER_GONE);
	half_free(&h);
}

/* What the system wanted to send while nobody carried it is stale. */
static void test_what_waited_is_dropped(void **state)
{
	size_t len;
	struct half h = half_new(3);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 20; i++)
			inner_send(&h, "stale", 5);
		end_start(h.end);
		inner_send(&h, "fresh", 5);
		assert_memory_equal(peer_receive(&h, &len), "fresh", 5);
		end_stop(h.end);
	}
	half_free(&h);
}

struct flood {
	struct half *half;
	_Atomic bool must_stop;
};

/* Both ways, as fast as it goes. */
static void *flood_main(void *context)
{
	struct flood *f = context;
	uint8_t datagram[CARRIER_DATAGRAM_MAX];
	const struct udp_route out = {.remote = netns_addr("10.9.0.2", 4000)},
			       in = {.remote = end_address(f->half->end->udp)};
	const size_t len = packet_make(f->half, datagram, "flood", 5);
	while (!f->must_stop) {
		(void)!udp_send(f->half->inner, &out, datagram, 1000, 1000);
		(void)!udp_send(f->half->peer, &in, datagram, len, len);
	}
	return NULL;
}

static void test_it_stops_at_once_in_a_flood(void **state)
{
	struct half h = half_new(3);
	struct flood flood = {.half = &h};
	pthread_t thread;
	assert_int_equal(__real_pthread_create(&thread, NULL, flood_main, &flood), 0);
	for (int round = 0; round < 10; round++) {
		end_start(h.end);
		await_count(&carrier_counters(h.end->carrier)->sent, 10);
		await_count(&carrier_counters(h.end->carrier)->received, 10);
		const usec before = clock_now();
		end_stop(h.end);
		assert_true(clock_now() - before < 2 * USEC_PER_SEC);
	}
	flood.must_stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	half_free(&h);
}

static void test_it_stops_at_once_when_nothing_happens(void **state)
{
	struct half h = half_new(3);
	end_start(h.end);
	const usec before = clock_now();
	end_stop(h.end);
	assert_true(clock_now() - before < USEC_PER_SEC);
	carrier_stop(NULL);
	half_free(&h);
}

static size_t descriptors(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Nothing of it is left. */
static void test_a_thread_too_few(void **state)
{
	struct half h = half_new(3);
	const size_t before = descriptors();
	for (int allowed = 0; allowed < 2; allowed++) {
		struct fault fault = {0};
		threads_left = allowed;
		assert_int_not_equal(carrier_start(&h.end->carrier, &h.end->config, &fault), OK);
		assert_non_null(strstr(fault.text, "thread"));
		assert_null(h.end->carrier);
		assert_int_equal(descriptors(), before);
	}
	threads_left = 1000;
	end_start(h.end);
	half_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets_both_ways),
		cmocka_unit_test(test_what_is_not_delivered),
		cmocka_unit_test(test_an_interface_that_is_down),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_a_network_that_says_no),
		cmocka_unit_test(test_nobody_has_the_port),
		cmocka_unit_test(test_the_interface_is_removed),
		cmocka_unit_test(test_what_waited_is_dropped),
		cmocka_unit_test(test_it_stops_at_once_in_a_flood),
		cmocka_unit_test(test_it_stops_at_once_when_nothing_happens),
		cmocka_unit_test(test_a_thread_too_few),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
