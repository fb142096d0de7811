/*
 * What one follower of /v1/events has still to be sent: bytes in, bytes out, a bound on what waits. Zero-initialise;
 * free with _done. Private to src/control.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>

#define BACKLOG_MAX ((size_t)256 << 10)

struct backlog {
	char *data; /* owned */
	size_t size, at, end;
};

/* Adds `len` bytes, all or nothing. ERR_FULL: more than BACKLOG_MAX would wait; ERR_NOMEM. */
enum err backlog_put(struct backlog *b, const char *text, size_t len);
/* Takes at most `size` bytes out; how many. */
size_t backlog_take(struct backlog *b, char *out, size_t size);
static inline size_t backlog_len(const struct backlog *b)
{
	return b->end - b->at;
}
void backlog_done(struct backlog *b);
