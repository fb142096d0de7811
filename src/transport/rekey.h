/*
 * The in-session rekey (docs/protocol.md, "Sessions"): a fresh hybrid key exchange under the
 * session's current keys, chained to the last epoch by rekey_n, without signatures. Only the
 * computation: who starts when, collisions and switching are the session's business.
 */
#pragma once

#include "base/rng.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "wire/control.h"

/* What one epoch hands to the next. Wiped by its holder. */
struct epoch {
	uint8_t r[HASH_LEN];                              /* r_n: the transcript */
	uint8_t rekey[HASH_LEN];                          /* rekey_n: the chaining secret */
	uint8_t k_i2r[AEAD_KEY_LEN], k_r2i[AEAD_KEY_LEN]; /* traffic keys of this epoch */
};

/* The starter's state between Rekey1 and Rekey2; opaque: it holds the ephemeral keys. */
struct rekey_start;

/*
 * Where a session whose exchanges are guarded by a pad, too, has its secrets from. NULL in place of it: there is no
 * pad; then the peer may name none, and else it must.
 */
struct rekey_pad {
	/* A secret of our own region, never given before, and its pad_ref. Called once, by rekey_begin. */
	enum err (*take)(void *context, uint8_t secret[static PAD_SECRET_LEN], uint8_t pad_ref[static PAD_REF_LEN]);
	/* The peer's, and that it has been used is recorded. Called once, by rekey_answer; pad_ref may be anything. */
	enum err (*find)(
		void *context, const uint8_t pad_ref[static PAD_REF_LEN], uint8_t secret[static PAD_SECRET_LEN]);
	void *context;
};

/* Builds Rekey1 with the starter's new receiver index. ERR_CRYPTO, ERR_NOMEM; what pad->take returned. */
enum err rekey_begin(struct rekey_start **ret, struct rekey1_body *rekey1, uint32_t index, const struct rekey_pad *pad,
	const struct rng *rng);
void rekey_abandon(struct rekey_start *start); /* wipes; NULL is fine */

/* The other side: from Rekey1 to Rekey2 and the next epoch. ERR_FORMAT (length; FIPS 203's key check; a pad is named
 * where there is none, or none where there is one), ERR_AUTH (all-zero X25519), ERR_CRYPTO, what pad->find returned:
 * the session ends. *next unset then. */
enum err rekey_answer(const struct epoch *now, struct view rekey1, uint32_t index, const struct rekey_pad *pad,
	const struct rng *rng, struct rekey2_body *rekey2, struct epoch *next);

/* The starter: from Rekey2 to the next epoch. Errors as above. */
enum err rekey_finish(const struct rekey_start *start, const struct epoch *now, struct view rekey2, struct epoch *next);

/* The index that a Rekey body names (its sender's new receiver index). */
uint32_t rekey1_index(struct view rekey1);
uint32_t rekey2_index(struct view rekey2);
