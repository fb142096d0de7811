/*
 * Has a folder changed? By inotify; where that is not allowed (any more), by looking twice a second. Changes that come
 * together are told once, a moment after the last.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

#include <stdbool.h>

struct watch;

/* `folder` is copied. It need not be there (yet). ERR_IO, ERR_NOMEM. */
enum err watch_open(struct watch **ret, const char *folder, struct fault *fault);
void watch_close(struct watch *w); /* NULL is fine */

/* Readable when watch_poll has something to do. */
int watch_fd(const struct watch *w);
/* *ret_changed: the folder has changed since the last time that this was true. Returns when to call again. */
usec watch_poll(struct watch *w, usec now, bool *ret_changed);
