/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "crypto/algorithms.h"
#include "crypto/kdf.h"
#include "hex.h"

#include <pthread.h>
#include <stdlib.h>

static void hashes_match_fips_180(void **state)
{
	(void)state;
	uint8_t out[HASH_LEN];
	/* NIST's examples with intermediate values for FIPS 180-4: the message "abc". */
	HEX(sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	HEX(sha384, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7");
	assert_int_equal(HASH_SHA256(out, VIEW_TEXT("abc")), OK);
	assert_memory_equal(out, sha256, sizeof sha256);
	assert_int_equal(HASH_SHA384(out, VIEW_TEXT("a"), VIEW(NULL, 0), VIEW_TEXT("bc")), OK);
	assert_memory_equal(out, sha384, sizeof sha384);

	assert_int_equal(HASH_SHA384(out, VIEW_TEXT("abd")), OK);
	assert_memory_not_equal(out, sha384, sizeof sha384);
}

static void hashes_match_fips_202(void **state)
{
	(void)state;
	uint8_t out[200], shorter[199];
	/* NIST's examples with intermediate values for SHA3-256 ("abc") and SHAKE256 (the empty message). */
	HEX(sha3, "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532");
	HEX(shake, "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f");
	assert_int_equal(hash_sha3_256(out, (const struct view[]){VIEW_TEXT("a"), VIEW_TEXT("bc")}, 2), OK);
	assert_memory_equal(out, sha3, sizeof sha3);
	assert_int_equal(hash_sha3_256(out, &VIEW_TEXT("abd"), 1), OK);
	assert_memory_not_equal(out, sha3, sizeof sha3);

	/* Longer than a block; the output does not depend on how much is asked for. */
	assert_int_equal(shake256(out, sizeof out, NULL, 0), OK);
	assert_memory_equal(out, shake, sizeof shake);
	for (size_t len = 1; len <= sizeof shorter; len++) {
		assert_int_equal(shake256(shorter, len, NULL, 0), OK);
		assert_memory_equal(shorter, out, len);
	}
	assert_int_equal(shake256(out, sizeof shake, &VIEW_TEXT("x"), 1), OK);
	assert_memory_not_equal(out, shake, sizeof shake);
}

/* No parts at all: the hash of the empty string (NIST CAVP, SHA256ShortMsg.rsp, Len = 0). */
static void nothing_can_be_hashed(void **state)
{
	(void)state;
	uint8_t out[HASH_SHA256_LEN];
	HEX(empty, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	assert_int_equal(hash_sha256(out, NULL, 0), OK);
	assert_memory_equal(out, empty, sizeof empty);
}

static void hmac_matches_rfc_4231(void **state)
{
	(void)state;
	uint8_t out[HASH_LEN], long_key[131];
	/* Test case 2: a key shorter than the hash. */
	const struct view key = VIEW_TEXT("Jefe");
	HEX(short_256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	HEX(short_384, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
		       "8e2240ca5e69e2c78b3239ecfab21649");
	assert_int_equal(HMAC_SHA256(out, key, VIEW_TEXT("what do ya want "), VIEW_TEXT("for nothing?")), OK);
	assert_memory_equal(out, short_256, sizeof short_256);
	assert_int_equal(HMAC_SHA384(out, key, VIEW_TEXT("what do ya want for nothing?")), OK);
	assert_memory_equal(out, short_384, sizeof short_384);

	/* Test case 6: a key longer than a block. */
	const struct view message = VIEW_TEXT("Test Using Larger Than Block-Size Key - Hash Key First");
	HEX(long_256, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	HEX(long_384, "4ece084485813e9088d2c63a041bc5b44f9ef1012a2b588f3cd11f05033ac4c6"
		      "0c2ef6ab4030fe8296248df163f44952");
	memset(long_key, 0xaa, sizeof long_key);
	assert_int_equal(HMAC_SHA256(out, VIEW_ARRAY(long_key), message), OK);
	assert_memory_equal(out, long_256, sizeof long_256);
	assert_int_equal(HMAC_SHA384(out, VIEW_ARRAY(long_key), message), OK);
	assert_memory_equal(out, long_384, sizeof long_384);

	long_key[130] ^= 1;
	assert_int_equal(HMAC_SHA256(out, VIEW_ARRAY(long_key), message), OK);
	assert_memory_not_equal(out, long_256, sizeof long_256);
}

/* Around the block sizes libcrypto's own HMAC is the model. */
static void hmac_agrees_with_libcrypto(void **state)
{
	(void)state;
	uint8_t key[140], message[300], out[HASH_LEN], expected[EVP_MAX_MD_SIZE];
	for (size_t i = 0; i < sizeof key; i++)
		key[i] = (uint8_t)(i * 7);
	for (size_t i = 0; i < sizeof message; i++)
		message[i] = (uint8_t)(i * 3);
	for (size_t k = 0; k <= sizeof key; k++) {
		size_t n = k * 2, len;
		assert_non_null(EVP_Q_mac(
			NULL, "HMAC", NULL, "SHA256", NULL, key, k, message, n, expected, sizeof expected, &len));
		assert_int_equal(hmac_sha256(out, VIEW(key, k), &VIEW(message, n), 1), OK);
		assert_memory_equal(out, expected, HASH_SHA256_LEN);
		assert_non_null(EVP_Q_mac(
			NULL, "HMAC", NULL, "SHA384", NULL, key, k, message, n, expected, sizeof expected, &len));
		assert_int_equal(hmac_sha384(out, VIEW(key, k), &VIEW(message, n), 1), OK);
		assert_memory_equal(out, expected, HASH_LEN);
	}
}

static void hkdf_sha256_matches_rfc_5869(void **state)
{
	(void)state;
	uint8_t out[82];
	HEX(ikm, "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	HEX(salt, "000102030405060708090a0b0c");
	HEX(info, "f0f1f2f3f4f5f6f7f8f9");
	/* A.1 */
	HEX(okm, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
	assert_int_equal(hkdf_sha256(out, sizeof okm, VIEW_ARRAY(salt), VIEW_ARRAY(ikm), VIEW_ARRAY(info)), OK);
	assert_memory_equal(out, okm, sizeof okm);
	/* A.3: neither salt nor info */
	HEX(bare, "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
	assert_int_equal(hkdf_sha256(out, sizeof bare, VIEW(NULL, 0), VIEW_ARRAY(ikm), VIEW(NULL, 0)), OK);
	assert_memory_equal(out, bare, sizeof bare);

	assert_int_equal(hkdf_sha256(out, sizeof okm, VIEW_ARRAY(salt), VIEW_ARRAY(ikm), VIEW(info, 9)), OK);
	assert_memory_not_equal(out, okm, sizeof okm);
}

static void hkdf_sha384_matches_wycheproof(void **state)
{
	(void)state;
	uint8_t prk[HASH_LEN], out[42];
	/* hkdf_sha384_test.json, tcId 20 (Project Wycheproof). */
	HEX(ikm, "24a37db03dbcffbe9e28d582d0d8c60a");
	HEX(salt, "4c3d3b4f5436418713fbe2fbc4d647095ce5d5392dcfffd20327187e14fb6836"
		  "0b94c5122203292d8b648a754ab70f6d3d61e0650f06d55c4b5762cba0231e27");
	HEX(info, "8cd9e7b786a74bd370bae434e31a559bdf75d65f");
	HEX(okm, "f96e579b4f583cce512cc410132c5b89054d952b0b6964ce8fb1d37808f43f8a7b8739a1c78c77771107");
	assert_int_equal(hkdf_extract(prk, VIEW_ARRAY(salt), VIEW_ARRAY(ikm)), OK);
	assert_int_equal(hkdf_expand(out, sizeof out, prk, VIEW_ARRAY(info)), OK);
	assert_memory_equal(out, okm, sizeof okm);

	prk[47] ^= 1;
	assert_int_equal(hkdf_expand(out, sizeof out, prk, VIEW_ARRAY(info)), OK);
	assert_memory_not_equal(out, okm, sizeof okm);
}

/* RFC 5869, section 2.3: L <= 255 * HashLen. */
static void hkdf_expand_is_bounded(void **state)
{
	(void)state;
	const uint8_t prk[HASH_LEN] = {1};
	const size_t most = 255 * HASH_LEN;
	uint8_t *out = malloc(most + 1), *shorter = malloc(most);
	assert_non_null(out);
	assert_non_null(shorter);
	assert_int_equal(hkdf_expand(out, most, prk, VIEW_TEXT("x")), OK);
	/* The output does not depend on how much is asked for. */
	for (size_t len = 0; len < 200; len++) {
		assert_int_equal(hkdf_expand(shorter, len, prk, VIEW_TEXT("x")), OK);
		assert_memory_equal(shorter, out, len);
	}
	memset(out, 7, most + 1);
	assert_int_equal(hkdf_expand(out, most + 1, prk, VIEW_TEXT("x")), ERR_ARGUMENT);
	for (size_t i = 0; i <= most; i++)
		assert_int_equal(out[i], 0);
	free(shorter);
	free(out);
}

static void *hash_much(void *arg)
{
	uint8_t *out = arg;
	for (int i = 0; i < 1000; i++)
		if (hmac_sha384(out, VIEW(out, HASH_LEN), &VIEW(out, HASH_LEN), 1) != OK)
			return arg;
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	(void)state;
	enum { N = 4 };
	pthread_t threads[N];
	uint8_t out[N][HASH_LEN] = {0};
	for (size_t i = 0; i < N; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_much, out[i]), 0);
	for (size_t i = 0; i < N; i++) {
		void *failed;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
		assert_memory_equal(out[i], out[0], HASH_LEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_do_not_disturb_each_other), /* first: they race for the initialisation */
		cmocka_unit_test(hashes_match_fips_180),
		cmocka_unit_test(hashes_match_fips_202),
		cmocka_unit_test(nothing_can_be_hashed),
		cmocka_unit_test(hmac_matches_rfc_4231),
		cmocka_unit_test(hmac_agrees_with_libcrypto),
		cmocka_unit_test(hkdf_sha256_matches_rfc_5869),
		cmocka_unit_test(hkdf_sha384_matches_wycheproof),
		cmocka_unit_test(hkdf_expand_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
