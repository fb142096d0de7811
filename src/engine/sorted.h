/*
 * A sorted array of borrowed pointers: ten thousand take 80 KB, so that memmove is as quick as any tree and there is
 * nothing to balance. Private to the engine.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct sorted {
	void **at;
	size_t count, size;
	int (*compare)(const void *a, const void *b); /* as for qsort, but of the things themselves */
};

/* Room for one more, so that sorted_add cannot fail. ERR_NOMEM. */
static inline enum err sorted_reserve(struct sorted *s)
{
	if (s->count < s->size)
		return OK;
	size_t size = s->size ? s->size * 2 : 16;
	void **at = reallocarray(s->at, size, sizeof(void *));
	if (!at)
		return ERR_NOMEM;
	s->at = at;
	s->size = size;
	return OK;
}

/* The first place whose thing is not below `wanted`. */
static inline size_t sorted_place(const struct sorted *s, const void *wanted)
{
	size_t low = 0, high = s->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->compare(s->at[middle], wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The thing that compares equal to `wanted`, or NULL. */
static inline void *sorted_find(const struct sorted *s, const void *wanted)
{
	size_t place = sorted_place(s, wanted);
	return place < s->count && s->compare(s->at[place], wanted) == 0 ? s->at[place] : NULL;
}

static inline void sorted_add(struct sorted *s, void *thing)
{
	size_t place = sorted_place(s, thing);
	memmove(s->at + place + 1, s->at + place, (s->count - place) * sizeof(void *));
	s->at[place] = thing;
	s->count++;
}

/* It must be in it. */
static inline void sorted_remove(struct sorted *s, const void *thing)
{
	size_t place = sorted_place(s, thing);
	memmove(s->at + place, s->at + place + 1, (--s->count - place) * sizeof(void *));
}
