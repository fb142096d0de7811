#include "transport/replay.h"

#include <string.h>

enum err replay_accept(struct replay *r, uint64_t counter)
{
	if (counter == UINT64_MAX)
		return ERR_REPLAY; /* `next` could not count it; no honest sender gets there */
	if (counter < r->next && r->next - counter > REPLAY_WINDOW)
		return ERR_REPLAY;
	if (!r->ring && counter >= REPLAY_NARROW)
		return ERR_FULL;

	/* Below REPLAY_NARROW the words of the ring are its first ones. */
	uint64_t *all = r->ring ? r->ring : r->narrow, word = counter / 64;
	if (counter >= r->next) {
		uint64_t highest = r->next == 0 ? 0 : (r->next - 1) / 64;
		uint64_t steps = word - highest;
		if (steps > REPLAY_WORDS)
			steps = REPLAY_WORDS;
		for (uint64_t i = 1; i <= steps; i++)
			all[(word - steps + i) % REPLAY_WORDS] = 0;
		r->next = counter + 1;
	}
	uint64_t *bits = &all[word % REPLAY_WORDS], mask = UINT64_C(1) << (counter % 64);
	if (*bits & mask)
		return ERR_REPLAY;
	*bits |= mask;
	return OK;
}

void replay_widen(struct replay *r, uint64_t *ring)
{
	memcpy(ring, r->narrow, sizeof r->narrow);
	r->ring = ring;
}
