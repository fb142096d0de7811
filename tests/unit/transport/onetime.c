/* PadData: the XOR and MaxZeroRun against naive models, and what is not exactly what was sealed is refused. */
#include "seeded.h"

#include "transport/onetime.h"

#include <string.h>

#define ROOM 2048
#define FRAMES_AT (DATA_HEADER_LEN + ONETIME_PREFIX_LEN)

static struct poly1305 *mac;

static int set_up(void **state)
{
	(void)state;
	return poly1305_new(&mac) == OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	poly1305_free(mac);
	return 0;
}

/* The rule's text, word for word: after m zeros in a row further zeros are skipped until a byte is not zero. Returns
 * how many bytes of pad were used up, 0 if they did not suffice; what is left of them is put together in `used`. */
static size_t model_span(const uint8_t *pad, size_t available, size_t len, unsigned m, uint8_t *used)
{
	size_t at = 0, n = 0;
	while (n < len) {
		size_t zeros = 0;
		while (at + zeros < available && pad[at + zeros] == 0)
			zeros++;
		size_t kept = m != 0 && zeros > m ? m : zeros;
		for (size_t i = 0; i < kept && n < len; i++, n++) {
			used[n] = 0;
			at++;
			zeros--;
		}
		if (n == len)
			break;
		at += zeros;
		if (at == available)
			return 0;
		used[n++] = pad[at++];
	}
	return at;
}

static void test_xor_is_a_xor(void **state)
{
	(void)state;
	struct seeded seed = {1};
	for (size_t len = 0; len < 300; len++) {
		uint8_t data[300 + 16], pad[300 + 16], expected[sizeof data];
		const size_t data_at = len % 9, pad_at = len % 7;
		seeded_bytes(&seed, data, sizeof data);
		seeded_bytes(&seed, pad, sizeof pad);
		memcpy(expected, data, sizeof data);
		for (size_t i = 0; i < len; i++)
			expected[data_at + i] ^= pad[pad_at + i];
		onetime_xor(data + data_at, len, pad + pad_at, len, 0);
		assert_memory_equal(data, expected, sizeof data); /* and nothing besides */
	}
}

static void test_without_max_zero_run_the_span_is_the_length(void **state)
{
	(void)state;
	const uint8_t zeros[64] = {0};
	assert_int_equal(onetime_span(zeros, sizeof zeros, 64, 0), 64);
	assert_int_equal(onetime_span(zeros, sizeof zeros, 65, 0), 0);
	assert_int_equal(onetime_span(zeros, sizeof zeros, 0, 0), 0);
	assert_int_equal(onetime_span(zeros, sizeof zeros, 5, 5), 5);
	assert_int_equal(onetime_span(zeros, sizeof zeros, 6, 5), 0);
}

static void test_max_zero_run_agrees_with_its_model(void **state)
{
	(void)state;
	struct seeded seed = {2};
	unsigned short_of_pad = 0, left_out = 0;
	for (unsigned round = 0; round < 20000; round++) {
		uint8_t pad[200], used[sizeof pad], data[sizeof pad] = {0};
		const uint32_t percent = seeded_below(&seed, 100);
		seeded_bytes(&seed, pad, sizeof pad);
		for (size_t i = 0; i < sizeof pad; i++)
			if (seeded_chance(&seed, percent))
				pad[i] = 0;
		const uint8_t m = (uint8_t)seeded_below(&seed, 6);
		const size_t available = seeded_below(&seed, sizeof pad + 1), len = seeded_below(&seed, 150);
		const size_t expected = model_span(pad, available, len, m, used);
		const size_t span = onetime_span(pad, available, len, m);
		assert_int_equal(span, len ? expected : 0);
		if (span == 0) {
			short_of_pad++;
			continue;
		}
		left_out += span > len;
		onetime_xor(data, len, pad, span, m); /* zeros: what comes out is the pad as it was used */
		assert_memory_equal(data, used, len);
		unsigned run = 0;
		for (size_t i = 0; i < len; i++) {
			run = data[i] ? 0 : run + 1;
			assert_true(m == 0 || run <= m);
		}
	}
	assert_true(short_of_pad > 1000 && left_out > 1000);
}

struct sealed {
	uint8_t pad[ONETIME_KEY_LEN + ROOM], frames[ROOM], datagram[ROOM + DATA_OVERHEAD];
	struct onetime how;
	size_t n_frames, len;
};

/* `n_frames` random bytes and `padding` of noise, under random pad. */
static void seal(struct sealed *s, struct seeded *seed, size_t n_frames, size_t padding, uint8_t max_zero_run)
{
	seeded_bytes(seed, s->pad, sizeof s->pad);
	seeded_bytes(seed, s->frames, sizeof s->frames);
	if (max_zero_run)
		memset(s->pad + ONETIME_KEY_LEN + 3, 0, 2U * max_zero_run);
	s->n_frames = n_frames;
	const size_t plain = ONETIME_PREFIX_LEN + n_frames + padding;
	s->len = plain + DATA_OVERHEAD;
	s->how = (struct onetime){
		.receiver = 0x01020304,
		.offset = 0x1122334455667788,
		.pad = s->pad,
		.span = onetime_span(s->pad + ONETIME_KEY_LEN, ROOM, n_frames, max_zero_run),
		.max_zero_run = max_zero_run,
	};
	struct rng noise = seeded_rng(seed);
	memset(s->datagram, 0xee, sizeof s->datagram);
	memcpy(s->datagram + FRAMES_AT, s->frames, n_frames);
	assert_int_equal(onetime_seal(mac, &s->how, s->datagram, n_frames, plain, &noise), OK);
	for (size_t i = s->len; i < sizeof s->datagram; i++)
		assert_int_equal(s->datagram[i], 0xee);
}

