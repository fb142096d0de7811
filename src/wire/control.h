/*
 * Control frames and their TLV bodies (docs/protocol.md, "Control"). Layout only; the reliable
 * stream that carries them is transport/stream.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "wire/wire.h"

struct control_part {
	uint16_t id, ack;
	uint8_t type, part, parts;
	struct view body;
};

/* From a control frame's body. ERR_FORMAT: short; part not below parts; an acknowledgement with
 * an id or a body; another type without an id. */
enum err control_parse(struct control_part *ret, struct view body);
void control_write(struct writer *w, const struct control_part *part);

/* TLVs: `type u8, length u16, value`. */
enum accept_tlv {
	ACCEPT_KEEPALIVE = 1,
	ACCEPT_ADDRESS,
	ACCEPT_ROUTE,
	ACCEPT_DNS,
	ACCEPT_DOMAIN,
	ACCEPT_MTU,
	ACCEPT_PAD_MARKS,
};                                          /* wire/accept.h */
enum request_tlv { REQUEST_PAD_MARKS = 1 }; /* wire/request.h */
enum close_tlv { CLOSE_REASON = 1 };

struct tlv {
	uint8_t type;
	struct view value;
};
/* ERR_NOT_FOUND at the end, ERR_FORMAT when a length runs past it. */
enum err tlv_next(struct reader *r, struct tlv *ret);
void tlv_write(struct writer *w, uint8_t type, struct view value);

/* Bodies of the in-session rekey (docs/protocol.md, "Sessions"); lengths are fixed. */
#define REKEY1_LEN (32 + 1568 + 4 + PAD_REF_LEN)
#define REKEY2_LEN (32 + 1568 + 4)
struct rekey1_body {
	uint8_t epk[32], ek[1568], index[4], pad_ref[PAD_REF_LEN];
};
struct rekey2_body {
	uint8_t epk[32], ct[1568], index[4];
};
static_assert(sizeof(struct rekey1_body) == REKEY1_LEN && sizeof(struct rekey2_body) == REKEY2_LEN);
