/*
 * What the initiator computes (docs/protocol.md, "Handshake"): Init, and from a Resp its Finish
 * and the session's secrets. Time, datagrams and repeats are the business of initiator.c.
 *
 * Random values are drawn in this order: for Init: X25519 private key [32], ML-KEM seed [64],
 * nonce [32]; for Finish: the signature's rnd [32].
 */
#pragma once

#include "base/rng.h"
#include "handshake/initiator.h"
#include "handshake/mac.h"
#include "handshake/message.h"

/* What is kept from Init until a Resp fits it. Freed with init_state_wipe. */
struct init_state {
	uint8_t dh_private[DH_LEN];
	struct kem_key *kem;
	uint8_t h1[HASH_LEN];
	uint8_t mac1_init[MAC1_KEY_LEN], mac1_resp[MAC1_KEY_LEN]; /* mac1 keys of Init; of Resp and Reject */
	uint8_t message[HS_INIT_LEN];
};

/* What is kept from Finish on. Freed with finish_state_wipe. */
struct finish_state {
	uint32_t sender_r;
	uint8_t k_m3[32], k_rj[32];
	uint8_t reject_aad[HASH_LEN];
	size_t message_len;
	uint8_t message[HS_MESSAGE_MAX]; /* sealed */
	struct hs_result result;
};

/* ERR_CRYPTO: state is wiped. */
enum err init_make(struct init_state *state, const struct initiator_config *config, const struct rng *rng);
void init_state_wipe(struct init_state *state);

/*
 * Checks a whole Resp and builds Finish. ERR_AUTH: the box does not open, the key is not the
 * pinned one, or a proof is bad; ERR_FORMAT: suite or layout; ERR_CRYPTO; what take_pad returned. On
 * error state is wiped, nothing else has changed (but that a secret of the pad may have been taken).
 */
enum err finish_make(struct finish_state *state, const struct init_state *init, const struct initiator_config *config,
	const struct hs_message *resp, const struct rng *rng);
void finish_state_wipe(struct finish_state *state);

/* Opens a whole Reject. ERR_AUTH, ERR_FORMAT; *ret unchanged then. */
enum err reject_open(struct reject_reason *ret, const struct finish_state *state, struct view message);
