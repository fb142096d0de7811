/* The segmenter against a naive one, and against headers that lie. */
#include "packets.h"

#include "transport/segment.h"

#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static struct super super;
static uint8_t out[PACKET_ROOM], expected[PACKET_ROOM];

/* Cuts `super` and compares each segment. */
static void check_all(void)
{
	struct segmenter s;
	assert_err(segmenter_init(&s, &super.virtio, super.packet, super.len), OK);
	assert_int_equal(s.count, super.count);
	bool is_direct = super.layer4 == (super.v4 ? (size_t)(super.packet[0] & 15) * 4 : 40);
	assert_int_equal(s.partial, is_direct);
	for (uint32_t i = 0; i < super.count; i++) {
		size_t want = naive_segment(&super, i, expected), len = segmenter_next(&s, out);
		assert_int_equal(len, want);
		assert_true(len <= s.largest);
		if (s.partial) { /* the field holds the pseudo-header's sum */
			const uint8_t *field = out + super.layer4 + super.virtio.csum_offset;
			uint16_t pseudo = naive_pseudo(out, len, super.layer4, super.is_tcp);
			assert_int_equal(be16_get(field) % 0xffff, pseudo % 0xffff);
			naive_complete(out, len, super.layer4, super.is_tcp);
		}
		assert_memory_equal(out, expected, len);
	}
	assert_int_equal(segmenter_next(&s, out), 0);
	assert_int_equal(segmenter_next(&s, out), 0);
}

static void test_segments_are_those_of_a_naive_segmenter(void **state)
{
	(void)state;
	struct seeded seed = {1};
	for (int i = 0; i < 150; i++) {
		super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_FLAGS, i % 3 ? 1500 : 9000);
		check_all();
	}
}

static void test_extension_headers_and_ip_options(void **state)
{
	(void)state;
	struct seeded seed = {2};
	for (int i = 0; i < 150; i++) {
		super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_EXTENSION, 1500);
		check_all();
	}
}

static void test_small_segments(void **state)
{
	(void)state;
	struct seeded seed = {3};
	for (int i = 0; i < 300; i++) {
		super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_FLAGS, 3);
		check_all();
	}
}

/* fix_headers is told to complete: as the lane does for fragments. */
static void test_checksums_are_completed_when_asked(void **state)
{
	(void)state;
	struct seeded seed = {4};
	for (int i = 0; i < 100; i++) {
		struct segmenter s;
		super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_FLAGS, 1500);
		assert_err(segmenter_init(&s, &super.virtio, super.packet, super.len), OK);
		s.partial = false;
		for (uint32_t n = 0; n < super.count; n++) {
			size_t len = naive_segment(&super, n, expected);
			assert_int_equal(segmenter_next(&s, out), len);
			assert_memory_equal(out, expected, len);
		}
	}
}

static void test_a_packet_without_offload_is_left_alone(void **state)
{
	(void)state;
	struct seeded seed = {5};
	struct virtio_net_hdr none = {0};
	for (int i = 0; i < 100; i++) {
		struct segmenter s;
		super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_FLAGS | SHAPE_EXTENSION, 1500);
		if (super.len > 65535)
			continue;
		assert_err(segmenter_init(&s, &none, super.packet, super.len), OK);
		assert_int_equal(s.count, 1);
		assert_false(s.partial);
		assert_int_equal(segmenter_next(&s, out), super.len);
		assert_memory_equal(out, super.packet, super.len);
		assert_int_equal(segmenter_next(&s, out), 0);
	}
}

static void test_an_ip_fragment_is_never_partial(void **state)
{
	(void)state;
	uint8_t packet[60] = {0x45, 0, 0, sizeof packet, 0, 0, 0x20, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2};
	struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 6};
	struct segmenter s;
	assert_err(segmenter_init(&s, &header, packet, sizeof packet), OK);
	assert_false(s.partial);
	packet[6] = 0;
	assert_err(segmenter_init(&s, &header, packet, sizeof packet), OK);
	assert_true(s.partial);
	packet[9] = 1; /* a protocol whose checksum the receiver would not find */
	assert_err(segmenter_init(&s, &header, packet, sizeof packet), OK);
	assert_false(s.partial);
}

