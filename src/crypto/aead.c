#include "crypto/aead.h"

#include "base/secret.h"
#include "crypto/aead_mb.h"
#include "crypto/aead_private.h"
#include "crypto/algorithms.h"

#include <limits.h>
#include <stdlib.h>
#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* One of the two holds the key schedule, the other is NULL; owned. */
struct aead {
	EVP_CIPHER_CTX *ctx;
	struct aead_mb *mb;
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

static enum err openssl_new(
	EVP_CIPHER_CTX **ret, enum cipher cipher, enum aead_direction direction, const uint8_t key[static AEAD_KEY_LEN])
{
	const struct algorithms *all = algorithms_get();
	EVP_CIPHER_CTX *ctx = all ? EVP_CIPHER_CTX_new() : NULL;
	if (ctx && EVP_CipherInit_ex2(ctx, evp_of(all, cipher), key, NULL, direction == AEAD_SEAL, NULL) == 1) {
		*ret = ctx;
		return OK;
	}
	EVP_CIPHER_CTX_free(ctx);
	ERR_clear_error();
	return ERR_CRYPTO;
}

enum err aead_new_with(struct aead **ret, enum aead_provider provider, enum cipher cipher,
	enum aead_direction direction, const uint8_t key[static AEAD_KEY_LEN])
{
	*ret = NULL;
	if (cipher != CIPHER_CHACHA20_POLY1305 && cipher != CIPHER_AES_256_GCM)
		return ERR_ARGUMENT;
	struct aead *aead = calloc(1, sizeof *aead);
	if (!aead)
		return ERR_CRYPTO;
	aead->direction = direction;
	const enum err result = provider == AEAD_IPSEC_MB ? aead_mb_new(&aead->mb, cipher, key)
							  : openssl_new(&aead->ctx, cipher, direction, key);
	if (result != OK) {
		free(aead);
		return result;
	}
	*ret = aead;
	return OK;
}

/* The provider is chosen here, once for all packets. Out of memory for the one: the other needs less. */
enum err aead_new(
	struct aead **ret, enum cipher cipher, enum aead_direction direction, const uint8_t key[static AEAD_KEY_LEN])
{
	if (aead_provider_of(cipher) == AEAD_IPSEC_MB &&
		aead_new_with(ret, AEAD_IPSEC_MB, cipher, direction, key) == OK)
		return OK;
	return aead_new_with(ret, AEAD_OPENSSL, cipher, direction, key);
}

enum err aead_new_shared(
	struct aead **ret, enum cipher cipher, enum aead_direction direction, const uint8_t key[static AEAD_KEY_LEN])
{
	*ret = NULL;
	if (aead_provider_of(cipher) != AEAD_IPSEC_MB)
		return ERR_UNSUPPORTED;
	return aead_new_with(ret, AEAD_IPSEC_MB, cipher, direction, key);
}

void aead_free(struct aead *aead)
{
	if (!aead)
		return;
	EVP_CIPHER_CTX_free(aead->ctx); /* wipes the key schedule, as the other one does */
	aead_mb_free(aead->mb);
	free(aead);
}

/*
 * The quickest sequences libcrypto offers, measured (one nonce, no key, no cipher, the tag as a
 * parameter). Empty AAD and text are left out because an update with length 0 is not free; both
 * are public lengths.
 */
static enum err openssl_seal(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, struct view aad, uint8_t *text, size_t len)
{
	int n;
	OSSL_PARAM tag[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, text + len, AEAD_TAG_LEN),
		OSSL_PARAM_construct_end(),
	};
	if (EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) == 1 &&
		(aad.len == 0 || EVP_EncryptUpdate(ctx, NULL, &n, aad.data, (int)aad.len) == 1) &&
		(len == 0 || EVP_EncryptUpdate(ctx, text, &n, text, (int)len) == 1) &&
		EVP_EncryptFinal_ex(ctx, text + len, &n) == 1 && /* writes nothing: these are stream modes */
		EVP_CIPHER_CTX_get_params(ctx, tag) == 1)
		return OK;
	ERR_clear_error();
	return ERR_CRYPTO;
}

static enum err openssl_open(EVP_CIPHER_CTX *ctx, const uint8_t *nonce, struct view aad, uint8_t *text, size_t len)
{
	int n;
	const OSSL_PARAM tag[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, text + len, AEAD_TAG_LEN),
		OSSL_PARAM_construct_end(),
	};
	if (EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, tag) == 1 &&
		(aad.len == 0 || EVP_DecryptUpdate(ctx, NULL, &n, aad.data, (int)aad.len) == 1) &&
		(len == 0 || EVP_DecryptUpdate(ctx, text, &n, text, (int)len) == 1) &&
		EVP_DecryptFinal_ex(ctx, text + len, &n) == 1) /* compares the tag; must come before any use */
		return OK;
	ERR_clear_error();
	return ERR_AUTH;
}

static bool is_usable(const struct aead *aead, enum aead_direction direction, size_t aad_len, size_t len)
{
	return aead->direction == direction && len <= INT_MAX - AEAD_TAG_LEN && aad_len <= INT_MAX;
}

enum err aead_seal(struct aead *aead, const uint8_t nonce[static AEAD_NONCE_LEN], const uint8_t *aad, size_t aad_len,
	uint8_t *text, size_t len)
{
	if (!is_usable(aead, AEAD_SEAL, aad_len, len))
		return ERR_ARGUMENT;
	const enum err result = aead->mb ? aead_mb_seal(aead->mb, nonce, VIEW(aad, aad_len), text, len)
					 : openssl_seal(aead->ctx, nonce, VIEW(aad, aad_len), text, len);
	if (result != OK)
		secret_wipe(text, len + AEAD_TAG_LEN); /* plaintext must not go out by accident */
	return result;
}

enum err aead_open(struct aead *aead, const uint8_t nonce[static AEAD_NONCE_LEN], const uint8_t *aad, size_t aad_len,
	uint8_t *text, size_t len)
{
	if (!is_usable(aead, AEAD_OPEN, aad_len, len))
		return ERR_ARGUMENT;
	return aead->mb ? aead_mb_open(aead->mb, nonce, VIEW(aad, aad_len), text, len)
			: openssl_open(aead->ctx, nonce, VIEW(aad, aad_len), text, len);
}

static const uint8_t zero_nonce[AEAD_NONCE_LEN];

enum err aead_seal_once(const uint8_t key[static AEAD_KEY_LEN], struct view aad, uint8_t *text, size_t len)
{
	struct aead *aead;
	enum err result = aead_new_with(&aead, AEAD_OPENSSL, CIPHER_CHACHA20_POLY1305, AEAD_SEAL, key);
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
	enum err result = aead_new_with(&aead, AEAD_OPENSSL, CIPHER_CHACHA20_POLY1305, AEAD_OPEN, key);
	if (result == OK)
		result = aead_open(aead, zero_nonce, aad.data, aad.len, text, len);
	aead_free(aead);
	if (result != OK)
		secret_wipe(text, len);
	return result;
}
