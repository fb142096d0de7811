/*
 * Inner packets between clients of one server, by addresses that change hands. Each has a number and contents that
 * follow from it; the list knows who wrote it, and whether it may arrive. An IP protocol for experiments: no layer 4.
 */
#pragma once

#include "base/addr.h"
#include "sim/world.h"

#include <sys/uio.h>

#define LETTER_LEN_MAX 1300

struct letter {
	uint32_t from;            /* who wrote it: a host's number */
	struct prefix source, to; /* single addresses */
	bool is_forged;           /* the source is another's: must not come out */
	bool is_at_server, is_delivered;
	uint16_t payload_len;
	usec sent_at;
};
struct letters {
	struct world *world;
	struct stream_random random;
	struct letter *list;
	uint32_t n, size;
	uint64_t delivered;
};

void letters_init(struct letters *l, struct world *w);
void letters_done(struct letters *l);

/* Notes it down, and makes the packet; its length. */
size_t letters_write(struct letters *l, const struct letter *letter, uint8_t out[static LETTER_LEN_MAX]);

/* A packet that came out; NULL (and the run has failed): nobody wrote it, or not so. *ret_bytes: the packet, until the
 * next call. */
struct letter *letters_read(
	struct letters *l, const struct iovec *iov, int n, const uint8_t **ret_bytes, size_t *ret_len);
