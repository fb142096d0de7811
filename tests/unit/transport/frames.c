/*
 * Ethernet frames are cut and joined as the packets in them are: headers and tags before every segment, all else as
 * the naive segmenter has it. What is not IP passes byte for byte.
 */
#include "packets.h"

#include "transport/join.h"
#include "transport/segment.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define LINKS 4

/* Untagged, 802.1Q, 802.1ad with an inner tag, two of 802.1Q. The type that follows is put behind. */
static const struct {
	uint8_t bytes[8];
	size_t len;
} tags[LINKS] = {
	{{0}, 0}, {{0x81, 0, 0x20, 7}, 4}, {{0x88, 0xa8, 0, 5, 0x81, 0, 0, 9}, 8}, {{0x81, 0, 0, 5, 0x81, 0, 0, 9}, 8}};

static struct super super;
static uint8_t frame[PACKET_ROOM + 32], out[PACKET_ROOM + 32], expected[PACKET_ROOM + 32];

static size_t put_link(uint8_t *at, uint32_t link, uint8_t station, bool v4)
{
	static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 0};
	memcpy(at, addresses, 12);
	at[11] = station;
	memcpy(at + 12, tags[link].bytes, tags[link].len);
	be16_put(at + 12 + tags[link].len, v4 ? 0x0800 : 0x86dd);
	return 14 + tags[link].len;
}

/* `super` as a frame; its length. */
static size_t make_frame(uint32_t link)
{
	size_t header = put_link(frame, link, 1, super.v4);
	memcpy(frame + header, super.packet, super.len);
	super.virtio.csum_start = (uint16_t)(header + super.layer4);
	super.virtio.hdr_len = (uint16_t)(header + super.header_len);
	return header + super.len;
}

static enum err init(struct segmenter *s, const struct virtio_net_hdr *virtio, const uint8_t *bytes, size_t len)
{
	struct ether_frame ether;
	enum err err = ether_parse(&ether, bytes, len);
	return err == OK ? segmenter_init_frame(s, virtio, &ether, bytes, len) : err;
}

static void test_segments_are_those_of_the_packet_inside(void **state)
{
	(void)state;
	struct seeded seed = {1};
	for (int i = 0; i < 200; i++) {
		struct segmenter s;
		uint32_t link = seeded_below(&seed, LINKS);
		do
			super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_FLAGS | SHAPE_EXTENSION, i % 3 ? 1500 : 9000);
		while (super.len > 65000);
		size_t len = make_frame(link), header = len - super.len;
		assert_err(init(&s, &super.virtio, frame, len), OK);
		assert_int_equal(s.count, super.count);
		bool is_direct = super.layer4 == (super.v4 ? (size_t)(super.packet[0] & 15) * 4 : 40);
		assert_int_equal(s.partial, is_direct);
		if (i % 2)
			s.partial = false; /* as for fragments */
		for (uint32_t n = 0; n < super.count; n++) {
			put_link(expected, link, 1, super.v4);
			size_t want = header + naive_segment(&super, n, expected + header),
			       got = segmenter_next(&s, out);
			assert_int_equal(got, want);
			assert_true(got <= s.largest);
			if (s.partial)
				naive_complete(out + header, got - header, super.layer4, super.is_tcp);
			assert_memory_equal(out, expected, got);
		}
		assert_int_equal(segmenter_next(&s, out), 0);
	}
}

static void test_what_is_not_ip_passes(void **state)
{
	(void)state;
	struct seeded seed = {2};
	const struct virtio_net_hdr none = {0},
				    sum = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 4};
	for (int i = 0; i < 300; i++) {
		struct segmenter s;
		size_t header = put_link(frame, seeded_below(&seed, LINKS), 1, true),
		       len = header + 40 + seeded_below(&seed, 1400);
		be16_put(frame + header - 2, i % 2 ? 0x0806 : 0x88cc);
		seeded_bytes(&seed, frame + header, len - header);
		assert_err(init(&s, &none, frame, len), OK);
		assert_int_equal(segmenter_next(&s, out), len);
		assert_memory_equal(out, frame, len);
		assert_int_equal(segmenter_next(&s, out), 0);
		if (header > 20)
			continue; /* the sum would begin in the header */
		assert_err(init(&s, &sum, frame, len), OK);
		assert_false(s.partial); /* nobody could find it */
		assert_int_equal(segmenter_next(&s, out), len);
		assert_int_equal(naive_sum(frame + 20, len - 20, 0), (uint16_t)~be16_get(out + 24));
	}
}

