#include "crypto/sig.h"

#include "base/secret.h"
#include "crypto/algorithms.h"
#include "crypto/base64.h"
#include "crypto/kdf.h"

#include <assert.h>
#include <stdlib.h>

static_assert(KEY_ID_LEN == BASE64_BYTES && KEY_ID_TEXT_LEN == BASE64_LEN + 1, "a key ID is base64 of 32 bytes");
static_assert(KEY_ID_LEN == HASH_SHA256_LEN, "a key ID is a SHA-256 hash");

#define CONTEXT_MAX 255 /* FIPS 204, section 5.2 */

/* FIPS 204, table 2. Element 0 stands for an unknown algorithm. */
static const struct parameters {
	const char *name;
	size_t public_len, private_len, sig_len;
} parameters[] = {
	{"unknown", 0, 0, 0},
	[SIG_ML_DSA_65] = {"ML-DSA-65", SIG_65_PUBLIC_LEN, SIG_65_PRIVATE_LEN, SIG_65_LEN},
	[SIG_ML_DSA_87] = {"ML-DSA-87", SIG_87_PUBLIC_LEN, SIG_87_PRIVATE_LEN, SIG_87_LEN},
};

/* The private key in libcrypto's form, with what is asked for often beside it. */
struct identity {
	EVP_PKEY *pkey;
	struct sig_public public_key;
	uint8_t key_id[KEY_ID_LEN];
};

static const struct parameters *parameters_of(enum sig_alg alg)
{
	return &parameters[alg == SIG_ML_DSA_65 || alg == SIG_ML_DSA_87 ? alg : 0];
}

size_t sig_public_len(enum sig_alg alg)
{
	return parameters_of(alg)->public_len;
}
size_t sig_private_len(enum sig_alg alg)
{
	return parameters_of(alg)->private_len;
}
size_t sig_len(enum sig_alg alg)
{
	return parameters_of(alg)->sig_len;
}
const char *sig_alg_name(enum sig_alg alg)
{
	return parameters_of(alg)->name;
}

enum err sig_alg_of_public_len(enum sig_alg *ret, size_t len)
{
	if (len != SIG_65_PUBLIC_LEN && len != SIG_87_PUBLIC_LEN)
		return ERR_FORMAT;
	*ret = len == SIG_65_PUBLIC_LEN ? SIG_ML_DSA_65 : SIG_ML_DSA_87;
	return OK;
}

enum err sig_alg_of_private_len(enum sig_alg *ret, size_t len)
{
	if (len != SIG_65_PRIVATE_LEN && len != SIG_87_PRIVATE_LEN)
		return ERR_FORMAT;
	*ret = len == SIG_65_PRIVATE_LEN ? SIG_ML_DSA_65 : SIG_ML_DSA_87;
	return OK;
}

static EVP_SIGNATURE *signature_of(enum sig_alg alg)
{
	const struct algorithms *all = algorithms_get();
	if (!all)
		return NULL;
	return alg == SIG_ML_DSA_65 ? all->ml_dsa_65 : all->ml_dsa_87;
}

/* An identity around pkey, which it owns from here on, also on error. */
static enum err identity_of(struct identity **ret, enum sig_alg alg, EVP_PKEY *pkey)
{
	struct identity *id = calloc(1, sizeof *id);
	size_t len = sig_public_len(alg);
	if (!id) {
		EVP_PKEY_free(pkey);
		return ERR_NOMEM;
	}
	id->pkey = pkey;
	id->public_key.alg = alg;
	if (EVP_PKEY_get_raw_public_key(pkey, id->public_key.bytes, &len) != 1 || len != sig_public_len(alg) ||
		key_id_compute(id->key_id, &id->public_key) != OK) {
		identity_free(id);
		ERR_clear_error();
		return ERR_CRYPTO;
	}
	*ret = id;
	return OK;
}

enum err identity_generate(struct identity **ret, enum sig_alg alg, const uint8_t seed[static SIG_SEED_LEN])
{
	*ret = NULL;
	if (sig_public_len(alg) == 0)
		return ERR_ARGUMENT;
	EVP_PKEY *pkey = NULL;
	EVP_PKEY_CTX *ctx = algorithms_get() ? EVP_PKEY_CTX_new_from_name(NULL, sig_alg_name(alg), NULL) : NULL;
	const OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_ML_DSA_SEED, (void *)(uintptr_t)seed, SIG_SEED_LEN),
		OSSL_PARAM_construct_end(),
	};
	if (ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_CTX_set_params(ctx, params) == 1)
		(void)EVP_PKEY_generate(ctx, &pkey); /* leaves NULL when it fails */
	EVP_PKEY_CTX_free(ctx);
	if (!pkey) {
		ERR_clear_error();
		return ERR_CRYPTO;
	}
	return identity_of(ret, alg, pkey);
}

