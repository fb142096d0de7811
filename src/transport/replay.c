#include "transport/replay.h"

#include <string.h>

/* Inline, so that the usual size of the ring is a constant to divide by. */
static inline enum err mark(struct replay *r, uint64_t *all, uint64_t n_words, uint64_t counter)
{
	if (counter < r->next && r->next - counter > REPLAY_WINDOW_OF(n_words))
		return ERR_REPLAY;
	const uint64_t word = counter / 64;
	if (counter >= r->next) {
		uint64_t highest = r->next == 0 ? 0 : (r->next - 1) / 64;
		uint64_t steps = word - highest;
		if (steps > n_words)
			steps = n_words;
		for (uint64_t i = 1; i <= steps; i++)
			all[(word - steps + i) % n_words] = 0;
		r->next = counter + 1;
	}
	uint64_t *bits = &all[word % n_words], mask = UINT64_C(1) << (counter % 64);
	if (*bits & mask)
		return ERR_REPLAY;
	*bits |= mask;
	return OK;
}

enum err replay_accept(struct replay *r, uint64_t counter)
{
	if (counter == UINT64_MAX)
		return ERR_REPLAY; /* `next` could not count it; no honest sender gets there */
	if (r->ring && r->n_words != REPLAY_WORDS)
		return mark(r, r->ring, r->n_words, counter);
	if (!r->ring && counter >= REPLAY_NARROW)
		return ERR_FULL;
	/* Below REPLAY_NARROW the words of the ring are its first ones. */
	return mark(r, r->ring ? r->ring : r->narrow, REPLAY_WORDS, counter);
}

bool replay_is_seen(const struct replay *r, uint64_t counter)
{
	const uint64_t n_words = r->ring ? r->n_words : REPLAY_WORDS, *all = r->ring ? r->ring : r->narrow;
	if (counter >= r->next)
		return counter == UINT64_MAX;
	return r->next - counter > REPLAY_WINDOW_OF(n_words) || all[counter / 64 % n_words] >> (counter % 64) & 1;
}

void replay_widen(struct replay *r, uint64_t *ring, uint64_t n_words)
{
	memcpy(ring, r->narrow, sizeof r->narrow);
	r->ring = ring;
	r->n_words = n_words;
}
