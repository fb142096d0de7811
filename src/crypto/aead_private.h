/*
 * Who does the work behind aead.h: libcrypto, which can do everything everywhere, or libipsec-mb, where it is
 * built in, quicker on this CPU and right. For src/crypto/aead*.c, and for the tests, which try both.
 */
#pragma once

#include "crypto/aead.h"

enum aead_provider { AEAD_OPENSSL, AEAD_IPSEC_MB };

/* As aead_new, with that provider or not at all. ERR_UNSUPPORTED: it cannot be used for this cipher here;
 * ERR_NOMEM. It has not been tried out then: aead_provider_of does that. */
enum err aead_new_with(struct aead **ret, enum aead_provider provider, enum cipher cipher,
	enum aead_direction direction, const uint8_t key[static AEAD_KEY_LEN]);

/* What aead_new uses. Thread safe. The first call tests libipsec-mb; where it fails, it is not used. */
enum aead_provider aead_provider_of(enum cipher cipher);

/* The self-test: do these two, made with aead_test_key, give a published vector's bytes and, for lengths around
 * the sizes of blocks, libcrypto's, and do they refuse what is damaged? */
bool aead_is_right(enum cipher cipher, struct aead *seal, struct aead *open);
const uint8_t *aead_test_key(enum cipher cipher); /* AEAD_KEY_LEN bytes; NULL for an unknown cipher */