/* A short frame from a network card has zeros behind its packet, which belong to nobody. */
static void test_padded_frames(void **state)
{
	(void)state;
	struct seeded seed = {3};
	for (int i = 0; i < 200; i++) {
		struct segmenter s;
		do
			super_random(&super, &seed, SHAPE_PLAIN, 10);
		while (super.len > 65000 || (i % 2 && super.count < 2));
		size_t len = make_frame(0) + 3;
		memset(frame + len - 3, 0, 3);
		if (super.count > 1) {
			assert_err(init(&s, &super.virtio, frame, len), ERR_FORMAT);
			continue;
		}
		assert_err(init(&s, &super.virtio, frame, len), OK);
		assert_false(s.partial);
		assert_int_equal(segmenter_next(&s, out), len);
		naive_complete(frame + 14, super.len, super.layer4, super.is_tcp);
		assert_memory_equal(out, frame, len);
	}
}

static void test_headers_that_lie(void **state)
{
	(void)state;
	struct seeded seed = {4};
	uint32_t taken = 0;
	for (int i = 0; i < 6000; i++) {
		super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_FLAGS | SHAPE_EXTENSION, 300);
		size_t whole = make_frame(seeded_below(&seed, LINKS));
		size_t len = whole > 700 || seeded_chance(&seed, 20) ? 1 + seeded_below(&seed, 700) : whole;
		if (len > whole)
			len = whole;
		uint8_t *copy = malloc(len);
		memcpy(copy, frame, len);
		size_t link = whole - super.len; /* so that more is looked at than the length */
		if (len >= link + 40)
			be16_put(copy + link + (super.v4 ? 2 : 4), (uint16_t)(len - link - (super.v4 ? 0 : 40)));
		struct virtio_net_hdr header = super.virtio;
		uint8_t *bytes = (uint8_t *)&header;
		for (uint32_t n = seeded_below(&seed, 3); n > 0; n--)
			bytes[seeded_below(&seed, sizeof header)] = (uint8_t)(seeded_next(&seed) & 0x7f);
		if (seeded_chance(&seed, 20))
			copy[seeded_below(&seed, (uint32_t)(len < 60 ? len : 60))] = (uint8_t)seeded_next(&seed);
		struct segmenter s;
		if (init(&s, &header, copy, len) == OK) {
			uint8_t *room = malloc(s.largest);
			size_t got;
			taken++;
			while ((got = segmenter_next(&s, room)) > 0)
				assert_true(got <= s.largest && s.largest <= 65535);
			free(room);
		}
		free(copy);
	}
	assert_true(taken > 500);
}

/* ---- joining ---- */

#define HELD 600
static struct joiner joiner;
static uint8_t *held[HELD];
static uint32_t n_held, n_out, deliveries;
static struct {
	uint8_t *bytes;
	size_t len;
} came[HELD];

static void come(const uint8_t *bytes, size_t len)
{
	came[n_out].bytes = malloc(len);
	memcpy(came[n_out].bytes, bytes, len);
	came[n_out++].len = len;
}

