#include "base/clock.h"

#include <time.h>

static usec clock_read(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (usec)t.tv_sec * USEC_PER_SEC + (usec)t.tv_nsec / 1000;
}

usec clock_now(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

usec clock_to_monotonic(usec now)
{
	usec awake = clock_read(CLOCK_MONOTONIC);
	usec asleep = clock_read(CLOCK_BOOTTIME) - awake;
	return now > asleep ? now - asleep : 0;
}

usec clock_wall(void)
{
	return clock_read(CLOCK_REALTIME);
}
