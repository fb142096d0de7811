/*
 * The last message of snek's key exchange, from client to server over TCP, and the keys of a session:
 *
 *     salt 16 | nonce 12 | n u32le | n bytes: ChaCha20-Poly1305 of {"DataKeySig": "...", "aad_b64": "..."}
 *
 * Both keys come from the KEM's secret and the salt. The signature is ML-DSA-65 over the data key, so the client proves
 * who it is; the server proves nothing. aad_b64 is 16 random bytes that nobody uses. Pure: no system calls, and
 * randomness is an argument. Faults name what is wrong with the message and who has to see to it.
 */
#pragma once

#include "base/bytes.h"
#include "base/rng.h"
#include "crypto/aead.h"
#include "crypto/sig.h"

#define SNEK_SALT_LEN 16
#define SNEK_SECRET_LEN 32
#define SNEK_META_HEAD_LEN 32 /* salt, nonce and n: what is to be read before n is known */
#define SNEK_META_LEN 4517    /* of the message that snek_meta_build makes */
#define SNEK_META_MAX 65536   /* the greatest n that is taken */

/* Signatures' context string; what they sign is a data key. */
#define SNEK_CONTEXT VIEW_TEXT("SEPC-HF5")

/* Both are secrets: whoever holds them wipes them. */
struct snek_keys {
	uint8_t handshake[AEAD_KEY_LEN], data[AEAD_KEY_LEN];
};

/* HKDF-SHA256. ERR_CRYPTO; *ret is then zeroed. */
enum err snek_keys_derive(
	struct snek_keys *ret, const uint8_t secret[static SNEK_SECRET_LEN], const uint8_t salt[static SNEK_SALT_LEN]);

/* The whole message, to the byte as the older client writes it. Draws from rng: nonce 12, the unused 16, the
 * signature's entropy. ERR_ARGUMENT: the identity is not ML-DSA-65; ERR_CRYPTO, ERR_NOMEM. On error out is zeroed. */
enum err snek_meta_build(uint8_t out[static SNEK_META_LEN], const struct identity *id, const struct snek_keys *keys,
	const uint8_t salt[static SNEK_SALT_LEN], const struct rng *rng);

/* n of a message's first bytes. ERR_FORMAT: shorter than a tag or longer than SNEK_META_MAX; ret is then 0. */
enum err snek_meta_length(size_t *ret_n, const uint8_t head[static SNEK_META_HEAD_LEN], struct fault *fault);

/*
 * Opens a whole message (len: SNEK_META_HEAD_LEN + n) in place: what is behind the head is overwritten, and of no use
 * afterwards. As lenient as the older server: any JSON object with both members will do, others are ignored, of a
 * member that is there twice the last counts, and characters foreign to base64 are skipped. What Python takes and no
 * client writes is refused: NaN and Infinity, numbers beyond a double's range, halves of surrogate pairs, NUL in a
 * member's name.
 * ERR_FORMAT: lengths, JSON or base64; ERR_AUTH: forged, damaged, or under another key; ERR_CRYPTO, ERR_NOMEM.
 * On error ret_sig is zeroed. The signature is not verified here (snek_authorized.h).
 */
enum err snek_meta_open(uint8_t ret_sig[static SIG_65_LEN], const struct snek_keys *keys, uint8_t *message, size_t len,
	struct fault *fault);
