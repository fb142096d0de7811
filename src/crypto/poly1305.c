#include "crypto/poly1305.h"

#include "base/secret.h"
#include "crypto/algorithms.h"

#include <stdlib.h>

struct poly1305 {
	EVP_MAC_CTX *ctx;
};

enum err poly1305_new(struct poly1305 **ret)
{
	*ret = NULL;
	const struct algorithms *all = algorithms_get();
	if (!all)
		return ERR_CRYPTO;
	struct poly1305 *p = calloc(1, sizeof *p);
	if (!p)
		return ERR_NOMEM;
	p->ctx = EVP_MAC_CTX_new(all->poly1305);
	if (!p->ctx) {
		ERR_clear_error();
		free(p);
		return ERR_NOMEM;
	}
	*ret = p;
	return OK;
}

void poly1305_free(struct poly1305 *p)
{
	if (!p)
		return;
	/* libcrypto frees its context as it is: another key, and a message of one byte, take the place of the last. */
	static const uint8_t nothing[POLY1305_KEY_LEN];
	uint8_t tag[POLY1305_TAG_LEN];
	(void)poly1305_tag(p, nothing, VIEW(nothing, 1), tag); /* its failure changes nothing here */
	EVP_MAC_CTX_free(p->ctx);
	free(p);
}

enum err poly1305_tag(struct poly1305 *p, const uint8_t key[static POLY1305_KEY_LEN], struct view message,
	uint8_t tag[static POLY1305_TAG_LEN])
{
	size_t len = 0;
	if (EVP_MAC_init(p->ctx, key, POLY1305_KEY_LEN, NULL) == 1 &&
		EVP_MAC_update(p->ctx, message.data, message.len) == 1 &&
		EVP_MAC_final(p->ctx, tag, &len, POLY1305_TAG_LEN) == 1 && len == POLY1305_TAG_LEN)
		return OK;
	ERR_clear_error();
	memset(tag, 0, POLY1305_TAG_LEN);
	return ERR_CRYPTO;
}

enum err poly1305_check(struct poly1305 *p, const uint8_t key[static POLY1305_KEY_LEN], struct view message,
	const uint8_t tag[static POLY1305_TAG_LEN])
{
	uint8_t right[POLY1305_TAG_LEN];
	const enum err result = poly1305_tag(p, key, message, right);
	if (result != OK)
		return result;
	if (secret_equal(right, tag, sizeof right))
		return OK;
	secret_wipe(right, sizeof right); /* the right tag for a forger's bytes */
	return ERR_AUTH;
}
