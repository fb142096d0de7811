#include "seeded.h"

#include "base/secret.h"
#include "compat/snek_kyber.h"
#include "crypto/kdf.h"
#include "hex.h"
#include "snek_case.h"

/* Round 3's encapsulation, seen from outside: the same ciphertext and the same secret from the same randomness. */
static void encapsulation_is_round_3s(void **state)
{
	(void)state;
	uint8_t ciphertext[KEM_CIPHERTEXT_LEN], secret[KEM_SECRET_LEN], entropy[HASH_SHA3_256_LEN],
		hash[HASH_SHA256_LEN];
	HEX(public_key, SNEK_CASE_KEM_KEY);
	HEX(random, SNEK_CASE_KEM_RANDOM);
	HEX(expected, SNEK_CASE_SECRET);
	HEX(expected_hash, SNEK_CASE_CIPHERTEXT_SHA256);
	assert_int_equal(sizeof public_key, KEM_PUBLIC_LEN);
	assert_int_equal(hash_sha3_256(entropy, &VIEW_ARRAY(random), 1), OK);
	assert_int_equal(snek_kyber_encapsulate(ciphertext, secret, public_key, entropy), OK);
	assert_int_equal(HASH_SHA256(hash, VIEW_ARRAY(ciphertext)), OK);
	assert_memory_equal(hash, expected_hash, sizeof hash);
	assert_memory_equal(secret, expected, sizeof secret);

	/* The standard's secret is another. */
	assert_int_equal(kem_encapsulate(ciphertext, secret, public_key, entropy), OK);
	assert_memory_not_equal(secret, expected, sizeof secret);
}

static struct kem_key *key_pair(uint8_t public_key[static KEM_PUBLIC_LEN])
{
	const uint8_t seed[KEM_SEED_LEN] = {7};
	struct kem_key *key;
	assert_int_equal(kem_generate(&key, public_key, seed), OK);
	return key;
}

static void both_ends_agree(void **state)
{
	(void)state;
	uint8_t public_key[KEM_PUBLIC_LEN], ciphertext[KEM_CIPHERTEXT_LEN], entropy[KEM_ENTROPY_LEN] = {0};
	uint8_t ours[KEM_SECRET_LEN], theirs[KEM_SECRET_LEN];
	struct kem_key *key = key_pair(public_key);
	for (unsigned i = 0; i < 20; i++) {
		entropy[0] = (uint8_t)i;
		assert_int_equal(snek_kyber_encapsulate(ciphertext, theirs, public_key, entropy), OK);
		assert_int_equal(snek_kyber_decapsulate(ours, key, ciphertext), OK);
		assert_memory_equal(ours, theirs, sizeof ours);
	}
	kem_free(key);
}

/* Implicit rejection: no error, but a secret of its own for each damaged ciphertext. */
static void damage_gives_another_secret(void **state)
{
	(void)state;
	uint8_t public_key[KEM_PUBLIC_LEN], ciphertext[KEM_CIPHERTEXT_LEN], before[KEM_SECRET_LEN];
	uint8_t secret[KEM_SECRET_LEN], theirs[KEM_SECRET_LEN], again[KEM_SECRET_LEN];
	const uint8_t entropy[KEM_ENTROPY_LEN] = {1};
	struct kem_key *key = key_pair(public_key);
	assert_int_equal(snek_kyber_encapsulate(ciphertext, theirs, public_key, entropy), OK);
	memcpy(before, theirs, sizeof before);
	for (size_t bit = 0; bit < 8 * KEM_CIPHERTEXT_LEN; bit += 197) {
		ciphertext[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_equal(snek_kyber_decapsulate(secret, key, ciphertext), OK);
		assert_int_equal(snek_kyber_decapsulate(again, key, ciphertext), OK);
		assert_memory_equal(secret, again, sizeof secret);
		assert_memory_not_equal(secret, theirs, sizeof secret);
		assert_memory_not_equal(secret, before, sizeof secret);
		memcpy(before, secret, sizeof before);
		ciphertext[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_int_equal(snek_kyber_decapsulate(secret, key, ciphertext), OK);
	assert_memory_equal(secret, theirs, sizeof secret);
	kem_free(key);
}

/* A coefficient of 4095 is not below q: round 3 let it in. */
static void keys_out_of_range_are_refused(void **state)
{
	(void)state;
	uint8_t public_key[KEM_PUBLIC_LEN], ciphertext[KEM_CIPHERTEXT_LEN], secret[KEM_SECRET_LEN];
	const uint8_t entropy[KEM_ENTROPY_LEN] = {1};
	struct kem_key *key = key_pair(public_key);
	kem_free(key);
	public_key[0] = 0xff;
	public_key[1] |= 0x0f;
	memset(ciphertext, 7, sizeof ciphertext);
	memset(secret, 7, sizeof secret);
	assert_int_equal(snek_kyber_encapsulate(ciphertext, secret, public_key, entropy), ERR_FORMAT);
	assert_true(secret_is_zero(ciphertext, sizeof ciphertext));
	assert_true(secret_is_zero(secret, sizeof secret));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encapsulation_is_round_3s),
		cmocka_unit_test(both_ends_agree),
		cmocka_unit_test(damage_gives_another_secret),
		cmocka_unit_test(keys_out_of_range_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
