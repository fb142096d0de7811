/* Control frames and TLVs: what is written is read back, and whatever is cut off or lies is refused. */
#include "seeded.h"

#include "wire/control.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static enum err parse(const struct control_part *part)
{
	uint8_t body[64];
	struct writer w = writer_of(body, sizeof body);
	control_write(&w, part);
	assert_false(w.failed);
	struct control_part read;
	return control_parse(&read, VIEW(body, w.at));
}

static void test_a_part_is_read_back(void **state)
{
	(void)state;
	uint8_t out[64], body[5] = {1, 2, 3, 4, 5};
	struct control_part part = {
		.id = 0x1234, .ack = 0xfedc, .type = CONTROL_REKEY1, .part = 1, .parts = 2, .body = VIEW_ARRAY(body)};
	struct writer w = writer_of(out, sizeof out);
	control_write(&w, &part);
	static const uint8_t expected[] = {0x34, 0x12, 0xdc, 0xfe, 2, 1, 2, 1, 2, 3, 4, 5};
	assert_int_equal(w.at, sizeof expected);
	assert_memory_equal(out, expected, sizeof expected);

	struct control_part read;
	assert_err(control_parse(&read, VIEW(out, w.at)), OK);
	assert_int_equal(read.id, part.id);
	assert_int_equal(read.ack, part.ack);
	assert_int_equal(read.type, part.type);
	assert_int_equal(read.part, part.part);
	assert_int_equal(read.parts, part.parts);
	assert_int_equal(read.body.len, sizeof body);
	assert_memory_equal(read.body.data, body, sizeof body);
}

static void test_a_short_one_is_refused(void **state)
{
	(void)state;
	static const uint8_t whole[CONTROL_HEADER_LEN + 1] = {1, 0, 0, 0, CONTROL_CLOSE, 0, 1, 9};
	for (size_t len = 0; len <= sizeof whole; len++) {
		uint8_t *cut = malloc(len ? len : 1);
		memcpy(cut, whole, len);
		struct control_part part;
		assert_err(control_parse(&part, VIEW(cut, len)), len < CONTROL_HEADER_LEN ? ERR_FORMAT : OK);
		free(cut);
	}
}

static void test_acknowledgements_are_bare(void **state)
{
	(void)state;
	assert_err(parse(&(struct control_part){.ack = 3, .parts = 1}), OK);
	assert_err(parse(&(struct control_part){.id = 1, .ack = 3, .parts = 1}), ERR_FORMAT);
	assert_err(parse(&(struct control_part){.ack = 3, .part = 1, .parts = 1}), ERR_FORMAT);
	assert_err(parse(&(struct control_part){.ack = 3, .parts = 0}), ERR_FORMAT);
	assert_err(parse(&(struct control_part){.ack = 3, .parts = 2}), ERR_FORMAT);
	assert_err(parse(&(struct control_part){.ack = 3, .parts = 1, .body = VIEW_TEXT("x")}), ERR_FORMAT);
}

static void test_messages_have_an_id_and_a_part_below_parts(void **state)
{
	(void)state;
	for (unsigned part = 0; part < 256; part++)
		for (unsigned parts = 0; parts < 256; parts++) {
			struct control_part p = {
				.id = 1, .type = CONTROL_CLOSE, .part = (uint8_t)part, .parts = (uint8_t)parts};
			assert_err(parse(&p), part < parts ? OK : ERR_FORMAT);
		}
	assert_err(parse(&(struct control_part){.id = 0, .type = CONTROL_CLOSE, .parts = 1}), ERR_FORMAT);
	assert_err(parse(&(struct control_part){.id = 1, .type = 250, .parts = 1}), OK); /* a later version's */
}

static void test_tlvs(void **state)
{
	(void)state;
	uint8_t out[64];
	struct writer w = writer_of(out, sizeof out);
	tlv_write(&w, ACCEPT_KEEPALIVE, VIEW_TEXT("ab"));
	tlv_write(&w, 77, VIEW(NULL, 0));
	assert_int_equal(w.at, 3 + 2 + 3);
	struct reader r = reader_of(out, w.at);
	struct tlv tlv;
	assert_err(tlv_next(&r, &tlv), OK);
	assert_int_equal(tlv.type, ACCEPT_KEEPALIVE);
	assert_int_equal(tlv.value.len, 2);
	assert_memory_equal(tlv.value.data, "ab", 2);
	assert_err(tlv_next(&r, &tlv), OK);
	assert_int_equal(tlv.type, 77);
	assert_int_equal(tlv.value.len, 0);
	assert_err(tlv_next(&r, &tlv), ERR_NOT_FOUND);
	assert_err(tlv_next(&r, &tlv), ERR_NOT_FOUND);
}

static void test_every_truncation_of_a_tlv_is_refused(void **state)
{
	(void)state;
	uint8_t out[3 + 20];
	static const uint8_t value[20];
	struct writer w = writer_of(out, sizeof out);
	tlv_write(&w, 1, VIEW_ARRAY(value));
	for (size_t len = 1; len < sizeof out; len++) {
		uint8_t *cut = malloc(len);
		memcpy(cut, out, len);
		struct reader r = reader_of(cut, len);
		struct tlv tlv = {.type = 99};
		assert_err(tlv_next(&r, &tlv), ERR_FORMAT);
		assert_err(tlv_next(&r, &tlv), ERR_FORMAT);
		assert_int_equal(tlv.type, 99);
		free(cut);
	}
}

static void test_a_tlv_that_no_length_can_say_is_not_written(void **state)
{
	(void)state;
	static uint8_t out[UINT16_MAX + 100], value[UINT16_MAX + 1];
	struct writer w = writer_of(out, sizeof out);
	tlv_write(&w, 1, VIEW(value, UINT16_MAX));
	assert_false(w.failed);
	w = writer_of(out, sizeof out);
	tlv_write(&w, 1, VIEW(value, sizeof value));
	assert_true(w.failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_part_is_read_back),
		cmocka_unit_test(test_a_short_one_is_refused),
		cmocka_unit_test(test_acknowledgements_are_bare),
		cmocka_unit_test(test_messages_have_an_id_and_a_part_below_parts),
		cmocka_unit_test(test_tlvs),
		cmocka_unit_test(test_every_truncation_of_a_tlv_is_refused),
		cmocka_unit_test(test_a_tlv_that_no_length_can_say_is_not_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
