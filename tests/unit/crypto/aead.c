/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/secret.h"
#include "crypto/aead_private.h"
#include "crypto/algorithms.h"
#include "hex.h"

static const enum cipher ciphers[] = {CIPHER_CHACHA20_POLY1305, CIPHER_AES_256_GCM};
#define N_CIPHERS (sizeof ciphers / sizeof *ciphers)

/* Nearly all tests are run for both providers, each cipher where the provider has it on this CPU. */
static enum aead_provider provider;

static int choose_provider(void **state)
{
	provider = *(enum aead_provider *)*state;
	return 0;
}

/* The names of a test tell which provider it was when it fails; one that is not there at all is skipped. */
static bool is_usable(enum cipher cipher)
{
	const uint8_t key[AEAD_KEY_LEN] = {0};
	struct aead *aead;
	const enum err result = aead_new_with(&aead, provider, cipher, AEAD_SEAL, key);
	if (result != ERR_UNSUPPORTED)
		assert_int_equal(result, OK);
	else
		assert_int_equal(provider, AEAD_IPSEC_MB);
	aead_free(aead);
	return result == OK;
}

static void skip_without(enum cipher cipher)
{
	if (!is_usable(cipher))
		skip();
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(cipher_name(CIPHER_CHACHA20_POLY1305), "ChaCha20-Poly1305");
	assert_string_equal(cipher_name(CIPHER_AES_256_GCM), "AES-256-GCM");
	assert_string_equal(cipher_name((enum cipher)3), "unknown");
	assert_int_equal(CIPHER_CHACHA20_POLY1305 | CIPHER_AES_256_GCM, CIPHER_ALL);
	(void)cipher_aes_is_fast();
}

/* Seals msg with a context, compares with ct and tag, opens it again. All are given in hexadecimal. */
static void check_known(enum cipher cipher, const uint8_t *key, const uint8_t *nonce, struct view aad, struct view msg,
	const uint8_t *expected)
{
	struct aead *seal, *open;
	uint8_t text[256];
	assert_int_equal(aead_new_with(&seal, provider, cipher, AEAD_SEAL, key), OK);
	assert_int_equal(aead_new_with(&open, provider, cipher, AEAD_OPEN, key), OK);
	memcpy(text, msg.data, msg.len);
	assert_int_equal(aead_seal(seal, nonce, aad.data, aad.len, text, msg.len), OK);
	assert_memory_equal(text, expected, msg.len + AEAD_TAG_LEN);
	assert_int_equal(aead_open(open, nonce, aad.data, aad.len, text, msg.len), OK);
	assert_memory_equal(text, msg.data, msg.len);
	aead_free(seal);
	aead_free(open);
}

/* RFC 8439, section 2.8.2. */
static void chacha20_poly1305_matches_rfc_8439(void **state)
{
	(void)state;
	skip_without(CIPHER_CHACHA20_POLY1305);
	HEX(key, "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f");
	HEX(nonce, "070000004041424344454647");
	HEX(aad, "50515253c0c1c2c3c4c5c6c7");
	HEX(expected, "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
		      "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
		      "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
		      "3ff4def08e4b7a9de576d26586cec64b6116"
		      "1ae10b594f09e26a7e902ecbd0600691");
	check_known(CIPHER_CHACHA20_POLY1305, key, nonce, VIEW_ARRAY(aad),
		VIEW_TEXT("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
			  "sunscreen would be it."),
		expected);
}

