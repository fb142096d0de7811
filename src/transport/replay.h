/*
 * Replay window (RFC 6479): which counters of a key have been seen. A ring of words, of which one
 * is always kept free, so that moving the window forward never shifts bits. Update only after the
 * tag has verified. Not thread safe: the owner locks.
 *
 * Most sessions of a server are idle, and their keys are replaced before many counters are used: the
 * ring is needed from counter REPLAY_NARROW on. Until then the same bits stand in the struct.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* A ring of n words counts (n - 1) * 64. */
#define REPLAY_WINDOW_OF(n_words) (((n_words)-1) * 64)

#define REPLAY_WORDS 129 /* of a session's keys: 8192 counters */
#define REPLAY_WINDOW REPLAY_WINDOW_OF(REPLAY_WORDS)
#define REPLAY_NARROW_WORDS 4
#define REPLAY_NARROW (REPLAY_NARROW_WORDS * 64)

/* Starts as zeros. */
struct replay {
	uint64_t next;    /* one above the highest counter seen */
	uint64_t *ring;   /* borrowed; NULL: counters are below REPLAY_NARROW */
	uint64_t n_words; /* of the ring */
	uint64_t narrow[REPLAY_NARROW_WORDS];
};

/* Marks `counter` as seen. ERR_REPLAY: it was, or lies behind the window; ERR_FULL: it needs the ring. Nothing
 * changes then. */
enum err replay_accept(struct replay *r, uint64_t counter);
/* Would it be ERR_REPLAY? */
bool replay_is_seen(const struct replay *r, uint64_t counter);
/* Gives it the ring: n_words zeros, more than REPLAY_NARROW_WORDS, which the caller owns and keeps. Once. */
void replay_widen(struct replay *r, uint64_t *ring, uint64_t n_words);
