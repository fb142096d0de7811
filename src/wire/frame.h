/*
 * Frames inside a Data datagram's plaintext (docs/protocol.md, "Data"): `kind u8, flags u8,
 * length u16, body`, one after another; a zero kind byte ends them. Views borrow the plaintext.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "wire/wire.h"

struct frame {
	uint8_t kind, flags;
	uint16_t len;
	const uint8_t *body;
};

/* The next frame. ERR_NOT_FOUND: no more; ERR_FORMAT: a length runs past the plaintext. Unknown
 * kinds are returned too: the caller skips them. */
enum err frame_next(struct reader *r, struct frame *ret);

/* Writes a frame's header at `out` (FRAME_HEADER_LEN bytes). */
static inline void frame_put_header(uint8_t *out, enum frame_kind kind, uint8_t flags, size_t len)
{
	out[0] = (uint8_t)kind;
	out[1] = flags;
	le16_put(out + 2, (uint16_t)len);
}

/* A whole frame. The writer's failed flag tells that there was no room. */
void frame_write(struct writer *w, enum frame_kind kind, uint8_t flags, struct view body);

/* A part of an inner packet that does not fit the path: body of FRAME_FRAGMENT. */
struct fragment {
	uint32_t id;
	uint16_t offset, total, len;
	const uint8_t *data;
};

/* ERR_FORMAT: short, empty, or reaches past `total`. */
enum err fragment_parse(struct fragment *ret, const struct frame *frame);
