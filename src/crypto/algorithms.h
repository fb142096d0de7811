/*
 * libcrypto's algorithms, looked up once for the whole program: a lookup costs more than most of
 * what is done with the result. Knows how libcrypto is initialised; for the other files of
 * src/crypto only. What it hands out lives as long as the program.
 */
#pragma once

#include "base/err.h"

/* libcrypto has a type by the name of our ERR_STATE; every file here gets its headers through this one. */
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#undef ERR_STATE

#include <stdbool.h>

struct algorithms {
	EVP_MD *sha256, *sha384, *sha3_256, *shake256;
	EVP_KEYEXCH *x25519; /* these two are found by name when used: held to notice their absence at once */
	EVP_KEM *ml_kem_1024;
	EVP_SIGNATURE *ml_dsa_65, *ml_dsa_87;
	EVP_CIPHER *chacha20_poly1305, *aes_256_gcm;
	EVP_MAC *poly1305;
};

/* NULL when libcrypto lacks one of them. The first call of anything in libcrypto must be this one.
 * Thread safe. */
const struct algorithms *algorithms_get(void);

/* Why the import of a key just failed, by libcrypto's error queue, which it clears. ERR_CRYPTO: libcrypto
 * ran out of memory or is broken. Otherwise the key's contents are wrong, ERR_FORMAT: it does not give
 * each of their faults a reason code (private vectors out of range have none). */
enum err algorithms_import_error(void);
