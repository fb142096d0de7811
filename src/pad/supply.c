#include "pad/supply.h"

#include "base/secret.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* since Linux 5.18 */
#endif

struct supply {
	uint64_t size;
	uint8_t *ring;                  /* `size` bytes, and SUPPLY_TAKE_MAX of the first ones again */
	_Atomic uint64_t next;          /* lanes' */
	_Atomic uint64_t limit;         /* of takes: allowed and in memory */
	_Atomic uint64_t floor, loaded; /* in memory: [floor, loaded) */
	_Atomic uint64_t allowed;
	uint64_t recycled; /* the feeder's */
};

enum err supply_new(struct supply **ret, uint64_t size, uint64_t position)
{
	struct supply *s = calloc(1, sizeof *s);
	if (!s)
		return ERR_NOMEM;
	s->size = size;
	s->ring = calloc(1, size + SUPPLY_TAKE_MAX);
	if (!s->ring) {
		free(s);
		return ERR_NOMEM;
	}
	supply_jump(s, position);
	atomic_store(&s->next, position);
	atomic_store(&s->allowed, position);
	*ret = s;
	return OK;
}

/* The ring's bytes of [from, to), which is at most `size` long, and their second copies. */
static void wipe(struct supply *s, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t at = from & (s->size - 1), n = to - from;
		if (n > s->size - at)
			n = s->size - at;
		secret_wipe(s->ring + at, n);
		if (at < SUPPLY_TAKE_MAX)
			secret_wipe(s->ring + s->size + at, n < SUPPLY_TAKE_MAX - at ? n : SUPPLY_TAKE_MAX - at);
		from += n;
	}
}

void supply_free(struct supply *s)
{
	if (!s)
		return;
	wipe(s, s->recycled, s->loaded); /* the rest has been, or never was used */
	free(s->ring);
	free(s);
}

enum err supply_take(struct supply *s, size_t len, uint64_t end, uint64_t *ret_position, const uint8_t **ret_bytes)
{
	uint64_t position = atomic_load_explicit(&s->next, memory_order_relaxed);
	do {
		if (position + len > end)
			return ERR_FULL;
		/* In this order, as in supply_at: after a jump there is nothing in memory below its floor. */
		if (position + len > atomic_load_explicit(&s->limit, memory_order_acquire) ||
			position < atomic_load_explicit(&s->floor, memory_order_acquire))
			return ERR_AGAIN;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->next, &position, position + len, memory_order_relaxed, memory_order_relaxed));
	*ret_position = position;
	*ret_bytes = s->ring + (position & (s->size - 1));
	return OK;
}

enum err supply_take_unread(struct supply *s, size_t len, uint64_t end, uint64_t *ret_position)
{
	uint64_t position = atomic_load_explicit(&s->next, memory_order_relaxed);
	do {
		if (position + len > end)
			return ERR_FULL;
		if (position + len > atomic_load_explicit(&s->allowed, memory_order_acquire))
			return ERR_AGAIN;
	} while (!atomic_compare_exchange_weak_explicit(
		&s->next, &position, position + len, memory_order_relaxed, memory_order_relaxed));
	*ret_position = position;
	return OK;
}

const uint8_t *supply_at(const struct supply *s, uint64_t position, size_t len)
{
	/* In this order: who sees what supply_jump made of `loaded` sees its `floor`, too. Bytes that are not there
	 * would be zeros, and zeros a key that anybody knows. */
	if (len > SUPPLY_TAKE_MAX || position + len > atomic_load_explicit(&s->loaded, memory_order_acquire) ||
		position < atomic_load_explicit(&s->floor, memory_order_acquire))
		return NULL;
	return s->ring + (position & (s->size - 1));
}

/* ---- the feeder's ---- */

uint64_t supply_next(const struct supply *s)
{
	return atomic_load_explicit(&s->next, memory_order_relaxed);
}
uint64_t supply_loaded(const struct supply *s)
{
	return atomic_load_explicit(&s->loaded, memory_order_relaxed);
}
uint64_t supply_floor(const struct supply *s)
{
	return atomic_load_explicit(&s->floor, memory_order_relaxed);
}

static void set_limit(struct supply *s)
{
	uint64_t loaded = supply_loaded(s), allowed = atomic_load_explicit(&s->allowed, memory_order_relaxed);
	atomic_store_explicit(&s->limit, loaded < allowed ? loaded : allowed, memory_order_release);
}

void supply_allow(struct supply *s, uint64_t limit)
{
	if (limit > atomic_load_explicit(&s->allowed, memory_order_relaxed))
		atomic_store_explicit(&s->allowed, limit, memory_order_release);
	set_limit(s);
}

uint8_t *supply_room(struct supply *s, size_t wanted, size_t *ret_len)
{
	uint64_t loaded = supply_loaded(s), at = loaded & (s->size - 1), n = s->recycled + s->size - loaded;
	if (n > s->size - at)
		n = s->size - at;
	*ret_len = n < wanted ? (size_t)n : wanted;
	return s->ring + at;
}

void supply_fill(struct supply *s, size_t len)
{
	uint64_t loaded = supply_loaded(s), at = loaded & (s->size - 1);
	if (at < SUPPLY_TAKE_MAX)
		memcpy(s->ring + s->size + at, s->ring + at, len < SUPPLY_TAKE_MAX - at ? len : SUPPLY_TAKE_MAX - at);
	atomic_store_explicit(&s->loaded, loaded + len, memory_order_release);
	set_limit(s);
}

void supply_discard(struct supply *s, uint64_t position)
{
	if (position > supply_floor(s))
		atomic_store_explicit(&s->floor, position, memory_order_release);
}

uint64_t supply_garbage(const struct supply *s)
{
	return supply_floor(s) - s->recycled;
}

void supply_recycle(struct supply *s)
{
	wipe(s, s->recycled, supply_floor(s));
	s->recycled = supply_floor(s);
}

/* Whole pages of ring[from..to). They read as zeros afterwards, as they do now. */
static void release(struct supply *s, uint64_t from, uint64_t to)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)(s->ring + from),
		  end = (uintptr_t)(s->ring + to);
	start += (page - start % page) % page;
	end -= end % page;
	if (start >= end || madvise((void *)start, end - start, MADV_DONTNEED) == 0)
		return;
	(void)madvise((void *)start, end - start, MADV_DONTNEED_LOCKED); /* at worst the memory stays ours */
}

void supply_release(struct supply *s)
{
	uint64_t from = s->recycled & (s->size - 1), to = supply_loaded(s) & (s->size - 1);
	if (supply_loaded(s) - s->recycled == s->size)
		return;
	if (from <= to) {
		release(s, to, s->size);
		release(s, 0, from);
	} else {
		release(s, to, from);
	}
}

void supply_jump(struct supply *s, uint64_t position)
{
	atomic_store(&s->limit, 0);
	atomic_store(&s->floor, position);
	atomic_store(&s->loaded, position);
	s->recycled = position;
}
