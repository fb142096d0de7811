/*
 * The data path of two joined engines: what goes in at one host comes out at the other, whole and
 * once; what is no sound packet, not routed, not the peer's, forged or replayed does not.
 */
#include "duo.h"

#include "engine/grace.h"
#include "transport/path.h"
#include "wire/ip.h"

#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

static const struct virtio_net_hdr no_offload;
static struct duo *duo;

#define PACKETS_MAX 256
static struct {
	uint8_t *bytes;
	size_t len;
} out[PACKETS_MAX];
static uint32_t n_out;

/* Keeps what is delivered, with complete checksums, when it is one packet. */
static void keep(void *context, const struct iovec *iov, int n)
{
	(void)context;
	struct virtio_net_hdr header;
	assert_int_equal(iov[0].iov_len, sizeof header);
	memcpy(&header, iov[0].iov_base, sizeof header);
	size_t len = 0;
	for (int i = 1; i < n; i++)
		len += iov[i].iov_len;
	uint8_t *bytes = malloc(len), *at = bytes;
	for (int i = 1; i < n; at += iov[i++].iov_len)
		memcpy(at, iov[i].iov_base, iov[i].iov_len);
	if (header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		assert_int_equal(ip_complete_checksum(bytes, len, header.csum_start, header.csum_offset), OK);
	assert_true(n_out < PACKETS_MAX);
	out[n_out].bytes = bytes;
	out[n_out++].len = len;
}

static void forget(void)
{
	while (n_out)
		free(out[--n_out].bytes);
}

static int open_with(enum padding padding)
{
	duo = calloc(1, sizeof *duo);
	duo->padding = padding;
	duo_open(duo);
	duo->ends[0].on_packet = duo->ends[1].on_packet = keep;
	duo_run(duo, 2 * USEC_PER_SEC);
	assert_true(duo_is_established(duo, 0));
	assert_true(duo_is_established(duo, 1));
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return open_with(PADDING_BUCKETS);
}

static int setup_unpadded(void **state)
{
	(void)state;
	return open_with(PADDING_NONE);
}

static int teardown(void **state)
{
	(void)state;
	forget();
	duo_close(duo);
	free(duo);
	return 0;
}

static uint64_t drops(uint32_t end, enum drop why)
{
	return engine_drops(duo->ends[end].engine, why);
}

/* ---- packets through ---- */

static void test_every_size_comes_through_both_ways(void **state)
{
	(void)state;
	static uint8_t packet[65535];
	static const size_t payloads[] = {
		0, 1, 20, 200, 500, 1110, 1130, 1300, 1372, 1373, 1400, 2800, 9000, 30000, 65400};
	for (uint32_t end = 0; end < 2; end++)
		for (uint32_t v4 = 0; v4 < 2; v4++)
			for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
				size_t len = duo_udp(packet, end, v4, payloads[i], (uint32_t)i);
				duo_packet(duo, end, 0, &no_offload, packet, len);
				duo_run(duo, 10 * USEC_PER_MS);
				assert_int_equal(n_out, 1);
				assert_int_equal(out[0].len, len);
				assert_memory_equal(out[0].bytes, packet, len);
				forget();
			}
	for (int end = 0; end < 2; end++)
		for (int why = 0; why < DROP_COUNT; why++)
			assert_int_equal(drops((uint32_t)end, (enum drop)why), 0);
}

/* Only sizes of buckets, and never more than the path takes. */
static void test_sizes_on_the_wire(void **state)
{
	(void)state;
	uint8_t packet[1500];
	assert_int_equal(duo->ends[0].largest_sent, path_plain_of_mtu(1500) + DATA_OVERHEAD);
	static const size_t sizes[][2] = {
		{0, 64}, {32, 64}, {33, 256}, {224, 256}, {225, 512}, {480, 512}, {481, 1408}};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		duo->ends[0].largest_sent = 0;
		size_t len = duo_udp(packet, 0, true, sizes[i][0], 1); /* 28 bytes of headers, 4 of the frame */
		duo_packet(duo, 0, 0, &no_offload, packet, len);
		assert_int_equal(duo->ends[0].largest_sent, sizes[i][1] + DATA_OVERHEAD);
		duo_run(duo, USEC_PER_MS);
	}
}

