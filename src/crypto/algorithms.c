#include "crypto/algorithms.h"

#include <pthread.h>

static struct algorithms all;
static bool complete;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch_all(void)
{
	/* No openssl.cnf: what this program does must not depend on a file that can load modules into it,
	 * and a privately built libcrypto would look for that file where it was built. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return;
	all = (struct algorithms){
		.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL),
		.sha384 = EVP_MD_fetch(NULL, "SHA384", NULL),
		.sha3_256 = EVP_MD_fetch(NULL, "SHA3-256", NULL),
		.shake256 = EVP_MD_fetch(NULL, "SHAKE-256", NULL),
		.x25519 = EVP_KEYEXCH_fetch(NULL, "X25519", NULL),
		.ml_kem_1024 = EVP_KEM_fetch(NULL, "ML-KEM-1024", NULL),
		.ml_dsa_65 = EVP_SIGNATURE_fetch(NULL, "ML-DSA-65", NULL),
		.ml_dsa_87 = EVP_SIGNATURE_fetch(NULL, "ML-DSA-87", NULL),
		.chacha20_poly1305 = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL),
		.aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL),
		.poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL),
	};
	complete = all.sha256 && all.sha384 && all.sha3_256 && all.shake256 && all.ml_dsa_65 && all.ml_dsa_87 && all.chacha20_poly1305 &&
		   all.aes_256_gcm && all.poly1305;
	ERR_clear_error();
}

const struct algorithms *algorithms_get(void)
{
	(void)pthread_once(&once, fetch_all); /* cannot fail with a valid once and function */
	return complete ? &all : NULL;
}

enum err algorithms_import_error(void)
{
	enum err result = complete ? ERR_FORMAT : ERR_CRYPTO;
	for (unsigned long e = ERR_get_error(); e != 0; e = ERR_get_error())
		if (ERR_FATAL_ERROR(e)) /* out of memory, or an internal error */
			result = ERR_CRYPTO;
	return result;
}
