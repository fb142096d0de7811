/*
 * Child processes: forking, and waiting with a deadline. The only place of the program besides main that ends a
 * process, because what is forked here must never return into the code of its parent.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <sys/types.h>

/* Forks; the child has all signals at their defaults, none blocked, and ends with what `body` returns. -1 and errno. */
pid_t child_start(int (*body)(void *context), void *context);

/*
 * Waits for the end of a child, and reaps it. true: it has ended by itself, *ret_status is wait(2)'s (may be NULL).
 * false: the deadline has passed; it and its process group, if it leads one, have been killed and it is reaped.
 */
bool child_wait(pid_t pid, usec deadline, int *ret_status);

/* Milliseconds until then, for poll(2). */
int child_ms_until(usec deadline);

/* Closes all descriptors from this one on. */
void child_close_from(int first);
