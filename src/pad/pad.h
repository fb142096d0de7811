/*
 * One end of a pad in use: what is given out for sending, what is found for receiving, the ledger behind both, the
 * boundary between the two ends, and the chores that keep all that ahead of use (docs/protocol.md, "One-time pads").
 *
 * Never twice: pad_take gives only what the ledger has on disk as used, and each byte once.
 *
 * Threads: pad_take, pad_find and pad_received by lanes (within a read section); pad_serve by one thread; everything
 * else by the control thread. pad_serve and what changes the ledger take the pad's lock, so they may wait for a disk.
 */
#pragma once

#include "base/clock.h"
#include "pad/medium.h"

#include <stdbool.h>

#define PAD_WINDOW                                                                                                     \
	((uint64_t)4 << 20)  /* a datagram that is further behind the highest position received is too late            \
			      */
#define PAD_SECRET_LEN 64    /* of one key exchange */
#define PAD_HELLO_WINDOW 256 /* slots from the first acceptable one on in which a hello is looked for */
#define PAD_SPARE 512        /* bytes at the end of a share that only control frames may use */

struct pad;

struct pad_options {
	enum pad_role role;
	uint8_t max_zero_run; /* 0: off */
	bool burns;
	uint64_t first; /* PadOffset: nothing below this position of our own walk is used */
};

/*
 * From a medium whose pad has `size` bytes and whose ledger's copies are `copies`. Faults name `name`, and the remedy:
 * ERR_FORMAT (too short, ledger damaged or another pad's), ERR_TOO_BIG, ERR_STATE (the ledger says the other role, or
 * `first` lies outside the share), ERR_IO (the ledger cannot be written), ERR_NOMEM.
 */
enum err pad_new(struct pad **ret, const struct pad_medium *medium, uint64_t size,
	const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], const struct pad_options *options,
	const char *name, struct fault *fault);
/* Records how far it was used, so that nothing is skipped, and burns the rest; wipes. No lane may use it any more. NULL
 * is fine. */
void pad_free(struct pad *p);

const uint8_t *pad_id(const struct pad *p); /* PAD_ID_LEN */
enum pad_role pad_role(const struct pad *p);
uint8_t pad_max_zero_run(const struct pad *p);

/* ---- lanes ---- */

/* Bytes of a walk, in the order of positions. */
struct pad_stretch {
	uint64_t position;
	uint64_t offset; /* in the file, of the first byte: what goes on the wire */
	const uint8_t *bytes;
};
/*
 * `len` bytes, at most SUPPLY_TAKE_MAX, of our own walk, to be used now. `is_control`: may use the spare. ERR_AGAIN:
 * not ready yet (disk, or the peer's credit); ERR_FULL: the pad is used up, or our state is older than what the peer
 * has seen: nothing is sent any more.
 */
enum err pad_take(struct pad *p, size_t len, bool is_control, struct pad_stretch *ret);
/* The same; what is not in memory yet is read into `buffer`, which has room for `len`. ERR_IO, too: those bytes are
 * lost. */
enum err pad_take_reading(struct pad *p, size_t len, bool is_control, uint8_t *buffer, struct pad_stretch *ret);
/* The `len` bytes that pad_take would give now, if no other lane is quicker, to see how many are needed
 * (MaxZeroRun); NULL: not in memory. Not to be used as key before they have been taken. */
const uint8_t *pad_peek(const struct pad *p, size_t len, uint64_t *ret_position);
/*
 * Bytes of the peer's walk, from the offset that a datagram names: from memory, else, for a peer that is far ahead
 * after losses, from the file into `buffer`, which has room for `len`, at a bounded rate. ERR_FORMAT: outside the
 * traffic; ERR_REPLAY: behind the window; ERR_AGAIN: too many from the file; ERR_IO.
 */
enum err pad_find(struct pad *p, uint64_t offset, size_t len, uint8_t *buffer, struct pad_stretch *ret);
/* The same from a position on, which was found before. */
enum err pad_find_at(struct pad *p, uint64_t position, size_t len, uint8_t *buffer, struct pad_stretch *ret);
/* The peer's bytes up to position `end` have authenticated. */
void pad_received(struct pad *p, uint64_t end);

/* ---- chores ---- */
/* Reserves, reads ahead, clears behind, burns, records. Returns when it wants to be called again, if not woken before.
 * wall_s: seconds since 1970. */
usec pad_serve(struct pad *p, usec now, uint64_t wall_s);

/* ---- the control thread: sessions ---- */