enum err identity_import(struct identity **ret, const uint8_t *private_key, size_t len)
{
	enum sig_alg alg;
	*ret = NULL;
	if (sig_alg_of_private_len(&alg, len) != OK)
		return ERR_FORMAT;
	EVP_PKEY *pkey = algorithms_get()
				 ? EVP_PKEY_new_raw_private_key_ex(NULL, sig_alg_name(alg), NULL, private_key, len)
				 : NULL;
	if (!pkey)
		return algorithms_import_error();
	return identity_of(ret, alg, pkey);
}

enum err identity_export(const struct identity *id, uint8_t out[static SIG_PRIVATE_MAX], size_t *ret_len)
{
	size_t len = SIG_PRIVATE_MAX;
	*ret_len = 0;
	if (EVP_PKEY_get_raw_private_key(id->pkey, out, &len) != 1 || len != sig_private_len(id->public_key.alg)) {
		ERR_clear_error();
		secret_wipe(out, SIG_PRIVATE_MAX);
		return ERR_CRYPTO;
	}
	*ret_len = len;
	return OK;
}

void identity_free(struct identity *id)
{
	if (!id)
		return;
	EVP_PKEY_free(id->pkey);
	free(id);
}

const struct sig_public *identity_public(const struct identity *id)
{
	return &id->public_key;
}
const uint8_t *identity_key_id(const struct identity *id)
{
	return id->key_id;
}

/* libcrypto takes an empty context string as "" only. */
static OSSL_PARAM context_param(struct view context)
{
	const void *text = context.len > 0 ? context.data : "";
	return OSSL_PARAM_construct_octet_string(
		OSSL_SIGNATURE_PARAM_CONTEXT_STRING, (void *)(uintptr_t)text, context.len);
}

enum err identity_sign(const struct identity *id, uint8_t sig[static SIG_MAX], struct view context, struct view message,
	const uint8_t entropy[static SIG_ENTROPY_LEN])
{
	const size_t expected = sig_len(id->public_key.alg);
	if (context.len > CONTEXT_MAX) {
		secret_wipe(sig, expected);
		return ERR_ARGUMENT;
	}
	size_t len = expected;
	const OSSL_PARAM params[] = {
		context_param(context),
		/* Named for tests, but it is just rnd of FIPS 204, algorithm 2. */
		OSSL_PARAM_construct_octet_string(
			OSSL_SIGNATURE_PARAM_TEST_ENTROPY, (void *)(uintptr_t)entropy, SIG_ENTROPY_LEN),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, id->pkey, NULL);
	bool good = ctx && EVP_PKEY_sign_message_init(ctx, signature_of(id->public_key.alg), params) == 1 &&
		    EVP_PKEY_sign(ctx, sig, &len, message.data, message.len) == 1 && len == expected;

	EVP_PKEY_CTX_free(ctx);
	if (good)
		return OK;
	ERR_clear_error();
	secret_wipe(sig, expected);
	return ERR_CRYPTO;
}

enum err sig_verify(const struct sig_public *key, struct view context, struct view message, struct view sig)
{
	if (context.len > CONTEXT_MAX)
		return ERR_ARGUMENT;
	if (sig_len(key->alg) == 0 || sig.len != sig_len(key->alg))
		return ERR_AUTH;
	EVP_SIGNATURE *signature = signature_of(key->alg);
	if (!signature)
		return ERR_CRYPTO;
	const OSSL_PARAM params[] = {context_param(context), OSSL_PARAM_construct_end()};
	/* Every string of the right length is a public key (FIPS 204, algorithm 23), so this fails for
	 * want of memory only. */
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key_ex(
		NULL, sig_alg_name(key->alg), NULL, key->bytes, sig_public_len(key->alg));
	EVP_PKEY_CTX *ctx = pkey ? EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL) : NULL;
	enum err result = ERR_CRYPTO;

	if (ctx && EVP_PKEY_verify_message_init(ctx, signature, params) == 1)
		result = EVP_PKEY_verify(ctx, sig.data, sig.len, message.data, message.len) == 1 ? OK : ERR_AUTH;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	if (result != OK)
		ERR_clear_error();
	return result;
}

enum err key_id_compute(uint8_t out[static KEY_ID_LEN], const struct sig_public *key)
{
	const uint8_t alg = (uint8_t)key->alg;
	return HASH_SHA256(out, VIEW_TEXT("jorm key id v1"), VIEW(&alg, 1), VIEW(key->bytes, sig_public_len(key->alg)));
}

enum err pad_key_id_compute(uint8_t out[static KEY_ID_LEN], const uint8_t pad_id[static 16])
{
	return HASH_SHA256(out, VIEW_TEXT("jorm pad id v1"), VIEW(pad_id, 16));
}

const char *key_id_format(const uint8_t id[static KEY_ID_LEN], char out[static KEY_ID_TEXT_LEN])
{
	base64_format(out, id);
	return out;
}

enum err key_id_parse(uint8_t ret[static KEY_ID_LEN], const char *text)
{
	return base64_parse(ret, text, strnlen(text, KEY_ID_TEXT_LEN));
}
