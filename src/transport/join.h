/*
 * Joins neighbouring segments of a TCP or UDP flow into super-packets, so that one write to the
 * TUN or TAP queue carries up to 64 KiB (the counterpart of transport/segment). Payloads are not copied:
 * they are borrowed until join_flush, which the caller does before it reuses their buffers.
 *
 * Segments are joined only when the result, cut again by the kernel, gives the same packets:
 * equal headers (Ethernet header and VLAN tags, addresses, ports, TTL, flags, acknowledgement, window, options),
 * consecutive sequence numbers, equal sizes but for the last. A segment with a complete checksum joins only after that
 * checksum has been verified.
 */
#pragma once

#include "wire/ether.h"
#include "wire/ip.h"

#include <linux/virtio_net.h>
#include <sys/uio.h>

#define JOIN_FLOWS 8
#define JOIN_SEGMENTS 128
#define JOIN_HEADERS_MAX 128 /* Ethernet with two tags, IPv6 and a TCP header with 60 bytes fit */

/* Takes a packet for the TUN queue: iov[0] is the virtio_net_hdr; all borrowed for the call. */
struct join_output {
	void (*deliver)(void *context, const struct iovec *iov, int n);
	void *context;
};

struct join_flow {
	uint32_t segments; /* 0: the slot is free */
	uint32_t next_sequence;
	size_t link_len, header_len, payload_each, len; /* link_len: of the Ethernet header; 0 at layer 3 */
	struct ip_packet ip;                            /* pointers into `headers` */
	bool is_closed;                                 /* a short or pushed segment ended it */
	uint8_t headers[JOIN_HEADERS_MAX];
	struct iovec payload[JOIN_SEGMENTS];
};

struct joiner {
	struct join_flow flows[JOIN_FLOWS];
	uint32_t last; /* slot of the last hit */
	uint32_t victim;
	bool join_udp; /* the TUN takes UDP super-packets (USO) */
	struct join_output out;
};

void joiner_init(struct joiner *j, struct join_output out, bool join_udp);

/* A packet of `len` bytes; ip is its parse; `partial`: its layer-4 checksum is the pseudo-header
 * sum only. ERR_FORMAT: partial, but the packet has no such checksum field. */
enum err join_packet(struct joiner *j, const uint8_t *packet, size_t len, const struct ip_packet *ip, bool partial);

/* An Ethernet frame of `len` bytes, whose parse `ether` is. ERR_FORMAT: partial, but there is no IP packet in it with
 * such a field, or bytes behind it. */
enum err join_frame(struct joiner *j, const uint8_t *frame, size_t len, const struct ether_frame *ether, bool partial);

/* Delivers all that is held. */
void join_flush(struct joiner *j);
