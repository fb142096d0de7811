/*
 * What the responder computes (docs/protocol.md, "Handshake"): Resp from an Init, and from a
 * Finish the session's secrets or a Reject. Addresses, time, memory limits and repeats are the
 * business of responder.c.
 *
 * Random values are drawn in this order, for Resp: X25519 private key [32], ML-KEM's m [32], the
 * signature's rnd [32].
 */
#pragma once

#include "base/rng.h"
#include "handshake/mac.h"
#include "handshake/message.h"
#include "handshake/responder.h"
#include "handshake/schedule.h"

/* A built message on the heap. Freed with hs_bytes_free, which wipes. */
struct hs_bytes {
	uint8_t *data;
	size_t len;
};
void hs_bytes_free(struct hs_bytes *bytes);

/* What is kept from Resp until Finish: wiped with resp_state_wipe. */
struct resp_state {
	uint32_t sender_i, sender_r;
	usec made_at;
	enum cipher suite;
	uint8_t h4[HASH_LEN];
	struct hs_keys keys;
	uint8_t mac1_key[MAC1_KEY_LEN]; /* of Resp and Reject */
	struct hs_bytes message;        /* Resp */
};
void resp_state_wipe(struct resp_state *state);

/* Answers a whole Init; sender_i, sender_r and made_at of *state are given, the rest is filled in.
 * ERR_FORMAT: Init's layout, its KEM key, or no suite in common; ERR_AUTH: its X25519 key is of
 * low order; ERR_NOMEM, ERR_CRYPTO. On error state is wiped. */
enum err resp_make(struct resp_state *state, const struct responder_config *config, const uint8_t h0[static HASH_LEN],
	struct view init, const struct rng *rng);

/*
 * Checks a whole Finish. OK: *ret is the session (the caller wipes it). ERR_AUTH with *reject
 * filled: the signature is good but the peer is refused; the caller owns the Reject message.
 * ERR_AUTH, ERR_FORMAT, ERR_CRYPTO, ERR_NOMEM with *reject empty: to be dropped. On error *ret is
 * zeroed.
 */
enum err finish_check(struct hs_result *ret, struct hs_bytes *reject, const struct resp_state *state,
	const struct responder_config *config, struct view finish);
