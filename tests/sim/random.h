/*
 * The simulation's randomness: SplitMix64 (Steele, Lea, Flood, 2014), one stream per use, so that
 * a seed gives the same run again, and one host's draws do not shift another's. Never for keys of
 * real use.
 */
#pragma once

#include "base/rng.h"

#include <stdbool.h>
#include <string.h>

struct stream_random {
	uint64_t state;
};

static inline uint64_t random_u64(struct stream_random *r)
{
	uint64_t z = (r->state += 0x9e3779b97f4a7c15U);
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

/* Another stream, told apart by `what`. */
static inline struct stream_random random_fork(const struct stream_random *r, uint64_t what)
{
	struct stream_random fork = {r->state ^ what * 0xd1342543de82ef95U};
	fork.state = random_u64(&fork);
	return fork;
}

static inline uint32_t random_below(struct stream_random *r, uint32_t bound)
{
	return (uint32_t)((random_u64(r) >> 32) * bound >> 32);
}

/* In [low, high]. */
static inline uint64_t random_between(struct stream_random *r, uint64_t low, uint64_t high)
{
	return low + random_u64(r) % (high - low + 1);
}

/* True in `permille` of 1000 cases. */
static inline bool random_chance(struct stream_random *r, uint32_t permille)
{
	return random_below(r, 1000) < permille;
}

static inline void random_fill(void *context, uint8_t *out, size_t n)
{
	while (n) {
		uint64_t v = random_u64(context);
		size_t take = n < sizeof v ? n : sizeof v;
		memcpy(out, &v, take);
		out += take;
		n -= take;
	}
}
