/* For tests: cmocka, and randomness that a seed repeats (splitmix64). */
#pragma once

/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/rng.h"

#include <stdbool.h>

struct seeded {
	uint64_t state;
};

static inline uint64_t seeded_next(struct seeded *s)
{
	uint64_t z = s->state += 0x9e3779b97f4a7c15U;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
	z = (z ^ z >> 27) * 0x94d049bb133111ebU;
	return z ^ z >> 31;
}

/* In [0, bound). The bias does not matter to a test. */
static inline uint32_t seeded_below(struct seeded *s, uint32_t bound)
{
	return (uint32_t)(seeded_next(s) % bound);
}

static inline bool seeded_chance(struct seeded *s, uint32_t percent)
{
	return seeded_below(s, 100) < percent;
}

static inline void seeded_bytes(struct seeded *s, void *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)out)[i] = (uint8_t)seeded_next(s);
}

static inline void seeded_fill(void *context, uint8_t *out, size_t n)
{
	seeded_bytes(context, out, n);
}

static inline struct rng seeded_rng(struct seeded *s)
{
	return (struct rng){.fill = seeded_fill, .context = s};
}
