/* The inside of the engine, shared by its files. */
#pragma once

#include "engine/lane_private.h"
#include "engine/leases.h"
#include "engine/session.h"
#include "engine/trie.h"
#include "handshake/ratelimit.h"
#include "handshake/responder.h"

#define PEERS_MAX 65536

/* A handshake under way that was begun here: what Resp, Reject and Cookie name. */
struct caller {
	uint32_t index;
	struct peer *peer;
};

struct engine {
	struct engine_config config;
	struct rng rng;
	struct trie *trie;
	struct index *index;
	struct bridge *bridge; /* NULL: layer 3 */
	struct responder *responder;
	struct lane **lanes; /* n_lanes + 1; the control thread's last */

	_Atomic enum padding padding; /* read by lanes, like the next */
	_Atomic bool are_peers_apart;

	struct peer **peers; /* by number; NULL: removed, its number is free */
	uint32_t n_peers, peers_size;
	uint32_t *by_key_id; /* numbers, sorted by key ID */
	uint32_t n_by_key_id;
	struct caller *callers; /* room for every peer */
	uint32_t n_callers;
	struct timers timers; /* the peers' */
	struct leases *leases;
	struct route *removed_routes; /* freed after a grace period */
	struct peer *removed_peers;
	usec now; /* of the call in hand */
	usec responder_due;
	uint32_t tunnel_mtu;       /* last told to the owner */
	struct endpoint answer_to; /* of the handshake datagram in hand */
	size_t answer_len, answer_segment;
	uint8_t answer[HS_FRAGMENTS_MAX * HS_DATAGRAM_MAX]; /* datagrams on their way to it, one after another */
	struct handshake_counts counts;
	struct ratelimit hellos; /* by source */
	uint32_t pad_tries;      /* slots that hellos may be compared with before the next refill */
	usec pad_tries_at;
};

static inline struct lane *engine_control_lane(struct engine *e)
{
	return e->lanes[e->config.n_lanes];
}

/* Our key ID; zeros, which are nobody's, where there is no identity. */
static inline const uint8_t *engine_own_id(const struct engine_config *config)
{
	static const uint8_t none[KEY_ID_LEN];
	return config->identity ? identity_key_id(config->identity) : none;
}

/* ---- events.c ---- */
/* A handshake datagram was dropped: counted by its error. */
void engine_count_refusal(struct engine *e, enum err err);

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
/* The address to call: where the peer was last, if it has answered from there, and where it is configured to be, in
 * turn (p->attempts). False: there is none yet. */
bool peer_pick_address(struct peer *p);
/* Resp, whose last part came from `from`, was right: Finish is built. */
void peer_finish_initiated(struct peer *p, const struct endpoint *from, usec now);
void peer_notice(struct peer *p, enum notice notice, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* NOTICE_ESTABLISHED. */
void peer_announce(struct peer *p, const struct session *s, const char *where);
/* A datagram of `plain` bytes with a probe frame. */
void peer_send_probe(struct peer *p, const uint8_t nonce[PROBE_LEN], uint8_t flags, size_t plain, usec now);
/* The handshake or hello that was begun here ends, or begins: datagrams for it find the peer no more, or now. */
void peer_stop_calling(struct peer *p);
void peer_start_calling(struct peer *p, uint32_t index);
/* Seconds of silence after which it is asked for a sign of life, in microseconds; 0: never. */
usec peer_keepalive(const struct peer *p);
/* Tells it that the session ends: it need not find out. One datagram, which may get lost. */
void peer_say_goodbye(struct peer *p, usec now);
/* All its sessions and its handshake end. It is told. */
void peer_reset(struct peer *p);
/* The largest path may be another now. */
void engine_publish_mtu(struct engine *e);
/* Frees what lanes can no longer hold. */
void engine_reclaim(struct engine *e);

/* ---- registry.c ---- */
struct peer *engine_find_key_id(const struct engine *e, const uint8_t key_id[KEY_ID_LEN]);
struct peer *engine_peer(const struct engine *e, uint32_t number);
void registry_free(struct engine *e);
/* Is the prefix the peer's, by configuration, lease or Accept? */
bool peer_owns(const struct peer *p, const struct prefix *prefix);

/* ---- handout.c: addresses and the rest of Accept ---- */
enum err handout_init(struct engine *e, const struct engine_config *config);
/* What the configuration gives to a peer is its own: in the pools, too. */
enum err handout_add_peer(struct peer *p);
/* An initiator is about to be let in: it gets its addresses. The responder's admit. */
enum err handout_admit(void *context, const uint8_t key_id[KEY_ID_LEN], struct reject_reason *reason);
/* Tells the other end of a session. ERR_NOMEM, ERR_FULL. */
enum err handout_send(struct session *s);
/* An Accept came, the session's first or a later one. ERR_FORMAT, ERR_NOMEM; ERR_STATE: no session may be. */
enum err handout_take(struct peer *p, struct view body, bool is_first);
/* Other pools or another push: everyone with a session is told. */
enum err handout_change(struct engine *e, const struct engine_config *config);
