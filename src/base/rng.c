#include "base/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static void fill_from_system(void *context, uint8_t *out, size_t n)
{
	(void)context;
	while (n > 0) {
		ssize_t got = getrandom(out, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort(); /* a VPN without randomness must not run on */
		out += got;
		n -= (size_t)got;
	}
}

struct rng rng_system(void) { return (struct rng){ .fill = fill_from_system }; }

uint32_t rng_u32(const struct rng *rng)
{
	uint32_t v;
	rng_fill(rng, &v, sizeof v);
	return v;
}

uint32_t rng_below(const struct rng *rng, uint32_t bound)
{
	uint32_t limit = UINT32_MAX - UINT32_MAX % bound; /* no bias */
	uint32_t v;
	do
		v = rng_u32(rng);
	while (v >= limit);
	return v % bound;
}