/* Whatever a header says: refused, or cut without leaving the packet (the address sanitiser looks). */
static void test_headers_that_lie(void **state)
{
	(void)state;
	struct seeded seed = {6};
	uint32_t taken = 0;
	for (int i = 0; i < 6000; i++) {
		super_random(&super, &seed, SHAPE_OPTIONS | SHAPE_FLAGS | SHAPE_EXTENSION, 300);
		size_t len = super.len > 700 ? 1 + seeded_below(&seed, 700) : super.len;
		uint8_t *copy = malloc(len);
		memcpy(copy, super.packet, len);
		if (copy[0] >> 4 == 4 && len >= 20) /* so that more is looked at than the length */
			be16_put(copy + 2, (uint16_t)len);
		else if (copy[0] >> 4 == 6 && len >= 40)
			be16_put(copy + 4, (uint16_t)(len - 40));
		struct virtio_net_hdr header = super.virtio;
		uint8_t *bytes = (uint8_t *)&header;
		for (uint32_t n = seeded_below(&seed, 3); n > 0; n--)
			bytes[seeded_below(&seed, sizeof header)] = (uint8_t)(seeded_next(&seed) & 0x7f);
		if (seeded_chance(&seed, 20))
			copy[seeded_below(&seed, (uint32_t)(len < 60 ? len : 60))] = (uint8_t)seeded_next(&seed);
		struct segmenter s;
		if (segmenter_init(&s, &header, copy, len) == OK) {
			uint8_t *room = malloc(s.largest);
			uint32_t n = 0;
			size_t got;
			taken++;
			assert_true(s.largest <= 65535);
			while ((got = segmenter_next(&s, room)) > 0) {
				assert_true(got <= s.largest);
				n++;
			}
			assert_int_equal(n, s.count);
			free(room);
		}
		free(copy);
	}
	assert_true(taken > 1000);
}

static void test_what_no_length_can_say_is_refused(void **state)
{
	(void)state;
	struct virtio_net_hdr header = {0};
	struct segmenter s;
	memset(super.packet, 0, sizeof super.packet);
	super.packet[0] = 0x60;
	for (size_t len = 65534; len <= 65575; len++) { /* IPv6 packets may be longer than a frame's length says */
		be16_put(super.packet + 4, (uint16_t)(len - 40));
		assert_err(segmenter_init(&s, &header, super.packet, len), len <= 65535 ? OK : ERR_FORMAT);
	}
	super.packet[6] = 17;
	header = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
		.gso_size = 65500,
		.csum_start = 40,
		.csum_offset = 6};
	assert_err(segmenter_init(&s, &header, super.packet, 65575), ERR_FORMAT);
	header.gso_size = 65535 - 48;
	assert_err(segmenter_init(&s, &header, super.packet, 65575), OK);
}

static void test_offloads_that_were_not_asked_for(void **state)
{
	(void)state;
	struct seeded seed = {7};
	struct segmenter s;
	do
		super_random(&super, &seed, SHAPE_PLAIN, 100);
	while (super.count < 2);
	struct virtio_net_hdr header = super.virtio;
	header.gso_type = VIRTIO_NET_HDR_GSO_UDP; /* fragments, not segments */
	assert_err(segmenter_init(&s, &header, super.packet, super.len), ERR_UNSUPPORTED);
	header = super.virtio;
	header.flags = 0; /* a super-packet whose checksum would be wrong in every segment */
	assert_err(segmenter_init(&s, &header, super.packet, super.len), ERR_FORMAT);
	header = super.virtio;
	header.gso_size = 0;
	assert_err(segmenter_init(&s, &header, super.packet, super.len), ERR_FORMAT);
	header = super.virtio;
	header.csum_offset ^= 2;
	assert_err(segmenter_init(&s, &header, super.packet, super.len), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments_are_those_of_a_naive_segmenter),
		cmocka_unit_test(test_extension_headers_and_ip_options),
		cmocka_unit_test(test_small_segments),
		cmocka_unit_test(test_checksums_are_completed_when_asked),
		cmocka_unit_test(test_a_packet_without_offload_is_left_alone),
		cmocka_unit_test(test_an_ip_fragment_is_never_partial),
		cmocka_unit_test(test_headers_that_lie),
		cmocka_unit_test(test_what_no_length_can_say_is_refused),
		cmocka_unit_test(test_offloads_that_were_not_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
