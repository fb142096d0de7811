/*
 * Randomness as an argument: the system's generator in the program, a seeded one in simulations
 * and vectors. All key material, indices, nonces and jitter come through here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct rng {
	void (*fill)(void *context, uint8_t *out, size_t n); /* cannot fail: aborts if the system cannot give */
	void *context;
};

/* getrandom(2). */
struct rng rng_system(void);

static inline void rng_fill(const struct rng *rng, void *out, size_t n) { rng->fill(rng->context, out, n); }

uint32_t rng_u32(const struct rng *rng);

/* Uniform in [0, bound), bound > 0. */
uint32_t rng_below(const struct rng *rng, uint32_t bound);
