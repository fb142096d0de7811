/*
 * A session: what one full handshake gave, with the epochs that rekeys add to it, and its control
 * stream (docs/protocol.md, "Sessions"). Control thread only; lanes see its keys through the index
 * and the peer's send_keys. Private to the engine.
 */
#pragma once

#include "engine/peer.h"
#include "handshake/result.h"
#include "transport/rekey.h"
#include "transport/stream.h"

#define REKEY_DEFAULT (120 * USEC_PER_SEC)
#define PREVIOUS_LIFETIME (10 * USEC_PER_SEC)

struct session {
	struct peer *peer;
	bool is_initiator; /* of the handshake */
	bool is_confirmed; /* the other end is known to have the keys */
	bool is_lapsing;   /* a simultaneous one that lost: received from, not used */
	enum sig_alg peer_alg;
	usec made_at;
	uint64_t rank;     /* of its first epoch */
	uint32_t n_epochs; /* rekeys so far */

	struct keys *current, *previous, *next; /* owned by the index */
	usec previous_until;
	struct epoch epoch;      /* of current: transcript and chaining secret */
	struct epoch next_epoch; /* of next, at the end that answered */
	struct stream *stream;

	struct rekey_start *rekey; /* begun here, Rekey2 awaited */
	uint32_t rekey_index;
	bool has_answered;                  /* a Rekey1, in this epoch */
	usec confirm_due, confirm_interval; /* probes under new keys until something comes back */
};

/* From a finished handshake: keys published in the index, not yet used for sending. Does not keep `result`. */
enum err session_new(struct session **ret, struct peer *peer, const struct hs_result *result, usec now);
/* From hellos: protected by the peer's pad alone. `floor`: the peer sends from this position on. ERR_NOMEM, ERR_EXISTS.
 */
struct session_ends {
	bool is_initiator;
	uint32_t local_index, remote_index;
	uint64_t floor;
};
enum err session_new_pad(struct session **ret, struct peer *peer, const struct session_ends *ends, usec now);
/* Takes its keys out of the index and wipes it. NULL is fine. */
void session_free(struct session *s);
/* From now on only packet frames are taken from it, for PREVIOUS_LIFETIME. */
void session_retire(struct session *s, usec now);

/* A complete control message. ERR_STATE and any other error but OK: the session must end. */
enum err session_message(struct session *s, uint8_t type, struct view message, usec now);
/* Something authentic came under `keys`, which wait for it: the answerer of a rekey switches. */
void session_heard(struct session *s, const struct keys *keys, usec now);

/* Does what is due (stream, rekey, expiry), sending through the control lane; returns the next deadline. */
usec session_tick(struct session *s, usec now);

/* Seals and sends frames[0..len) under `keys` (NULL: current) in one datagram of `plain` bytes at
 * least (0: as padding says), to the peer's route. */
void session_send(struct session *s, struct keys *keys, struct view frames, size_t plain, usec now);
