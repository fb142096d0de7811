/*
 * Packets through src/tun/tun.c. One end of each is the kernel's own UDP or TCP, so it is the
 * kernel that judges headers, checksums and sizes:
 *
 *   socket 10.9.0.1 -- interface "vpn" -- this program, which plays 10.9.0.2
 *   TCP client -- "vpn" in one namespace -- this program -- "vpn" in another -- TCP server
 */
#include "netns.h"

#include "base/bytes.h"
#include "net/udp.h"
#include "net/udp_batch.h"
#include "tun/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IP_LEN 20
#define UDP_LEN 8
#define HEADERS_LEN (IP_LEN + UDP_LEN)

struct fixture {
	struct netlink *netlink;
	struct tun *tun;
	struct udp *udp;
	uint8_t packet[TUN_READ_SIZE];
	size_t len;
};

static void fixture_init(struct fixture *f, unsigned int layer)
{
	*f = (struct fixture){.netlink = netns_enter()};
	struct fault fault = {0};
	if (tun_open(&f->tun, &(struct tun_config){.n_queues = 1, .layer = layer}, &fault))
		fail_msg("%s", fault.text);
	assert_int_equal(netlink_link_set_up(f->netlink, tun_ifindex(f->tun), NULL), OK);
	netns_address(f->netlink, tun_ifindex(f->tun), "10.9.0.1/24");
	assert_int_equal(udp_open(&f->udp, &(struct udp_config){0}, NULL), OK);
}

static void fixture_done(struct fixture *f)
{
	udp_close(f->udp);
	tun_close(f->tun);
	netlink_close(f->netlink);
}

/* The Internet checksum, not complemented. */
static uint16_t sum(const uint8_t *data, size_t len, uint32_t start)
{
	uint32_t total = start;
	for (size_t i = 0; i < len; i++)
		total += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	return (uint16_t)total;
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 >> 2);
}

/*
 * Makes f->packet a UDP datagram from 10.9.0.2 to the socket, with `payload` bytes and the checksum
 * left to the kernel; gso_size > 0: to be cut into datagrams of so many bytes of payload.
 */
static void packet_make(struct fixture *f, size_t payload, uint16_t gso_size)
{
	static const uint8_t addresses[8] = {10, 9, 0, 2, 10, 9, 0, 1};
	uint8_t *ip = f->packet + TUN_HEADER_LEN, *udp = ip + IP_LEN;
	struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = IP_LEN, .csum_offset = 6};
	if (gso_size) {
		header.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
		header.gso_size = gso_size;
		header.hdr_len = HEADERS_LEN;
	}
	memcpy(f->packet, &header, sizeof header);
	memset(ip, 0, HEADERS_LEN);
	ip[0] = 0x45;
	be16_put(ip + 2, (uint16_t)(HEADERS_LEN + payload));
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, addresses, sizeof addresses);
	be16_put(ip + 10, (uint16_t)~sum(ip, IP_LEN, 0));
	be16_put(udp, 4000);
	be16_put(udp + 2, udp_local_port(f->udp));
	be16_put(udp + 4, (uint16_t)(UDP_LEN + payload));
	/* What the kernel adds the rest to: the sum of the pseudo-header. */
	be16_put(udp + 6, sum(ip + 12, 8, (uint32_t)(IPPROTO_UDP + UDP_LEN + payload)));
	for (size_t i = 0; i < payload; i++)
		udp[UDP_LEN + i] = pattern(i);
	f->len = TUN_HEADER_LEN + HEADERS_LEN + payload;
}

/* In two pieces, as the daemon does. */
static enum err packet_write(struct fixture *f)
{
	struct iovec iov[] = {{f->packet, TUN_HEADER_LEN}, {f->packet + TUN_HEADER_LEN, f->len - TUN_HEADER_LEN}};
	return tun_writev(f->tun, 0, iov, 2);
}

/* Everything that waits at the socket, one after the other; checks the pattern. */
static void assert_received(struct fixture *f, size_t bytes, size_t datagrams)
{
	struct udp_batch *batch = udp_batch_new(64, UDP_RECEIVE_SIZE);
	size_t got = 0, n = 0;
	enum err err;
	while ((err = udp_receive(f->udp, batch)) == OK)
		for (size_t i = 0; i < batch->n; i++) {
			struct udp_message *m = &batch->messages[i];
			for (size_t at = 0; at < m->len; at++)
				assert_int_equal(m->data[at], pattern(got + at));
			got += m->len;
			n += (m->len + m->segment - 1) / m->segment;
			assert_int_equal(m->remote.port, 4000);
			assert_int_equal(m->ifindex, tun_ifindex(f->tun));
		}
	assert_int_equal(err, ERR_AGAIN);
	assert_int_equal(got, bytes);
	assert_int_equal(n, datagrams);
	udp_batch_free(batch);
}

