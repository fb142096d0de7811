/*
 * Poly1305 with a one-time key (RFC 8439, 2.5): a tag that no adversary can forge with a chance above 8 * ceil(L / 16)
 * / 2^106, whatever it can compute, so long as each key is used for one message. Always libcrypto: libipsec-mb saves 30
 * of 180 ns at 1400 bytes, too little for a second implementation to trust.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

#define POLY1305_KEY_LEN 32
#define POLY1305_TAG_LEN 16

/* A context to be used again and again; one thread at a time. It keeps the last key until the next one or its end. */
struct poly1305;

enum err poly1305_new(struct poly1305 **ret); /* ERR_NOMEM, ERR_CRYPTO */
void poly1305_free(struct poly1305 *p);       /* wipes; NULL is fine */

/* ERR_CRYPTO: the tag is zeroed. */
enum err poly1305_tag(struct poly1305 *p, const uint8_t key[static POLY1305_KEY_LEN], struct view message,
	uint8_t tag[static POLY1305_TAG_LEN]);
/* ERR_AUTH: the tag is another (compared in constant time). */
enum err poly1305_check(struct poly1305 *p, const uint8_t key[static POLY1305_KEY_LEN], struct view message,
	const uint8_t tag[static POLY1305_TAG_LEN]);
