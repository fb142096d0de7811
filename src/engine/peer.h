/*
 * A peer: what lanes read of it (atomics and published pointers) and what the control thread keeps.
 * Private to the engine.
 */
#pragma once

#include "engine/bridge.h"
#include "engine/engine.h"
#include "engine/index.h"
#include "engine/leases.h"
#include "engine/timers.h"
#include "handshake/initiator.h"
#include "transport/fragments.h"
#include "transport/path.h"

#include <pthread.h>
#include <stdatomic.h>

/* A peer's address as lanes see it; replaced as a whole. Unproven: nothing sent there has come back
 * yet, so no more than three times the bytes received from it go there (docs/protocol.md, "Roaming"). */
struct route {
	struct endpoint to;
	_Atomic bool is_proven;
	_Atomic uint64_t received, sent; /* bytes, while unproven */
	struct route *next_removed;
};

/* A packet that waits for a session. */
struct staged {
	struct staged *next;
	size_t len; /* virtio header included */
	uint8_t bytes[];
};
#define STAGED_MAX 64
#define STAGED_BYTES_MAX (256 * 1024)

struct session;
struct padlink;

struct peer {
	/* Constant. */
	struct engine *engine;
	uint32_t number;
	uint8_t key_id[KEY_ID_LEN];

	/* The configuration's, by the control thread. */
	char name[64];
	bool initiates, has_psk, has_smaller_id; /* than ours */
	usec keepalive;
	uint32_t takes;
	uint8_t psk[PSK_LEN];
	enum protection protection;
	struct pad *pad;         /* borrowed; NULL: none */
	struct padlink *padlink; /* what there is to do with it; NULL: there is none */
	struct prefix *allowed;  /* owned; in the trie, as the next two are */
	size_t n_allowed;
	struct prefix leased[LEASES_EACH]; /* handed out to it */
	size_t n_leased;
	struct accept *accepted; /* what it handed out to us, less what we do not take; NULL: nothing yet */

	/* Read by lanes. */
	_Atomic(struct keys *) send_keys; /* NULL: no session */
	_Atomic(struct route *) route;
	_Atomic uint32_t plain_max; /* largest plaintext on the path */
	_Atomic uint32_t fragment_id;
	_Atomic bool is_wanted, is_moving; /* an event is on its way */
	_Atomic usec last_receive, last_send, last_receive_packet, last_send_packet;
	_Atomic usec owed_since;       /* a packet came then, nothing was sent since; 0: nothing is owed */
	_Atomic usec unanswered_since; /* something was sent then, nothing heard since; 0: all answered */
	struct port port;              /* at layer 2 */
	_Atomic bool sent_large;       /* since the path was last confirmed */
	_Atomic uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
	pthread_mutex_t lock; /* staged packets, fragments: off the fast path */
	struct staged *staged_head, **staged_tail;
	size_t n_staged, staged_bytes;
	struct fragments *fragments;

	/* The control thread's. */
	struct addr configured; /* what Endpoint names; port 0: nothing (yet) */
	struct initiator *initiator;
	struct session *active;     /* in use for sending */
	struct session *pending[2]; /* finished, not yet confirmed: [1] those begun here, [0] answered */
	struct session *old;        /* replaced, or lapsing */
	struct endpoint calling;    /* where the handshake under way goes */
	uint64_t sessions_made;
	uint64_t layer_told; /* rank of the session of which it was said that it carries another layer */
	/* While a newer session lapses: what had come under the active one and under it, and since when. */
	uint64_t heard_active, heard_lapsing;
	usec heard_at;
	uint64_t moved_rank, moved_counter; /* of the newest datagram that moved the endpoint */
	usec retry_at, backoff;
	uint32_t attempts; /* in a row without success */
	bool must_connect; /* until the first success after start */
	usec established_at;
	struct path path;
	bool was_best;            /* its path was the largest of all */
	uint8_t proof[PROBE_LEN]; /* path probe that proves the route */
	usec proof_due, proof_interval;
	usec asked_at;      /* for a sign of life, after a silence */
	struct timer timer; /* its next tick */
	enum sig_alg peer_alg;
	char rejected[201];
	struct peer *next_removed;
};

enum err peer_new(struct peer **ret, struct engine *e, const struct peer_config *config, uint32_t number);
void peer_free(struct peer *p);
/* Takes over what may change: all but the key ID and the prefixes. */
void peer_configure(struct peer *p, const struct peer_config *config);

/* Publishes a new route; *from is copied. The old one is freed after a grace period. */
void peer_set_route(struct peer *p, const struct endpoint *to, bool is_proven, usec now);

/* Keeps a packet until there is a session. ERR_FULL, ERR_NOMEM. Any thread. */
enum err peer_stage(struct peer *p, const void *header, size_t header_len, const uint8_t *packet, size_t len);
bool peer_has_staged(struct peer *p);
/* Takes all staged packets (a list that the caller frees). */
struct staged *peer_unstage(struct peer *p);
void staged_free(struct staged *list);
