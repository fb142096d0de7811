/*
 * Simulated time: timers run in order, one after another, and the clock stands still while they do.
 * Also the place where a run fails, and its trace: a hash of all that happened, equal for equal seeds.
 */
#pragma once

#include "base/clock.h"
#include "sim/random.h"

struct timer;

struct world {
	uint64_t seed;
	struct stream_random random;
	usec now;
	uint64_t trace, steps;
	bool is_verbose, has_failed;
	char failure[400];

	struct timer *heap;
	size_t n_timers, heap_size;
	uint64_t order;
};

void world_init(struct world *w, uint64_t seed, bool is_verbose);
void world_done(struct world *w);

/* Runs `run(context, owned)` at time `at` (now, if that has passed) and frees `owned` afterwards. */
void world_at(struct world *w, usec at, void (*run)(void *context, void *owned), void *context, void *owned);

/* Runs all timers up to `until`; ends early when the run has failed. */
void world_run(struct world *w, usec until);

/* An invariant does not hold: only the first such sentence is kept. */
[[gnu::format(printf, 2, 3)]] void world_fail(struct world *w, const char *format, ...);
/* A line with the time, in verbose runs. */
[[gnu::format(printf, 2, 3)]] void world_log(struct world *w, const char *format, ...);
void world_trace(struct world *w, const void *data, size_t len);

/* calloc that ends the program: the simulation is no place to test lack of memory. */
void *sim_alloc(size_t n);
