/*
 * Inner packets: just enough of IPv4, IPv6, TCP and UDP to route, to cut and join segments, and to
 * know where a checksum stands (RFC 791, 8200, 9293, 768, 1071). Nothing is trusted: every length
 * is checked against the bytes there are.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"

#define IP_PROTOCOL_TCP 6
#define IP_PROTOCOL_UDP 17
#define TCP_HEADER_MIN 20
#define UDP_HEADER_LEN 8

struct ip_packet {
	bool v4;
	bool is_fragment;                    /* IPv4 fragment: no layer-4 header to rely on */
	uint8_t protocol;                    /* of what follows the IP header */
	uint16_t header_len;                 /* where layer 4 begins */
	const uint8_t *source, *destination; /* 4 or 16 bytes, inside the packet */
};

/* ERR_FORMAT: not IPv4 or IPv6, or its lengths are not exactly those of the `len` bytes. */
enum err ip_parse(struct ip_packet *ret, const uint8_t *packet, size_t len);

/* An address as 16 bytes, IPv4 as v4-mapped. */
void ip_address(uint8_t out[static 16], bool v4, const uint8_t *address);

/* Ones' complement sums (RFC 1071), not folded; `add` continues one. */
uint64_t ip_sum(const uint8_t *data, size_t len, uint64_t add);
uint16_t ip_fold(uint64_t sum); /* native byte order as the words were read: store with memcpy */
uint64_t ip_pseudo_sum(const struct ip_packet *ip, size_t layer4_len);

/* Offset of the checksum in the layer-4 header: 16 TCP, 6 UDP, 0 for others. */
uint8_t ip_checksum_offset(uint8_t protocol);

/* Sets IPv4's or IPv6's length field for a packet of `len` bytes, and IPv4's header checksum. */
void ip_set_length(uint8_t *packet, const struct ip_packet *ip, size_t len);

/* Turns a layer-4 checksum field that holds the pseudo-header sum into the real checksum, over
 * packet[start..len), field at start + offset. ERR_FORMAT: outside the packet. */
enum err ip_complete_checksum(uint8_t *packet, size_t len, size_t start, size_t offset);
