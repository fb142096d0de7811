/* The inside of a lane, shared by its sending (lane.c) and receiving (receive.c) halves. */
#pragma once

#include "engine/lane.h"
#include "engine/peer.h"
#include "transport/join.h"
#include "transport/sealing.h"
#include "transport/segment.h"

/* What has come from one peer and is not yet noted there. */
struct tally {
	struct peer *peer;
	uint64_t bytes;
	uint32_t packets;
};

struct lane {
	struct engine *engine;
	uint32_t number;
	struct lane_io io;
	usec now;

	/* Sending: sealed datagrams in buffer[start..end), all to `peer`; behind them perhaps an open
	 * one, with open_len bytes of frames. */
	uint8_t *buffer;
	size_t start, end, open_len, segment;
	uint32_t n_sealed;
	bool is_closed; /* the last was shorter: nothing may follow it in one send */
	struct peer *peer;
	struct keys *keys;
	struct route *route;
	size_t prefix; /* of these keys: bytes between header and frames, part of the plaintext */
	uint32_t plain_max;

	/* What sealing and opening need besides keys. */
	struct sealing sealing;
	struct rng noise; /* fills padding, from a pool that the engine's fills */
	size_t noise_left;
	uint8_t noise_pool[4096];
	uint8_t found[SUPPLY_TAKE_MAX];

	/* Receiving. */
	struct joiner join;
	struct tally tally;
	struct keys *receive_keys; /* of the last datagram, within this read section ... */
	uint32_t receive_index;    /* ... and what it named */
	struct peer *source_peer;  /* of the last packet whose source was checked ... */
	bool source_v4;
	uint8_t source[16]; /* ... and that source */
	/* At layer 2: the last station that was learned, and where; the last that was found, and where. */
	struct port *learned_at, *found_at;
	struct mac_key learned, found_key;
	bool has_destination, destination_v4;
	uint8_t destination[16]; /* of the last packet that was found to be for no peer, while peers are kept apart */

	_Atomic uint64_t drops[DROP_COUNT]; /* written by this lane only */
	uint8_t scratch[65536];
	uint8_t *whole; /* at layer 2: room for a frame that came in parts */
};

enum err lane_new(struct lane **ret, struct engine *e, uint32_t number, const struct lane_io *io);
void lane_free(struct lane *lane);

/* A packet or frame, which `s` cuts, goes to a peer; where that has no session, it waits for one. */
void lane_send(struct lane *lane, struct peer *p, struct segmenter *s, const struct virtio_net_hdr *header,
	const uint8_t *packet, size_t len);
/* One that waited for a session with that peer, and goes there whoever else it was for. */
void lane_staged(
	struct lane *lane, struct peer *p, const struct virtio_net_hdr *header, uint8_t *packet, size_t len);

static inline void lane_drop(struct lane *lane, enum drop why)
{
	_Atomic uint64_t *n = &lane->drops[why];
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* What came of sealing or opening, counted. */
void lane_drop_unsealed(struct lane *lane, enum err why);
/* The size that a plaintext with `used` bytes of prefix and frames gets. */
size_t lane_padded(struct lane *lane, size_t used, size_t full);

/* false: the control thread's queue is full (counted). */
static inline bool lane_post(struct lane *lane, const struct event *event)
{
	if (lane->io.post(lane->io.context, event) == OK)
		return true;
	lane_drop(lane, DROP_BUSY);
	return false;
}

/* Never more than three times what an unproven address has sent. Counts what it allows. */
static inline bool route_may_send(struct route *route, size_t len)
{
	if (atomic_load_explicit(&route->is_proven, memory_order_relaxed))
		return true;
	uint64_t allowed = 3 * atomic_load_explicit(&route->received, memory_order_relaxed);
	if (atomic_fetch_add_explicit(&route->sent, len, memory_order_relaxed) + len <= allowed)
		return true;
	atomic_fetch_sub_explicit(&route->sent, len, memory_order_relaxed);
	return false;
}
