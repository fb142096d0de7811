#include "crypto/kem.h"

#include "base/secret.h"
#include "crypto/algorithms.h"

#include <stdlib.h>

static const char name[] = "ML-KEM-1024";

/* The EVP_PKEY is kept rather than its bytes: a private import costs more than twice a decapsulation. */
struct kem_key {
	EVP_PKEY *pkey;
};

/* FIPS 203, section 7.1, ML-KEM.KeyGen_internal(d, z). NULL when libcrypto fails. */
static EVP_PKEY *generate(const uint8_t *seed)
{
	EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *ctx = algorithms_get() ? EVP_PKEY_CTX_new_from_name(NULL, name, NULL) : NULL;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_KEM_SEED, (void *)(uintptr_t)seed, KEM_SEED_LEN),
		OSSL_PARAM_construct_end(),
	};
	if (ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_params(ctx, params) == 1)
		(void)EVP_PKEY_generate(ctx, &pkey); /* leaves NULL when it fails */
	EVP_PKEY_CTX_free(ctx);
	return pkey;
}

enum err kem_generate(
	struct kem_key **ret, uint8_t public_key[static KEM_PUBLIC_LEN], const uint8_t seed[static KEM_SEED_LEN])
{
	size_t len = KEM_PUBLIC_LEN;
	struct kem_key *key = calloc(1, sizeof *key);
	EVP_PKEY *pkey = generate(seed);

	*ret = NULL;
	if (key && pkey && EVP_PKEY_get_raw_public_key(pkey, public_key, &len) == 1 && len == KEM_PUBLIC_LEN) {
		key->pkey = pkey;
		*ret = key;
		return OK;
	}
	EVP_PKEY_free(pkey);
	free(key);
	ERR_clear_error();
	secret_wipe(public_key, KEM_PUBLIC_LEN);
	return ERR_CRYPTO;
}

void kem_free(struct kem_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

enum err kem_encapsulate(uint8_t ciphertext[static KEM_CIPHERTEXT_LEN], uint8_t secret[static KEM_SECRET_LEN],
	const uint8_t public_key[static KEM_PUBLIC_LEN], const uint8_t entropy[static KEM_ENTROPY_LEN])
{
	size_t ciphertext_len = KEM_CIPHERTEXT_LEN, secret_len = KEM_SECRET_LEN;
	enum err result = ERR_CRYPTO;
	EVP_PKEY_CTX *ctx = NULL;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_KEM_PARAM_IKME, (void *)(uintptr_t)entropy, KEM_ENTROPY_LEN),
		OSSL_PARAM_construct_end(),
	};
	/* The import is where libcrypto does the encapsulation key check. */
	EVP_PKEY *pkey =
		algorithms_get() ? EVP_PKEY_new_raw_public_key_ex(NULL, name, NULL, public_key, KEM_PUBLIC_LEN) : NULL;

	if (!pkey)
		result = algorithms_import_error();
	else if ((ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL)) && EVP_PKEY_encapsulate_init(ctx, params) == 1 &&
		 EVP_PKEY_encapsulate(ctx, ciphertext, &ciphertext_len, secret, &secret_len) == 1 &&
		 ciphertext_len == KEM_CIPHERTEXT_LEN && secret_len == KEM_SECRET_LEN)
		result = OK;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	if (result != OK) {
		ERR_clear_error();
		secret_wipe(ciphertext, KEM_CIPHERTEXT_LEN);
		secret_wipe(secret, KEM_SECRET_LEN);
	}
	return result;
}

enum err kem_decapsulate(uint8_t secret[static KEM_SECRET_LEN], const struct kem_key *key,
	const uint8_t ciphertext[static KEM_CIPHERTEXT_LEN])
{
	size_t len = KEM_SECRET_LEN;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
	bool good = ctx && EVP_PKEY_decapsulate_init(ctx, NULL) == 1 &&
		    EVP_PKEY_decapsulate(ctx, secret, &len, ciphertext, KEM_CIPHERTEXT_LEN) == 1 &&
		    len == KEM_SECRET_LEN;

	EVP_PKEY_CTX_free(ctx);
	if (good)
		return OK;
	ERR_clear_error();
	secret_wipe(secret, KEM_SECRET_LEN);
	return ERR_CRYPTO;
}
