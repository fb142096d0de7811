/*
 * ML-DSA signatures (FIPS 204) and the identities made of them (protocol.md, "Identities").
 * An identity is an ML-DSA key pair; its key ID is SHA-256("jorm key id v1" || alg u8 || pub).
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

#include <stdint.h>

/* The values of alg on the wire. */
enum sig_alg { SIG_ML_DSA_65 = 1, SIG_ML_DSA_87 = 2 };

#define SIG_65_PUBLIC_LEN 1952
#define SIG_65_PRIVATE_LEN 4032
#define SIG_65_LEN 3309
#define SIG_87_PUBLIC_LEN 2592
#define SIG_87_PRIVATE_LEN 4896
#define SIG_87_LEN 4627
#define SIG_PUBLIC_MAX SIG_87_PUBLIC_LEN
#define SIG_PRIVATE_MAX SIG_87_PRIVATE_LEN
#define SIG_MAX SIG_87_LEN
#define SIG_SEED_LEN 32    /* xi, FIPS 204 section 6.1 */
#define SIG_ENTROPY_LEN 32 /* rnd, FIPS 204 section 3.4: hedged signing */

#define KEY_ID_LEN 32
#define KEY_ID_TEXT_LEN 45 /* base64 of 32 bytes and NUL */

/* Lengths by algorithm; 0 for an unknown one. */
size_t sig_public_len(enum sig_alg alg);
size_t sig_private_len(enum sig_alg alg);
size_t sig_len(enum sig_alg alg);
const char *sig_alg_name(enum sig_alg alg); /* "ML-DSA-65", "ML-DSA-87", or "unknown" */
/* By the length of a key file. ERR_FORMAT: no algorithm has that length. */
enum err sig_alg_of_public_len(enum sig_alg *ret, size_t len);
enum err sig_alg_of_private_len(enum sig_alg *ret, size_t len);

/* A public key as bytes; plain data. */
struct sig_public {
	enum sig_alg alg;
	uint8_t bytes[SIG_PUBLIC_MAX]; /* sig_public_len(alg) of them count */
};

/* A private key with its public one and key ID. Opaque parts belong to libcrypto; free wipes. */
struct identity;

/* FIPS 204 ML-DSA.KeyGen from a seed. ERR_ARGUMENT (unknown alg), ERR_CRYPTO. */
enum err identity_generate(struct identity **ret, enum sig_alg alg, const uint8_t seed[static SIG_SEED_LEN]);
/* From FIPS 204 skEncode bytes. ERR_FORMAT: length or contents are no private key (libcrypto
 * derives the public key and compares its hash with the one in it); ERR_CRYPTO. */
enum err identity_import(struct identity **ret, const uint8_t *private_key, size_t len);
/* skEncode bytes into out; the caller wipes them. ERR_CRYPTO. */
enum err identity_export(const struct identity *id, uint8_t out[static SIG_PRIVATE_MAX], size_t *ret_len);
void identity_free(struct identity *id); /* NULL is fine */

const struct sig_public *identity_public(const struct identity *id);
const uint8_t *identity_key_id(const struct identity *id); /* KEY_ID_LEN bytes, owned by id */

/* FIPS 204 ML-DSA.Sign (hedged with `entropy`, which is its rnd), context string `context` (at most
 * 255 bytes). Writes sig_len(alg) bytes to sig; zeros on error. ERR_ARGUMENT: the context is too
 * long; ERR_CRYPTO. Thread safe for one identity. */
enum err identity_sign(const struct identity *id, uint8_t sig[static SIG_MAX], struct view context, struct view message,
	const uint8_t entropy[static SIG_ENTROPY_LEN]);

/* FIPS 204 ML-DSA.Verify. ERR_AUTH: the signature, its length or the key is bad; ERR_ARGUMENT: the
 * context is too long; ERR_CRYPTO: libcrypto failed. */
enum err sig_verify(const struct sig_public *key, struct view context, struct view message, struct view sig);

/* SHA-256("jorm key id v1" || alg u8 || pub). */
enum err key_id_compute(uint8_t out[static KEY_ID_LEN], const struct sig_public *key);
/* What stands for the key ID of a peer that has a one-time pad and no key: SHA-256("jorm pad id v1" || pad id). */
enum err pad_key_id_compute(uint8_t out[static KEY_ID_LEN], const uint8_t pad_id[static 16]);
/* Standard base64, 44 characters; returns out. */
const char *key_id_format(const uint8_t id[static KEY_ID_LEN], char out[static KEY_ID_TEXT_LEN]);
/* ERR_FORMAT: not the canonical base64 of 32 bytes; ret is then zeroed. */
enum err key_id_parse(uint8_t ret[static KEY_ID_LEN], const char *text);
