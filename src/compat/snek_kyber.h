/*
 * snek's KEM: Kyber1024 of round 3 as its peer sees it, made of ML-KEM-1024 (crypto/kem.h). Keys and ciphertexts have
 * the same encoding. What the standard changed (the domain byte of key generation, the hash over the encapsulator's
 * randomness) cannot be seen from outside; only the secret is another: round 3 hashes it once more, with the
 * ciphertext:
 *
 *     secret = SHAKE256(ML-KEM's secret || SHA3-256(ciphertext), 32 bytes)
 *
 * A key pair is made with kem_generate. On error every output is zeroed. Thread safe.
 */
#pragma once

#include "crypto/kem.h"

/* ERR_FORMAT: the key fails ML-KEM's check (a coefficient is not below q; round 3 took such a key, no honest peer makes
 * one); ERR_CRYPTO. `entropy` as in kem_encapsulate; the caller wipes it and the secret. */
enum err snek_kyber_encapsulate(uint8_t ret_ciphertext[static KEM_CIPHERTEXT_LEN],
	uint8_t ret_secret[static KEM_SECRET_LEN], const uint8_t public_key[static KEM_PUBLIC_LEN],
	const uint8_t entropy[static KEM_ENTROPY_LEN]);

/* A damaged ciphertext gives OK and a secret that nobody else has (not round 3's, which hides it as well: implicit
 * rejection). ERR_CRYPTO. */
enum err snek_kyber_decapsulate(uint8_t ret_secret[static KEM_SECRET_LEN], const struct kem_key *key,
	const uint8_t ciphertext[static KEM_CIPHERTEXT_LEN]);
