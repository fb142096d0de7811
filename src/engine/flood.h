/*
 * How much of what goes to everybody - broadcasts, multicasts, frames for stations that nobody knows - one source may
 * cause: so many copies a second, and what was saved up within a second. Any thread, without a lock.
 */
#pragma once

#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>

#define FLOOD_PEER_EACH ((usec)100) /* 10,000 copies a second for a peer ... */
#define FLOOD_OWN_EACH ((usec)10)   /* ... and 100,000 for this host's own side */
#define FLOOD_BURST USEC_PER_SEC

/* Zero-initialised. */
struct flood_limit {
	_Atomic usec paid_until;
};

/* false: that is more than may be now. A frame is sent to all or to nobody, so one may go beyond the limit; the next
 * ones wait for it. */
static inline bool flood_take(struct flood_limit *limit, uint32_t copies, usec each, usec now)
{
	usec paid = atomic_load_explicit(&limit->paid_until, memory_order_relaxed), next;
	do {
		if (paid > now + FLOOD_BURST)
			return false;
		next = (paid > now ? paid : now) + copies * each;
	} while (!atomic_compare_exchange_weak_explicit(
		&limit->paid_until, &paid, next, memory_order_relaxed, memory_order_relaxed));
	return true;
}
