/*
 * Cuts what one read of a TUN or TAP queue gives - a packet or Ethernet frame, or a super-packet of up to 64 KiB
 * with its virtio_net_hdr (TCP or UDP segmentation offload) - into the inner packets that travel, each
 * written where its datagram is built. Layer-4 checksums stay partial where the receiver can know
 * where they stand (frame flag bit 0); everywhere else they are completed here.
 */
#pragma once

#include "wire/ether.h"
#include "wire/ip.h"

#include <linux/virtio_net.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct segmenter {
	struct ip_packet ip;
	const uint8_t *packet;
	size_t len;
	size_t link_len;     /* of the Ethernet header and its tags; 0 at layer 3 */
	size_t header_len;   /* all headers, repeated in every segment */
	size_t payload_each; /* all but the last segment's */
	size_t at;           /* payload bytes given out */
	uint32_t count, index;
	size_t largest; /* length of the first packet: none is longer; at most 65535 */
	uint16_t checksum_start, checksum_offset;
	bool is_tcp, partial, needs_sum;
};

/* Checks header and packet against each other; `packet` is borrowed until the last segmenter_next.
 * ERR_FORMAT: lengths or offsets that do not fit; ERR_UNSUPPORTED: a kind of offload that was not
 * asked for. */
enum err segmenter_init(struct segmenter *s, const struct virtio_net_hdr *header, const uint8_t *packet, size_t len);

/* The same for an Ethernet frame, whose parse `ether` is. What is in it need not be IP, unless it is to be cut. */
enum err segmenter_init_frame(struct segmenter *s, const struct virtio_net_hdr *header, const struct ether_frame *ether,
	const uint8_t *frame, size_t len);

/* Writes the next packet (at most s->largest bytes) to `out` and returns its length; 0 after the
 * last. Each has s->partial checksums or complete ones. */
size_t segmenter_next(struct segmenter *s, uint8_t *out);
