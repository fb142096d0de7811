/*
 * Ethernet frames (IEEE 802.3, 802.1Q, 802.1ad): just enough to switch them, and to find the IP packet inside.
 * Nothing is trusted: every length is checked against the bytes there are. No preamble, no frame check sequence:
 * frames as a TAP gives them.
 */
#pragma once

#include "wire/ip.h"

#define ETHER_ADDRESS_LEN 6
#define ETHER_HEADER_LEN 14
#define ETHER_TAG_LEN 4
#define ETHER_HEADER_MAX (ETHER_HEADER_LEN + 2 * ETHER_TAG_LEN)

struct ether_frame {
	const uint8_t *destination, *source; /* inside the frame */
	uint16_t type;                       /* of what follows the tags; a length below 0x0600 */
	uint16_t header_len;                 /* with the tags */
	/* Which virtual network it is in: outer VLAN ID << 12 | inner one. An 802.1Q tag alone is an inner one, an
	 * 802.1ad tag alone an outer one; 0 without a tag, and with one that has a priority only. */
	uint32_t vlan;
};

/* ERR_FORMAT: too short for its header and tags. A third tag is taken for content. */
enum err ether_parse(struct ether_frame *ret, const uint8_t *frame, size_t len);

/* The IP packet in a frame of `len` bytes; *ret_len is its length, which is less than what is there where a network
 * card has padded the frame. ERR_FORMAT: there is none, or it claims more than there is. */
enum err ether_ip(const struct ether_frame *ether, const uint8_t *frame, size_t len, struct ip_packet *ret,
	size_t *ret_len);

/* Broadcast or multicast. */
static inline bool ether_is_group(const uint8_t address[static ETHER_ADDRESS_LEN])
{
	return address[0] & 1;
}

/* May a station have this address? */
static inline bool ether_is_station(const uint8_t address[static ETHER_ADDRESS_LEN])
{
	static const uint8_t zero[ETHER_ADDRESS_LEN];
	return !ether_is_group(address) && memcmp(address, zero, ETHER_ADDRESS_LEN) != 0;
}

/* Groups that bridges keep to one cable (802.1Q, table 8-1): flow control, LACP, LLDP, 802.1X. Not the spanning
 * tree's, the first of the sixteen: bridges on both sides find loops through the tunnel by it. */
static inline bool ether_is_link_local(const uint8_t address[static ETHER_ADDRESS_LEN])
{
	static const uint8_t reserved[5] = {0x01, 0x80, 0xc2, 0x00, 0x00};
	return memcmp(address, reserved, sizeof reserved) == 0 && address[5] > 0 && address[5] < 16;
}
