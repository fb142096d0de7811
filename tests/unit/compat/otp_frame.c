/* OTPTunnel's datagrams: the bytes of the older program, and nothing that was changed, cut or is of another key opens.
 */
#include "hex.h"
#include "seeded.h"

#include "base/bytes.h"
#include "compat/otp_frame.h"
#include "crypto/kdf.h"

#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static struct md5 *md5;

static int set_up(void **state)
{
	(void)state;
	return md5_new(&md5) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	md5_free(md5);
	return 0;
}

/* The bytes that a datagram at `offset` uses. */
static void key_of(uint8_t *out, size_t len, const uint8_t *file, uint64_t offset)
{
	for (size_t i = 0; i < len; i++)
		out[i] = file[offset + 2 * i];
}

static void check_example(const uint8_t *file, uint64_t offset, struct view frame, struct view datagram)
{
	uint8_t out[2048], key[2048];
	const size_t key_len = frame.len + MD5_LEN;
	struct otp_datagram parsed;
	assert_int_equal(datagram.len, frame.len + OTP_OVERHEAD);
	key_of(key, key_len, file, offset);
	assert_err(otp_frame_seal(md5, out, frame.data, frame.len, key, offset), OK);
	assert_memory_equal(out, datagram.data, datagram.len);
	assert_err(otp_datagram_parse(&parsed, datagram.data, datagram.len), OK);
	assert_int_equal(parsed.offset, offset);
	assert_int_equal(parsed.frame_len, frame.len);
	assert_int_equal(parsed.key_len, key_len);
	assert_err(otp_frame_open(md5, out, &parsed, key), OK);
	assert_memory_equal(out, frame.data, frame.len);
}

static void test_the_examples_of_the_older_program(void **state)
{
	(void)state;
	uint8_t file[256];
	for (size_t i = 0; i < sizeof file; i++)
		file[i] = (uint8_t)i;
	HEX(frame, "ffffffffffff020000000001080668656c6c6f");
	HEX(of_client, "fffdfbf9f7f50e0e10121417101c747b4c4e4b686d170b8777d2b35d5d7550807a3a58000000000000");
	HEX(of_server, "fefcfaf8f6f40f0f11131516111d757a4d4f4a696c160a8676d3b25c5c7451817b3b59000000000001");
	check_example(file, 0, VIEW_ARRAY(frame), VIEW_ARRAY(of_client));
	check_example(file, 1, VIEW_ARRAY(frame), VIEW_ARRAY(of_server));
}

static void test_a_captured_datagram(void **state)
{
	(void)state;
	uint8_t file[32 * HASH_SHA256_LEN];
	for (uint32_t i = 0; i < 32; i++) {
		const uint8_t number[] = {0, 0, 0, (uint8_t)i};
		assert_err(HASH_SHA256(
				   file + (size_t)i * HASH_SHA256_LEN, VIEW_TEXT("otp-vector-key"), VIEW_ARRAY(number)),
			OK);
	}
	HEX(frame, "ffffffffffffb290b24f47aa08060001080006040001b290b24f47aa0a0800020000000000000a080001");
	HEX(datagram, "864828f04bdbdc4eda24e690f428e5ad696abed3fcfb9f7d5a0833ef742c561fed8de6c4bc9c"
		      "7ab670b851c33ef1a4a3a593fc64c2af17e8c3ba00000000029c");
	check_example(file, 668, VIEW_ARRAY(frame), VIEW_ARRAY(datagram));
}

/* A frame of `len` random bytes and its datagram at an offset. */
struct sample {
	uint8_t frame[OTP_FRAME_MAX], key[OTP_KEY_MAX], datagram[OTP_DATAGRAM_MAX];
	size_t len;
};

static void make(struct sample *s, struct seeded *seed, size_t frame_len, uint64_t offset)
{
	seeded_bytes(seed, s->frame, frame_len);
	seeded_bytes(seed, s->key, frame_len + MD5_LEN);
	assert_err(otp_frame_seal(md5, s->datagram, s->frame, frame_len, s->key, offset), OK);
	s->len = frame_len + OTP_OVERHEAD;
}

