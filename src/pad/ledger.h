/*
 * What must be on disk before a pad's bytes are used (docs/protocol.md, "Never twice"): one small record with the marks
 * of a link's end. Here it is plain data and its bytes; who writes it where is pad/medium.h. Two copies are
 * written in turn, so that a torn write leaves the one before, which is right: nothing of what was to be reserved has
 * been used yet.
 */
#pragma once

#include "pad/layout.h"

#define LEDGER_RECORD_LEN 512
#define LEDGER_COPIES 2

/* Positions, as pad/layout.h has them: `sent` and what goes with it in one's own walk, `received` in the other's. Of
 * otptunnel `sent` and `received` are offsets in the file (pad/otptunnel.h), and all below them is zero. */
struct ledger {
	uint64_t sequence; /* of the record; the higher copy counts */
	uint8_t pad_id[PAD_ID_LEN];
	uint64_t pad_size;
	enum pad_role role;
	uint64_t boundary; /* blocks that the responder owns */
	uint64_t sent;     /* all below may have been used */
	uint64_t received; /* all below is never accepted in another session; the peer has been seen so far */
	uint64_t burned_sent, burned_received; /* all below has been overwritten */
	uint32_t hello;    /* all slots below have been used (initiator), or accepted or passed over (responder) */
	uint64_t peer_saw; /* how far the peer has seen us; above `sent`: our state is old, and nothing is sent */
	uint32_t peer_saw_hello; /* the same for slots */
	uint64_t used_at_first;  /* sent + received when the rate was last begun to be measured ... */
	uint64_t first_s;        /* ... and when that was, in seconds of wall clock */
};

/* Every byte; version, checksum and zeros included. ERR_CRYPTO: there is no checksum, so nothing that may be written;
 * all zeros. */
enum err ledger_encode(uint8_t out[static LEDGER_RECORD_LEN], const struct ledger *ledger);
/* ERR_FORMAT: not such a record, torn, or its numbers contradict each other or the size; ERR_CRYPTO: it cannot be told.
 */
enum err ledger_decode(struct ledger *ret, const uint8_t record[static LEDGER_RECORD_LEN]);
/*
 * The newer of the copies that are right. ERR_NOT_FOUND: both are all zeros: nothing was ever recorded; ERR_FORMAT:
 * one has bytes, and none is right; ERR_CRYPTO.
 */
enum err ledger_choose(struct ledger *ret, const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN]);
