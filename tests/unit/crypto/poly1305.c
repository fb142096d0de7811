/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "crypto/algorithms.h"
#include "crypto/poly1305.h"
#include "hex.h"

static struct poly1305 *mac; /* one for all tests, as a lane has one for all packets */

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

static void check_known(const uint8_t *key, struct view message, const uint8_t *expected)
{
	uint8_t tag[POLY1305_TAG_LEN];
	assert_int_equal(poly1305_tag(mac, key, message, tag), OK);
	assert_memory_equal(tag, expected, sizeof tag);
	assert_int_equal(poly1305_check(mac, key, message, tag), OK);
	for (size_t bit = 0; bit < 8 * sizeof tag; bit++) {
		tag[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(poly1305_check(mac, key, message, tag), ERR_AUTH);
		tag[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_int_equal(ERR_peek_error(), 0);
}

static const char contribution[] =
	"Any submission to the IETF intended by the Contributor for publication as all or part of an IETF "
	"Internet-Draft or RFC and any statement made within the context of an IETF activity is considered an \"IETF "
	"Contribution\". Such statements include oral statements in IETF sessions, as well as written and electronic "
	"communications made at any time or place, which are addressed to";

static const char jabberwocky[] = "'Twas brillig, and the slithy toves\nDid gyre and gimble in the wabe:\n"
				  "All mimsy were the borogoves,\nAnd the mome raths outgrabe.";

/* RFC 8439, section 2.5.2 and appendix A.3, the cases whose messages are texts. */
static void texts_match_rfc_8439(void **state)
{
	(void)state;
	HEX(key, "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b");
	HEX(tag, "a8061dc1305136c6c22b8baf0c0127a9");
	check_known(key, VIEW_TEXT("Cryptographic Forum Research Group"), tag);

	HEX(key_2, "0000000000000000000000000000000036e5f6b5c5e06070f0efca96227a863e");
	HEX(tag_2, "36e5f6b5c5e06070f0efca96227a863e");
	check_known(key_2, VIEW(contribution, sizeof contribution - 1), tag_2);

	HEX(key_3, "36e5f6b5c5e06070f0efca96227a863e00000000000000000000000000000000");
	HEX(tag_3, "f3477e7cd95417af89a6b8794c310cf0");
	check_known(key_3, VIEW(contribution, sizeof contribution - 1), tag_3);

	HEX(key_4, "1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0");
	HEX(tag_4, "4541669a7eaaee61e708dc7cbcc5eb62");
	check_known(key_4, VIEW(jabberwocky, sizeof jabberwocky - 1), tag_4);
}

/* RFC 8439, appendix A.3, the others: zeros, and where carries and the reduction go wrong. */
static const struct {
	const char *r, *s, *message, *tag;
} edges[] = {
	{"00000000000000000000000000000000", "00000000000000000000000000000000",
		"000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
		"00"
		"000000000000000000000000",
		"00000000000000000000000000000000"},
	{"02000000000000000000000000000000", "00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff",
		"03000000000000000000000000000000"},
	{"02000000000000000000000000000000", "ffffffffffffffffffffffffffffffff", "02000000000000000000000000000000",
		"03000000000000000000000000000000"},
	{"01000000000000000000000000000000", "00000000000000000000000000000000",
		"fffffffffffffffffffffffffffffffff0ffffffffffffffffffffffffffffff11000000000000000000000000000000",
		"05000000000000000000000000000000"},
	{"01000000000000000000000000000000", "00000000000000000000000000000000",
		"fffffffffffffffffffffffffffffffffbfefefefefefefefefefefefefefefe01010101010101010101010101010101",
		"00000000000000000000000000000000"},
	{"02000000000000000000000000000000", "00000000000000000000000000000000", "fdffffffffffffffffffffffffffffff",
		"faffffffffffffffffffffffffffffff"},
	{"01000000000000000400000000000000", "00000000000000000000000000000000",
		"e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000010000"
		"00"
		"000000000000000000000000",
		"14000000000000005500000000000000"},
	{"01000000000000000400000000000000", "00000000000000000000000000000000",
		"e33594d7505e43b900000000000000003394d7505e4379cd010000000000000000000000000000000000000000000000",
		"13000000000000000000000000000000"},
};

static void edges_match_rfc_8439(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
		uint8_t key[POLY1305_KEY_LEN], message[64], tag[POLY1305_TAG_LEN];
		assert_int_equal(hex_read(key, 16, edges[i].r), 16);
		assert_int_equal(hex_read(key + 16, 16, edges[i].s), 16);
		assert_int_equal(hex_read(tag, sizeof tag, edges[i].tag), sizeof tag);
		const size_t len = hex_read(message, sizeof message, edges[i].message);
		assert_true(len <= sizeof message);
		check_known(key, VIEW(message, len), tag);
	}
}

static void another_length_or_key_is_refused(void **state)
{
	(void)state;
	uint8_t key[POLY1305_KEY_LEN] = {3, 1, 4, 1, 5}, message[200], tag[POLY1305_TAG_LEN];
	memset(message, 0x5a, sizeof message);
	for (size_t len = 0; len < sizeof message; len++) {
		assert_int_equal(poly1305_tag(mac, key, VIEW(message, len), tag), OK);
		assert_int_equal(poly1305_check(mac, key, VIEW(message, len + 1), tag), ERR_AUTH);
		assert_int_equal(poly1305_check(mac, key, VIEW(message, len), tag), OK);
		key[31] ^= 1;
		assert_int_equal(poly1305_check(mac, key, VIEW(message, len), tag), ERR_AUTH);
		key[31] ^= 1;
	}
	poly1305_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_match_rfc_8439),
		cmocka_unit_test(edges_match_rfc_8439),
		cmocka_unit_test(another_length_or_key_is_refused),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
