#include "transport/replay.h"

enum err replay_accept(struct replay *r, uint64_t counter)
{
	if (counter == UINT64_MAX)
		return ERR_REPLAY; /* `next` could not count it; no honest sender gets there */
	if (counter < r->next && r->next - counter > REPLAY_WINDOW)
		return ERR_REPLAY;

	uint64_t word = counter / 64;
	if (counter >= r->next) {
		uint64_t highest = r->next == 0 ? 0 : (r->next - 1) / 64;
		uint64_t steps = word - highest;
		if (steps > REPLAY_WORDS)
			steps = REPLAY_WORDS;
		for (uint64_t i = 1; i <= steps; i++)
			r->bits[(word - steps + i) % REPLAY_WORDS] = 0;
		r->next = counter + 1;
	}
	uint64_t *bits = &r->bits[word % REPLAY_WORDS], mask = UINT64_C(1) << (counter % 64);
	if (*bits & mask)
		return ERR_REPLAY;
	*bits |= mask;
	return OK;
}
