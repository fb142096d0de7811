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
