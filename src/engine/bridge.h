/*
 * Layer 2: a switch whose ports are this host's own side (the TAP, and what may be bridged to it) and the peers. It
 * learns where stations are (engine/macs), sends what is for one of them there and the rest to all other ports, within
 * limits (engine/flood), and nothing back to where it came from (docs/decisions/0022). Engines of layer 3 have none.
 *
 * bridge_packet, bridge_frame: lanes. The rest: the control thread.
 */
#pragma once

#include "engine/flood.h"
#include "engine/macs.h"

#include <linux/virtio_net.h>

struct engine;
struct lane;
struct peer;

/* Part of each peer. */
struct port {
	struct mac_port macs;
	struct flood_limit flood;
	struct peer *peer;           /* NULL: this host's own side */
	_Atomic bool is_other_layer; /* it sends IP packets */
};

struct bridge;

/* `mac`: the TAP's address, which no peer may use. ERR_NOMEM. */
enum err bridge_new(struct bridge **ret, const uint8_t mac[static ETHER_ADDRESS_LEN], const struct rng *rng);
/* No lane may be in use any more. NULL is fine. */
void bridge_free(struct bridge *b);

/* A peer has come or gone, has or has lost its session: soon what goes to all goes to others. */
void bridge_change(struct bridge *b);
/* Does what is due, and what bridge_change asked for. */
void bridge_tick(struct engine *e, usec now);
/* Nothing comes from these peers any more (a list by next_removed), and nothing is to go to them: afterwards no lane
 * holds them. */
void bridge_forget(struct engine *e, const struct peer *removed);
/* How many stations are known at this host's own side. */
uint32_t bridge_own_stations(const struct bridge *b);

/* A frame from the TAP, as lane_packet. */
void bridge_packet(struct lane *lane, const struct virtio_net_hdr *header, const uint8_t *frame, size_t len);
/* A frame from a peer. What is delivered is borrowed until lane_end. */
void bridge_frame(struct lane *lane, struct peer *from, const uint8_t *frame, size_t len, bool partial);
