/* The header of snek's frames: built, read, and cut short at each byte. */
#include "hex.h"
#include "seeded.h"

#include "compat/snek_frame.h"

#include <stdlib.h>

/* The worked examples of the format's description. */
#define WHOLE "01000000000000000050000000000102030405060708090a0b"
#define PART                                                                                                           \
	"03190000000000000014000000140600001003020101000200"                                                           \
	"0c0d0e0f1011121314151617"

static void test_headers_are_built_to_the_byte(void **state)
{
	(void)state;
	uint8_t out[SNEK_FRAGMENT_HEADER_LEN];
	HEX(whole, WHOLE);
	HEX(part, PART);
	struct snek_frame f = {.chunk_len = 80, .index = 7, .count = 9, .id = 11, .total = 13};
	for (uint8_t i = 0; i < sizeof f.nonce; i++)
		f.nonce[i] = i;
	assert_int_equal(snek_frame_build(out, &f), SNEK_HEADER_LEN);
	assert_memory_equal(out, whole, sizeof whole);
	f = (struct snek_frame){.seq = 25,
		.chunk_len = 20,
		.total = 1556,
		.id = 0x01020310,
		.index = 1,
		.count = 2,
		.is_fragment = true};
	for (uint8_t i = 0; i < sizeof f.nonce; i++)
		f.nonce[i] = (uint8_t)(12 + i);
	assert_int_equal(snek_frame_build(out, &f), SNEK_FRAGMENT_HEADER_LEN);
	assert_memory_equal(out, part, sizeof part);
}

static void test_headers_are_read(void **state)
{
	(void)state;
	uint8_t datagram[200] = {0};
	size_t len;
	struct snek_frame f;
	HEX(whole, WHOLE);
	HEX(part, PART);
	memcpy(datagram, whole, sizeof whole);
	assert_int_equal(snek_frame_parse(&f, &len, datagram, sizeof datagram), OK);
	assert_int_equal(len, 105);
	assert_ptr_equal(f.chunk, &datagram[25]);
	assert_true(f.chunk_len == 80 && f.seq == 0 && !f.is_fragment);
	assert_memory_equal(f.nonce, &whole[13], sizeof f.nonce);
	memcpy(datagram, part, sizeof part);
	assert_int_equal(snek_frame_parse(&f, &len, datagram, 57), OK);
	assert_int_equal(len, 57);
	assert_ptr_equal(f.chunk, &datagram[37]);
	assert_true(f.chunk_len == 20 && f.seq == 25 && f.is_fragment);
	assert_true(f.total == 1556 && f.id == 0x01020310 && f.index == 1 && f.count == 2);
	assert_memory_equal(f.nonce, &part[25], sizeof f.nonce);
}

static void assert_refused(const uint8_t *bytes, size_t len)
{
	const struct snek_frame zeros = {0};
	struct snek_frame f;
	size_t frame_len = 1;
	memset(&f, 0xff, sizeof f);
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	memcpy(copy, bytes, len);
	assert_int_equal(snek_frame_parse(&f, &frame_len, copy, len), ERR_FORMAT);
	assert_int_equal(frame_len, 0);
	assert_memory_equal(&f, &zeros, sizeof f);
	free(copy);
}

static void test_flags_other_than_fragment_do_not_matter(void **state)
{
	(void)state;
	uint8_t datagram[105] = {0};
	size_t len;
	struct snek_frame f;
	HEX(whole, WHOLE);
	memcpy(datagram, whole, sizeof whole);
	for (unsigned flags = 0; flags < 256; flags++) {
		datagram[0] = (uint8_t)flags;
		if (!(flags & SNEK_FLAG_FRAGMENT))
			assert_true(snek_frame_parse(&f, &len, datagram, sizeof datagram) == OK && len == 105 &&
				    f.chunk_len == 80 && !f.is_fragment);
		else /* 12 bytes more of header, so the chunk is not all there */
			assert_refused(datagram, sizeof datagram);
	}
}

static void test_one_fragment_or_none_is_a_whole(void **state)
{
	(void)state;
	size_t len;
	struct snek_frame f;
	HEX(part, PART);
	uint8_t datagram[57] = {0};
	memcpy(datagram, part, sizeof part);
	for (uint8_t count = 0; count < 2; count++) {
		datagram[23] = count;
		assert_int_equal(snek_frame_parse(&f, &len, datagram, sizeof datagram), OK);
		assert_true(!f.is_fragment && len == 57 && f.chunk_len == 20);
	}
}

static void test_an_index_must_be_below_the_count(void **state)
{
	(void)state;
	HEX(part, PART);
	uint8_t datagram[57] = {0};
	memcpy(datagram, part, sizeof part);
	for (uint8_t index = 2; index < 100; index++) {
		datagram[21] = index;
		assert_refused(datagram, sizeof datagram);
	}
}

static void test_what_is_cut_short_or_lies_about_its_length_is_refused(void **state)
{
	(void)state;
	HEX(whole, WHOLE);
	HEX(part, PART);
	uint8_t datagram[105] = {0};
	memcpy(datagram, whole, sizeof whole);
	for (size_t len = 0; len < 105; len++)
		assert_refused(datagram, len);
	for (unsigned high = 1; high < 256; high++) {
		datagram[12] = (uint8_t)high;
		assert_refused(datagram, sizeof datagram);
	}
	memcpy(datagram, part, sizeof part);
	for (size_t len = 0; len < 57; len++)
		assert_refused(datagram, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers_are_built_to_the_byte),
		cmocka_unit_test(test_headers_are_read),
		cmocka_unit_test(test_flags_other_than_fragment_do_not_matter),
		cmocka_unit_test(test_one_fragment_or_none_is_a_whole),
		cmocka_unit_test(test_an_index_must_be_below_the_count),
		cmocka_unit_test(test_what_is_cut_short_or_lies_about_its_length_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
