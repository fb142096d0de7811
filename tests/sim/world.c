#include "sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct timer {
	usec at;
	uint64_t order; /* equal times: first come, first run */
	void (*run)(void *context, void *owned);
	void *context, *owned;
};

void *sim_alloc(size_t n)
{
	void *p = calloc(1, n);
	if (!p) {
		(void)fputs("sim: out of memory\n", stderr);
		exit(2);
	}
	return p;
}

void world_init(struct world *w, uint64_t seed, bool is_verbose)
{
	*w = (struct world){.seed = seed, .random = {seed}, .is_verbose = is_verbose, .trace = 0xcbf29ce484222325U};
	w->now = 1000 * USEC_PER_SEC;
}

void world_done(struct world *w)
{
	for (size_t i = 0; i < w->n_timers; i++)
		free(w->heap[i].owned);
	free(w->heap);
}

static bool is_before(const struct timer *a, const struct timer *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct world *w, size_t a, size_t b)
{
	struct timer t = w->heap[a];
	w->heap[a] = w->heap[b];
	w->heap[b] = t;
}

void world_at(struct world *w, usec at, void (*run)(void *context, void *owned), void *context, void *owned)
{
	if (w->n_timers == w->heap_size) {
		w->heap_size = w->heap_size ? 2 * w->heap_size : 256;
		w->heap = realloc(w->heap, w->heap_size * sizeof *w->heap);
		if (!w->heap)
			exit(2);
	}
	size_t i = w->n_timers++;
	w->heap[i] = (struct timer){
		.at = at > w->now ? at : w->now, .order = w->order++, .run = run, .context = context, .owned = owned};
	for (; i && is_before(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(w, i, (i - 1) / 2);
}

static struct timer take_first(struct world *w)
{
	struct timer first = w->heap[0];
	w->heap[0] = w->heap[--w->n_timers];
	for (size_t i = 0;;) {
		size_t least = i;
		for (size_t child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < w->n_timers && is_before(&w->heap[child], &w->heap[least]))
				least = child;
		if (least == i)
			return first;
		swap(w, i, least);
		i = least;
	}
}

void world_run(struct world *w, usec until)
{
	while (!w->has_failed && w->n_timers && w->heap[0].at <= until) {
		struct timer t = take_first(w);
		w->now = t.at;
		w->steps++;
		t.run(t.context, t.owned);
		free(t.owned);
	}
	if (w->now < until)
		w->now = until;
}

void world_fail(struct world *w, const char *format, ...)
{
	if (w->has_failed)
		return;
	w->has_failed = true;
	va_list args;
	va_start(args, format);
	(void)vsnprintf(w->failure, sizeof w->failure, format, args);
	va_end(args);
	world_log(w, "FAILED: %s", w->failure);
}

void world_log(struct world *w, const char *format, ...)
{
	if (!w->is_verbose)
		return;
	printf("%11.6f  ", (double)(w->now - 1000 * USEC_PER_SEC) / 1e6);
	va_list args;
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	(void)putchar('\n');
}

void world_trace(struct world *w, const void *data, size_t len)
{
	/* In words, then bytes (after FNV-1a): only differences matter, not an adversary. */
	const uint8_t *p = data;
	uint64_t hash = w->trace, word;
	for (; len >= sizeof word; p += sizeof word, len -= sizeof word) {
		memcpy(&word, p, sizeof word);
		hash = (hash ^ word) * 0x100000001b3U;
		hash ^= hash >> 29;
	}
	while (len--)
		hash = (hash ^ *p++) * 0x100000001b3U;
	w->trace = hash;
}
