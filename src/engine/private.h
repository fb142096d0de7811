/* The inside of the engine, shared by its files. */
#pragma once

#include "engine/lane_private.h"
#include "engine/session.h"
#include "engine/trie.h"
#include "handshake/responder.h"

#define PEERS_MAX 65536

struct engine {
	struct engine_config config;
	struct rng rng;
	struct trie *trie;
	struct index *index;
	struct responder *responder;
	struct lane **lanes; /* n_lanes + 1; the control thread's last */

	struct peer **peers; /* by number; NULL: removed */
	uint32_t n_peers, peers_size;
	uint32_t *by_key_id; /* numbers, sorted by key ID */
	uint32_t n_by_key_id;
	struct route *removed_routes; /* freed after a grace period */
	struct peer *removed_peers;
	usec now;      /* of the call in hand */
	usec deadline; /* of the earliest peer */
	usec responder_due;
	uint32_t tunnel_mtu;       /* last told to the owner */
	struct endpoint answer_to; /* of the handshake datagram in hand */
	struct handshake_counts counts;
};

static inline struct lane *engine_control_lane(struct engine *e)
{
	return e->lanes[e->config.n_lanes];
}

/* ---- peers.c: what the control thread does for one peer ---- */

/* The session becomes the one that is used for sending, or goes to `old` where the other end prefers another. */
void peer_confirm(struct peer *p, struct session *s, usec now);
/* Ends a session wherever it hangs. */
void peer_drop_session(struct peer *p, struct session *s);
/* What lanes send under follows the active session's current keys. */
void peer_publish_keys(struct peer *p);
/* The path's size is known, or changed. */
void peer_publish_path(struct peer *p);
/* The next tick of this peer must not be later than `when`. */
void peer_wake(struct peer *p, usec when);
/* Does what is due. */
void peer_tick(struct peer *p, usec now);
/* The configured address is another than before: it is called next, and a call elsewhere that waits for Resp ends. */
void peer_call_again(struct peer *p);
/* Resp, whose last part came from `from`, was right: Finish is built. */
void peer_finish_initiated(struct peer *p, const struct endpoint *from, usec now);
void peer_notice(struct peer *p, enum notice notice, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A datagram of `plain` bytes with a probe frame. */
void peer_send_probe(struct peer *p, const uint8_t nonce[PROBE_LEN], uint8_t flags, size_t plain, usec now);
struct peer *engine_find_key_id(struct engine *e, const uint8_t key_id[KEY_ID_LEN]);