/* The GCM submission to NIST (McGrew and Viega), appendix B, test cases 13 and 16. */
static void aes_256_gcm_matches_the_gcm_specification(void **state)
{
	(void)state;
	skip_without(CIPHER_AES_256_GCM);
	const uint8_t zeros[AEAD_KEY_LEN] = {0};
	HEX(empty, "530f8afbc74536b9a963b4f1c4cb738b");
	check_known(CIPHER_AES_256_GCM, zeros, zeros, VIEW("", 0), VIEW("", 0), empty);

	HEX(key, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
	HEX(nonce, "cafebabefacedbaddecaf888");
	HEX(aad, "feedfacedeadbeeffeedfacedeadbeefabaddad2");
	HEX(msg, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
		 "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
	HEX(expected, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
		      "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
		      "76fc6ece0f4e1768cddf8853bb2d551b");
	check_known(CIPHER_AES_256_GCM, key, nonce, VIEW_ARRAY(aad), VIEW_ARRAY(msg), expected);
}

struct pair {
	struct aead *seal, *open;
};

static struct pair pair_new(enum cipher cipher)
{
	struct pair p;
	const uint8_t key[AEAD_KEY_LEN] = {1, 2, 3};
	assert_int_equal(aead_new_with(&p.seal, provider, cipher, AEAD_SEAL, key), OK);
	assert_int_equal(aead_new_with(&p.open, provider, cipher, AEAD_OPEN, key), OK);
	return p;
}

static void pair_free(struct pair *p)
{
	aead_free(p->seal);
	aead_free(p->open);
}

/* One context for all packets; each length around the block sizes, each length of AAD; a refused
 * packet in between does not disturb the next. */
static void every_length_and_every_damage(void **state)
{
	(void)state;
	uint8_t nonce[AEAD_NONCE_LEN] = {0}, aad[33] = {9}, text[320 + AEAD_TAG_LEN], sealed[sizeof text];
	for (size_t c = 0; c < N_CIPHERS; c++) {
		if (!is_usable(ciphers[c]))
			continue;
		struct pair p = pair_new(ciphers[c]);
		for (size_t n = 0; n <= 320; n++) {
			const size_t n_aad = n % 34, whole = n + AEAD_TAG_LEN;
			nonce[11] = (uint8_t)n;
			nonce[10] = (uint8_t)(n >> 8);
			memset(text, (int)n & 0xff, n);
			assert_int_equal(aead_seal(p.seal, nonce, aad, n_aad, text, n), OK);
			memcpy(sealed, text, whole);

			const size_t at = n * 7 % whole;
			text[at] ^= 0x20; /* ciphertext or tag */
			assert_int_equal(aead_open(p.open, nonce, aad, n_aad, text, n), ERR_AUTH);
			memcpy(text, sealed, whole);
			nonce[0] ^= 1;
			assert_int_equal(aead_open(p.open, nonce, aad, n_aad, text, n), ERR_AUTH);
			nonce[0] ^= 1;
			memcpy(text, sealed, whole);
			if (n_aad > 0) {
				assert_int_equal(aead_open(p.open, nonce, aad, n_aad - 1, text, n), ERR_AUTH);
				memcpy(text, sealed, whole);
			}
			assert_int_equal(ERR_peek_error(), 0);

			assert_int_equal(aead_open(p.open, nonce, aad, n_aad, text, n), OK);
			for (size_t i = 0; i < n; i++)
				assert_int_equal(text[i], n & 0xff);
		}
		pair_free(&p);
	}
}

/* The tag of an empty message counts too (it went unchecked in EVP_Cipher, CVE-2026-75803). */
static void empty_messages_are_authenticated(void **state)
{
	(void)state;
	const uint8_t nonce[AEAD_NONCE_LEN] = {0};
	for (size_t c = 0; c < N_CIPHERS; c++) {
		if (!is_usable(ciphers[c]))
			continue;
		struct pair p = pair_new(ciphers[c]);
		uint8_t tag[AEAD_TAG_LEN];
		assert_int_equal(aead_seal(p.seal, nonce, NULL, 0, tag, 0), OK);
		assert_int_equal(aead_open(p.open, nonce, NULL, 0, tag, 0), OK);
		for (size_t bit = 0; bit < 8 * AEAD_TAG_LEN; bit++) {
			tag[bit / 8] ^= (uint8_t)(1U << bit % 8);
			assert_int_equal(aead_open(p.open, nonce, NULL, 0, tag, 0), ERR_AUTH);
			tag[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		pair_free(&p);
	}
}

static void wrong_use_is_refused(void **state)
{
	(void)state;
	skip_without(CIPHER_AES_256_GCM);
	const uint8_t key[AEAD_KEY_LEN] = {0};
	uint8_t text[64] = {0};
	struct aead *aead;
	assert_int_equal(aead_new(&aead, (enum cipher)3, AEAD_SEAL, key), ERR_ARGUMENT);
	assert_null(aead);
	assert_int_equal(aead_new_with(&aead, provider, (enum cipher)0, AEAD_OPEN, key), ERR_ARGUMENT);
	assert_null(aead);
	struct pair p = pair_new(CIPHER_AES_256_GCM);
	assert_int_equal(aead_seal(p.open, key, NULL, 0, text, 16), ERR_ARGUMENT);
	assert_int_equal(aead_open(p.seal, key, NULL, 0, text, 16), ERR_ARGUMENT);
	assert_int_equal(aead_seal(p.seal, key, NULL, 0, text, (size_t)1 << 31), ERR_ARGUMENT);
	assert_int_equal(aead_open(p.open, key, NULL, 0, text, SIZE_MAX), ERR_ARGUMENT);
	assert_int_equal(aead_open(p.open, key, text, (size_t)1 << 31, text, 1), ERR_ARGUMENT);
	pair_free(&p);
	aead_free(NULL);
}

static void once_is_chacha20_poly1305_with_nonce_zero(void **state)
{
	(void)state;
	const uint8_t key[AEAD_KEY_LEN] = {1, 2, 3}, nonce[AEAD_NONCE_LEN] = {0};
	skip_without(CIPHER_CHACHA20_POLY1305);
	uint8_t once[20 + AEAD_TAG_LEN] = "twenty bytes of text", usual[sizeof once] = "twenty bytes of text";
	struct pair p = pair_new(CIPHER_CHACHA20_POLY1305);
	assert_int_equal(aead_seal_once(key, VIEW_TEXT("aad"), once, 20), OK);
	assert_int_equal(aead_seal(p.seal, nonce, (const uint8_t *)"aad", 3, usual, 20), OK);
	assert_memory_equal(once, usual, sizeof once);
	pair_free(&p);

	assert_int_equal(aead_open_once(key, VIEW_TEXT("aad"), once, 20), OK);
	assert_memory_equal(once, "twenty bytes of text", 20);

	memcpy(once, usual, sizeof once);
	assert_int_equal(aead_open_once(key, VIEW_TEXT("aae"), once, 20), ERR_AUTH);
	assert_true(secret_is_zero(once, 20));
	memcpy(once, usual, sizeof once);
	once[35] ^= 1;
	assert_int_equal(aead_open_once(key, VIEW_TEXT("aad"), once, 20), ERR_AUTH);
	assert_true(secret_is_zero(once, 20));
	assert_int_equal(ERR_peek_error(), 0);
}

static enum aead_provider openssl = AEAD_OPENSSL, ipsec_mb = AEAD_IPSEC_MB;

#define WITH(who, test)                                                                                                \
	{                                                                                                              \
		.name = #test ", " #who, .test_func = (test), .setup_func = choose_provider, .initial_state = &(who)   \
	}
#define WITH_BOTH(test) WITH(openssl, test), WITH(ipsec_mb, test)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		WITH_BOTH(chacha20_poly1305_matches_rfc_8439),
		WITH_BOTH(aes_256_gcm_matches_the_gcm_specification),
		WITH_BOTH(every_length_and_every_damage),
		WITH_BOTH(empty_messages_are_authenticated),
		WITH_BOTH(wrong_use_is_refused),
		WITH_BOTH(once_is_chacha20_poly1305_with_nonce_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
