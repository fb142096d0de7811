/*
 * The joiner: cutting what it delivers again (naively) gives exactly the packets that went in, in
 * the order of their flow; and it never joins what a kernel would not have cut that way.
 */
#include "packets.h"

#include "transport/join.h"

#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define EXPECTED_MAX 4096

/* Every packet that went in, with a complete checksum, until it has come out. */
struct expected {
	uint8_t *bytes;
	size_t len, layer4;
};

static struct expected expected[EXPECTED_MAX];
static uint32_t n_expected, deliveries;
static struct joiner joiner;
static struct super cut; /* what is delivered, to be cut again */

static bool has_known_layer4(const uint8_t *p, size_t layer4, size_t len)
{
	uint8_t protocol = p[0] >> 4 == 4 ? p[9] : p[6];
	return (protocol == 6 || protocol == 17) && len >= layer4 + 4;
}

static bool same_flow(const struct expected *e, const uint8_t *packet, size_t len)
{
	size_t at = packet[0] >> 4 == 4 ? 12 : 8, addresses = packet[0] >> 4 == 4 ? 8 : 32;
	if ((e->bytes[0] ^ packet[0]) >> 4 || e->bytes[at == 12 ? 9 : 6] != packet[at == 12 ? 9 : 6])
		return false;
	if (e->layer4 != (at == 12 ? (size_t)(packet[0] & 15) * 4 : 40))
		return false;
	if (!has_known_layer4(packet, e->layer4, len) || e->len < e->layer4 + 4)
		return e->len == len && memcmp(e->bytes, packet, len) == 0;
	return memcmp(e->bytes + at, packet + at, addresses) == 0 &&
	       memcmp(e->bytes + e->layer4, packet + e->layer4, 4) == 0;
}

/* The identification of a packet that may not be fragmented has no meaning (RFC 6864). */
static void blank_atomic_id(uint8_t *p)
{
	if (p[0] >> 4 != 4 || !(p[6] & 0x40))
		return;
	be16_put(p + 4, 0);
	be16_put(p + 10, 0);
	be16_put(p + 10, (uint16_t)~naive_sum(p, (size_t)(p[0] & 15) * 4, 0));
}

/* One packet as the kernel would see it: the first of its flow that is still expected. */
static void came_out(uint8_t *packet, size_t len)
{
	uint32_t i = 0;
	while (i < n_expected && !same_flow(&expected[i], packet, len))
		i++;
	assert_true(i < n_expected);
	struct expected *e = &expected[i];
	if (e->len == len && memcmp(e->bytes, packet, len) != 0) {
		blank_atomic_id(e->bytes);
		blank_atomic_id(packet);
	}
	assert_int_equal(len, e->len);
	assert_memory_equal(packet, e->bytes, len);
	free(e->bytes);
	memmove(e, e + 1, (--n_expected - i) * sizeof *e);
}

