/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/bytes.h"

static void views(void **state)
{
	(void)state;
	const uint8_t array[5] = {0};
	assert_int_equal(VIEW_ARRAY(array).len, 5);
	assert_ptr_equal(VIEW_ARRAY(array).data, array);
	assert_int_equal(VIEW_TEXT("four").len, 4);
	assert_int_equal(VIEW_TEXT("").len, 0);
	assert_int_equal(VIEW(array, 2).len, 2);
}

static void integers_have_their_order(void **state)
{
	(void)state;
	const uint8_t bytes[8] = {0x81, 2, 3, 0x84, 5, 6, 7, 0x88};
	uint8_t out[8];
	assert_int_equal(le16_get(bytes), 0x0281);
	assert_int_equal(le32_get(bytes), 0x84030281);
	assert_true(le64_get(bytes) == 0x8807060584030281);
	assert_int_equal(be16_get(bytes), 0x8102);
	assert_int_equal(be32_get(bytes), 0x81020384);
	le16_put(out, 0x0281);
	assert_memory_equal(out, bytes, 2);
	le32_put(out, 0x84030281);
	assert_memory_equal(out, bytes, 4);
	le64_put(out, 0x8807060584030281);
	assert_memory_equal(out, bytes, 8);
	be16_put(out, 0x8102);
	assert_memory_equal(out, bytes, 2);
	be32_put(out, 0x81020384);
	assert_memory_equal(out, bytes, 4);
}

/* What a parser of 1 + 2 + 4 + 8 + 3 bytes reads. */
struct record {
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	uint8_t e[3];
};
#define RECORD_LEN 18

static void record_read(struct reader *r, struct record *record)
{
	record->a = reader_u8(r);
	record->b = reader_u16(r);
	record->c = reader_u32(r);
	record->d = reader_u64(r);
	reader_copy(r, record->e, 3);
}

static void record_write(struct writer *w)
{
	writer_u8(w, 1);
	writer_u16(w, 0x0203);
	writer_u32(w, 0x04050607);
	writer_u64(w, 0x08090a0b0c0d0e0f);
	writer_bytes(w, "\x10\x11\x12", 3);
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	uint8_t bytes[RECORD_LEN];
	struct record record;
	struct writer w = writer_of(bytes, sizeof bytes);
	record_write(&w);
	assert_false(w.failed);
	assert_int_equal(w.at, RECORD_LEN);

	struct reader r = reader_of(bytes, sizeof bytes);
	assert_int_equal(reader_left(&r), RECORD_LEN);
	assert_false(reader_done(&r));
	record_read(&r, &record);
	assert_true(reader_done(&r));
	assert_int_equal(reader_left(&r), 0);
	assert_int_equal(record.a, 1);
	assert_int_equal(record.b, 0x0203);
	assert_int_equal(record.c, 0x04050607);
	assert_true(record.d == 0x08090a0b0c0d0e0f);
	assert_memory_equal(record.e, "\x10\x11\x12", 3);
}

/* Cut off anywhere: what is there is read, the rest is zeros, and the failure stays. ASan watches the
 * end, for which the bytes are put at the end of an allocation. */
static void every_truncation_of_a_reader(void **state)
{
	(void)state;
	for (size_t len = 0; len < RECORD_LEN; len++) {
		uint8_t *bytes = test_malloc(len + 1);
		struct record record;
		memset(bytes, 0xff, len + 1);
		struct reader r = reader_of(bytes + 1, len);
		memset(&record, 7, sizeof record);
		record_read(&r, &record);
		assert_true(r.failed);
		assert_false(reader_done(&r));
		assert_int_equal(reader_left(&r), 0);
		assert_true(r.at <= len);
		assert_int_equal(record.a, len >= 1 ? 0xff : 0);
		assert_int_equal(record.b, len >= 3 ? 0xffff : 0);
		assert_int_equal(record.c, len >= 7 ? 0xffffffff : 0);
		assert_true(record.d == (len >= 15 ? UINT64_MAX : 0));
		assert_memory_equal(record.e, "\0\0\0", 3);
		/* A later read that would fit fails too. */
		assert_null(reader_take(&r, 0));
		assert_int_equal(reader_u8(&r), 0);
		test_free(bytes);
	}
}

static void every_truncation_of_a_writer(void **state)
{
	(void)state;
	uint8_t whole[RECORD_LEN];
	struct writer all = writer_of(whole, sizeof whole);
	record_write(&all);
	for (size_t size = 0; size < RECORD_LEN; size++) {
		uint8_t bytes[RECORD_LEN + 1];
		memset(bytes, 0xee, sizeof bytes);
		struct writer w = writer_of(bytes, size);
		record_write(&w);
		assert_true(w.failed);
		assert_true(w.at <= size);
		assert_memory_equal(bytes, whole, w.at);
		for (size_t i = w.at; i < sizeof bytes; i++)
			assert_int_equal(bytes[i], 0xee);
		const size_t at = w.at;
		writer_u8(&w, 1);
		writer_zeros(&w, 0);
		assert_int_equal(w.at, at);
	}
}

/* Lengths from a datagram may be anything: no sum may overflow. */
static void huge_lengths_fail(void **state)
{
	(void)state;
	uint8_t bytes[4] = {0};
	struct reader r = reader_of(bytes, sizeof bytes);
	(void)reader_u8(&r);
	assert_null(reader_take(&r, SIZE_MAX));
	assert_true(r.failed);
	struct writer w = writer_of(bytes, sizeof bytes);
	writer_u8(&w, 1);
	assert_null(writer_room(&w, SIZE_MAX));
	assert_true(w.failed);
}

static void nothing_is_something_too(void **state)
{
	(void)state;
	uint8_t byte = 9;
	struct reader r = reader_of(NULL, 0);
	assert_true(reader_done(&r));
	assert_non_null(reader_take(&r, 0));
	reader_copy(&r, &byte, 0);
	assert_true(reader_done(&r));
	assert_int_equal(byte, 9);
	struct writer w = writer_of(&byte, 0);
	writer_bytes(&w, NULL, 0);
	writer_zeros(&w, 0);
	assert_false(w.failed);
	w = writer_of(&byte, 1);
	writer_zeros(&w, 1);
	assert_false(w.failed);
	assert_int_equal(byte, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views),
		cmocka_unit_test(integers_have_their_order),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(every_truncation_of_a_reader),
		cmocka_unit_test(every_truncation_of_a_writer),
		cmocka_unit_test(huge_lengths_fail),
		cmocka_unit_test(nothing_is_something_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
