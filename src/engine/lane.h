/*
 * A lane: the data path of one thread (docs/architecture.md, "How a packet flows"). Packets from
 * the tunnel's interface are routed, cut, framed, padded and sealed in place into a batch that
 * leaves in one send; datagrams are opened in place, checked, joined and delivered. It allocates
 * nothing per packet and takes no lock but the replay window's.
 *
 * Use: lane_begin, any number of lane_packet and lane_datagrams, lane_end. Buffers handed in are
 * borrowed (and changed) until lane_end. One thread at a time.
 */
#pragma once

#include "engine/engine.h"

#include <linux/virtio_net.h>

#define LANE_SEGMENTS_MAX 64 /* datagrams of one send: UDP_SEGMENT's limit */
#define LANE_SEND_MAX 65000  /* bytes of one send: an IP packet's length field is the limit */

/* Opens a read section at time `now`. */
void lane_begin(struct lane *lane, usec now);

/* What one read of the TUN queue gave: a packet or super-packet of `len` bytes with its header. */
void lane_packet(struct lane *lane, const struct virtio_net_hdr *header, uint8_t *packet, size_t len);

/* What one receive from the UDP socket gave: datagrams of `segment` bytes each, one after another,
 * the last perhaps shorter, all from one address. */
void lane_datagrams(struct lane *lane, const struct endpoint *from, uint8_t *data, size_t len, size_t segment);

/* Sends and delivers all that is held; closes the read section. */
void lane_end(struct lane *lane);
