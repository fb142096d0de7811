#include "crypto/aead.h"

#include "base/secret.h"
#include "crypto/algorithms.h"

#include <limits.h>
#include <stdlib.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

struct aead {
	EVP_CIPHER_CTX *ctx; /* holds the key schedule; owned */
	enum aead_direction direction;
};

const char *cipher_name(enum cipher cipher)
{
	switch (cipher) {
	case CIPHER_CHACHA20_POLY1305:
		return "ChaCha20-Poly1305";
	case CIPHER_AES_256_GCM:
		return "AES-256-GCM";
	}
	return "unknown";
}

bool cipher_aes_is_fast(void)
{
#if defined(__x86_64__) || defined(__i386__)
	return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#elif defined(__aarch64__)
	return (getauxval(AT_HWCAP) & (HWCAP_AES | HWCAP_PMULL)) == (HWCAP_AES | HWCAP_PMULL);
#else
	return false;
#endif
}

static const EVP_CIPHER *evp_of(const struct algorithms *all, enum cipher cipher)
{
	switch (cipher) {
	case CIPHER_CHACHA20_POLY1305:
		return all->chacha20_poly1305;
	case CIPHER_AES_256_GCM:
		return all->aes_256_gcm;
	}
	return NULL;
}

enum err aead_new(
	struct aead **ret, enum cipher cipher, enum aead_direction direction, const uint8_t key[static AEAD_KEY_LEN])
{
	*ret = NULL;
	if (cipher != CIPHER_CHACHA20_POLY1305 && cipher != CIPHER_AES_256_GCM)
		return ERR_ARGUMENT;
	const struct algorithms *all = algorithms_get();
	struct aead *aead = all ? calloc(1, sizeof *aead) : NULL;
	if (!aead)
		return ERR_CRYPTO;

	aead->direction = direction;
	aead->ctx = EVP_CIPHER_CTX_new();
	if (!aead->ctx ||
		EVP_CipherInit_ex2(aead->ctx, evp_of(all, cipher), key, NULL, direction == AEAD_SEAL, NULL) != 1) {
		aead_free(aead);
		ERR_clear_error();
		return ERR_CRYPTO;
	}
	*ret = aead;
	return OK;
}

void aead_free(struct aead *aead)
{
	if (!aead)
		return;
	EVP_CIPHER_CTX_free(aead->ctx); /* wipes the key schedule */
	free(aead);
}

/*
 * The quickest sequences libcrypto offers, measured (one nonce, no key, no cipher, the tag as a
 * parameter). Empty AAD and text are left out because an update with length 0 is not free; both
 * are public lengths.
 */
enum err aead_seal(struct aead *aead, const uint8_t nonce[static AEAD_NONCE_LEN], const uint8_t *aad, size_t aad_len,
	uint8_t *text, size_t len)
{
	if (aead->direction != AEAD_SEAL || len > INT_MAX - AEAD_TAG_LEN || aad_len > INT_MAX)
		return ERR_ARGUMENT;
	int n;
	OSSL_PARAM tag[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, text + len, AEAD_TAG_LEN),
		OSSL_PARAM_construct_end(),
	};
	if (EVP_EncryptInit_ex2(aead->ctx, NULL, NULL, nonce, NULL) == 1 &&
		(aad_len == 0 || EVP_EncryptUpdate(aead->ctx, NULL, &n, aad, (int)aad_len) == 1) &&
		(len == 0 || EVP_EncryptUpdate(aead->ctx, text, &n, text, (int)len) == 1) &&
		EVP_EncryptFinal_ex(aead->ctx, text + len, &n) == 1 && /* writes nothing: these are stream modes */
		EVP_CIPHER_CTX_get_params(aead->ctx, tag) == 1)
		return OK;
	ERR_clear_error();
	secret_wipe(text, len + AEAD_TAG_LEN); /* plaintext must not go out by accident */
	return ERR_CRYPTO;
}

enum err aead_open(struct aead *aead, const uint8_t nonce[static AEAD_NONCE_LEN], const uint8_t *aad, size_t aad_len,
	uint8_t *text, size_t len)
{
	if (aead->direction != AEAD_OPEN || len > INT_MAX - AEAD_TAG_LEN || aad_len > INT_MAX)
		return ERR_ARGUMENT;
	int n;
	const OSSL_PARAM tag[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, text + len, AEAD_TAG_LEN),
		OSSL_PARAM_construct_end(),
	};
	if (EVP_DecryptInit_ex2(aead->ctx, NULL, NULL, nonce, tag) == 1 &&
		(aad_len == 0 || EVP_DecryptUpdate(aead->ctx, NULL, &n, aad, (int)aad_len) == 1) &&
		(len == 0 || EVP_DecryptUpdate(aead->ctx, text, &n, text, (int)len) == 1) &&
		EVP_DecryptFinal_ex(aead->ctx, text + len, &n) == 1) /* compares the tag; must come before any use */
		return OK;
	ERR_clear_error();
	return ERR_AUTH;
}

static const uint8_t zero_nonce[AEAD_NONCE_LEN];

enum err aead_seal_once(const uint8_t key[static AEAD_KEY_LEN], struct view aad, uint8_t *text, size_t len)
{
	struct aead *aead;
	enum err result = aead_new(&aead, CIPHER_CHACHA20_POLY1305, AEAD_SEAL, key);
	if (result == OK)
		result = aead_seal(aead, zero_nonce, aad.data, aad.len, text, len);
	aead_free(aead);
	if (result != OK)
		secret_wipe(text, len);
	return result;
}

enum err aead_open_once(const uint8_t key[static AEAD_KEY_LEN], struct view aad, uint8_t *text, size_t len)
{
	struct aead *aead;
	enum err result = aead_new(&aead, CIPHER_CHACHA20_POLY1305, AEAD_OPEN, key);
	if (result == OK)
		result = aead_open(aead, zero_nonce, aad.data, aad.len, text, len);
	aead_free(aead);
	if (result != OK)
		secret_wipe(text, len);
	return result;
}
