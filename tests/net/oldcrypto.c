/*
 * What the scripted older peers (old_snek.py) need of libcrypto >= 3.5 and Python has not: ML-KEM-1024 and ML-DSA-65
 * with raw keys, and ChaCha20-Poly1305. oldcrypto.py builds it as a shared library and calls it. It shares no code
 * with the program, so that a mistake there is not made twice.
 *
 * Every function returns 1, or 0 when the input is refused or libcrypto fails.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <stddef.h>
#include <stdint.h>

#define KEM "ML-KEM-1024"
#define SIG "ML-DSA-65"
#define TAG_LEN 16

static EVP_PKEY *import(const char *type, int selection, const char *part, const uint8_t *bytes, size_t len)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM params[] = {OSSL_PARAM_octet_string(part, (void *)(uintptr_t)bytes, len), OSSL_PARAM_END};
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, selection, params) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* A new pair; with `seed`, the one that follows from it. */
int old_keypair(int is_kem, const uint8_t *seed, size_t seed_len, uint8_t *public_key, size_t public_len,
	uint8_t *private_key, size_t private_len)
{
	const char *type = is_kem ? KEM : SIG;
	const char *seed_name = is_kem ? OSSL_PKEY_PARAM_ML_KEM_SEED : OSSL_PKEY_PARAM_ML_DSA_SEED;
	EVP_PKEY *key = seed == NULL ? EVP_PKEY_Q_keygen(NULL, NULL, type)
				     : import(type, EVP_PKEY_KEYPAIR, seed_name, seed, seed_len);
	size_t got_public = 0, got_private = 0;
	int fine = key != NULL &&
		   EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, public_key, public_len, &got_public) ==
			   1 &&
		   EVP_PKEY_get_octet_string_param(
			   key, OSSL_PKEY_PARAM_PRIV_KEY, private_key, private_len, &got_private) == 1 &&
		   got_public == public_len && got_private == private_len;
	EVP_PKEY_free(key);
	return fine;
}

/* ML-KEM-1024; `m`: the 32 random bytes, NULL for libcrypto's own. */
int old_encapsulate(const uint8_t *public_key, size_t public_len, const uint8_t *m, uint8_t *ct, size_t ct_len,
	uint8_t *secret, size_t secret_len)
{
	EVP_PKEY *key = import(KEM, EVP_PKEY_PUBLIC_KEY, OSSL_PKEY_PARAM_PUB_KEY, public_key, public_len);
	EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	OSSL_PARAM params[] = {OSSL_PARAM_END, OSSL_PARAM_END};
	if (m != NULL)
		params[0] = OSSL_PARAM_construct_octet_string(OSSL_KEM_PARAM_IKME, (void *)(uintptr_t)m, 32);
	int fine = ctx != NULL && EVP_PKEY_encapsulate_init(ctx, params) == 1 &&
		   EVP_PKEY_encapsulate(ctx, ct, &ct_len, secret, &secret_len) == 1;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return fine;
}

int old_decapsulate(const uint8_t *private_key, size_t private_len, const uint8_t *ct, size_t ct_len, uint8_t *secret,
	size_t secret_len)
{
	EVP_PKEY *key = import(KEM, EVP_PKEY_KEYPAIR, OSSL_PKEY_PARAM_PRIV_KEY, private_key, private_len);
	EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	int fine = ctx != NULL && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
		   EVP_PKEY_decapsulate(ctx, secret, &secret_len, ct, ct_len) == 1;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return fine;
}

/* ML-DSA-65 with a context string; `deterministic`: without randomness, as in published vectors. */
int old_sign(const uint8_t *private_key, size_t private_len, const uint8_t *context, size_t context_len,
	int deterministic, const uint8_t *message, size_t message_len, uint8_t *signature, size_t signature_len)
{
	EVP_PKEY *key = import(SIG, EVP_PKEY_KEYPAIR, OSSL_PKEY_PARAM_PRIV_KEY, private_key, private_len);
	EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	EVP_SIGNATURE *algorithm = EVP_SIGNATURE_fetch(NULL, SIG, NULL);
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_CONTEXT_STRING, (void *)(uintptr_t)context, context_len),
		OSSL_PARAM_int(OSSL_SIGNATURE_PARAM_DETERMINISTIC, &deterministic), OSSL_PARAM_END};
	int fine = ctx != NULL && algorithm != NULL && EVP_PKEY_sign_message_init(ctx, algorithm, params) == 1 &&
		   EVP_PKEY_sign(ctx, signature, &signature_len, message, message_len) == 1;
	EVP_SIGNATURE_free(algorithm);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return fine;
}

int old_verify(const uint8_t *public_key, size_t public_len, const uint8_t *context, size_t context_len,
	const uint8_t *message, size_t message_len, const uint8_t *signature, size_t signature_len)
{
	EVP_PKEY *key = import(SIG, EVP_PKEY_PUBLIC_KEY, OSSL_PKEY_PARAM_PUB_KEY, public_key, public_len);
	EVP_PKEY_CTX *ctx = key == NULL ? NULL : EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	EVP_SIGNATURE *algorithm = EVP_SIGNATURE_fetch(NULL, SIG, NULL);
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_CONTEXT_STRING, (void *)(uintptr_t)context, context_len),
		OSSL_PARAM_END};
	int fine = ctx != NULL && algorithm != NULL && EVP_PKEY_verify_message_init(ctx, algorithm, params) == 1 &&
		   EVP_PKEY_verify(ctx, signature, signature_len, message, message_len) == 1;
	EVP_SIGNATURE_free(algorithm);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	return fine;
}

/* A context for one thread, one direction and one key of ChaCha20-Poly1305; it lives as long as the process. */
void *old_aead(const uint8_t *key, int is_seal)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (ctx != NULL && EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key, NULL, is_seal) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

/* `out` gets len + TAG_LEN bytes. */
int old_seal(void *ctx, const uint8_t *nonce, const uint8_t *text, int len, uint8_t *out)
{
	int n = 0, rest = 0;
	return EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, 1) == 1 &&
	       EVP_CipherUpdate(ctx, out, &n, text, len) == 1 && EVP_CipherFinal_ex(ctx, out + n, &rest) == 1 &&
	       n + rest == len && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, out + len) == 1;
}

/* `sealed` is text and tag; `out` gets len - TAG_LEN bytes. */
int old_open(void *ctx, const uint8_t *nonce, const uint8_t *sealed, int len, uint8_t *out)
{
	int n = 0, rest = 0, text = len - TAG_LEN;
	return text >= 0 && EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, 0) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, (void *)(uintptr_t)(sealed + text)) == 1 &&
	       EVP_CipherUpdate(ctx, out, &n, sealed, text) == 1 && EVP_CipherFinal_ex(ctx, out + n, &rest) == 1;
}
