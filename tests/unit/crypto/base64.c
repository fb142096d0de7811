/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/secret.h"
#include "crypto/base64.h"

static void round_trip(void **state)
{
	(void)state;
	uint8_t bytes[BASE64_BYTES], back[BASE64_BYTES];
	char text[BASE64_LEN + 1];
	for (unsigned i = 0; i < 256; i++) {
		memset(bytes, (int)i, sizeof bytes);
		bytes[i % BASE64_BYTES] = (uint8_t)~i;
		base64_format(text, bytes);
		assert_int_equal(strlen(text), BASE64_LEN);
		assert_int_equal(base64_parse(back, text, BASE64_LEN), OK);
		assert_memory_equal(back, bytes, sizeof back);
	}
	/* RFC 4648, section 4: 62 is '+', 63 is '/'. */
	memset(bytes, 0xff, sizeof bytes);
	bytes[0] = 0xfb;
	base64_format(text, bytes);
	assert_string_equal(text, "+/////////////////////////////////////////8=");
}

/* Of each text of 44 characters that differs in one place from a good one, those are taken that are
 * another value's own text, and no others. */
static void one_text_a_value(void **state)
{
	(void)state;
	const uint8_t bytes[BASE64_BYTES] = {1, 2, 3};
	uint8_t back[BASE64_BYTES];
	char good[BASE64_LEN + 1], text[BASE64_LEN + 1], again[BASE64_LEN + 1];
	unsigned taken = 0;
	base64_format(good, bytes);
	for (size_t at = 0; at < BASE64_LEN; at++) {
		for (unsigned c = 0; c < 256; c++) {
			memcpy(text, good, sizeof text);
			text[at] = (char)c;
			memset(back, 7, sizeof back);
			if (base64_parse(back, text, BASE64_LEN) == OK) {
				base64_format(again, back);
				assert_string_equal(again, text);
				taken++;
			} else {
				assert_true(secret_is_zero(back, sizeof back));
			}
		}
	}
	assert_int_equal(taken, 42 * 64 + 16 + 1); /* the last digit has four bits, then '=' */
}

static void other_lengths_are_refused(void **state)
{
	(void)state;
	uint8_t back[BASE64_BYTES];
	const char *texts[] = {
		"", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* the padding is missing */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",            /* 33 bytes */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",            /* 31 bytes */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=",            /* a stray bit */
		" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",            /* libcrypto skips leading space */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",          /* and what follows */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-=", /* the alphabet for URLs */
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		assert_int_equal(base64_parse(back, texts[i], strlen(texts[i])), ERR_FORMAT);
	assert_int_equal(base64_parse(back, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", BASE64_LEN), OK);
}

/* ---- of any length ---- */

static void any_length_is_encoded(void **state)
{
	(void)state;
	/* RFC 4648, section 10. */
	static const char *const texts[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
	for (size_t n = 0; n < sizeof texts / sizeof *texts; n++) {
		char out[BASE64_TEXT_LEN(6) + 1];
		uint8_t back[6];
		size_t len;
		base64_encode(out, (const uint8_t *)"foobar", n);
		assert_string_equal(out, texts[n]);
		assert_int_equal(strlen(out), BASE64_TEXT_LEN(n));
		assert_int_equal(base64_decode_lenient(back, n, &len, out, strlen(out)), OK);
		assert_int_equal(len, n);
		assert_memory_equal(back, "foobar", n);
	}
	/* All 64 characters. */
	uint8_t bytes[48], back[48];
	char text[BASE64_TEXT_LEN(48) + 1];
	size_t len;
	for (size_t i = 0; i < sizeof bytes; i += 3) {
		const unsigned digits = (unsigned)i / 3 * 4;
		bytes[i] = (uint8_t)(digits << 2 | digits >> 4);
		bytes[i + 1] = (uint8_t)((digits + 1) << 4 | (digits + 2) >> 2);
		bytes[i + 2] = (uint8_t)((digits + 2) << 6 | (digits + 3));
	}
	base64_encode(text, bytes, sizeof bytes);
	assert_string_equal(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
	assert_int_equal(base64_decode_lenient(back, sizeof back, &len, text, sizeof text - 1), OK);
	assert_memory_equal(back, bytes, sizeof bytes);
}

/* What base64.b64decode of Python 3.11 makes of these. NULL: it refuses. */
static void lenient_is_as_lenient_as_python(void **state)
{
	(void)state;
	static const struct {
		const char *text, *bytes;
	} cases[] = {
		{"", ""},
		{"=", ""},
		{"====", ""},
		{"QQ==", "A"},
		{"QQ===", "A"},
		{"QQ= =", "A"},
		{"Q=Q==", "A"},
		{"=QQ==", "A"},
		{"QR==", "A"}, /* bits left over */
		{"QUI=", "AB"},
		{"QUJ=", "AB"},
		{"QUI=QUJD", "AB"}, /* behind the end */
		{"Q=====UI=", "AB"},
		{"QUJD", "ABC"},
		{"Q U\nJ-D_", "ABC"},
		{"QUJDRA==QUJD", "ABCD"},
		{"QUJD=RA==", "ABCD"},
		{"Q\xc3\xa9Q==", "A"},
		{"QQ=a=", "A\x06"},
		{"QQ=a==", "A\x06"},
		{"Q", NULL},
		{"QQ", NULL},
		{"QQ=", NULL},
		{"Q=Q=", NULL},
		{"QUI", NULL},
		{"QU=I", NULL},
		{"QUJDR", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint8_t out[8], zeros[8] = {0};
		size_t len = 99;
		memset(out, 7, sizeof out);
		enum err e = base64_decode_lenient(out, sizeof out, &len, cases[i].text, strlen(cases[i].text));
		if (e != (cases[i].bytes ? OK : ERR_FORMAT))
			fail_msg("%s: %d", cases[i].text, (int)e);
		assert_int_equal(len, cases[i].bytes ? strlen(cases[i].bytes) : 0);
		assert_memory_equal(out, cases[i].bytes ? (const uint8_t *)cases[i].bytes : zeros, len ? len : e != OK);
	}
}

static void room_is_kept_to(void **state)
{
	(void)state;
	uint8_t out[4], nul[] = {'Q', 0, 'U', 'I', '='};
	size_t len;
	for (size_t size = 0; size <= sizeof out; size++) {
		memset(out, 7, sizeof out);
		assert_int_equal(base64_decode_lenient(out, size, &len, "QUJD", 4), size < 3 ? ERR_TOO_BIG : OK);
		assert_int_equal(len, size < 3 ? 0 : 3);
		for (size_t i = size; i < sizeof out; i++)
			assert_int_equal(out[i], 7);
		assert_true(size >= 3 || secret_is_zero(out, size));
	}
	assert_int_equal(base64_decode_lenient(out, sizeof out, &len, (const char *)nul, sizeof nul), OK);
	assert_int_equal(len, 2);
	assert_memory_equal(out, "AB", 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(one_text_a_value),
		cmocka_unit_test(other_lengths_are_refused),
		cmocka_unit_test(any_length_is_encoded),
		cmocka_unit_test(lenient_is_as_lenient_as_python),
		cmocka_unit_test(room_is_kept_to),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