static void test_small_packets_share_a_datagram(void **state)
{
	(void)state;
	uint8_t packet[100];
	struct lane *lane = engine_lane(duo->ends[0].engine, 0);
	uint64_t sent = duo->ends[0].sent;
	lane_begin(lane, duo->now);
	for (uint32_t i = 0; i < 20; i++)
		lane_packet(lane, &no_offload, packet, duo_udp(packet, 0, true, 30, i));
	lane_end(lane);
	assert_int_equal(duo->ends[0].sent, sent + 1);
	duo_run(duo, USEC_PER_MS);
	assert_int_equal(n_out, 20);
	for (uint32_t i = 0; i < 20; i++) {
		size_t len = duo_udp(packet, 0, true, 30, i);
		assert_int_equal(out[i].len, len);
		assert_memory_equal(out[i].bytes, packet, len);
	}
}

/* A super-packet, cut, sealed, opened and joined: TCP, whose every byte comes out. */
static void test_super_packets(void **state)
{
	(void)state;
	static uint8_t packet[60000];
	static const uint16_t sizes[] = {100, 536, 1000, 1340, 1400, 8000};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t len = 40 + 40U * sizes[i] < sizeof packet ? 40 + 40U * sizes[i] : sizeof packet;
		duo_udp(packet, 0, true, len - 28, 77 + (uint32_t)i);
		packet[9] = IP_PROTOCOL_TCP;
		memset(packet + 24, 0, 16);
		packet[32] = 0x50;
		packet[33] = 0x10;
		struct ip_packet ip;
		assert_int_equal(ip_parse(&ip, packet, len), OK);
		ip_set_length(packet, &ip, len);
		uint16_t pseudo = ip_fold(ip_pseudo_sum(&ip, len - 20));
		memcpy(packet + 36, &pseudo, 2);
		struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
			.gso_size = sizes[i],
			.hdr_len = 40,
			.csum_start = 20,
			.csum_offset = 16};
		duo_packet(duo, 0, 0, &header, packet, len);
		duo_run(duo, 10 * USEC_PER_MS);
		size_t payload = 0;
		for (uint32_t n = 0; n < n_out; n++) {
			size_t part = out[n].len - 40;
			assert_memory_equal(out[n].bytes + 40, packet + 40 + payload, part);
			assert_int_equal(be32_get(out[n].bytes + 24), payload); /* its sequence number */
			payload += part;
		}
		assert_int_equal(payload, len - 40);
		forget();
	}
}

static void test_packets_wait_for_a_session(void **state)
{
	(void)state;
	struct duo *d = calloc(1, sizeof *d);
	uint8_t packet[100];
	duo_open(d);
	d->ends[1].on_packet = keep;
	for (uint32_t i = 0; i < 3; i++)
		duo_packet(d, 0, 0, &no_offload, packet, duo_udp(packet, 0, true, 50, i));
	assert_int_equal(n_out, 0);
	duo_run(d, USEC_PER_SEC);
	assert_int_equal(n_out, 3);
	duo_close(d);
	free(d);
}

/* ---- what must not come through ---- */

static void test_packets_that_go_nowhere(void **state)
{
	(void)state;
	uint8_t packet[100];
	size_t len = duo_udp(packet, 0, true, 20, 1);
	packet[19] = 99; /* nobody's address */
	duo_packet(duo, 0, 0, &no_offload, packet, len);
	assert_int_equal(drops(0, DROP_NO_ROUTE), 1);
	packet[0] = 0x55;
	duo_packet(duo, 0, 0, &no_offload, packet, len);
	assert_int_equal(drops(0, DROP_BAD_PACKET), 1);
	for (size_t cut = 1; cut < 20; cut++)
		duo_packet(duo, 0, 0, &no_offload, packet, cut);
	assert_int_equal(drops(0, DROP_BAD_PACKET), 20);
	len = duo_udp(packet, 0, true, 20, 1);
	packet[15] = 77; /* a source that is not this peer's: the other end refuses it */
	duo_packet(duo, 0, 0, &no_offload, packet, len);
	duo_run(duo, USEC_PER_MS);
	assert_int_equal(drops(1, DROP_BAD_SOURCE), 1);
	assert_int_equal(n_out, 0);
}

/* What a network may make of datagrams. */
static void test_forged_and_replayed_datagrams(void **state)
{
	(void)state;
	uint8_t packet[100], datagram[4096];
	struct lane *lane = engine_lane(duo->ends[1].engine, 0);
	duo_packet(duo, 0, 0, &no_offload, packet, duo_udp(packet, 0, true, 50, 1));
	duo_run(duo, USEC_PER_MS);
	assert_int_equal(n_out, 1);
	struct seeded seed = {1};
	struct endpoint from = {.remote = {.port = 5}};
	uint64_t before = drops(1, DROP_UNKNOWN_TYPE) + drops(1, DROP_UNKNOWN_INDEX) + drops(1, DROP_HANDSHAKE_FORMAT);
	for (int i = 0; i < 500; i++) {
		size_t len = seeded_below(&seed, 1500);
		seeded_bytes(&seed, datagram, len);
		datagram[0] = (uint8_t)seeded_below(&seed, 12);
		lane_begin(lane, duo->now);
		lane_datagrams(lane, &from, datagram, len, 0);
		lane_end(lane);
	}
	assert_true(drops(1, DROP_UNKNOWN_TYPE) + drops(1, DROP_UNKNOWN_INDEX) + drops(1, DROP_HANDSHAKE_FORMAT) >
		    before + 100);
	duo_run(duo, USEC_PER_SEC);
	assert_int_equal(n_out, 1);
	assert_true(duo_is_established(duo, 1));
}