static void deliver(void *context, const struct iovec *iov, int n)
{
	static uint8_t one[PACKET_ROOM];
	(void)context;
	deliveries++;
	assert_true(n >= 2);
	assert_int_equal(iov[0].iov_len, sizeof cut.virtio);
	memcpy(&cut.virtio, iov[0].iov_base, sizeof cut.virtio);
	cut.len = 0;
	for (int i = 1; i < n; i++) {
		assert_true(cut.len + iov[i].iov_len <= sizeof cut.packet);
		memcpy(cut.packet + cut.len, iov[i].iov_base, iov[i].iov_len);
		cut.len += iov[i].iov_len;
	}
	cut.v4 = cut.packet[0] >> 4 == 4;
	cut.is_tcp = cut.virtio.csum_offset == 16;
	cut.layer4 = cut.virtio.csum_start;
	if (cut.virtio.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		if (cut.virtio.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			naive_complete(cut.packet, cut.len, cut.layer4, cut.is_tcp);
		came_out(cut.packet, cut.len);
		return;
	}
	assert_int_equal(cut.virtio.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	assert_int_equal(cut.virtio.gso_type == 5, !cut.is_tcp);
	assert_int_equal(cut.virtio.gso_type == VIRTIO_NET_HDR_GSO_TCPV4, cut.is_tcp && cut.v4);
	uint16_t pseudo = naive_pseudo(cut.packet, cut.len, cut.layer4, cut.is_tcp);
	assert_int_equal(be16_get(cut.packet + cut.layer4 + cut.virtio.csum_offset) % 0xffff, pseudo % 0xffff);
	if (cut.v4)
		assert_int_equal(naive_sum(cut.packet, 20, 0), 0xffff);
	cut.header_len = cut.virtio.hdr_len;
	cut.payload_each = cut.virtio.gso_size;
	cut.count = (uint32_t)((cut.len - cut.header_len + cut.payload_each - 1) / cut.payload_each);
	assert_true(cut.count > 1);
	for (uint32_t i = 0; i < cut.count; i++)
		came_out(one, naive_segment(&cut, i, one));
}

/* Puts a packet with a complete checksum in; the joiner gets a copy that lives until release(). */
static uint8_t *lent[EXPECTED_MAX];
static uint32_t n_lent;

static enum err put(const uint8_t *packet, size_t len, bool partial)
{
	struct ip_packet ip;
	uint8_t *copy = malloc(len);
	memcpy(copy, packet, len);
	lent[n_lent++] = copy;
	assert_err(ip_parse(&ip, copy, len), OK);
	struct expected *e = &expected[n_expected++];
	*e = (struct expected){.bytes = malloc(len), .len = len, .layer4 = ip.header_len};
	memcpy(e->bytes, packet, len);
	bool is_tcp = ip.protocol == IP_PROTOCOL_TCP;
	if (partial)
		be16_put(copy + ip.header_len + (is_tcp ? 16 : 6), naive_pseudo(copy, len, ip.header_len, is_tcp));
	return join_packet(&joiner, copy, len, &ip, partial);
}

static void flush(void)
{
	join_flush(&joiner);
	assert_int_equal(n_expected, 0);
	while (n_lent)
		free(lent[--n_lent]);
}

static void begin(bool join_udp)
{
	joiner_init(&joiner, (struct join_output){.deliver = deliver}, join_udp);
	deliveries = 0;
}

static int stop(void **state)
{
	(void)state;
	while (n_lent)
		free(lent[--n_lent]);
	while (n_expected)
		free(expected[--n_expected].bytes);
	return 0;
}

static struct super super;
static uint8_t segment[PACKET_ROOM];

/* ---- round trips ---- */

static void test_a_whole_stream_is_one_write(void **state)
{
	(void)state;
	struct seeded seed = {1};
	for (int round = 0; round < 100; round++) {
		begin(true);
		super_random(&super, &seed, SHAPE_OPTIONS, 1400);
		bool partial = seeded_chance(&seed, 50);
		for (uint32_t i = 0; i < super.count; i++) {
			size_t len = naive_segment(&super, i, segment);
			assert_err(put(segment, len, partial), OK);
		}
		flush();
		/* UDP takes 64 segments a write; an IPv4 packet and these counts one less than 65535 bytes */
		assert_true(deliveries <= 2);
	}
}

#define FLOWS 12

static void test_flows_interleaved_with_losses_come_out_as_they_went_in(void **state)
{
	(void)state;
	static struct super flows[FLOWS];
	struct seeded seed = {2};
	for (int round = 0; round < 40; round++) {
		uint32_t at[FLOWS] = {0}, shape = SHAPE_OPTIONS | (round % 2 ? SHAPE_FLAGS | SHAPE_EXTENSION : 0);
		uint32_t in = 0, done = 0, burst_flow = 0;
		begin(round % 4 < 2);
		for (uint32_t i = 0; i < FLOWS; i++)
			super_random(&flows[i], &seed, shape, 1 + seeded_below(&seed, 1400));
		while (done < FLOWS) {
			if (seeded_chance(&seed, 20))
				burst_flow = seeded_below(&seed, FLOWS);
			struct super *s = &flows[burst_flow];
			if (at[burst_flow] == s->count) {
				burst_flow = (burst_flow + 1) % FLOWS;
				continue;
			}
			size_t len = naive_segment(s, at[burst_flow]++, segment);
			done += at[burst_flow] == s->count;
			bool is_direct = s->layer4 == (s->v4 ? (size_t)(s->packet[0] & 15) * 4 : 40);
			if (seeded_chance(&seed, 3))
				continue; /* lost on the way */
			assert_err(put(segment, len, is_direct && seeded_chance(&seed, 50)), OK);
			in++;
		}
		flush();
		assert_true(deliveries <= in);
	}
}

/* ---- what must not be joined ---- */

/* Two segments that would be joined; the second, changed at one place, is not. */
static void check_pair(struct seeded *seed, bool is_tcp, bool v4, size_t at, uint8_t mask, uint32_t want)
{
	static uint8_t second[PACKET_ROOM];
	do
		super_random(&super, seed, SHAPE_OPTIONS, 200);
	while (super.count < 3 || super.is_tcp != is_tcp || super.v4 != v4 ||
		(is_tcp && super.header_len < super.layer4 + 24));
	for (int partial = 0; partial < 2; partial++) {
		begin(true);
		size_t len = naive_segment(&super, 0, segment), len2 = naive_segment(&super, 1, second);
		assert_err(put(segment, len, partial), OK);
		second[at >= 1000 ? super.layer4 + at - 1000 : at] ^= mask;
		if (v4) {
			be16_put(second + 10, 0);
			be16_put(second + 10, (uint16_t)~naive_sum(second, 20, 0));
		}
		naive_complete(second, len2, super.layer4, is_tcp);
		assert_err(put(second, len2, partial), OK);
		flush();
		assert_int_equal(deliveries, want);
	}
}

#define LAYER4(at) (1000 + (at))

static void test_tcp_segments_that_differ_are_not_joined(void **state)
{
	(void)state;
	struct seeded seed = {3};
	static const struct {
		size_t at;
		uint8_t mask;
	} changes[] = {
		{LAYER4(0), 1}, {LAYER4(3), 1},                             /* ports */
		{LAYER4(4), 0x80}, {LAYER4(7), 1},                          /* sequence number: a gap */
		{LAYER4(8), 0x80}, {LAYER4(11), 1},                         /* acknowledgement */
		{LAYER4(12), 1}, {LAYER4(12), 8},                           /* reserved bits, AE */
		{LAYER4(13), 1}, {LAYER4(13), 2}, {LAYER4(13), 4},          /* FIN SYN RST */
		{LAYER4(13), 0x10}, {LAYER4(13), 0x20}, {LAYER4(13), 0x40}, /* ACK URG ECE */
		{LAYER4(13), 0x80}, {LAYER4(14), 1}, {LAYER4(15), 1},       /* CWR, window */
		{LAYER4(18), 1}, {LAYER4(19), 1},                           /* urgent pointer */
		{LAYER4(20), 1}, {LAYER4(23), 1},                           /* options */
	};
	for (int v4 = 0; v4 < 2; v4++) {
		for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
			check_pair(&seed, true, v4, changes[i].at, changes[i].mask, 2);
		check_pair(&seed, true, v4, LAYER4(4), 0, 1);  /* unchanged */
		check_pair(&seed, true, v4, LAYER4(13), 8, 1); /* PSH ends a super-packet, in it */
	}
}

static void test_ip_headers_that_differ_are_not_joined(void **state)
{
	(void)state;
	struct seeded seed = {4};
	for (int is_tcp = 0; is_tcp < 2; is_tcp++) {
		check_pair(&seed, is_tcp, true, 1, 1, 2);    /* TOS */
		check_pair(&seed, is_tcp, true, 6, 0x40, 2); /* don't fragment */
		check_pair(&seed, is_tcp, true, 6, 0x80, 2); /* reserved */
		check_pair(&seed, is_tcp, true, 8, 1, 2);    /* TTL */
		check_pair(&seed, is_tcp, true, 15, 1, 2);   /* source */
		check_pair(&seed, is_tcp, true, 19, 1, 2);   /* destination */
		check_pair(&seed, is_tcp, true, 3, 0, 1);
		check_pair(&seed, is_tcp, false, 1, 0x10, 2); /* class */
		check_pair(&seed, is_tcp, false, 3, 1, 2);    /* label */
		check_pair(&seed, is_tcp, false, 7, 1, 2);    /* hop limit */
		check_pair(&seed, is_tcp, false, 23, 1, 2);
		check_pair(&seed, is_tcp, false, 39, 1, 2);
		check_pair(&seed, is_tcp, false, 5, 0, 1);
	}
}

static void test_a_wrong_checksum_is_handed_on_as_it_is(void **state)
{
	(void)state;
	struct seeded seed = {5};
	for (int i = 0; i < 60; i++) {
		do
			super_random(&super, &seed, SHAPE_OPTIONS, 200);
		while (super.count < 3);
		begin(true);
		for (uint32_t n = 0; n < 3; n++) {
			size_t len = naive_segment(&super, n, segment);
			if (n == 1)
				segment[len - 1] ^= 0x10; /* damaged before it came to us */
			assert_err(put(segment, len, false), OK);
		}
		flush(); /* came_out compares: the damage is still there to be seen */
		assert_int_equal(deliveries, 3);
	}
}

static void test_udp_without_a_checksum_stays_so(void **state)
{
	(void)state;
	struct seeded seed = {6};
	do
		super_random(&super, &seed, SHAPE_PLAIN, 200);
	while (super.count < 3 || super.is_tcp || !super.v4);
	begin(true);
	for (uint32_t n = 0; n < 2; n++) {
		size_t len = naive_segment(&super, n, segment);
		be16_put(segment + super.layer4 + 6, 0);
		assert_err(put(segment, len, false), OK);
	}
	flush();
	assert_int_equal(deliveries, 2);
}

static void test_udp_only_where_the_interface_takes_it(void **state)
{
	(void)state;
	struct seeded seed = {7};
	do
		super_random(&super, &seed, SHAPE_PLAIN, 500);
	while (super.count < 5 || super.is_tcp);
	for (int join_udp = 0; join_udp < 2; join_udp++) {
		begin(join_udp);
		for (uint32_t n = 0; n < 5; n++) {
			size_t len = naive_segment(&super, n, segment);
			assert_err(put(segment, len, n % 2), OK);
		}
		flush();
		assert_int_equal(deliveries, join_udp ? 1 : 5);
	}
}

/* ---- ends of super-packets ---- */

static void test_a_short_segment_and_a_pushed_one_are_the_last(void **state)
{
	(void)state;
	struct seeded seed = {8};
	for (int round = 0; round < 60; round++) {
		bool is_short = round % 2;
		do
			super_random(&super, &seed, SHAPE_OPTIONS, 300);
		while (super.count < 4 || !super.is_tcp || super.payload_each < 2);
		super.packet[super.layer4 + 13] = 0x10;
		begin(true);
		uint32_t shift = 0;
		for (uint32_t n = 0; n < 3; n++) {
			size_t len = naive_segment(&super, n, segment) - (n == 1 && is_short);
			be32_put(segment + super.layer4 + 4, be32_get(segment + super.layer4 + 4) - shift);
			if (n == 1) {
				if (!is_short)
					segment[super.layer4 + 13] |= 8;
				shift = is_short;
			}
			struct ip_packet ip = {.v4 = super.v4};
			ip.header_len = (uint16_t)super.layer4;
			ip_set_length(segment, &ip, len);
			naive_complete(segment, len, super.layer4, true);
			assert_err(put(segment, len, false), OK);
		}
		flush();
		assert_int_equal(deliveries, 2); /* the first two, and the third */
	}
}

static void test_limits(void **state)
{
	(void)state;
	struct seeded seed = {9};
	for (int round = 0; round < 40; round++) {
		super_random(&super, &seed, SHAPE_PLAIN, 1);
		size_t each = round % 2 ? 1 : 1400;
		super.payload_each = each;
		super.count = 300;
		begin(true);
		for (uint32_t n = 0; n < 300; n++) { /* more than PACKET_ROOM of payload: the same bytes again */
			super.len = super.header_len + each;
			size_t len = naive_segment(&super, 0, segment);
			if (super.v4)
				be16_put(segment + 4, (uint16_t)(be16_get(segment + 4) + n));
			if (super.is_tcp) {
				be32_put(segment + super.layer4 + 4,
					be32_get(segment + super.layer4 + 4) + n * (uint32_t)each);
				segment[super.layer4 + 13] = 0x10;
			}
			struct ip_packet ip = {.v4 = super.v4, .header_len = (uint16_t)super.layer4};
			ip_set_length(segment, &ip, len);
			naive_complete(segment, len, super.layer4, super.is_tcp);
			assert_err(put(segment, len, true), OK);
		}
		flush();
		uint32_t at_once = super.is_tcp ? JOIN_SEGMENTS : 64;
		if (each == 1400)
			at_once = 46; /* 65535 bytes */
		assert_int_equal(deliveries, (300 + at_once - 1) / at_once);
	}
}

/* Non-atomic IPv4 packets are told apart by their identification when they are cut in two on their way. */
static void test_identifications_that_matter_are_kept(void **state)
{
	(void)state;
	struct seeded seed = {10};
	for (int flag = 0; flag < 2; flag++) {
		do
			super_random(&super, &seed, SHAPE_PLAIN, 200);
		while (super.count < 3 || !super.v4);
		super.packet[6] = flag ? 0x40 : 0;
		begin(true);
		for (uint32_t n = 0; n < 2; n++) {
			size_t len = naive_segment(&super, n, segment);
			be16_put(segment + 4, (uint16_t)(be16_get(segment + 4) + 7 * n));
			be16_put(segment + 10, 0);
			be16_put(segment + 10, (uint16_t)~naive_sum(segment, 20, 0));
			assert_err(put(segment, len, true), OK);
		}
		flush();
		assert_int_equal(deliveries, flag ? 1 : 2);
	}
}

/* ---- what a peer might claim ---- */

static void test_a_partial_checksum_needs_a_field(void **state)
{
	(void)state;
	struct ip_packet ip;
	begin(true);
	for (int v4 = 0; v4 < 2; v4++)
		for (unsigned protocol = 0; protocol < 256; protocol++)
			for (size_t extra = 0; extra < 30; extra++) {
				uint8_t packet[80] = {v4 ? 0x45 : 0x60};
				size_t header = v4 ? 20 : 40, len = header + extra;
				packet[v4 ? 9 : 6] = (uint8_t)protocol;
				be16_put(packet + (v4 ? 2 : 4), (uint16_t)(v4 ? len : extra));
				bool has_field = (protocol == 6 && extra >= 18) || (protocol == 17 && extra >= 8);
				uint8_t *copy = malloc(len);
				memcpy(copy, packet, len);
				assert_err(ip_parse(&ip, copy, len), OK);
				if (!has_field)
					assert_err(join_packet(&joiner, copy, len, &ip, true), ERR_FORMAT);
				free(copy);
			}
	uint8_t fragment[60] = {0x45, 0, 0, sizeof fragment, 0, 0, 0x20, 0, 64, 17};
	assert_err(ip_parse(&ip, fragment, sizeof fragment), OK);
	assert_err(join_packet(&joiner, fragment, sizeof fragment, &ip, true), ERR_FORMAT);
	assert_int_equal(deliveries, 0);
}

static void test_whatever_is_no_segment_is_handed_on_byte_for_byte(void **state)
{
	(void)state;
	struct seeded seed = {11};
	for (int round = 0; round < 1500; round++) {
		begin(true);
		super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_EXTENSION | SHAPE_FLAGS, 40);
		for (uint32_t n = 0; n < super.count && n < 6; n++) {
			size_t len = naive_segment(&super, n, segment);
			for (uint32_t change = seeded_below(&seed, 3); change > 0; change--)
				segment[seeded_below(&seed, (uint32_t)len)] ^= (uint8_t)(1U << seeded_below(&seed, 8));
			if (seeded_chance(&seed, 30)) {
				len = 1 + seeded_below(&seed, (uint32_t)len);
				be16_put(segment + (super.v4 ? 2 : 4), (uint16_t)(super.v4 ? len : len - 40));
			}
			struct ip_packet ip;
			if (ip_parse(&ip, segment, len) == OK)
				assert_err(put(segment, len, false), OK);
		}
		flush();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_whole_stream_is_one_write, stop),
		cmocka_unit_test_teardown(test_flows_interleaved_with_losses_come_out_as_they_went_in, stop),
		cmocka_unit_test_teardown(test_tcp_segments_that_differ_are_not_joined, stop),
		cmocka_unit_test_teardown(test_ip_headers_that_differ_are_not_joined, stop),
		cmocka_unit_test_teardown(test_a_wrong_checksum_is_handed_on_as_it_is, stop),
		cmocka_unit_test_teardown(test_udp_without_a_checksum_stays_so, stop),
		cmocka_unit_test_teardown(test_udp_only_where_the_interface_takes_it, stop),
		cmocka_unit_test_teardown(test_a_short_segment_and_a_pushed_one_are_the_last, stop),
		cmocka_unit_test_teardown(test_limits, stop),
		cmocka_unit_test_teardown(test_identifications_that_matter_are_kept, stop),
		cmocka_unit_test_teardown(test_a_partial_checksum_needs_a_field, stop),
		cmocka_unit_test_teardown(test_whatever_is_no_segment_is_handed_on_byte_for_byte, stop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
