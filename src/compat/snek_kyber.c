#include "compat/snek_kyber.h"

#include "base/secret.h"
#include "crypto/kdf.h"

/* In place: ML-KEM's secret becomes round 3's. */
static enum err secret_finish(
	uint8_t secret[static KEM_SECRET_LEN], const uint8_t ciphertext[static KEM_CIPHERTEXT_LEN])
{
	uint8_t hash[HASH_SHA3_256_LEN], inner[KEM_SECRET_LEN];
	enum err e = hash_sha3_256(hash, &VIEW(ciphertext, KEM_CIPHERTEXT_LEN), 1);
	memcpy(inner, secret, sizeof inner);
	if (e == OK)
		e = shake256(secret, KEM_SECRET_LEN, (const struct view[]){VIEW_ARRAY(inner), VIEW_ARRAY(hash)}, 2);
	if (e != OK)
		secret_wipe(secret, KEM_SECRET_LEN);
	secret_wipe(inner, sizeof inner);
	return e;
}

enum err snek_kyber_encapsulate(uint8_t ret_ciphertext[static KEM_CIPHERTEXT_LEN],
	uint8_t ret_secret[static KEM_SECRET_LEN], const uint8_t public_key[static KEM_PUBLIC_LEN],
	const uint8_t entropy[static KEM_ENTROPY_LEN])
{
	enum err e = kem_encapsulate(ret_ciphertext, ret_secret, public_key, entropy);
	if (e == OK && (e = secret_finish(ret_secret, ret_ciphertext)) != OK)
		secret_wipe(ret_ciphertext, KEM_CIPHERTEXT_LEN);
	return e;
}

enum err snek_kyber_decapsulate(uint8_t ret_secret[static KEM_SECRET_LEN], const struct kem_key *key,
	const uint8_t ciphertext[static KEM_CIPHERTEXT_LEN])
{
	enum err e = kem_decapsulate(ret_secret, key, ciphertext);
	return e == OK ? secret_finish(ret_secret, ciphertext) : e;
}
