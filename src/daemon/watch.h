/*
 * Has a folder changed? By inotify; where that is not allowed (any more), by looking twice a second. Changes that come
 * together are told once, a moment after the last.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>

struct watch;

/* Watches nothing yet; makes the descriptor, which the sandbox allows no more. ERR_IO, ERR_NOMEM. */
enum err watch_new(struct watch **ret, struct fault *fault);
void watch_free(struct watch *w); /* NULL is fine */

/* The folder to watch, which need not be there (yet), in place of the one before; copied. NULL: none. ERR_NOMEM. */
enum err watch_set(struct watch *w, const char *folder, struct fault *fault);

/* Readable when watch_poll has something to do. */
int watch_fd(const struct watch *w);
/* *ret_changed: the folder has changed since the last time that this was true. Returns when to call again. */
usec watch_poll(struct watch *w, usec now, bool *ret_changed);
