#include "seeded.h"

#include "wire/control.h"
#include "wire/padmarks.h"

static const struct padmarks example = {
	.pad_id = {0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf},
	.sent = 0x0102030405060708,
	.received = 0x1112131415161718,
	.boundary = 0x2122232425262728,
	.max_zero_run = 9,
};

static const uint8_t bytes[] = {77, 41, 0, 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac,
	0xad, 0xae, 0xaf, 8, 7, 6, 5, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 0x28, 0x27, 0x26,
	0x25, 0x24, 0x23, 0x22, 0x21, 9};

static void test_the_bytes(void **state)
{
	(void)state;
	uint8_t out[sizeof bytes];
	struct writer w = writer_of(out, sizeof out);
	padmarks_write(&w, 77, &example);
	assert_false(w.failed);
	assert_int_equal(w.at, sizeof bytes);
	assert_memory_equal(out, bytes, sizeof bytes);
	w = writer_of(out, sizeof out - 1);
	padmarks_write(&w, 77, &example);
	assert_true(w.failed);
}

static void test_what_is_written_is_read_back(void **state)
{
	(void)state;
	struct padmarks m;
	assert_int_equal(padmarks_parse(&m, VIEW(bytes + 3, PADMARKS_LEN)), OK);
	assert_memory_equal(m.pad_id, example.pad_id, PAD_ID_LEN);
	assert_int_equal(m.sent, example.sent);
	assert_int_equal(m.received, example.received);
	assert_int_equal(m.boundary, example.boundary);
	assert_int_equal(m.max_zero_run, example.max_zero_run);
}

static void test_another_length_is_refused(void **state)
{
	(void)state;
	uint8_t longer[2 * PADMARKS_LEN] = {0};
	for (size_t len = 0; len <= sizeof longer; len++) {
		struct padmarks m, before;
		memset(&m, 0x5a, sizeof m);
		memcpy(&before, &m, sizeof m);
		if (len == PADMARKS_LEN)
			continue;
		assert_int_equal(padmarks_parse(&m, VIEW(longer, len)), ERR_FORMAT);
		assert_memory_equal(&m, &before, sizeof m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_bytes),
		cmocka_unit_test(test_what_is_written_is_read_back),
		cmocka_unit_test(test_another_length_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
