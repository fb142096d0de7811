/*
 * MD5 (RFC 1321), for the datagrams of OTPTunnel alone: its wire format has an MD5 inside, beneath the one-time pad. It
 * is broken as a hash, and jorm uses it for nothing else.
 *
 * A `struct md5` is one thread's: it keeps libcrypto's context between calls, which would cost as much as the hash of
 * a short frame.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define MD5_LEN 16

struct md5;

/* ERR_CRYPTO: out of memory, or this libcrypto has no MD5 (one that is set up for FIPS 140). */
enum err md5_new(struct md5 **ret);
void md5_free(struct md5 *m); /* wipes; NULL is fine */

/* ERR_CRYPTO, then `out` is zeroed. */
enum err md5_sum(struct md5 *m, uint8_t out[static MD5_LEN], const uint8_t *data, size_t len);