/* The next IPv4 packet; IPv6 talks to its neighbours by itself. */
static bool packet_read(struct fixture *f)
{
	struct pollfd readable = {.fd = tun_fd(f->tun, 0), .events = POLLIN};
	while (poll(&readable, 1, 1000) == 1)
		if (tun_read(f->tun, 0, f->packet, sizeof f->packet, &f->len) == OK &&
			f->packet[TUN_HEADER_LEN] >> 4 == 4)
			return true;
	return false;
}

static void test_a_checksum_is_finished_by_the_kernel(void **state)
{
	struct fixture f;
	fixture_init(&f, 3);
	packet_make(&f, 777, 0);
	assert_int_equal(packet_write(&f), OK);
	assert_received(&f, 777, 1);

	/* The same bytes without the flag have a wrong checksum. */
	memset(f.packet, 0, TUN_HEADER_LEN);
	assert_int_equal(packet_write(&f), OK);
	assert_received(&f, 0, 0);
	fixture_done(&f);
}

static void test_a_super_packet_is_written(void **state)
{
	struct fixture f;
	fixture_init(&f, 3);
	if (!tun_has_uso(f.tun)) {
		print_message("skipped: this kernel has no UDP segmentation on TUN\n");
		fixture_done(&f);
		skip();
	}
	packet_make(&f, 30 * 1000 + 1, 1000);
	assert_int_equal(packet_write(&f), OK);
	assert_received(&f, 30 * 1000 + 1, 31);
	fixture_done(&f);
}

static void test_a_super_packet_is_read(void **state)
{
	static uint8_t data[30 * 1000];
	struct fixture f;
	fixture_init(&f, 3);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = pattern(i);
	struct udp_route route = {.remote = netns_addr("10.9.0.2", 4000)};
	assert_int_equal(udp_send(f.udp, &route, data, sizeof data, 1000), OK);
	size_t got = 0, reads = 0;
	for (; got < sizeof data; reads++) {
		assert_true(packet_read(&f));
		size_t payload = f.len - TUN_HEADER_LEN - HEADERS_LEN;
		assert_true(payload <= sizeof data - got);
		assert_memory_equal(f.packet + TUN_HEADER_LEN + HEADERS_LEN, data + got, payload);
		got += payload;
	}
	if (tun_has_uso(f.tun) && udp_has_segment(f.udp)) {
		struct virtio_net_hdr header;
		memcpy(&header, f.packet, sizeof header);
		assert_int_equal(reads, 1);
		assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_UDP_L4);
		assert_int_equal(header.gso_size, 1000);
		assert_int_equal(header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(header.csum_start, IP_LEN);
		assert_int_equal(header.csum_offset, 6);
	}
	fixture_done(&f);
}

static void test_refused_packets(void **state)
{
	struct fixture f;
	fixture_init(&f, 3);
	packet_make(&f, 100, 0);
	f.packet[TUN_HEADER_LEN] = 0x75; /* IP version 7 */
	assert_int_equal(packet_write(&f), ERR_FORMAT);
	packet_make(&f, 100, 0);
	be16_put(f.packet + 6, 0xffff); /* the checksum starts behind the packet */
	assert_int_equal(packet_write(&f), ERR_FORMAT);
	packet_make(&f, 100, 0);
	f.len = TUN_HEADER_LEN - 1;
	assert_int_equal(tun_writev(f.tun, 0, &(struct iovec){f.packet, f.len}, 1), ERR_FORMAT);

	struct tun *down = NULL;
	assert_int_equal(tun_open(&down, &(struct tun_config){.n_queues = 1, .layer = 3}, NULL), OK);
	packet_make(&f, 100, 0);
	assert_int_equal(tun_writev(down, 0, &(struct iovec){f.packet, f.len}, 1), ERR_STATE);
	assert_received(&f, 0, 0);
	tun_close(down);
	fixture_done(&f);
}

static void test_layer_2_carries_frames(void **state)
{
	struct fixture f;
	fixture_init(&f, 2);
	struct udp_route route = {.remote = netns_addr("10.9.0.2", 4000)};
	assert_int_equal(udp_send(f.udp, &route, (const uint8_t *)"x", 1, 1), OK);
	/* Somebody asks for 10.9.0.2's hardware address. */
	bool asked = false;
	struct pollfd readable = {.fd = tun_fd(f.tun, 0), .events = POLLIN};
	while (!asked && poll(&readable, 1, 1000) == 1)
		asked = tun_read(f.tun, 0, f.packet, sizeof f.packet, &f.len) == OK &&
			be16_get(f.packet + TUN_HEADER_LEN + 12) == 0x0806;
	assert_true(asked);
	fixture_done(&f);
}

