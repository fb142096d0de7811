/*
 * One end of a pad in use: what is given out for sending, what is found for receiving, the ledger behind both, the
 * boundary between the two ends, and the chores that keep all that ahead of use (docs/protocol.md, "One-time pads").
 *
 * Never twice: pad_take gives only what the ledger has on disk as used, and each byte once.
 *
 * Threads: pad_take, pad_find, pad_received by lanes (within a read section); pad_serve by one thread; everything
 * else by the control thread. The last two take the pad's lock, so each may wait for a disk.
 */
#pragma once

#include "base/clock.h"
#include "base/rng.h"
#include "pad/medium.h"

#define PAD_WINDOW ((uint64_t)4 << 20) /* bytes behind the highest received in which a datagram may be late */
#define PAD_SECRET_LEN 64              /* of one key exchange */
#define PAD_HELLO_WINDOW 256           /* slots above the last accepted in which a hello is looked for */
#define PAD_SPARE 512                  /* bytes at the end of a share that only control frames may use */

struct pad;

struct pad_options {
	enum pad_role role;
	uint8_t max_zero_run; /* 0: off */
	bool burns;
	uint64_t first; /* PadOffset: sending begins at this position at the earliest */
};

/*
 * From a medium whose pad has `size` bytes and whose ledger's copies are `copies`. Faults name `name`, and the remedy:
 * ERR_FORMAT (too short, ledger damaged or another pad's), ERR_TOO_BIG, ERR_STATE (the ledger says the other role, or
 * `first` lies outside the share), ERR_IO (the ledger cannot be written), ERR_NOMEM.
 */
enum err pad_new(struct pad **ret, const struct pad_medium *medium, uint64_t size,
	const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], const struct pad_options *options,
	const char *name, struct fault *fault);
/* Records how far it was used, so that nothing is skipped; wipes. No lane may use it any more. NULL is fine. */
void pad_free(struct pad *p);

const uint8_t *pad_id(const struct pad *p); /* PAD_ID_LEN */
const struct pad_layout *pad_layout(const struct pad *p);
enum pad_role pad_role(const struct pad *p);
uint8_t pad_max_zero_run(const struct pad *p);

/* ---- lanes ---- */

/* One stretch of pad, to be used now. `offset` goes on the wire. */
struct pad_stretch {
	uint64_t position, offset;
	const uint8_t *bytes;
};
/*
 * `len` (at most SUPPLY_TAKE_MAX) bytes of our own walk. `is_control`: may use the spare at the end. ERR_AGAIN: not
 * ready yet (disk, or the peer's credit); ERR_FULL: the pad is used up, or our state is older than what the peer has
 * seen: nothing more is sent.
 */
enum err pad_take(struct pad *p, size_t len, bool is_control, struct pad_stretch *ret);
/*
 * Bytes of the peer's walk that a datagram names: from memory, else, for a peer that is far ahead after losses, from
 * the file into `buffer`, which has room for `len`, at a bounded rate. ERR_FORMAT: outside the pad; ERR_REPLAY: behind
 * the window; ERR_AGAIN: too many such; ERR_IO.
 */
enum err pad_find(struct pad *p, uint64_t offset, size_t len, uint8_t *buffer, usec now, struct pad_stretch *ret);
/* The peer's bytes up to position `end` have authenticated. */
void pad_received(struct pad *p, uint64_t end);

/* ---- chores ---- */
/* Reserves, reads ahead, clears behind, burns, records. Returns when it wants to be called again, if not woken before.
 */
usec pad_serve(struct pad *p, usec now, uint64_t wall_s);

/* ---- the control thread: sessions ---- */

/* What each end tells the other when they connect. */
struct pad_marks {
	uint64_t sent, received, boundary;
	uint8_t max_zero_run;
};
struct pad_marks pad_marks(struct pad *p);

enum pad_verdict {
	PAD_AGREED,
	PAD_WE_ARE_OLD, /* our state is older than what the peer has seen: restored from a backup, or a snapshot */
	PAD_PEER_IS_OLD,
	PAD_DIFFERENT, /* MaxZeroRun is another */
};
/* Compares, and takes over what follows: the peer's credit; that our own state is old (recorded). `ret_floor`: no
 * position of the peer's below it is used in this session. */
enum pad_verdict pad_compare(struct pad *p, const struct pad_marks *peer, uint64_t *ret_floor);
/* A session ends: what was received is recorded. */
/* A slot for a hello, recorded before it returns: its number and PAD_SLOT_LEN bytes. ERR_FULL: all have been used;
 * ERR_STATE: our state is old; ERR_IO. */
enum err pad_use_slot(struct pad *p, uint32_t *ret_slot, uint8_t ret_bytes[static PAD_SLOT_LEN]);
/* The bytes of a slot that a hello names, if it may be accepted: not below those that have been, and within the window.
 * From memory. NULL: none. */
const uint8_t *pad_look_at_slot(const struct pad *p, uint32_t slot);
/* A hello with this slot was authentic: recorded before it returns. ERR_IO; ERR_REPLAY: not higher than the last. */
enum err pad_accept_slot(struct pad *p, uint32_t slot);

/* 64 bytes of our own walk for a key exchange, recorded as used. ERR_AGAIN, ERR_FULL as pad_take. */
enum err pad_take_secret(struct pad *p, uint8_t ret[static PAD_SECRET_LEN], uint64_t *ret_offset);
/* Those that the peer names: ERR_REPLAY: its walk has been seen further on; ERR_FORMAT, ERR_IO. Recorded as received.
 */
enum err pad_find_secret(struct pad *p, uint64_t offset, uint8_t ret[static PAD_SECRET_LEN]);

/* Is some of ours to be given to the peer? OK: recorded; *ret_boundary is what PadCredit says. ERR_AGAIN: not now;
 * ERR_IO. */
enum err pad_give(struct pad *p, uint64_t *ret_boundary);
/* PadCredit came. ERR_FORMAT: it does not give, or gives what is not the peer's. */
enum err pad_credit(struct pad *p, uint64_t boundary);

/* ---- status ---- */
enum pad_state {
	PAD_READY,
	PAD_LOW,     /* less than a tenth is left to send */
	PAD_USED_UP, /* nothing is left that could be sent */
	PAD_IS_OLD,  /* see PAD_WE_ARE_OLD: until it is advanced */
	PAD_FAILED,  /* the ledger or the pad cannot be written or read: see `fault` */
};
struct pad_status {
	enum pad_state state;
	uint64_t size;                   /* of the file */
	uint64_t sent, received;         /* bytes used by us, by the peer */
	uint64_t left, peer_left;        /* bytes of our share, of the peer's */
	uint64_t burned;                 /* bytes */
	uint64_t used_at_first, first_s; /* for the rate: as in the ledger */
	uint32_t slots_left;
	char fault[200];
};
void pad_status(struct pad *p, struct pad_status *ret);