static void check_opens(const struct sealed *s)
{
	uint8_t opened[sizeof s->datagram];
	size_t n = SIZE_MAX;
	memcpy(opened, s->datagram, sizeof opened);
	assert_int_equal(onetime_check(mac, s->pad, opened, s->len, &n), OK);
	assert_int_equal(n, s->n_frames);
	assert_memory_equal(opened, s->datagram, sizeof opened);
	const uint8_t *pad = s->pad + ONETIME_KEY_LEN;
	const size_t span = onetime_span(pad, ROOM, n, s->how.max_zero_run);
	onetime_xor(opened + FRAMES_AT, n, pad, span, s->how.max_zero_run);
	assert_memory_equal(opened + FRAMES_AT, s->frames, n);
}

static void test_what_is_sealed_opens(void **state)
{
	(void)state;
	static struct sealed s;
	struct seeded seed = {3};
	for (size_t n = 0; n <= 1400; n += n < 140 ? 1 : 63) {
		seal(&s, &seed, n, 0, 0);
		check_opens(&s);
		seal(&s, &seed, n, seeded_below(&seed, 300), 0);
		check_opens(&s);
		seal(&s, &seed, n, seeded_below(&seed, 300), (uint8_t)(1 + seeded_below(&seed, 9)));
		check_opens(&s);
	}
}

/* docs/protocol.md's table of the datagram, byte by byte. */
static void test_the_layout_is_the_protocols(void **state)
{
	(void)state;
	static struct sealed s;
	struct seeded seed = {4};
	seal(&s, &seed, 5, 3, 0);
	const uint8_t header[] = {7, 0, 0, 0, 4, 3, 2, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
	assert_memory_equal(s.datagram, header, sizeof header);
	assert_int_equal(s.len, 16 + 2 + 5 + 3 + 16);
	assert_int_equal(s.datagram[16], 5 ^ s.pad[32]);
	assert_int_equal(s.datagram[17], 0 ^ s.pad[33]);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(s.datagram[18 + i], s.frames[i] ^ s.pad[34 + i]);
	uint8_t tag[POLY1305_TAG_LEN];
	assert_int_equal(poly1305_tag(mac, s.pad, VIEW(s.datagram, 26), tag), OK);
	assert_memory_equal(s.datagram + 26, tag, sizeof tag);
}

/* Every bit counts: header, length, frames, padding, tag; and every length but the right one. */
static void test_what_was_changed_is_refused(void **state)
{
	(void)state;
	static struct sealed s;
	struct seeded seed = {5};
	size_t n = 77;
	seal(&s, &seed, 90, 40, 0);
	for (size_t bit = 0; bit < 8 * s.len; bit++) {
		s.datagram[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(onetime_check(mac, s.pad, s.datagram, s.len, &n), bit < 32 ? ERR_FORMAT : ERR_AUTH);
		s.datagram[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	for (size_t len = 0; len < sizeof s.datagram; len++)
		if (len != s.len)
			assert_int_equal(
				onetime_check(mac, s.pad, s.datagram, len, &n), len < 34 ? ERR_FORMAT : ERR_AUTH);
	for (size_t bit = 0; bit < 8 * POLY1305_KEY_LEN; bit++) {
		/* Those that Poly1305 leaves out of its key (RFC 8439, 2.5) cannot tell. */
		const bool counts = bit >= 128 || !((bit / 8 % 4 == 3 && bit % 8 > 3) ||
							  (bit / 8 % 4 == 0 && bit / 8 > 0 && bit % 8 < 2));
		s.pad[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(onetime_check(mac, s.pad, s.datagram, s.len, &n), counts ? ERR_AUTH : OK);
		s.pad[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

/* The smallest there is, with nothing in it; and a length, from whoever has the pad, that is more than is there. */
static void test_an_authentic_length_is_checked(void **state)
{
	(void)state;
	static struct sealed s;
	struct seeded seed = {6};
	size_t n = 77;
	seal(&s, &seed, 0, 0, 0);
	assert_int_equal(s.len, 34);
	check_opens(&s);
	for (unsigned more = 1; more < 0x10000; more += more < 300 ? 1 : 4093) {
		seal(&s, &seed, 60, 20, 0);
		const size_t frames = 80 + more;
		if (frames > UINT16_MAX)
			break;
		le16_put(s.datagram + 16, (uint16_t)(frames ^ le16_get(s.pad + 32)));
		uint8_t *tag = s.datagram + s.len - DATA_TAG_LEN;
		assert_int_equal(poly1305_tag(mac, s.pad, VIEW(s.datagram, s.len - DATA_TAG_LEN), tag), OK);
		n = 77;
		assert_int_equal(onetime_check(mac, s.pad, s.datagram, s.len, &n), ERR_FORMAT);
		assert_int_equal(n, 77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xor_is_a_xor),
		cmocka_unit_test(test_without_max_zero_run_the_span_is_the_length),
		cmocka_unit_test(test_max_zero_run_agrees_with_its_model),
		cmocka_unit_test(test_what_is_sealed_opens),
		cmocka_unit_test(test_the_layout_is_the_protocols),
		cmocka_unit_test(test_what_was_changed_is_refused),
		cmocka_unit_test(test_an_authentic_length_is_checked),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
