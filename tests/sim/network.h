/*
 * The simulated network: nodes with one address each, joined by a path that delays, loses, doubles,
 * reorders and damages datagrams, drops those above its MTU, and may be cut per node. A tap sees every
 * datagram first: the observer of invariants, and the attacker, who may take it away and inject his own.
 */
#pragma once

#include "base/addr.h"
#include "sim/world.h"

#define NODES_MAX 128

struct conditions {
	uint32_t loss, duplication, corruption, reordering; /* of 1000 datagrams */
	usec latency, jitter;
	uint32_t mtu; /* of the path */
};

struct datagram {
	struct addr from, to;
	size_t len;
	uint8_t data[];
};

struct node {
	struct addr address;
	bool is_cut;
	void (*receive)(void *context, const struct datagram *datagram);
	void *context;
};

struct network {
	struct world *world;
	struct stream_random random;
	struct conditions conditions;
	struct node nodes[NODES_MAX];
	uint32_t n_nodes;
	/* Sees what a node sends, before the path does anything to it. false: it goes no further. */
	bool (*tap)(void *context, uint32_t node, const struct datagram *datagram);
	void *tap_context;
};

void network_init(struct network *n, struct world *w);
uint32_t network_add(struct network *n, struct node node);

/* The outer packet's size. */
size_t network_outer_len(const struct addr *to, size_t len);

/* From a node. */
void network_send(struct network *n, uint32_t node, const struct addr *to, const uint8_t *data, size_t len);
/* Onto the path, past the tap. */
void network_inject(struct network *n, const struct datagram *datagram, usec delay);

struct datagram *datagram_new(const struct addr *from, const struct addr *to, const void *data, size_t len);
