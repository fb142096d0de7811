#include "seeded.h"

#include "wire/control.h"
#include "wire/request.h"

static const struct request nothing;
static const struct request example = {
	.has_pad_marks = true,
	.pad_marks = {.pad_id = {1, 2, 3}, .sent = 4, .received = 5, .boundary = 6, .max_zero_run = 7},
};

static void test_what_is_written_is_read_back(void **state)
{
	(void)state;
	uint8_t body[REQUEST_BODY_MAX];
	struct request read;
	struct writer w = writer_of(body, sizeof body);
	request_write(&w, &example);
	assert_false(w.failed);
	assert_int_equal(w.at, 3 + PADMARKS_LEN);
	assert_int_equal(body[0], REQUEST_PAD_MARKS);
	assert_int_equal(request_parse(&read, VIEW(body, w.at)), OK);
	assert_true(read.has_pad_marks);
	assert_memory_equal(read.pad_marks.pad_id, example.pad_marks.pad_id, PAD_ID_LEN);
	assert_int_equal(read.pad_marks.sent, 4);
	assert_int_equal(read.pad_marks.max_zero_run, 7);

	w = writer_of(NULL, 0);
	request_write(&w, &nothing);
	assert_false(w.failed);
	assert_int_equal(request_parse(&read, VIEW(NULL, 0)), OK);
	assert_false(read.has_pad_marks);
}

static void test_what_is_cut_off_is_refused(void **state)
{
	(void)state;
	uint8_t body[REQUEST_BODY_MAX];
	struct writer w = writer_of(body, sizeof body);
	request_write(&w, &example);
	for (size_t len = 1; len < w.at; len++) {
		struct request read;
		memset(&read, 0x5a, sizeof read);
		assert_int_equal(request_parse(&read, VIEW(body, len)), ERR_FORMAT);
		assert_memory_equal(&read, &nothing, sizeof read);
	}
}

/* A later version's TLVs are passed over; marks of another length are wrong wherever they stand, and then none count.
 */
static void test_unknown_ones_are_skipped_and_wrong_ones_are_not(void **state)
{
	(void)state;
	uint8_t body[300], value[2 * PADMARKS_LEN] = {0};
	for (size_t len = 0; len <= sizeof value; len++) {
		struct request read;
		struct writer w = writer_of(body, sizeof body);
		tlv_write(&w, 99, VIEW(value, len));
		request_write(&w, &example);
		tlv_write(&w, 0, VIEW(value, len));
		assert_int_equal(request_parse(&read, VIEW(body, w.at)), OK);
		assert_true(read.has_pad_marks);
		assert_int_equal(read.pad_marks.boundary, 6);

		tlv_write(&w, REQUEST_PAD_MARKS, VIEW(value, len));
		assert_false(w.failed);
		assert_int_equal(request_parse(&read, VIEW(body, w.at)), len == PADMARKS_LEN ? OK : ERR_FORMAT);
		assert_int_equal(read.has_pad_marks, len == PADMARKS_LEN);
		assert_int_equal(read.pad_marks.boundary, 0); /* of two the last counts */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read_back),
		cmocka_unit_test(test_what_is_cut_off_is_refused),
		cmocka_unit_test(test_unknown_ones_are_skipped_and_wrong_ones_are_not),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
