/*
 * Cuts what one read of a TUN queue gives - a packet, or a super-packet of up to 64 KiB with its
 * virtio_net_hdr (TCP or UDP segmentation offload) - into the inner packets that travel, each
 * written where its datagram is built. Layer-4 checksums stay partial where the receiver can know
 * where they stand (frame flag bit 0); everywhere else they are completed here.
 */
#pragma once

#include "wire/ip.h"

#include <linux/virtio_net.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

struct segmenter {
	struct ip_packet ip;
	const uint8_t *packet;
	size_t len;
	size_t header_len;   /* IP and layer-4 headers, repeated in every segment */
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

/* Writes the next packet (at most s->largest bytes) to `out` and returns its length; 0 after the
 * last. Each has s->partial checksums or complete ones. */
size_t segmenter_next(struct segmenter *s, uint8_t *out);
