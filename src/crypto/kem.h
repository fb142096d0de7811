/*
 * ML-KEM-1024 (FIPS 203), the post-quantum half of the hybrid key exchange (dh.h is the other).
 * Randomness is given by the caller, so that handshakes can be replayed from a seed; the caller
 * wipes it. Thread safe. On error every output is zeroed.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

#define KEM_PUBLIC_LEN 1568
#define KEM_CIPHERTEXT_LEN 1568
#define KEM_SECRET_LEN 32
#define KEM_SEED_LEN 64    /* d || z, FIPS 203 section 7.1 */
#define KEM_ENTROPY_LEN 32 /* m, FIPS 203 section 7.2 */

/* A decapsulation key. Opaque; freed (and wiped) with kem_free. */
struct kem_key;

/* FIPS 203 ML-KEM.KeyGen from a seed. ERR_CRYPTO when libcrypto fails. */
enum err kem_generate(
	struct kem_key **ret, uint8_t public_key[static KEM_PUBLIC_LEN], const uint8_t seed[static KEM_SEED_LEN]);
void kem_free(struct kem_key *key); /* NULL is fine */

/* FIPS 203 ML-KEM.Encaps with its encapsulation key check. ERR_FORMAT: the key fails the check
 * (a coefficient is not below q); ERR_CRYPTO: libcrypto failed. */
enum err kem_encapsulate(uint8_t ciphertext[static KEM_CIPHERTEXT_LEN], uint8_t secret[static KEM_SECRET_LEN],
	const uint8_t public_key[static KEM_PUBLIC_LEN], const uint8_t entropy[static KEM_ENTROPY_LEN]);

/* FIPS 203 ML-KEM.Decaps. A damaged ciphertext gives OK and another secret (implicit rejection). */
enum err kem_decapsulate(uint8_t secret[static KEM_SECRET_LEN], const struct kem_key *key,
	const uint8_t ciphertext[static KEM_CIPHERTEXT_LEN]);
