#include "crypto/md5.h"

#include "base/secret.h"
#include "crypto/algorithms.h"

#include <stdlib.h>

struct md5 {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

enum err md5_new(struct md5 **ret)
{
	struct md5 *m = algorithms_get() ? calloc(1, sizeof *m) : NULL;
	if (!m)
		return ERR_CRYPTO;
	/* Not one of the algorithms without which the program does not start. */
	m->md = EVP_MD_fetch(NULL, "MD5", NULL);
	m->ctx = EVP_MD_CTX_new();
	if (!m->md || !m->ctx || EVP_DigestInit_ex2(m->ctx, m->md, NULL) != 1) {
		ERR_clear_error();
		md5_free(m);
		return ERR_CRYPTO;
	}
	*ret = m;
	return OK;
}

void md5_free(struct md5 *m)
{
	if (!m)
		return;
	EVP_MD_CTX_free(m->ctx);
	EVP_MD_free(m->md);
	free(m);
}

enum err md5_sum(struct md5 *m, uint8_t out[static MD5_LEN], const uint8_t *data, size_t len)
{
	/* Without a name of the hash: the one of md5_new again. */
	if (EVP_DigestInit_ex2(m->ctx, NULL, NULL) == 1 && (len == 0 || EVP_DigestUpdate(m->ctx, data, len) == 1) &&
		EVP_DigestFinal_ex(m->ctx, out, NULL) == 1)
		return OK;
	ERR_clear_error();
	secret_wipe(out, MD5_LEN);
	return ERR_CRYPTO;
}
