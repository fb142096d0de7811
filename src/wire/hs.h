/*
 * Handshake datagrams: header, body, mac1, mac2 (docs/protocol.md, "Datagrams"). Layout and
 * lengths only: the macs are computed and checked in handshake/mac. Nothing here allocates;
 * a parsed datagram borrows the bytes it was parsed from.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "wire/wire.h"

struct hs_datagram {
	enum msg_type type; /* Init, Resp, Finish or Reject */
	uint8_t fragment, fragments;
	uint32_t sender, receiver;
	uint16_t message_len;       /* the whole message's */
	struct view body;           /* this fragment's part of it, at fragment * HS_BODY_MAX */
	struct view mac1_input;     /* all before mac1 */
	struct view mac2_input;     /* all before mac2 */
	const uint8_t *mac1, *mac2; /* HS_MAC_LEN bytes each */
};

/* A whole message about to be sent; borrows its bytes. */
struct hs_message {
	enum msg_type type;
	uint32_t sender, receiver;
	struct view bytes;
};

/* In how many datagrams a message of this length travels; 0 when it cannot: empty, too long, or
 * its last datagram would be under HS_DATAGRAM_MIN. */
uint8_t hs_fragments(size_t message_len);
/* The bytes of all datagrams of a message of this length together. */
size_t hs_wire_len(size_t message_len);

/* ERR_FORMAT, *ret unchanged: another type or version, reserved not zero, a fragment number or
 * count that does not fit message_len, a length that is not exactly right, or an Init with another
 * length than HS_INIT_LEN or a receiver. */
enum err hs_parse(struct hs_datagram *ret, const uint8_t *data, size_t len);

/* Writes header and body of one fragment, and zeros for both macs. Returns the datagram's length;
 * 0 when the message has no such fragment. */
size_t hs_build(uint8_t out[static HS_DATAGRAM_MAX], const struct hs_message *message, uint8_t fragment);
