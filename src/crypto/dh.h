/*
 * X25519 (RFC 7748), the classical half of the hybrid key exchange. Randomness is given by the
 * caller, who wipes it. Thread safe. On error every output is zeroed.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

#define DH_LEN 32

/* The public value of a private scalar, which may be any 32 bytes. ERR_CRYPTO when libcrypto fails. */
enum err dh_public(uint8_t public_key[static DH_LEN], const uint8_t private_key[static DH_LEN]);

/* The shared secret (RFC 7748, section 6.1). ERR_AUTH: it is all zero (a low-order point; the
 * handshake aborts); ERR_CRYPTO: libcrypto failed. */
enum err dh_derive(
	uint8_t secret[static DH_LEN], const uint8_t private_key[static DH_LEN], const uint8_t peer[static DH_LEN]);

/* Both of the above, as who answers needs them, for two thirds of their cost. Errors are dh_derive's. */
enum err dh_answer(uint8_t public_key[static DH_LEN], uint8_t secret[static DH_LEN],
	const uint8_t private_key[static DH_LEN], const uint8_t peer[static DH_LEN]);
