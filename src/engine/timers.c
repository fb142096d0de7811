#include "engine/timers.h"

#include <assert.h>
#include <stdlib.h>

enum err timers_reserve(struct timers *t, uint32_t count)
{
	if (count <= t->size)
		return OK;
	if (count < 16)
		count = 16;
	if (count < t->size * 2ULL && t->size <= UINT32_MAX / 2)
		count = t->size * 2; /* one more at a time stays cheap */
	struct timer **heap = reallocarray(t->heap, (size_t)count + 1, sizeof(struct timer *));
	if (!heap)
		return ERR_NOMEM;
	t->heap = heap;
	t->size = count;
	return OK;
}

void timers_done(struct timers *t)
{
	free(t->heap);
	*t = (struct timers){0};
}

static void put(struct timers *t, uint32_t place, struct timer *timer)
{
	t->heap[place] = timer;
	timer->place = place;
}

static void rise(struct timers *t, struct timer *timer)
{
	uint32_t place = timer->place;
	for (; place > 1 && timer->due < t->heap[place / 2]->due; place /= 2)
		put(t, place, t->heap[place / 2]);
	put(t, place, timer);
}

static void sink(struct timers *t, struct timer *timer)
{
	uint32_t place = timer->place;
	while (place <= t->count / 2) {
		uint32_t child = place * 2;
		if (child < t->count && t->heap[child + 1]->due < t->heap[child]->due)
			child++;
		if (timer->due <= t->heap[child]->due)
			break;
		put(t, place, t->heap[child]);
		place = child;
	}
	put(t, place, timer);
}

static void take_out(struct timers *t, struct timer *timer)
{
	uint32_t place = timer->place;
	struct timer *last = t->heap[t->count--];
	timer->place = 0;
	if (last == timer)
		return;
	put(t, place, last);
	rise(t, last);
	sink(t, last);
}

void timers_set(struct timers *t, struct timer *timer, usec due)
{
	timer->due = due;
	if (due == USEC_NEVER) {
		if (timer->place)
			take_out(t, timer);
		return;
	}
	if (timer->place == 0) {
		assert(t->count < t->size);
		put(t, ++t->count, timer);
	}
	rise(t, timer);
	sink(t, timer);
}

struct timer *timers_first(const struct timers *t)
{
	return t->count ? t->heap[1] : NULL;
}