/* ---- the path's size, addresses, keys ---- */

static void test_a_smaller_path_is_found_and_packets_still_come_through(void **state)
{
	(void)state;
	static uint8_t packet[1400];
	size_t len = duo_udp(packet, 0, true, 1340, 9);
	duo->takes = 1280 - 48; /* the path shrinks */
	for (int i = 0; i < 200; i++) {
		duo_packet(duo, 0, 0, &no_offload, packet, len);
		duo_run(duo, 100 * USEC_PER_MS);
		forget();
	}
	struct peer_status status;
	assert_true(engine_peer_status(duo->ends[0].engine, duo->ends[0].peer, &status));
	assert_int_equal(status.path_plain, PATH_PLAIN_MIN);
	duo_packet(duo, 0, 0, &no_offload, packet, len); /* in fragments now */
	duo_run(duo, 100 * USEC_PER_MS);
	assert_int_equal(n_out, 1);
	assert_memory_equal(out[0].bytes, packet, len);
}

static void test_an_end_that_moves_is_followed(void **state)
{
	(void)state;
	uint8_t packet[1400];
	for (uint32_t i = 0; i < 10; i++) {
		uint32_t mover = i % 2, other = !mover;
		duo->ends[mover].port++;
		duo_packet(duo, mover, 0, &no_offload, packet, duo_udp(packet, mover, false, 200, i));
		duo_run(duo, 50 * USEC_PER_MS);
		duo_packet(duo, other, 0, &no_offload, packet, duo_udp(packet, other, false, 1000, i));
		duo_run(duo, 50 * USEC_PER_MS);
		assert_int_equal(n_out, 2);
		forget();
	}
	assert_int_equal(duo->ends[0].established, 1);
}

static void test_rekeys_go_on_under_traffic_and_lose_nothing(void **state)
{
	(void)state;
	uint8_t packet[200];
	struct peer_status status[2];
	for (uint32_t i = 0; i < 700; i++) {
		duo_packet(duo, i % 2, 0, &no_offload, packet, duo_udp(packet, i % 2, true, 50, i));
		duo_run(duo, USEC_PER_SEC);
		assert_int_equal(n_out, 1);
		forget();
	}
	for (uint32_t end = 0; end < 2; end++) {
		assert_true(engine_peer_status(duo->ends[end].engine, duo->ends[end].peer, &status[end]));
		assert_true(status[end].epoch >= 5);
	}
	assert_int_equal(status[0].epoch, status[1].epoch);
	assert_int_equal(duo->ends[0].established, 1); /* no full handshake */
}

static void test_an_idle_tunnel_is_ticked_about_once_a_second(void **state)
{
	(void)state;
	duo_run(duo, 15 * USEC_PER_SEC);
	uint32_t ticks = 0;
	for (usec until = duo->now + 60 * USEC_PER_SEC; duo->now < until; ticks++) {
		usec a = engine_tick(duo->ends[0].engine, duo->now), b = engine_tick(duo->ends[1].engine, duo->now);
		duo->now = a < b ? a : b;
	}
	assert_true(ticks < 60 * 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_every_size_comes_through_both_ways),
		cmocka_unit_test_setup_teardown(test_every_size_comes_through_both_ways, setup_unpadded, teardown),
		TEST(test_sizes_on_the_wire),
		TEST(test_small_packets_share_a_datagram),
		TEST(test_super_packets),
		cmocka_unit_test_setup_teardown(test_super_packets, setup_unpadded, teardown),
		TEST(test_packets_wait_for_a_session),
		TEST(test_packets_that_go_nowhere),
		TEST(test_forged_and_replayed_datagrams),
		TEST(test_a_smaller_path_is_found_and_packets_still_come_through),
		TEST(test_an_end_that_moves_is_followed),
		TEST(test_rekeys_go_on_under_traffic_and_lose_nothing),
		TEST(test_an_idle_tunnel_is_ticked_about_once_a_second),
	};
	grace_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grace_unregister_thread();
	return failed;
}
