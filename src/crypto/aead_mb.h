/*
 * The same AEADs by Intel's libipsec-mb, quicker than libcrypto's on CPUs with wide vectors (docs/decisions/0012).
 * Knows that library's calls and on which CPUs they are worth it; for the other files of src/crypto only.
 * Lengths and direction are checked by the caller. A context never changes: any number of threads may use it at
 * once. Built without the library, nothing is available.
 */
#pragma once

#include "crypto/aead.h"

struct aead_mb; /* holds the expanded key; owned by its struct aead */

#ifdef JORM_IPSEC_MB

/* Is it worth using on this CPU? Thread safe; the first call takes some milliseconds, in which the library
 * tests itself. Whether its results are right is for aead_provider.c to find out. */
bool aead_mb_is_available(enum cipher cipher);
const char *aead_mb_version(void); /* "1.3.0" */

/* ERR_UNSUPPORTED: not available; ERR_NOMEM. The key is copied. */
enum err aead_mb_new(struct aead_mb **ret, enum cipher cipher, const uint8_t key[static AEAD_KEY_LEN]);
void aead_mb_free(struct aead_mb *mb); /* wipes; NULL is fine */

/* As aead_seal and aead_open. ERR_CRYPTO: no memory for what the calling thread needs once, text untouched. */
enum err aead_mb_seal(const struct aead_mb *mb, const uint8_t nonce[static AEAD_NONCE_LEN], struct view aad,
	uint8_t *text, size_t len);
enum err aead_mb_open(const struct aead_mb *mb, const uint8_t nonce[static AEAD_NONCE_LEN], struct view aad,
	uint8_t *text, size_t len);

#else

static inline bool aead_mb_is_available(enum cipher cipher)
{
	return false;
}
static inline const char *aead_mb_version(void)
{
	return "none";
}
static inline enum err aead_mb_new(struct aead_mb **ret, enum cipher cipher, const uint8_t key[static AEAD_KEY_LEN])
{
	*ret = NULL;
	return ERR_UNSUPPORTED;
}
static inline void aead_mb_free(struct aead_mb *mb) {}
static inline enum err aead_mb_seal(const struct aead_mb *mb, const uint8_t nonce[static AEAD_NONCE_LEN],
	struct view aad, uint8_t *text, size_t len)
{
	return ERR_UNSUPPORTED;
}
static inline enum err aead_mb_open(const struct aead_mb *mb, const uint8_t nonce[static AEAD_NONCE_LEN],
	struct view aad, uint8_t *text, size_t len)
{
	return ERR_UNSUPPORTED;
}

#endif
