/*
 * Which of many things is due next: a binary heap, so that ten thousand sleeping peers cost nothing. One thread.
 * Private to the engine.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* Lies in what is timed; zero-initialised: in no heap. */
struct timer {
	usec due;
	uint32_t place; /* in the heap, from 1; 0: in none */
};

struct timers {
	struct timer **heap; /* [0] is not used */
	uint32_t count, size;
};

/* Room for one more, so that timers_set cannot fail: called when a thing is made. ERR_NOMEM. */
enum err timers_reserve(struct timers *t, uint32_t count);
void timers_done(struct timers *t);

/* Puts it in, or moves it; USEC_NEVER takes it out. */
void timers_set(struct timers *t, struct timer *timer, usec due);
/* The one that is due first, or NULL. */
struct timer *timers_first(const struct timers *t);
