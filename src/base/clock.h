/*
 * Time. The engine gets `usec` values as arguments and never asks a clock itself; only daemon,
 * cli and tests call clock_now(). Monotonic, microseconds, counts suspended time too
 * (CLOCK_BOOTTIME), so that keys age while a laptop sleeps.
 */
#pragma once

#include <stdint.h>

typedef uint64_t usec; /* a point in time or a span */

#define USEC_PER_MS 1000ULL
#define USEC_PER_SEC 1000000ULL
#define USEC_NEVER UINT64_MAX

usec clock_now(void);

/* A recent value of clock_now() by the clock that stands still while the machine sleeps (CLOCK_MONOTONIC), which is
 * what service managers go by. */
usec clock_to_monotonic(usec now);

/* The time of day: microseconds since 1970 (UTC), for people and files. Jumps when somebody sets it; nothing is timed
 * by it. */
usec clock_wall(void);
