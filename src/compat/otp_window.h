/*
 * Which key bytes of the peer have been accepted, so that none is a second time: a mark behind the highest, and a bit
 * for each of the last ones below it. Places are positions: the peer's bytes counted from 0, whatever lies between them
 * in the file. Not thread safe: it belongs to who receives.
 */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

struct otp_window;

/* Remembers `size` positions, a multiple of 64, below the highest; none below `start` is ever accepted. ERR_NOMEM. */
enum err otp_window_new(struct otp_window **ret, uint64_t size, uint64_t start);
void otp_window_free(struct otp_window *w); /* NULL is fine */

/* May the `len` positions from `from` on, 1 to `size` of them, be accepted? ERR_REPLAY: one of them has been, or lies
 * too far behind. */
enum err otp_window_check(const struct otp_window *w, uint64_t from, size_t len);
/* Accepts them, once what they opened has proven right. ERR_REPLAY as above; nothing has changed then. */
enum err otp_window_accept(struct otp_window *w, uint64_t from, size_t len);
/* Forgets all, but accepts nothing below `start`: what was accepted from there on can be a second time. */
void otp_window_restart(struct otp_window *w, uint64_t start);

uint64_t otp_window_next(const struct otp_window *w);  /* behind the highest that was accepted */
uint64_t otp_window_floor(const struct otp_window *w); /* below it nothing is accepted */