static enum err open_copy(const struct sample *s, const uint8_t *datagram, size_t len)
{
	struct otp_datagram parsed;
	uint8_t *copy = malloc(len ? len : 1); /* of exactly its length: the sanitiser sees more */
	memcpy(copy, datagram, len);
	enum err err = otp_datagram_parse(&parsed, copy, len);
	if (err == OK) {
		err = otp_frame_open(md5, copy, &parsed, s->key);
		for (size_t i = 0; err != OK && i < parsed.key_len; i++)
			assert_int_equal(copy[i], 0);
	}
	free(copy);
	return err;
}

static void test_all_lengths_go_through(void **state)
{
	(void)state;
	struct seeded seed = {1};
	struct sample s;
	for (size_t len = OTP_FRAME_MIN; len <= OTP_FRAME_MAX; len += len < 200 ? 1 : 97) {
		make(&s, &seed, len, OTP_OFFSET_MAX);
		assert_err(open_copy(&s, s.datagram, s.len), OK);
	}
	make(&s, &seed, OTP_FRAME_MAX, 5);
	assert_err(open_copy(&s, s.datagram, s.len), OK);
}

static void test_what_is_no_frame_is_refused(void **state)
{
	(void)state;
	struct seeded seed = {2};
	struct sample s;
	make(&s, &seed, 60, 0);
	assert_err(otp_frame_seal(md5, s.datagram, s.frame, 0, s.key, 0), ERR_ARGUMENT);
	assert_err(otp_frame_seal(md5, s.datagram, s.frame, OTP_FRAME_MIN - 1, s.key, 0), ERR_ARGUMENT);
	assert_err(otp_frame_seal(md5, s.datagram, s.frame, OTP_FRAME_MAX + 1, s.key, 0), ERR_ARGUMENT);
	assert_err(otp_frame_seal(md5, s.datagram, s.frame, 60, s.key, OTP_OFFSET_MAX + 1), ERR_ARGUMENT);
	assert_err(otp_frame_seal(md5, s.datagram, s.frame, 60, s.key, UINT64_MAX), ERR_ARGUMENT);
	assert_err(open_copy(&s, s.datagram, s.len), OK); /* nothing was written */
}

static void test_every_truncation_is_refused(void **state)
{
	(void)state;
	struct seeded seed = {3};
	struct sample s;
	make(&s, &seed, 100, 0x123456789abc);
	for (size_t len = 0; len < s.len; len++) {
		const enum err err = open_copy(&s, s.datagram, len);
		assert_int_equal(err, len < OTP_DATAGRAM_MIN ? ERR_FORMAT : ERR_AUTH);
	}
	uint8_t longer[OTP_DATAGRAM_MAX + 1] = {0};
	struct otp_datagram parsed;
	memcpy(longer, s.datagram, s.len);
	assert_err(open_copy(&s, longer, s.len + 1), ERR_AUTH);
	assert_err(otp_datagram_parse(&parsed, longer, sizeof longer), ERR_FORMAT);
}

static void test_every_changed_bit_is_noticed(void **state)
{
	(void)state;
	struct seeded seed = {4};
	struct sample s;
	make(&s, &seed, 70, 0xfedcba987654);
	for (size_t bit = 0; bit < 8 * (s.len - OTP_OFFSET_LEN); bit++) {
		s.datagram[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_err(open_copy(&s, s.datagram, s.len), ERR_AUTH);
		s.datagram[bit / 8] ^= (uint8_t)(1U << bit % 8);
		s.key[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_err(open_copy(&s, s.datagram, s.len), ERR_AUTH);
		s.key[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	/* Offsets are in the clear: each bit of them names another place. */
	for (size_t bit = 0; bit < 48; bit++) {
		struct otp_datagram parsed;
		s.datagram[s.len - 1 - bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_err(otp_datagram_parse(&parsed, s.datagram, s.len), OK);
		assert_int_equal(parsed.offset, 0xfedcba987654 ^ (uint64_t)1 << bit);
		s.datagram[s.len - 1 - bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_err(open_copy(&s, s.datagram, s.len), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_examples_of_the_older_program),
		cmocka_unit_test(test_a_captured_datagram),
		cmocka_unit_test(test_all_lengths_go_through),
		cmocka_unit_test(test_what_is_no_frame_is_refused),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_every_changed_bit_is_noticed),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
