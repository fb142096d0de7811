/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "wire/hs.h"

static uint8_t bytes[HS_MESSAGE_MAX + 1];

static void message_lengths(void **state)
{
	(void)state;
	assert_int_equal(hs_fragments(0), 0);
	assert_int_equal(hs_fragments(15), 0); /* a datagram of 63 bytes */
	assert_int_equal(hs_fragments(16), 1);
	assert_int_equal(hs_fragments(HS_BODY_MAX), 1);
	assert_int_equal(hs_fragments(HS_BODY_MAX + 15), 0);
	assert_int_equal(hs_fragments(HS_BODY_MAX + 16), 2);
	assert_int_equal(hs_fragments(HS_INIT_LEN), HS_INIT_FRAGMENTS);
	assert_int_equal(hs_fragments(HS_MESSAGE_MAX), HS_FRAGMENTS_MAX);
	assert_int_equal(hs_fragments(HS_MESSAGE_MAX + 1), 0);
	assert_int_equal(hs_wire_len(HS_INIT_LEN), 3 * HS_DATAGRAM_MAX);
}

/* Every length that is one: cut, parsed, put together again. */
static void built_is_parsed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 31 + i / 256);
	for (size_t len = 0; len <= HS_MESSAGE_MAX + 1; len++) {
		const struct hs_message m = {
			.type = MSG_RESP, .sender = 0x01020304, .receiver = 0x05060708, .bytes = VIEW(bytes, len)};
		uint8_t out[HS_DATAGRAM_MAX];
		size_t at = 0, total = 0;
		for (uint8_t i = 0; i < hs_fragments(len); i++) {
			struct hs_datagram d;
			size_t n = hs_build(out, &m, i);
			assert_int_equal(hs_parse(&d, out, n), OK);
			assert_true(d.type == MSG_RESP && d.fragment == i && d.fragments == hs_fragments(len));
			assert_true(d.sender == 0x01020304 && d.receiver == 0x05060708 && d.message_len == len);
			assert_memory_equal(d.body.data, bytes + at, d.body.len);
			assert_true(d.mac1 == out + n - 32 && d.mac2 == out + n - 16);
			assert_true(d.mac1_input.data == out && d.mac1_input.len == n - 32);
			assert_true(d.mac2_input.data == out && d.mac2_input.len == n - 16);
			at += d.body.len;
			total += n;
		}
		assert_true(at == (hs_fragments(len) > 0 ? len : 0) && total == hs_wire_len(at));
		assert_int_equal(hs_build(out, &m, hs_fragments(len)), 0);
	}
}

static size_t build(uint8_t *out, enum msg_type type, size_t len, uint8_t fragment)
{
	const struct hs_message m = {
		.type = type, .sender = 1, .receiver = type == MSG_INIT ? 0 : 2, .bytes = VIEW(bytes, len)};
	size_t n = hs_build(out, &m, fragment);
	assert_int_not_equal(n, 0);
	return n;
}

static void assert_refused(const uint8_t *data, size_t len)
{
	struct hs_datagram d = {.sender = 99};
	assert_int_equal(hs_parse(&d, data, len), ERR_FORMAT);
	assert_int_equal(d.sender, 99);
}

static void exact_length_only(void **state)
{
	(void)state;
	uint8_t out[HS_DATAGRAM_MAX + 1] = {0};
	size_t len = build(out, MSG_FINISH, 2000, 1);
	for (size_t n = 0; n < sizeof out; n++) {
		struct hs_datagram d;
		if (n != len)
			assert_refused(out, n);
		else
			assert_int_equal(hs_parse(&d, out, n), OK);
	}
	assert_refused(NULL, 0);
}

static void header_is_strict(void **state)
{
	(void)state;
	const struct {
		enum msg_type type;
		size_t len;
		uint8_t fragment, at, value;
	} cases[] = {
		{MSG_RESP, 2000, 0, 0, MSG_DATA}, {MSG_RESP, 2000, 0, 0, MSG_COOKIE}, {MSG_RESP, 2000, 0, 0, 0},
		{MSG_RESP, 2000, 0, 0, 10}, {MSG_RESP, 2000, 0, 1, 3},  /* version */
		{MSG_RESP, 2000, 0, 1, 5}, {MSG_RESP, 2000, 0, 2, 1},   /* the last is shorter */
		{MSG_RESP, 2000, 0, 2, 2},                              /* fragment */
		{MSG_RESP, 2000, 0, 2, 255}, {MSG_RESP, 2000, 0, 3, 0}, /* fragments */
		{MSG_RESP, 2000, 0, 3, 1}, {MSG_RESP, 2000, 0, 3, 3}, {MSG_RESP, 2000, 0, 3, 255},
		{MSG_RESP, 2000, 0, 13, 0},                                          /* message_len */
		{MSG_RESP, 2000, 1, 12, 0xd1}, {MSG_RESP, 2000, 0, 14, 1},           /* reserved */
		{MSG_RESP, 2000, 0, 15, 1}, {MSG_RESP, HS_INIT_LEN, 0, 0, MSG_INIT}, /* with a receiver */
		{MSG_INIT, HS_INIT_LEN, 0, 8, 1}, {MSG_INIT, HS_INIT_LEN, 0, 11, 1},
		{MSG_INIT, HS_INIT_LEN, 0, 12, 0xdf}, /* a shorter Init, as its full first fragment shows it */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t out[HS_DATAGRAM_MAX];
		size_t len = build(out, cases[i].type, cases[i].len, cases[i].fragment);
		out[cases[i].at] = cases[i].value;
		assert_refused(out, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_lengths),
		cmocka_unit_test(built_is_parsed),
		cmocka_unit_test(exact_length_only),
		cmocka_unit_test(header_is_strict),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
