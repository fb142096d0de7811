/*
 * For tests: super-packets as a kernel gives them with its virtio_net_hdr, and what RFC 791, 8200,
 * 9293 and 768 say that they are cut into: written without a look at src/transport.
 */
#pragma once

#include "seeded.h"

#include "base/bytes.h"

#include <linux/virtio_net.h>

#define PACKET_ROOM 66000

enum shape {
	SHAPE_PLAIN = 0,
	SHAPE_OPTIONS = 1,   /* perhaps TCP options */
	SHAPE_EXTENSION = 2, /* perhaps IPv4 options, or IPv6 extension headers */
	SHAPE_FLAGS = 4,     /* any of FIN, PSH, CWR, ECE (else: ACK, perhaps PSH) */
};

struct super {
	struct virtio_net_hdr virtio;
	bool v4, is_tcp;
	size_t layer4, header_len, payload_each, len; /* layer4: where it begins */
	uint32_t count;
	uint8_t packet[PACKET_ROOM]; /* its checksum: the pseudo-header's sum */
};

/* A random one of `count` segments at least 1, at most `each_max` bytes of payload in each. */
void super_random(struct super *s, struct seeded *seed, uint32_t shape, uint32_t each_max);

/* Segment `index`, with a complete checksum; its length. */
size_t naive_segment(const struct super *s, uint32_t index, uint8_t *out);

/* Sums as RFC 1071 writes them, 16 bits at a time. */
uint16_t naive_sum(const uint8_t *data, size_t len, uint32_t add);
/* The pseudo-header's sum for a packet whose layer 4 begins at `layer4`. */
uint16_t naive_pseudo(const uint8_t *packet, size_t len, size_t layer4, bool is_tcp);
/* Writes the complete checksum; never zero. */
void naive_complete(uint8_t *packet, size_t len, size_t layer4, bool is_tcp);
