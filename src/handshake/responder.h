/*
 * The responder for all initiators (docs/protocol.md, "Handshake"): reassembles Init, answers
 * Resp, checks Finish, gives out finished sessions. Memory and work are bounded whatever strangers
 * send: MaxPendingHandshakes states for 10 s with random eviction, per-source rate limits, cookies
 * while under load, at most three bytes sent for each byte received from an unproven address.
 *
 * No I/O, no clock. Not thread safe: the handshake thread owns it. The identity and rng's
 * context are borrowed. In which order random values are drawn: responder_steps.h.
 */
#pragma once

#include "base/addr.h"
#include "base/rng.h"
#include "handshake/result.h"

struct responder;

/* What the owner knows of an initiator whose signature has verified. */
struct responder_verdict {
	bool authorised;
	const uint8_t *psk;          /* PSK_LEN bytes that this peer must use, or NULL: it must use none */
	bool requires_pad;           /* it must use a secret of the pad; else it must use none */
	struct reject_reason reason; /* when not authorised */
};

/* What an initiator that has proven all it must has asked for. Borrowed for the call. */
struct responder_claim {
	struct view request;    /* TLVs */
	usec answered_at;       /* when Resp was made: all that it says was said later */
	const uint8_t *pad_ref; /* PAD_REF_LEN bytes: the secret there has been used; NULL: no pad */
};

struct responder_config {
	const struct identity *identity;
	uint32_t suites;      /* accepted bitmap */
	bool prefer_aes;      /* Cipher = auto: pick AES-256-GCM when offered and fast here */
	uint32_t max_pending; /* MaxPendingHandshakes */
	uint32_t rate;        /* Inits answered a second and source (/32, /64); bursts of twice that */
	/* Is this identity welcome, and with which PSK? Called after the signature verified. */
	struct responder_verdict (*authorise)(
		void *context, const struct sig_public *key, const uint8_t key_id[KEY_ID_LEN]);
	/* A random index that no session at this end uses. */
	uint32_t (*new_index)(void *context);
	/* The secret that pad_ref names, of the pad that this peer must use; nothing is recorded yet: whoever names it
	 * has not proven to have it. ERR_NOT_FOUND: another pad's; ERR_REPLAY: not after all that was seen of the pad;
	 * ERR_FORMAT: no such place; whatever else goes wrong. The initiator is refused, and told. Must be there where
	 * a verdict requires a pad. */
	enum err (*find_pad)(void *context, const uint8_t key_id[static KEY_ID_LEN],
		const uint8_t pad_ref[static PAD_REF_LEN], uint8_t secret[static PAD_SECRET_LEN]);
	/* All is in order: the last word on an initiator, whose PSK and pad have proven right, before there is a
	 * session; here an address is given, and the pad's secret recorded as used. Not OK: it is refused with *reason.
	 * NULL: everyone is admitted. */
	enum err (*admit)(void *context, const uint8_t key_id[static KEY_ID_LEN], const struct responder_claim *claim,
		struct reject_reason *reason);
	/* A finished session. Called once, before anything else of it happens. `proven`: the address that Resp went
	 * to, and that is proven by that; the last part of Finish may have come from another. */
	void (*established)(void *context, const struct hs_result *result, const struct addr *proven);
	void *context;
};

/* ERR_ARGUMENT: max_pending not 1..65,536, rate not 1..1,000,000, or no known suite; ERR_NOMEM, ERR_CRYPTO. */
enum err responder_new(struct responder **ret, const struct responder_config *config, const struct rng *rng, usec now);
void responder_free(struct responder *responder); /* NULL is fine */

/* Another identity, suites, rate, and so on; max_pending stays. Handshakes under way end where the identity is
 * another. ERR_ARGUMENT, ERR_CRYPTO, ERR_NOMEM: nothing has changed. */
enum err responder_reconfigure(struct responder *responder, const struct responder_config *config, usec now);

/*
 * An Init or Finish datagram from `source`. Sends through `out` (to `source`). `under_load`: do no
 * work before a valid mac2; answer with a Cookie instead.
 * OK: a message was complete and valid. Any error: dropped, counted by the owner by its code:
 * ERR_FORMAT, ERR_AUTH (mac1, mac2, AEAD, signature; a refused identity too, after its Reject went
 * out), ERR_AGAIN (fragment stored, or a repeat answered, or a Cookie sent), ERR_FULL (rate limit or 3x limit),
 * ERR_NOT_FOUND (Finish for no pending state), ERR_CRYPTO, ERR_NOMEM.
 */
enum err responder_input(struct responder *responder, const struct addr *source, const uint8_t *data, size_t len,
	bool under_load, usec now, const struct hs_output *out);

/* Forgets what is older than 10 s, rotates the cookie secret every 120 s. Call about once a second. */
void responder_tick(struct responder *responder, usec now);

uint32_t responder_pending(const struct responder *responder); /* how many states are held */
