/*
 * PadHello and PadWelcome (docs/protocol.md, "One-time pads"): the way in by a pad alone. Their bytes, sealed and
 * opened with the 256 bytes of a slot; which slot, and what the marks mean, is the business of pad/pad.h and the
 * engine. Pure functions.
 */
#pragma once

#include "crypto/poly1305.h"
#include "wire/wire.h"

#define HELLO_SLOT_LEN 256 /* PAD_SLOT_LEN */

enum hello_status {
	HELLO_OK = 0,
	HELLO_YOU_ARE_OLD = 1, /* the receiver's state is older than what the sender has seen of it */
	HELLO_I_AM_OLD = 2,
	HELLO_DIFFERENT = 3,  /* MaxZeroRun */
	HELLO_NO_ADDRESS = 4, /* the pool is empty */
	HELLO_CONFIG = 5,
};

/* What both say. */
struct hello_marks {
	uint64_t sent, received, boundary;
	uint8_t random[8];
	uint8_t status; /* enum hello_status, or a later version's */
	uint8_t max_zero_run;
};

struct hello {
	uint32_t sender, receiver; /* indices; receiver only in a welcome */
	uint32_t slot;
	struct hello_marks marks;
};

/* ERR_CRYPTO: the message is zeros. */
enum err hello_build(struct poly1305 *mac, const uint8_t slot[static HELLO_SLOT_LEN], const struct hello *hello,
	uint8_t out[static PAD_HELLO_LEN]);
enum err welcome_build(struct poly1305 *mac, const uint8_t slot[static HELLO_SLOT_LEN], const struct hello *welcome,
	uint8_t out[static PAD_WELCOME_LEN]);

/* What is in the clear, to know where to look. ERR_FORMAT: length, type, version, reserved bytes. marks are zeros. */
enum err hello_parse(struct hello *ret, const uint8_t *data, size_t len);
enum err welcome_parse(struct hello *ret, const uint8_t *data, size_t len);

/* The whole, if it was made with this slot. ERR_FORMAT (as above; authentic, but what must be zeros is not), ERR_AUTH,
 * ERR_CRYPTO. */
enum err hello_open(struct poly1305 *mac, const uint8_t slot[static HELLO_SLOT_LEN], const uint8_t *data, size_t len,
	struct hello *ret);
enum err welcome_open(struct poly1305 *mac, const uint8_t slot[static HELLO_SLOT_LEN], const uint8_t *data, size_t len,
	struct hello *ret);
