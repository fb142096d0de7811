/* Inner packets: lengths that are not exactly right are refused; sums agree with the RFC's own way of adding. */
#include "seeded.h"

#include "wire/ip.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static const uint8_t v4[20] = {0x45, 0, 0, 20, 0, 0, 0, 0, 64, 6, 0, 0, 10, 1, 2, 3, 10, 4, 5, 6};
static const uint8_t v6[40] = {0x60, 0, 0, 0, 0, 0, 17, 64, 0xfd, [23] = 1, 0xfd, [39] = 2};

/* Parses a copy of exactly `len` bytes. */
static enum err parse(const uint8_t *packet, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	memcpy(copy, packet, len);
	struct ip_packet ip;
	enum err err = ip_parse(&ip, copy, len);
	free(copy);
	return err;
}

static void test_headers(void **state)
{
	(void)state;
	struct ip_packet ip;
	assert_err(ip_parse(&ip, v4, sizeof v4), OK);
	assert_true(ip.v4);
	assert_false(ip.is_fragment);
	assert_int_equal(ip.protocol, IP_PROTOCOL_TCP);
	assert_int_equal(ip.header_len, 20);
	assert_ptr_equal(ip.source, v4 + 12);
	assert_ptr_equal(ip.destination, v4 + 16);
	assert_err(ip_parse(&ip, v6, sizeof v6), OK);
	assert_false(ip.v4);
	assert_int_equal(ip.protocol, IP_PROTOCOL_UDP);
	assert_int_equal(ip.header_len, 40);
	assert_ptr_equal(ip.source, v6 + 8);
	assert_ptr_equal(ip.destination, v6 + 24);
}

static void test_every_truncation_and_every_length_that_lies_is_refused(void **state)
{
	(void)state;
	uint8_t four[60] = {0}, six[80] = {0};
	memcpy(four, v4, sizeof v4);
	memcpy(six, v6, sizeof v6);
	four[3] = sizeof four;
	six[5] = sizeof six - 40;
	for (size_t len = 0; len < sizeof four; len++)
		assert_err(parse(four, len), ERR_FORMAT);
	for (size_t len = 0; len < sizeof six; len++)
		assert_err(parse(six, len), ERR_FORMAT);
	for (unsigned said = 0; said <= UINT16_MAX; said++) {
		be16_put(four + 2, (uint16_t)said);
		be16_put(six + 4, (uint16_t)said);
		struct ip_packet ip;
		assert_err(ip_parse(&ip, four, sizeof four), said == sizeof four ? OK : ERR_FORMAT);
		assert_err(ip_parse(&ip, six, sizeof six), said + 40 == sizeof six ? OK : ERR_FORMAT);
	}
	four[3] = sizeof four;
	four[2] = 0;
	for (unsigned words = 0; words < 16; words++) { /* header length */
		four[0] = (uint8_t)(0x40 | words);
		assert_err(parse(four, sizeof four), words >= 5 ? OK : ERR_FORMAT);
	}
	for (unsigned version = 0; version < 16; version++)
		if (version != 4 && version != 6) {
			four[0] = (uint8_t)(version << 4 | 5);
			assert_err(parse(four, sizeof four), ERR_FORMAT);
		}
}

static void test_fragments_are_seen(void **state)
{
	(void)state;
	uint8_t p[20];
	memcpy(p, v4, sizeof p);
	struct ip_packet ip;
	static const struct {
		uint16_t field;
		bool is_fragment;
	} cases[] = {{0, false}, {0x4000, false}, {0x2000, true}, {1, true}, {0x1fff, true}, {0x8000, false}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		be16_put(p + 6, cases[i].field);
		assert_err(ip_parse(&ip, p, sizeof p), OK);
		assert_int_equal(ip.is_fragment, cases[i].is_fragment);
	}
}

static void test_addresses(void **state)
{
	(void)state;
	uint8_t out[16];
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 10, 1, 2, 3};
	ip_address(out, true, v4 + 12);
	assert_memory_equal(out, mapped, 16);
	ip_address(out, false, v6 + 8);
	assert_memory_equal(out, v6 + 8, 16);
}