/* What each end tells the other when they connect. */
struct pad_marks {
	uint64_t sent;     /* nothing below it is sent from now on */
	uint64_t received; /* how far the other's walk has been seen */
	uint64_t boundary;
	uint8_t max_zero_run;
};
/* Ours, now. `holds`: until pad_agree nothing is given or taken, so that what they say of the boundary stays true. */
struct pad_marks pad_marks(struct pad *p, bool holds);
/* How far the peer's walk has been seen up to now. */
uint64_t pad_seen(const struct pad *p);

enum pad_verdict {
	PAD_AGREED,
	PAD_WE_ARE_OLD, /* the peer has seen more of us than we know of: we were restored from a backup or a snapshot */
	PAD_PEER_IS_OLD,
	PAD_DIFFERENT, /* MaxZeroRun is another */
	PAD_FAULT,     /* the ledger cannot be written */
};
/*
 * Compares the peer's marks with what is known here. `seen`: pad_seen at a moment before the peer made its marks.
 * PAD_AGREED: credit that got lost is taken over, and what the peer sends from now on begins at marks->sent.
 * PAD_WE_ARE_OLD is recorded: nothing is given out until the pad is advanced.
 */
enum pad_verdict pad_agree(struct pad *p, const struct pad_marks *marks, uint64_t seen);

/* A slot for a hello, recorded before it returns: its number and its bytes. ERR_FULL: all have been used; ERR_STATE:
 * our state is old; ERR_IO. */
enum err pad_use_slot(struct pad *p, uint32_t *ret_slot, uint8_t ret_bytes[static PAD_SLOT_LEN]);
/* The bytes of a slot that a hello names, if it may still be accepted and lies in the window; else NULL. */
const uint8_t *pad_look_at_slot(const struct pad *p, uint32_t slot);
/* Those of a slot that has been used or passed over, from the file. ERR_NOT_FOUND: it has not, or there is none;
 * ERR_IO. */
enum err pad_read_old_slot(const struct pad *p, uint32_t slot, uint8_t ret_bytes[static PAD_SLOT_LEN]);
/* Those of a slot that may still be accepted and lies above the window, from the file: of who has called in vain for
 * long. ERR_NOT_FOUND: it does not, or there is none; ERR_IO. */
enum err pad_read_far_slot(const struct pad *p, uint32_t slot, uint8_t ret_bytes[static PAD_SLOT_LEN]);
/* A hello with this slot was authentic: recorded before it returns. ERR_IO; ERR_REPLAY: not above the last. */
enum err pad_accept_slot(struct pad *p, uint32_t slot);

/* PAD_SECRET_LEN bytes of our own walk for a key exchange, and their offset. ERR_AGAIN, ERR_FULL: as pad_take. */
enum err pad_take_secret(struct pad *p, uint8_t ret[static PAD_SECRET_LEN], uint64_t *ret_offset);
/* Those that the peer names. ERR_REPLAY: its walk has been seen there or further on; ERR_FORMAT, ERR_IO. Nothing is
 * recorded: whoever names them may not have them. */
enum err pad_find_secret(struct pad *p, uint64_t offset, uint8_t ret[static PAD_SECRET_LEN]);
/* The peer has used them: recorded as received before it returns. Errors as above. */
enum err pad_accept_secret(struct pad *p, uint64_t offset);

/* Blocks of ours for a peer that runs short: recorded, and never used here again. *ret_from and *ret_to are the
 * boundary before and after. ERR_AGAIN: there is no need or nothing to give; ERR_IO. */
enum err pad_give(struct pad *p, uint64_t *ret_from, uint64_t *ret_to);
/* PadCredit came. ERR_FORMAT: it does not fit our boundary, or gives what is not the peer's: not taken. ERR_AGAIN: not
 * now, a session is being made; ERR_IO. */
enum err pad_credit(struct pad *p, uint64_t from, uint64_t to);

/* ---- status ---- */
enum pad_state {
	PAD_READY,
	PAD_LOW,     /* less than a tenth is left to send */
	PAD_USED_UP, /* too little is left for a packet, and the peer has none to give */
	PAD_IS_OLD,  /* PAD_WE_ARE_OLD, until it is advanced */
	PAD_FAILED,  /* the pad or its ledger cannot be read or written: see `fault` */
};
struct pad_status {
	enum pad_state state;
	uint8_t id[PAD_ID_LEN];
	uint64_t size;                   /* of the file */
	uint64_t sent, received;         /* bytes used by us, by the peer */
	uint64_t left, peer_left;        /* bytes of our share, of the peer's */
	uint64_t burned;                 /* bytes */
	uint64_t used_at_first, first_s; /* for the rate: as in the ledger */
	uint32_t slots_left;
	char fault[160];
};
void pad_status(struct pad *p, struct pad_status *ret);
