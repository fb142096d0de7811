/*
 * AEADs: ChaCha20-Poly1305 (RFC 8439) and AES-256-GCM (SP 800-38D), 96-bit nonces, 128-bit tags.
 * The data path keeps a `struct aead` for each key and direction, and one for each thread where they cannot be
 * shared: the key schedule is made once, a packet costs only its nonce, and nothing is allocated.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define AEAD_KEY_LEN 32
#define AEAD_NONCE_LEN 12
#define AEAD_TAG_LEN 16

/* The values of a suite on the wire: one bit of the offer (protocol.md, "Data"). */
enum cipher { CIPHER_CHACHA20_POLY1305 = 1, CIPHER_AES_256_GCM = 2 };
#define CIPHER_ALL 3U

const char *cipher_name(enum cipher cipher); /* "ChaCha20-Poly1305", "AES-256-GCM", or "unknown" */

/* Does this CPU have AES and carry-less multiplication instructions (AES-GCM beats ChaCha20)? */
bool cipher_aes_is_fast(void);

enum aead_direction { AEAD_SEAL, AEAD_OPEN };

/* One thread at a time, unless aead_new_shared made it. */
struct aead;

/* Which libraries do the work on this machine, for the log: "OpenSSL 3.5.7", or "libipsec-mb 1.3.0", or one
 * for each cipher. The first call, here or in aead_new, takes some milliseconds: libipsec-mb is tested in it. */
const char *aead_provider_name(void);

/* ERR_CRYPTO, ERR_ARGUMENT (unknown cipher). The key is copied. */
enum err aead_new(
	struct aead **ret, enum cipher cipher, enum aead_direction direction, const uint8_t key[static AEAD_KEY_LEN]);
/* One that any number of threads may use at once. ERR_UNSUPPORTED: what works for this cipher here keeps its state in
 * the context (libcrypto), so that each thread needs its own; ERR_CRYPTO, ERR_NOMEM. */
enum err aead_new_shared(
	struct aead **ret, enum cipher cipher, enum aead_direction direction, const uint8_t key[static AEAD_KEY_LEN]);
void aead_free(struct aead *aead); /* wipes; NULL is fine */

/* In place: text[0..len) becomes ciphertext, the tag goes to text[len..len+16). ERR_ARGUMENT: made
 * for opening, or over 2 GiB; ERR_CRYPTO: the library failed, and text and tag are zeroed. */
enum err aead_seal(struct aead *aead, const uint8_t nonce[static AEAD_NONCE_LEN], const uint8_t *aad, size_t aad_len,
	uint8_t *text, size_t len);

/* In place: text[0..len) is ciphertext, text[len..len+16) its tag. ERR_AUTH: forged or damaged;
 * text[0..len) then holds bytes that must not be used. ERR_ARGUMENT: made for sealing, or over 2 GiB.
 * ERR_CRYPTO: no memory for what a thread needs once (libipsec-mb only). */
enum err aead_open(struct aead *aead, const uint8_t nonce[static AEAD_NONCE_LEN], const uint8_t *aad, size_t aad_len,
	uint8_t *text, size_t len);

/* One message under a key that seals one message, once: ChaCha20-Poly1305 with a zero nonce
 * (protocol.md: the handshake's AEAD). In place, as above. On any error the text is zeroed. Always libcrypto. */
enum err aead_seal_once(const uint8_t key[static AEAD_KEY_LEN], struct view aad, uint8_t *text, size_t len);
enum err aead_open_once(const uint8_t key[static AEAD_KEY_LEN], struct view aad, uint8_t *text, size_t len);
