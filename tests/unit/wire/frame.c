/* Frames and fragments: what is written is read back, and whatever is cut off or lies is refused. */
#include "seeded.h"

#include "wire/frame.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static void test_written_frames_are_read_back(void **state)
{
	(void)state;
	uint8_t plain[256], body[3] = {1, 2, 3};
	struct writer w = writer_of(plain, sizeof plain);
	frame_write(&w, FRAME_IP, FRAME_FLAG_CSUM_PARTIAL, VIEW_ARRAY(body));
	frame_write(&w, FRAME_CONTROL, 0, VIEW(NULL, 0));
	frame_write(&w, (enum frame_kind)200, 0xff, VIEW_ARRAY(body)); /* unknown kinds come out too */
	writer_zeros(&w, 5);
	assert_false(w.failed);

	struct reader r = reader_of(plain, w.at);
	struct frame f;
	assert_err(frame_next(&r, &f), OK);
	assert_int_equal(f.kind, FRAME_IP);
	assert_int_equal(f.flags, FRAME_FLAG_CSUM_PARTIAL);
	assert_int_equal(f.len, 3);
	assert_memory_equal(f.body, body, 3);
	assert_err(frame_next(&r, &f), OK);
	assert_int_equal(f.kind, FRAME_CONTROL);
	assert_int_equal(f.len, 0);
	assert_err(frame_next(&r, &f), OK);
	assert_int_equal(f.kind, 200);
	assert_err(frame_next(&r, &f), ERR_NOT_FOUND);
	assert_err(frame_next(&r, &f), ERR_NOT_FOUND);
}

static void test_an_empty_plaintext_has_no_frame(void **state)
{
	(void)state;
	struct reader r = reader_of(NULL, 0);
	struct frame f;
	assert_err(frame_next(&r, &f), ERR_NOT_FOUND);
}

/* On its own heap block, so that the address sanitiser sees a read past the end. */
static uint8_t *copy_of(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, data, len);
	return copy;
}

static void test_every_truncation_of_a_frame_is_refused(void **state)
{
	(void)state;
	uint8_t plain[FRAME_HEADER_LEN + 40], body[40] = {7};
	struct writer w = writer_of(plain, sizeof plain);
	frame_write(&w, FRAME_PROBE, 0, VIEW_ARRAY(body));
	for (size_t len = 1; len < sizeof plain; len++) {
		uint8_t *cut = copy_of(plain, len);
		struct reader r = reader_of(cut, len);
		struct frame f = {.kind = 99};
		assert_err(frame_next(&r, &f), ERR_FORMAT);
		assert_int_equal(f.kind, 99);
		assert_err(frame_next(&r, &f), ERR_FORMAT); /* and stays so */
		free(cut);
	}
}

static void test_a_length_that_lies_is_refused(void **state)
{
	(void)state;
	uint8_t plain[64] = {FRAME_IP};
	for (uint32_t len = 0; len <= UINT16_MAX; len++) {
		le16_put(plain + 2, (uint16_t)len);
		struct reader r = reader_of(plain, sizeof plain);
		struct frame f;
		assert_err(frame_next(&r, &f), len <= sizeof plain - FRAME_HEADER_LEN ? OK : ERR_FORMAT);
	}
}

static void test_a_frame_without_room_is_not_written(void **state)
{
	(void)state;
	static const uint8_t body[UINT16_MAX + 1];
	uint8_t out[20];
	for (size_t len = 0; len < 32; len++) {
		struct writer w = writer_of(out, sizeof out);
		frame_write(&w, FRAME_IP, 0, VIEW(body, len));
		assert_int_equal(w.failed, FRAME_HEADER_LEN + len > sizeof out);
	}
	static uint8_t large[UINT16_MAX + 100];
	struct writer w = writer_of(large, sizeof large);
	frame_write(&w, FRAME_IP, 0, VIEW(body, sizeof body)); /* one more than a length can say */
	assert_true(w.failed);
	assert_int_equal(w.at, 0);
}

static void test_fragments(void **state)
{
	(void)state;
	uint8_t body[FRAGMENT_HEADER_LEN + 10] = {0};
	struct fragment part;
	le32_put(body, 0x01020304);
	le16_put(body + 4, 90);
	le16_put(body + 6, 100);
	struct frame f = {.kind = FRAME_FRAGMENT, .len = sizeof body, .body = body};
	assert_err(fragment_parse(&part, &f), OK);
	assert_int_equal(part.id, 0x01020304);
	assert_int_equal(part.offset, 90);
	assert_int_equal(part.total, 100);
	assert_int_equal(part.len, 10);
	assert_ptr_equal(part.data, body + FRAGMENT_HEADER_LEN);

	le16_put(body + 4, 91); /* past the total */
	assert_err(fragment_parse(&part, &f), ERR_FORMAT);
	le16_put(body + 4, 65530); /* past what 16 bits hold */
	le16_put(body + 6, UINT16_MAX);
	assert_err(fragment_parse(&part, &f), ERR_FORMAT);
	le16_put(body + 4, 0);
	for (uint16_t len = 0; len < sizeof body; len++) {
		uint8_t *cut = copy_of(body, len);
		f.len = len;
		f.body = cut;
		assert_err(fragment_parse(&part, &f), len <= FRAGMENT_HEADER_LEN ? ERR_FORMAT : OK);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_frames_are_read_back),
		cmocka_unit_test(test_an_empty_plaintext_has_no_frame),
		cmocka_unit_test(test_every_truncation_of_a_frame_is_refused),
		cmocka_unit_test(test_a_length_that_lies_is_refused),
		cmocka_unit_test(test_a_frame_without_room_is_not_written),
		cmocka_unit_test(test_fragments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
