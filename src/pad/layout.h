/*
 * How a pad of S bytes is divided (docs/protocol.md, "One-time pads"): an identity, slots for hellos, and traffic, in
 * which the two ends walk towards each other. A place in a walk is a position, counted from 0 in the order of use; a
 * place in the file is an offset. Arithmetic only.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define PAD_ID_LEN 16
#define PAD_IDENTITY_LEN 64 /* never used as key; the first PAD_ID_LEN bytes are the pad's ID */
#define PAD_SLOT_LEN 256
#define PAD_HELLO_MAX ((uint64_t)1 << 20) /* bytes of all slots */
#define PAD_BLOCK ((uint64_t)64 * 1024)
#define PAD_SIZE_MIN ((uint64_t)1 << 20)
#define PAD_SIZE_MAX ((uint64_t)1 << 48)

/* Which way an end walks. The one with an Endpoint is the initiator. The last two are in ledgers of otptunnel alone,
 * whose pads are not divided like this (pad/otptunnel.h). */
enum pad_role {
	PAD_RESPONDER = 1,  /* up from the start of the traffic */
	PAD_INITIATOR = 2,  /* down from its end in blocks, upwards within each */
	PAD_OTP_CLIENT = 3, /* the bytes at even offsets, from the file's beginning */
	PAD_OTP_SERVER = 4, /* those at odd ones */
};

struct pad_layout {
	uint64_t size;     /* of the file */
	uint32_t n_slots;  /* from PAD_IDENTITY_LEN on */
	uint64_t traffic;  /* offset of the first byte of traffic */
	uint64_t n_blocks; /* of traffic; boundaries are counted in blocks from `traffic` */
};

/* ERR_FORMAT: shorter than PAD_SIZE_MIN; ERR_TOO_BIG. */
enum err pad_layout_of(struct pad_layout *ret, uint64_t size);

/* Of a native one. */
static inline enum pad_role pad_role_other(enum pad_role role)
{
	return role == PAD_RESPONDER ? PAD_INITIATOR : PAD_RESPONDER;
}

/* The boundary of a new pad. */
static inline uint64_t pad_middle(const struct pad_layout *l)
{
	return l->n_blocks / 2;
}

/* Bytes of the walk of `role` while the responder owns the first `boundary` blocks. */
static inline uint64_t pad_share(const struct pad_layout *l, enum pad_role role, uint64_t boundary)
{
	return (role == PAD_RESPONDER ? boundary : l->n_blocks - boundary) * PAD_BLOCK;
}

/* Where position `position`, below n_blocks * PAD_BLOCK, of the walk of `role` is. */
uint64_t pad_offset(const struct pad_layout *l, enum pad_role role, uint64_t position);
/* The opposite; false: the offset is not in the traffic. */
bool pad_position(const struct pad_layout *l, enum pad_role role, uint64_t offset, uint64_t *ret);
/* slot < n_slots */
uint64_t pad_slot_offset(uint32_t slot);