static void deliver(void *context, const struct iovec *iov, int n)
{
	static struct super cut;
	static uint8_t all[PACKET_ROOM + 32];
	size_t len = 0, header = 14;
	struct virtio_net_hdr virtio;
	(void)context;
	deliveries++;
	memcpy(&virtio, iov[0].iov_base, sizeof virtio);
	for (int i = 1; i < n; len += iov[i++].iov_len)
		memcpy(all + len, iov[i].iov_base, iov[i].iov_len);
	while (be16_get(all + header - 2) == 0x8100 || be16_get(all + header - 2) == 0x88a8)
		header += 4;
	if (!(virtio.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		assert_int_equal(virtio.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		come(all, len);
		return;
	}
	cut.len = len - header;
	memcpy(cut.packet, all + header, cut.len);
	cut.v4 = cut.packet[0] >> 4 == 4;
	cut.is_tcp = virtio.csum_offset == 16;
	cut.layer4 = virtio.csum_start - header;
	cut.header_len = virtio.gso_type ? virtio.hdr_len - header : cut.len;
	cut.payload_each = virtio.gso_size;
	cut.count =
		virtio.gso_type ? (uint32_t)((cut.len - cut.header_len + cut.payload_each - 1) / cut.payload_each) : 0;
	for (uint32_t i = 0; i < cut.count; i++) {
		size_t got = naive_segment(&cut, i, out + header);
		memcpy(out, all, header);
		come(out, header + got);
	}
	if (cut.count == 0) {
		naive_complete(all + header, cut.len, cut.layer4, cut.is_tcp);
		come(all, len);
	}
}

static enum err put(const uint8_t *bytes, size_t len, bool partial)
{
	struct ether_frame ether;
	uint8_t *copy = malloc(len);
	memcpy(copy, bytes, len);
	held[n_held++] = copy;
	assert_err(ether_parse(&ether, copy, len), OK);
	return join_frame(&joiner, copy, len, &ether, partial);
}

static int begin(void **state)
{
	(void)state;
	joiner_init(&joiner, (struct join_output){.deliver = deliver}, true);
	deliveries = 0;
	return 0;
}

static int forget(void **state)
{
	(void)state;
	while (n_held)
		free(held[--n_held]);
	while (n_out)
		free(came[--n_out].bytes);
	return 0;
}

static void test_a_stream_is_joined_behind_any_tag(void **state)
{
	struct seeded seed = {5};
	for (int round = 0; round < 100; round++) {
		uint32_t link = seeded_below(&seed, LINKS);
		begin(state);
		do
			super_random(&super, &seed, SHAPE_OPTIONS, 1400);
		while (super.len > 65000);
		super.packet[6] |=
			super.v4 ? 0x40 : 0; /* identifications count up, so that segments are as they were */
		for (uint32_t i = 0; i < super.count; i++) {
			size_t header = put_link(frame, link, 1, super.v4);
			size_t len = naive_segment(&super, i, frame + header);
			assert_err(put(frame, header + len, false), OK);
		}
		join_flush(&joiner);
		assert_true(deliveries <= 2);
		assert_int_equal(n_out, super.count);
		for (uint32_t i = 0; i < n_out; i++) {
			assert_int_equal(came[i].len, put_link(expected, link, 1, super.v4) +
							      naive_segment(&super, i, expected + 14 + tags[link].len));
			assert_memory_equal(came[i].bytes, expected, came[i].len);
		}
		forget(state);
	}
}

/* Two neighbouring segments; the link of the second is another. */
static void test_other_stations_and_networks_are_apart(void **state)
{
	struct seeded seed = {6};
	for (uint32_t other = 0; other < 2 * LINKS; other++) {
		uint32_t link = other % LINKS;
		begin(state);
		do
			super_random(&super, &seed, SHAPE_PLAIN, 200);
		while (super.count < 3);
		for (uint32_t i = 0; i < 2; i++) {
			uint32_t its = i && other >= LINKS ? (link + 1) % LINKS : link;
			size_t header = put_link(frame, its, (uint8_t)(i && other < LINKS ? 2 : 1), super.v4);
			assert_err(put(frame, header + naive_segment(&super, i, frame + header), false), OK);
		}
		join_flush(&joiner);
		assert_int_equal(deliveries, 2);
		forget(state);
	}
	for (uint32_t priority = 0; priority < 2; priority++) { /* a tag's priority counts, too */
		begin(state);
		for (uint32_t i = 0; i < 2; i++) {
			size_t header = put_link(frame, 1, 1, super.v4);
			frame[14] = (uint8_t)(frame[14] ^ (i && priority ? 0x40 : 0));
			assert_err(put(frame, header + naive_segment(&super, i, frame + header), false), OK);
		}
		join_flush(&joiner);
		assert_int_equal(deliveries, 1 + priority);
		forget(state);
	}
}

static void test_order_and_bytes_of_what_is_not_joined(void **state)
{
	struct seeded seed = {7};
	begin(state);
	do
		super_random(&super, &seed, SHAPE_PLAIN, 8);
	while (super.count < 3 || !super.is_tcp);
	size_t header = put_link(frame, 0, 1, super.v4), len = header + naive_segment(&super, 0, frame + header);
	assert_err(put(frame, len, true), OK);
	memcpy(expected, frame, len);
	be16_put(expected + 12, 0x0806); /* held frames do not wait for it, nor it for them */
	assert_err(put(expected, len, false), OK);
	assert_int_equal(n_out, 1);
	assert_memory_equal(came[0].bytes, expected, len);
	len = header + naive_segment(&super, 1, frame + header);
	frame[len] = frame[len + 1] = 0; /* padded: goes alone, after what came before in its flow */
	assert_err(put(frame, len + 2, false), OK);
	assert_int_equal(n_out, 3);
	assert_int_equal(came[2].len, len + 2);
	assert_memory_equal(came[2].bytes, frame, len + 2);
	assert_err(put(frame, len + 2, true), ERR_FORMAT);
	assert_err(put(expected, 60, true), ERR_FORMAT);
	join_flush(&joiner);
	assert_int_equal(n_out, 3);
	forget(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments_are_those_of_the_packet_inside),
		cmocka_unit_test(test_what_is_not_ip_passes),
		cmocka_unit_test(test_padded_frames),
		cmocka_unit_test(test_headers_that_lie),
		cmocka_unit_test_teardown(test_a_stream_is_joined_behind_any_tag, forget),
		cmocka_unit_test_teardown(test_other_stations_and_networks_are_apart, forget),
		cmocka_unit_test_teardown(test_order_and_bytes_of_what_is_not_joined, forget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
