/*
 * Hashes, HMAC and HKDF (protocol.md, "H is SHA-384; HMAC and HKDF are over SHA-384 unless another
 * hash is named"). Inputs are lists of views, hashed as if concatenated. Thread safe.
 *
 * Every function returns OK or ERR_CRYPTO (libcrypto failed: out of memory, or a broken build);
 * on error the output is zeroed.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

#define HASH_LEN 48 /* SHA-384 */
#define HASH_SHA256_LEN 32
#define HASH_SHA3_256_LEN 32

enum err hash_sha384(uint8_t out[static HASH_LEN], const struct view *parts, size_t n_parts);
enum err hash_sha256(uint8_t out[static HASH_SHA256_LEN], const struct view *parts, size_t n_parts);
/* FIPS 202; they are in the older programs' protocols only (compat/snek_kyber.h). */
enum err hash_sha3_256(uint8_t out[static HASH_SHA3_256_LEN], const struct view *parts, size_t n_parts);
enum err shake256(uint8_t *out, size_t len, const struct view *parts, size_t n_parts); /* len > 0 bytes of output */
enum err hmac_sha384(uint8_t out[static HASH_LEN], struct view key, const struct view *parts, size_t n_parts);
enum err hmac_sha256(uint8_t out[static HASH_SHA256_LEN], struct view key, const struct view *parts, size_t n_parts);

/* RFC 5869 over SHA-384. An empty salt stands for HASH_LEN zeros. Expanding gives at most 255 hashes;
 * ERR_ARGUMENT for more. */
enum err hkdf_extract(uint8_t prk[static HASH_LEN], struct view salt, struct view ikm);
enum err hkdf_expand(uint8_t *out, size_t len, const uint8_t prk[static HASH_LEN], struct view info);
/* RFC 5869 over SHA-256, both steps. */
enum err hkdf_sha256(uint8_t *out, size_t len, struct view salt, struct view ikm, struct view info);

/* hash_sha384(out, {a, b, c}): the parts written in place. */
#define HASH_SHA384(out, ...)                                                                                          \
	hash_sha384((out), (const struct view[]){__VA_ARGS__},                                                         \
		sizeof((const struct view[]){__VA_ARGS__}) / sizeof(struct view))
#define HASH_SHA256(out, ...)                                                                                          \
	hash_sha256((out), (const struct view[]){__VA_ARGS__},                                                         \
		sizeof((const struct view[]){__VA_ARGS__}) / sizeof(struct view))
#define HMAC_SHA384(out, key, ...)                                                                                     \
	hmac_sha384((out), (key), (const struct view[]){__VA_ARGS__},                                                  \
		sizeof((const struct view[]){__VA_ARGS__}) / sizeof(struct view))
#define HMAC_SHA256(out, key, ...)                                                                                     \
	hmac_sha256((out), (key), (const struct view[]){__VA_ARGS__},                                                  \
		sizeof((const struct view[]){__VA_ARGS__}) / sizeof(struct view))