/* ---- TCP between two namespaces ---- */

struct side {
	struct netlink *netlink;
	struct tun *tun;
	int socket;
};

static struct side side_new(const char *const addresses[2])
{
	struct side side = {.netlink = netns_enter()};
	assert_int_equal(tun_open(&side.tun, &(struct tun_config){.n_queues = 1, .layer = 3}, NULL), OK);
	assert_int_equal(netlink_link_set_up(side.netlink, tun_ifindex(side.tun), NULL), OK);
	for (int i = 0; i < 2; i++)
		netns_address(side.netlink, tun_ifindex(side.tun), addresses[i]);
	side.socket = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(side.socket >= 0);
	return side;
}

static void side_free(struct side *side)
{
	assert_int_equal(close(side->socket), 0);
	tun_close(side->tun);
	netlink_close(side->netlink);
}

/* Carries what waits from one to the other, headers and all; returns the largest packet's length. */
static size_t carry(struct side *from, struct side *to)
{
	static uint8_t packet[TUN_READ_SIZE];
	size_t len, largest = 0;
	while (tun_read(from->tun, 0, packet, sizeof packet, &len) == OK) {
		assert_int_equal(tun_writev(to->tun, 0, &(struct iovec){packet, len}, 1), OK);
		largest = len > largest ? len : largest;
	}
	return largest;
}

static void wait_for_packets(struct side *a, struct side *b)
{
	struct pollfd readable[] = {
		{.fd = tun_fd(a->tun, 0), .events = POLLIN}, {.fd = tun_fd(b->tun, 0), .events = POLLIN}};
	(void)poll(readable, 2, 10);
}

/* Sends 300 KB from a's socket to one that b accepts at `ip`; returns the largest packet's length. */
static size_t tcp_transfer(struct side *a, struct side *b, const char *ip)
{
	static uint8_t data[300000], chunk[65536];
	struct addr server = netns_addr(ip, 5000);
	struct sockaddr_in6 to = addr_to_sockaddr(&server);
	int accepted = -1;
	size_t sent = 0, got = 0, largest = 0;
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = pattern(i);
	assert_true(connect(a->socket, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS);
	for (int round = 0; round < 2000 && got < sizeof data; round++) {
		size_t n = carry(a, b);
		largest = n > largest ? n : largest;
		(void)carry(b, a);
		if (accepted < 0)
			accepted = accept4(b->socket, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		ssize_t moved = accepted < 0 ? 0 : send(a->socket, data + sent, sizeof data - sent, 0);
		sent += moved > 0 ? (size_t)moved : 0;
		moved = accepted < 0 ? 0 : recv(accepted, chunk, sizeof chunk, 0);
		if (moved > 0) {
			assert_memory_equal(chunk, data + got, (size_t)moved);
			got += (size_t)moved;
		} else {
			wait_for_packets(a, b);
		}
	}
	assert_int_equal(got, sizeof data);
	assert_int_equal(close(accepted), 0);
	return largest;
}

static void test_tcp_in_super_packets(void **state)
{
	static const char *const addresses[2][2] = {{"10.9.0.1/24", "fd09::1/64"}, {"10.9.0.2/24", "fd09::2/64"}};
	static const char *const servers[] = {"10.9.0.2", "fd09::2"};
	for (int family = 0; family < 2; family++) {
		struct side a = side_new(addresses[0]), b = side_new(addresses[1]);
		struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(5000)};
		assert_int_equal(bind(b.socket, (struct sockaddr *)&any, sizeof any), 0);
		assert_int_equal(listen(b.socket, 1), 0);
		size_t largest = tcp_transfer(&a, &b, servers[family]);
		unsigned int offload = family ? TUN_F_TSO6 : TUN_F_TSO4;
		if (tun_features(a.tun) & offload)
			assert_true(largest > 3 * 1500);
		side_free(&a);
		side_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_checksum_is_finished_by_the_kernel),
		cmocka_unit_test(test_a_super_packet_is_written),
		cmocka_unit_test(test_a_super_packet_is_read),
		cmocka_unit_test(test_refused_packets),
		cmocka_unit_test(test_layer_2_carries_frames),
		cmocka_unit_test(test_tcp_in_super_packets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
