/*
 * The initiator of a handshake (docs/protocol.md, "Handshake"): builds Init, checks Resp, builds
 * Finish, waits for Accept or Reject. One object is one attempt: one Init, at most one Finish,
 * each built once and repeated as the same bytes (mac2 apart). No I/O, no clock: the owner
 * feeds datagrams and time in and gets datagrams out.
 *
 * It hides: the ephemeral keys, the transcript, reassembly (at most 4 buffers for Resp, keyed by
 * sender and message_len; at most 8 complete ones tried), cookies and retransmission times.
 * Ownership: the identity, psk and rng's context are borrowed and must outlive the object; free
 * wipes all. In which order random values are drawn: initiator_steps.h.
 */
#pragma once

#include "base/rng.h"
#include "handshake/result.h"

struct initiator;

struct initiator_config {
	const struct identity *identity;
	uint8_t responder_key_id[KEY_ID_LEN];
	uint32_t suites;      /* offered bitmap of enum cipher; ChaCha20-Poly1305 always in it */
	const uint8_t *psk;   /* PSK_LEN bytes, or NULL */
	struct view request;  /* TLVs, at most 1024 bytes, copied */
	uint32_t local_index; /* sender_I: random, unique at this end */
	/* A secret of the pad's bytes, never given before, and its pad_ref; called for each Finish that is built, after
	 * the responder has proven who it is. Not OK: no Finish; initiator_input returns that. NULL: no pad. */
	enum err (*take_pad)(void *context, uint8_t secret[static PAD_SECRET_LEN], uint8_t pad_ref[static PAD_REF_LEN]);
	/* Writes the request's TLVs in place of `request`, at that same moment. NULL: `request` it is. */
	void (*write_request)(void *context, struct writer *w);
	void *context;
};

/* Makes the ephemeral keys and Init. ERR_CRYPTO, ERR_NOMEM, ERR_ARGUMENT. Does not send yet:
 * initiator_poll does. */
enum err initiator_new(struct initiator **ret, const struct initiator_config *config, const struct rng *rng, usec now);
void initiator_free(struct initiator *initiator); /* NULL is fine */

enum initiator_state {
	INITIATOR_WAITS_RESP,
	INITIATOR_WAITS_ACCEPT, /* Finish built: initiator_result is there */
	INITIATOR_REJECTED,     /* initiator_reason is there */
	INITIATOR_EXPIRED,      /* 30 s without Resp, or 10 s without Accept after Finish: begin anew */
};
enum initiator_state initiator_state(const struct initiator *initiator);

/* Sends what is due at `now` (the first time at once, repeats after 0.5 s, x2 with jitter), and
 * returns when it wants to be called again; USEC_NEVER once expired or rejected. */
usec initiator_poll(struct initiator *initiator, usec now, const struct hs_output *out);

/*
 * A Resp, Reject or Cookie datagram (whole, from the first byte) whose receiver field is this
 * attempt's local index. OK: something was accepted (look at initiator_state; call initiator_poll
 * to send what became due); any error: dropped, state as it was: ERR_FORMAT (malformed), ERR_AUTH
 * (mac1, AEAD, signature, identity), ERR_AGAIN (fragment stored, message not complete yet),
 * ERR_STATE (not expected now), ERR_FULL (too many forged ones), ERR_CRYPTO; what take_pad returned.
 */
enum err initiator_input(struct initiator *initiator, const uint8_t *data, size_t len, usec now);

/* The session's secrets while the state is INITIATOR_WAITS_ACCEPT, else NULL (owned by the object, wiped with it and
 * when the state changes). The reason while it is INITIATOR_REJECTED, else NULL. */
const struct hs_result *initiator_result(const struct initiator *initiator);
const struct reject_reason *initiator_reason(const struct initiator *initiator);
uint32_t initiator_local_index(const struct initiator *initiator);
