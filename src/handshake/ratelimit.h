/*
 * Rate limits per source network, /32 or /64 (docs/protocol.md, "Handshake"). A fixed table of
 * token buckets; a secret decides which source falls into which, so nobody can aim at another's
 * bucket. Two sources may share one: with so many buckets the sum of all rates is far above what
 * a machine can answer, so sharing hardly ever takes anything from anyone.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"
#include "base/rng.h"

#define RATELIMIT_BUCKETS 4096

/* Owned by the responder, and one by the engine for hellos. */
struct ratelimit {
	uint8_t secret[32];
	usec interval;                 /* a token every so often */
	usec depth;                    /* how far a bucket may run ahead: a burst of twice the rate */
	usec ahead[RATELIMIT_BUCKETS]; /* until when each bucket's tokens are spent */
};

/* rate: tokens a second, 1 to 1,000,000. Draws the secret from rng. */
void ratelimit_init(struct ratelimit *limit, uint32_t rate, const struct rng *rng);

/* Takes a token. OK; ERR_FULL: none left; ERR_CRYPTO. */
enum err ratelimit_take(struct ratelimit *limit, const struct addr *source, usec now);
