/*
 * Replay window (RFC 6479): which counters of a key have been seen. A ring of words, of which one
 * is always kept free, so that moving the window forward never shifts bits. Update only after the
 * tag has verified. Not thread safe: the keys' owner locks.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

#define REPLAY_WORDS 129 /* 128 words of 64 bits count: 8192 counters */
#define REPLAY_WINDOW ((REPLAY_WORDS - 1) * 64)

struct replay {
	uint64_t next; /* one above the highest counter seen */
	uint64_t bits[REPLAY_WORDS];
};

/* Marks `counter` as seen. ERR_REPLAY: it was, or lies behind the window; nothing changes then. */
enum err replay_accept(struct replay *r, uint64_t counter);
