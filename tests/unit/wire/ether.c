/* Ethernet headers: which VLAN, which type, where what follows begins; what is too short; which addresses are special.
 */
#include "seeded.h"

#include "wire/ether.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1};

/* Parses addresses and these types and tags, in a copy of exactly that length. */
static enum err parse(struct ether_frame *ret, const uint8_t *rest, size_t len)
{
	uint8_t *copy = malloc(sizeof addresses + len);
	memcpy(copy, addresses, sizeof addresses);
	memcpy(copy + sizeof addresses, rest, len);
	enum err err = ether_parse(ret, copy, sizeof addresses + len);
	if (err == OK) {
		assert_memory_equal(ret->destination, addresses, 6);
		assert_memory_equal(ret->source, addresses + 6, 6);
		ret->destination = ret->source = NULL;
	}
	free(copy);
	return err;
}

static void test_tags(void **state)
{
	(void)state;
	static const struct {
		uint8_t bytes[16];
		size_t len;
		uint16_t type, header_len;
		uint32_t vlan;
	} rows[] = {
		{{0x08, 0x00}, 2, 0x0800, 14, 0}, {{0x08, 0x06, 1, 2, 3}, 5, 0x0806, 14, 0},
		{{0x00, 0x26}, 2, 0x0026, 14, 0}, /* 802.3: a length */
		{{0x81, 0x00, 0x00, 0x07, 0x86, 0xdd}, 6, 0x86dd, 18, 7},
		{{0x81, 0x00, 0xef, 0xfe, 0x08, 0x00}, 6, 0x0800, 18,
			0xffe},                                           /* priority and drop bits are not the ID's */
		{{0x81, 0x00, 0xe0, 0x00, 0x08, 0x00}, 6, 0x0800, 18, 0}, /* a priority only */
		{{0x88, 0xa8, 0x00, 0x07, 0x08, 0x00}, 6, 0x0800, 18, 7 << 12},
		{{0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x00, 0x09, 0x08, 0x00}, 10, 0x0800, 22, 7 << 12 | 9},
		{{0x81, 0x00, 0x00, 0x07, 0x81, 0x00, 0x00, 0x09, 0x08, 0x00}, 10, 0x0800, 22, 7 << 12 | 9},
		{{0x88, 0xa8, 0x00, 0x00, 0x81, 0x00, 0x00, 0x09, 0x08, 0x00}, 10, 0x0800, 22, 9},
		{{0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0}, 14, 0x8100, 22,
			1 << 12 | 2}, /* the third is content */
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct ether_frame ether;
		assert_err(parse(&ether, rows[i].bytes, rows[i].len), OK);
		assert_int_equal(ether.type, rows[i].type);
		assert_int_equal(ether.header_len, rows[i].header_len);
		assert_int_equal(ether.vlan, rows[i].vlan);
	}
}

static void test_short_ones(void **state)
{
	(void)state;
	static const uint8_t tagged[] = {0x88, 0xa8, 0x00, 0x07, 0x81, 0x00, 0x00, 0x09, 0x08, 0x00};
	struct ether_frame ether = {.type = 77};
	for (size_t len = 0; len < sizeof tagged; len++)
		assert_err(parse(&ether, tagged, len), ERR_FORMAT);
	assert_err(ether_parse(&ether, addresses, 11), ERR_FORMAT);
	assert_err(ether_parse(&ether, addresses, 0), ERR_FORMAT);
	assert_int_equal(ether.type, 77); /* an output is unchanged */
}

/* The IP packet of `ip_len` bytes, in a frame with `extra` ones behind it (or less, when negative). */
static enum err find_ip(bool v4, size_t ip_len, int extra, uint16_t type, size_t *ret_len)
{
	struct ether_frame ether;
	struct ip_packet ip;
	size_t len = (size_t)((int)(14 + ip_len) + extra);
	uint8_t *frame = calloc(1, 14 + ip_len + 100), *copy = malloc(len);
	memcpy(frame, addresses, sizeof addresses);
	be16_put(frame + 12, type);
	frame[14] = v4 ? 0x45 : 0x60;
	be16_put(frame + (v4 ? 16 : 18), (uint16_t)(v4 ? ip_len : ip_len - 40));
	memcpy(copy, frame, len);
	assert_err(ether_parse(&ether, copy, len), OK);
	enum err err = ether_ip(&ether, copy, len, &ip, ret_len);
	if (err == OK) {
		assert_int_equal(ip.v4, v4);
		assert_ptr_equal(ip.source, copy + 14 + (v4 ? 12 : 8));
	}
	free(frame);
	free(copy);
	return err;
}

static void test_the_packet_inside(void **state)
{
	(void)state;
	for (int v4 = 0; v4 < 2; v4++) {
		size_t len = 0, header = v4 ? 20 : 40;
		uint16_t type = v4 ? 0x0800 : 0x86dd;
		for (int extra = 0; extra < 50; extra++) {
			assert_err(find_ip(v4, header + 8, extra, type, &len), OK);
			assert_int_equal(len, header + 8);
		}
		for (int less = 1; less <= (int)header + 8; less++)
			assert_err(find_ip(v4, header + 8, -less, type, &len), ERR_FORMAT);
		assert_err(find_ip(v4, header + 8, 0, v4 ? 0x86dd : 0x0800, &len), ERR_FORMAT);
		assert_err(find_ip(v4, header + 8, 0, 0x0806, &len), ERR_FORMAT);
	}
}

static void test_special_addresses(void **state)
{
	(void)state;
	static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255}, mdns[6] = {1, 0, 0x5e, 0, 0, 251}, zero[6];
	assert_true(ether_is_group(broadcast));
	assert_true(ether_is_group(mdns));
	assert_false(ether_is_group(addresses));
	assert_true(ether_is_station(addresses));
	assert_false(ether_is_station(zero));
	assert_false(ether_is_station(broadcast));
	for (uint8_t i = 0; i < 32; i++) {
		uint8_t reserved[6] = {0x01, 0x80, 0xc2, 0, 0, i};
		assert_int_equal(ether_is_link_local(reserved), i >= 1 && i <= 15);
		reserved[4] = 1;
		assert_false(ether_is_link_local(reserved));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_short_ones),
		cmocka_unit_test(test_the_packet_inside),
		cmocka_unit_test(test_special_addresses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
