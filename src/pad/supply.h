/*
 * One direction of a pad in memory: a ring of bytes that a feeder reads ahead and clears behind, and that lanes use
 * without a lock. Places are positions (pad/layout.h). Takes are atomic: no position is ever given out twice.
 *
 * Threads: supply_take and supply_at by any lane, within a read section; everything else by the feeder alone (which
 * holds the pad's lock). The feeder lets lanes settle (pad/medium.h) between supply_discard and supply_recycle.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUPPLY_TAKE_MAX ((size_t)96 * 1024) /* of one take: the ring's first bytes stand once more behind its end */

struct supply;

/* Empty, from `position` on, with room for `size` bytes, a power of 2. ERR_NOMEM. */
enum err supply_new(struct supply **ret, uint64_t size, uint64_t position);
void supply_free(struct supply *s); /* wipes; NULL is fine */

/*
 * The next `len` bytes, 1 to SUPPLY_TAKE_MAX, for use once, none of them at `end` or behind: *ret_position is where
 * they stand, *ret_bytes is valid in the read section. ERR_FULL: they would pass `end`; ERR_AGAIN: not in memory or not
 * allowed yet.
 */
enum err supply_take(struct supply *s, size_t len, uint64_t end, uint64_t *ret_position, const uint8_t **ret_bytes);
/* The same of what is allowed but perhaps not in memory: `ret_position` alone. Nothing further on is taken from memory
 * before the feeder has gone ahead of it (supply_jump). */
enum err supply_take_unread(struct supply *s, size_t len, uint64_t end, uint64_t *ret_position);
/* Bytes at a position, if they are in memory; else NULL. */
const uint8_t *supply_at(const struct supply *s, uint64_t position, size_t len);

/* ---- the feeder's ---- */
uint64_t supply_next(const struct supply *s);   /* what will be taken next */
uint64_t supply_loaded(const struct supply *s); /* what follows the bytes in memory */
uint64_t supply_floor(const struct supply *s);  /* the first byte in memory */
/* Takes may go up to `limit`, never down again. */
void supply_allow(struct supply *s, uint64_t limit);
/* Where the bytes from supply_loaded on belong, and how many fit there in one piece (0: none), at most `wanted`. */
uint8_t *supply_room(struct supply *s, size_t wanted, size_t *ret_len);
/* `len` of them are there. */
void supply_fill(struct supply *s, size_t len);
/* Everything below `position`, at most supply_loaded, is found no more; its memory is wiped and used again after
 * supply_recycle. */
void supply_discard(struct supply *s, uint64_t position);
void supply_recycle(struct supply *s);
/* Bytes that have been discarded and not yet recycled. */
uint64_t supply_garbage(const struct supply *s);
/* Gives back to the system what memory is not in use: after a busy time. */
void supply_release(struct supply *s);
/* Empty, and going on at `position`, further on. After supply_discard of everything, settling, and supply_recycle. What
 * is taken next stays. */
void supply_jump(struct supply *s, uint64_t position);
