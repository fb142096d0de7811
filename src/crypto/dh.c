#include "crypto/dh.h"

#include "base/secret.h"
#include "crypto/algorithms.h"

static const char name[] = "X25519";

/* NULL when libcrypto fails. The import computes the public value, which costs as much as a derivation. */
static EVP_PKEY *import_private(const uint8_t *private_key)
{
	return algorithms_get() ? EVP_PKEY_new_raw_private_key_ex(NULL, name, NULL, private_key, DH_LEN) : NULL;
}

static enum err public_of(uint8_t *public_key, const EVP_PKEY *own)
{
	size_t len = DH_LEN;
	return EVP_PKEY_get_raw_public_key(own, public_key, &len) == 1 && len == DH_LEN ? OK : ERR_CRYPTO;
}

static enum err derive(uint8_t *secret, EVP_PKEY *own, const uint8_t *peer)
{
	size_t len = DH_LEN;
	enum err result = ERR_CRYPTO;
	EVP_PKEY *other = EVP_PKEY_new_raw_public_key_ex(NULL, name, NULL, peer, DH_LEN);
	EVP_PKEY_CTX *ctx = other ? EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL) : NULL;

	/* Any 32 bytes are a public key, so what makes the derivation itself fail is a zero secret. The
	 * handshake's safety hangs on it, so it is looked at here too. */
	if (ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer_ex(ctx, other, 0) == 1)
		result = EVP_PKEY_derive(ctx, secret, &len) == 1 && len == DH_LEN && !secret_is_zero(secret, DH_LEN)
				 ? OK
				 : ERR_AUTH;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(other);
	return result;
}

/* Either output may be NULL. */
static enum err exchange(uint8_t *public_key, uint8_t *secret, const uint8_t *private_key, const uint8_t *peer)
{
	EVP_PKEY *own = import_private(private_key);
	enum err result = own ? OK : ERR_CRYPTO;
	if (result == OK && secret)
		result = derive(secret, own, peer);
	if (result == OK && public_key)
		result = public_of(public_key, own);
	EVP_PKEY_free(own);
	if (result == OK)
		return OK;
	ERR_clear_error();
	if (public_key)
		secret_wipe(public_key, DH_LEN);
	if (secret)
		secret_wipe(secret, DH_LEN);
	return result;
}

enum err dh_public(uint8_t public_key[static DH_LEN], const uint8_t private_key[static DH_LEN])
{
	return exchange(public_key, NULL, private_key, NULL);
}

enum err dh_derive(
	uint8_t secret[static DH_LEN], const uint8_t private_key[static DH_LEN], const uint8_t peer[static DH_LEN])
{
	return exchange(NULL, secret, private_key, peer);
}

enum err dh_answer(uint8_t public_key[static DH_LEN], uint8_t secret[static DH_LEN],
	const uint8_t private_key[static DH_LEN], const uint8_t peer[static DH_LEN])
{
	return exchange(public_key, secret, private_key, peer);
}
