/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/secret.h"
#include "crypto/algorithms.h"
#include "crypto/kdf.h"
#include "crypto/kem.h"
#include "hex.h"

/* Project Wycheproof, mlkem_1024_test.json tcId 2 and mlkem_1024_encaps_test.json tcId 18: the same key
 * ("official round 3 seeds 0"). Long values are given by their SHA-256. */
#define SEED                                                                                                           \
	"7c9935a0b07694aa0c6d10e4db6b1add2fd81a25ccb148032dcd739936737f2d"                                             \
	"8626ed79d451140800e03b59b956f8210e556067407d13dc90fa9e8b872bfb8f"
#define ENTROPY "147c03f7a5bebba406c8fae1874d7f13c80efe79a3a9a874cc09fe76f6997615"
#define PUBLIC_SHA256 "61b95ec8c32ae85ad7a17ae5b9c2dfb083e05f767da3ba9a0a8092ea6b4cbf7a"
#define CIPHERTEXT_SHA256 "508136a13f8a7920e3434498c6975cbbab457d809309eb2f92453e7409738210"
#define SECRET "489dd1e9c2be4af3482bdb35bb26ce760e6e414da6ecbe489985748a825f1cd6"

struct exchange {
	struct kem_key *key;
	uint8_t public_key[KEM_PUBLIC_LEN], ciphertext[KEM_CIPHERTEXT_LEN], secret[KEM_SECRET_LEN];
};

static void assert_sha256(const void *data, size_t len, const char *text)
{
	uint8_t hash[HASH_SHA256_LEN], expected[HASH_SHA256_LEN];
	assert_int_equal(hex_read(expected, sizeof expected, text), sizeof expected);
	assert_int_equal(HASH_SHA256(hash, VIEW(data, len)), OK);
	assert_memory_equal(hash, expected, sizeof hash);
}

static struct exchange exchange(void)
{
	struct exchange x;
	HEX(seed, SEED);
	HEX(entropy, ENTROPY);
	assert_int_equal(kem_generate(&x.key, x.public_key, seed), OK);
	assert_int_equal(kem_encapsulate(x.ciphertext, x.secret, x.public_key, entropy), OK);
	return x;
}

static void matches_wycheproof(void **state)
{
	(void)state;
	struct exchange x = exchange();
	uint8_t secret[KEM_SECRET_LEN];
	HEX(expected, SECRET);
	assert_sha256(x.public_key, sizeof x.public_key, PUBLIC_SHA256);
	assert_sha256(x.ciphertext, sizeof x.ciphertext, CIPHERTEXT_SHA256);
	assert_memory_equal(x.secret, expected, sizeof expected);
	assert_int_equal(kem_decapsulate(secret, x.key, x.ciphertext), OK);
	assert_memory_equal(secret, expected, sizeof expected);
	kem_free(x.key);
}

static void other_seeds_give_other_keys(void **state)
{
	(void)state;
	struct exchange x = exchange();
	struct kem_key *other;
	uint8_t public_key[KEM_PUBLIC_LEN], ciphertext[KEM_CIPHERTEXT_LEN], secret[KEM_SECRET_LEN];
	HEX(seed, SEED);
	HEX(entropy, ENTROPY);
	seed[63] ^= 1; /* z: for rejection only, the public key stays */
	assert_int_equal(kem_generate(&other, public_key, seed), OK);
	assert_memory_equal(public_key, x.public_key, sizeof public_key);
	kem_free(other);
	seed[0] ^= 1; /* d */
	assert_int_equal(kem_generate(&other, public_key, seed), OK);
	assert_memory_not_equal(public_key, x.public_key, sizeof public_key);
	assert_int_equal(kem_decapsulate(secret, other, x.ciphertext), OK);
	assert_memory_not_equal(secret, x.secret, sizeof secret);
	kem_free(other);

	entropy[31] ^= 1;
	assert_int_equal(kem_encapsulate(ciphertext, secret, x.public_key, entropy), OK);
	assert_memory_not_equal(ciphertext, x.ciphertext, sizeof ciphertext);
	assert_memory_not_equal(secret, x.secret, sizeof secret);
	kem_free(x.key);
}

/* FIPS 203, algorithm 18: the secret for a damaged ciphertext c is J(z || c), SHAKE256 of them. */
static void damaged_ciphertexts_are_rejected_implicitly(void **state)
{
	(void)state;
	struct exchange x = exchange();
	uint8_t secret[KEM_SECRET_LEN], expected[KEM_SECRET_LEN], input[32 + KEM_CIPHERTEXT_LEN];
	HEX(seed, SEED);
	for (size_t at = 0; at < KEM_CIPHERTEXT_LEN; at += 97) {
		x.ciphertext[at] ^= 0x10;
		assert_int_equal(kem_decapsulate(secret, x.key, x.ciphertext), OK);
		assert_memory_not_equal(secret, x.secret, sizeof secret);
		memcpy(input, seed + 32, 32);
		memcpy(input + 32, x.ciphertext, KEM_CIPHERTEXT_LEN);
		EVP_MD_CTX *ctx = EVP_MD_CTX_new();
		assert_int_equal(EVP_DigestInit_ex(ctx, EVP_shake256(), NULL), 1);
		assert_int_equal(EVP_DigestUpdate(ctx, input, sizeof input), 1);
		assert_int_equal(EVP_DigestFinalXOF(ctx, expected, sizeof expected), 1);
		EVP_MD_CTX_free(ctx);
		assert_memory_equal(secret, expected, sizeof secret);
		x.ciphertext[at] ^= 0x10;
	}
	kem_free(x.key);
}

/* FIPS 203, section 7.2: coefficients are below q = 3329. The first one is the low 12 bits. */
static void public_keys_are_checked(void **state)
{
	(void)state;
	struct exchange x = exchange();
	const uint8_t entropy[KEM_ENTROPY_LEN] = {0};
	uint8_t ciphertext[KEM_CIPHERTEXT_LEN], secret[KEM_SECRET_LEN];
	const struct {
		unsigned coefficient;
		enum err result;
	} cases[] = {{3328, OK}, {3329, ERR_FORMAT}, {4095, ERR_FORMAT}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		x.public_key[0] = (uint8_t)cases[i].coefficient;
		x.public_key[1] = (uint8_t)((x.public_key[1] & 0xf0U) | cases[i].coefficient >> 8);
		memset(ciphertext, 7, sizeof ciphertext);
		memset(secret, 7, sizeof secret);
		assert_int_equal(kem_encapsulate(ciphertext, secret, x.public_key, entropy), cases[i].result);
		assert_int_equal(secret_is_zero(ciphertext, sizeof ciphertext), cases[i].result != OK);
		assert_int_equal(secret_is_zero(secret, sizeof secret), cases[i].result != OK);
		assert_int_equal(ERR_peek_error(), 0);
	}
	kem_free(x.key);
	kem_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_wycheproof),
		cmocka_unit_test(other_seeds_give_other_keys),
		cmocka_unit_test(damaged_ciphertexts_are_rejected_implicitly),
		cmocka_unit_test(public_keys_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
