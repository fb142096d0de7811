/*
 * The header of snek's data frames, little-endian:
 *
 *     flags u8 | seq u64 | chunk length u32 | [total u32 | id u32 | index u16 | count u16] | nonce 12 | chunk
 *
 * The part in brackets is there if flags has SNEK_FLAG_FRAGMENT. A chunk is ciphertext: all of it, with its tag, or
 * the index-th of count pieces. Nothing of the header but the nonce is authenticated, so none of it is believed
 * before the tag has verified, and then only the nonce. Pure; owns nothing.
 */
#pragma once

#include "base/err.h"
#include "crypto/aead.h"

#include <stdbool.h>

#define SNEK_FLAG_ALWAYS 1
#define SNEK_FLAG_FRAGMENT 2
#define SNEK_HEADER_LEN 25
#define SNEK_FRAGMENT_HEADER_LEN 37
#define SNEK_CHUNK_MAX 1536    /* that is sent */
#define SNEK_PACKET_MAX 1536   /* an inner packet; the interface's MTU */
#define SNEK_LENGTH_LEN 4      /* of the length in front of the inner packet, within the plaintext */
#define SNEK_DATAGRAM_MAX 2048 /* that the older program reads whole */

/* `total`, `id`, `index` and `count` mean something only if is_fragment. */
struct snek_frame {
	uint64_t seq;
	uint32_t total, id;
	uint16_t index, count;
	bool is_fragment; /* of at least two: a single "fragment" is a whole frame */
	uint8_t nonce[AEAD_NONCE_LEN];
	uint8_t *chunk; /* borrowed: within the datagram */
	size_t chunk_len;
};

/* The first frame of what is left of a datagram; *ret_len: its length, so that the next one may follow there. All
 * flags but SNEK_FLAG_FRAGMENT are ignored, and so is `total`, which may be wrong.
 * ERR_FORMAT: cut short, or an index that is not below count; both outputs are then zeroed. */
enum err snek_frame_parse(struct snek_frame *ret, size_t *ret_len, uint8_t *datagram, size_t len);

/* Writes the header for a chunk of frame->chunk_len bytes, which follows it; frame->chunk is not looked at. Returns its
 * length, SNEK_HEADER_LEN or SNEK_FRAGMENT_HEADER_LEN: room for the latter is needed. */
size_t snek_frame_build(uint8_t out[static SNEK_FRAGMENT_HEADER_LEN], const struct snek_frame *frame);
