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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(one_text_a_value),
		cmocka_unit_test(other_lengths_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
