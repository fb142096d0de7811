/*
 * Which of many things is due next: a binary heap, so that ten thousand sleeping peers cost nothing. The timers lie in
 * what is timed; the heap only borrows them, so take one out before its owner is freed. One thread. Private to the
 * engine.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Lies in what is timed, and must not move while it is in a heap. Zero-initialised: in no heap. */
struct timer {
	usec due;       /* USEC_NEVER when it was taken out */
	uint32_t place; /* in the heap, from 1; 0: in none */
};

/* Zero-initialised: empty. */
struct timers {
	struct timer **heap; /* [0] is not used */
	uint32_t count, size;
};

/* Room for `count` timers in all, so that timers_set cannot fail: called when a thing is made. Never shrinks.
 * ERR_NOMEM: as before. */
enum err timers_reserve(struct timers *t, uint32_t count);
/* The timers still in it stay with their owners, and do not learn of it. */
void timers_done(struct timers *t);

/* Puts it in, or moves it; USEC_NEVER takes it out. There must be room. */
void timers_set(struct timers *t, struct timer *timer, usec due);
/* The one that is due first, or NULL. Of several due at once any. */
struct timer *timers_first(const struct timers *t);