/* RFC 1071, section 4.1, in its own words: 16 bits at a time, big-endian. */
static uint16_t slow_sum(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint16_t in_network_order(uint16_t folded)
{
	uint8_t b[2];
	memcpy(b, &folded, 2);
	return be16_get(b);
}

static void test_sums(void **state)
{
	(void)state;
	struct seeded seed = {1};
	uint8_t data[200];
	for (int i = 0; i < 2000; i++) {
		size_t len = seeded_below(&seed, sizeof data),
		       cut = 2 * (size_t)seeded_below(&seed, (uint32_t)len / 2 + 1);
		seeded_bytes(&seed, data, len);
		assert_int_equal(in_network_order(ip_fold(ip_sum(data, len, 0))), slow_sum(data, len));
		uint64_t first = ip_sum(data, cut, 0);
		assert_int_equal(in_network_order(ip_fold(ip_sum(data + cut, len - cut, first))), slow_sum(data, len));
	}
}

/* RFC 793, RFC 8200 section 8.1. */
static uint16_t slow_pseudo(const struct ip_packet *ip, size_t len)
{
	uint8_t header[40] = {0};
	size_t address = ip->v4 ? 4 : 16;
	memcpy(header, ip->source, address);
	memcpy(header + address, ip->destination, address);
	header[2 * address + 1] = ip->protocol;
	be16_put(header + 2 * address + 2, (uint16_t)len);
	return slow_sum(header, 2 * address + 4);
}

static void test_pseudo_headers(void **state)
{
	(void)state;
	struct ip_packet ip;
	for (size_t len = 0; len < 65536; len += 777) {
		assert_err(ip_parse(&ip, v4, sizeof v4), OK);
		assert_int_equal(in_network_order(ip_fold(ip_pseudo_sum(&ip, len))), slow_pseudo(&ip, len));
		assert_err(ip_parse(&ip, v6, sizeof v6), OK);
		assert_int_equal(in_network_order(ip_fold(ip_pseudo_sum(&ip, len))), slow_pseudo(&ip, len));
	}
	assert_int_equal(ip_checksum_offset(IP_PROTOCOL_TCP), 16);
	assert_int_equal(ip_checksum_offset(IP_PROTOCOL_UDP), 6);
	assert_int_equal(ip_checksum_offset(1), 0);
}

static void test_lengths_are_set(void **state)
{
	(void)state;
	uint8_t p[40];
	struct ip_packet ip;
	memcpy(p, v4, sizeof v4);
	assert_err(ip_parse(&ip, p, 20), OK);
	ip_set_length(p, &ip, 1234);
	assert_int_equal(be16_get(p + 2), 1234);
	assert_int_equal(slow_sum(p, 20), 0xffff); /* a right header checksum makes the sum all ones */
	memcpy(p, v6, sizeof v6);
	assert_err(ip_parse(&ip, p, 40), OK);
	ip_set_length(p, &ip, 1234);
	assert_int_equal(be16_get(p + 4), 1234 - 40);
}

static void test_checksums_are_completed(void **state)
{
	(void)state;
	struct seeded seed = {2};
	uint8_t data[64];
	for (int i = 0; i < 2000; i++) {
		size_t start = seeded_below(&seed, 30), offset = seeded_below(&seed, 16) * 2;
		seeded_bytes(&seed, data, sizeof data);
		uint16_t pseudo = slow_sum(data + start + offset, 2);
		assert_err(ip_complete_checksum(data, sizeof data, start, offset), OK);
		uint32_t sum = (uint32_t)slow_sum(data + start, sizeof data - start) + pseudo;
		assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
		assert_int_not_equal(be16_get(data + start + offset), 0); /* which would mean none in UDP */
	}
	memset(data, 0, sizeof data); /* its checksum would be zero only if the sum were all ones */
	data[0] = data[1] = 0xff;
	assert_err(ip_complete_checksum(data, sizeof data, 0, 6), OK);
	assert_int_equal(be16_get(data + 6), 0xffff);

	assert_err(ip_complete_checksum(data, sizeof data, 0, sizeof data - 2), OK);
	assert_err(ip_complete_checksum(data, sizeof data, 0, sizeof data - 1), ERR_FORMAT);
	assert_err(ip_complete_checksum(data, sizeof data, sizeof data, 0), ERR_FORMAT);
	assert_err(ip_complete_checksum(data, sizeof data, sizeof data + 1, 0), ERR_FORMAT);
	assert_err(ip_complete_checksum(data, sizeof data, 0, SIZE_MAX - 2), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_every_truncation_and_every_length_that_lies_is_refused),
		cmocka_unit_test(test_fragments_are_seen),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_pseudo_headers),
		cmocka_unit_test(test_lengths_are_set),
		cmocka_unit_test(test_checksums_are_completed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
