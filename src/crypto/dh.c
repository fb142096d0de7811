#include "crypto/dh.h"

#include "base/secret.h"
#include "crypto/algorithms.h"

static const char name[] = "X25519";

enum err dh_public(uint8_t public_key[static DH_LEN], const uint8_t private_key[static DH_LEN])
{
	size_t len = DH_LEN;
	EVP_PKEY *own =
		algorithms_get() ? EVP_PKEY_new_raw_private_key_ex(NULL, name, NULL, private_key, DH_LEN) : NULL;
	bool good = own && EVP_PKEY_get_raw_public_key(own, public_key, &len) == 1 && len == DH_LEN;

	EVP_PKEY_free(own);
	if (good)
		return OK;
	ERR_clear_error();
	secret_wipe(public_key, DH_LEN);
	return ERR_CRYPTO;
}

enum err dh_derive(
	uint8_t secret[static DH_LEN], const uint8_t private_key[static DH_LEN], const uint8_t peer[static DH_LEN])
{
	size_t len = DH_LEN;
	enum err result = ERR_CRYPTO;
	EVP_PKEY *own =
		algorithms_get() ? EVP_PKEY_new_raw_private_key_ex(NULL, name, NULL, private_key, DH_LEN) : NULL;
	EVP_PKEY *other = own ? EVP_PKEY_new_raw_public_key_ex(NULL, name, NULL, peer, DH_LEN) : NULL;
	EVP_PKEY_CTX *ctx = other ? EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL) : NULL;

	/* Any 32 bytes are a public key, so what makes the derivation itself fail is a zero secret. The
	 * handshake's safety hangs on it, so it is looked at here too. */
	if (ctx && EVP_PKEY_derive_init(ctx) == 1 && EVP_PKEY_derive_set_peer_ex(ctx, other, 0) == 1)
		result = EVP_PKEY_derive(ctx, secret, &len) == 1 && len == DH_LEN && !secret_is_zero(secret, DH_LEN)
				 ? OK
				 : ERR_AUTH;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(other);
	EVP_PKEY_free(own);
	if (result != OK) {
		ERR_clear_error();
		secret_wipe(secret, DH_LEN);
	}
	return result;
}
