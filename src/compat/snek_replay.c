#include "compat/snek_replay.h"

#include "base/bytes.h"
#include "transport/replay.h"

#include <stdlib.h>

/* Two nonces this near to each other were not drawn, but for one pair in 2^79. */
#define COUNTED_NEAR (1U << 16)

struct snek_replay {
	enum { NOTHING_YET, ONE_PACKET, COUNTED, DRAWN } nonces; /* what is known of the peer's */
	uint64_t first_high;
	uint32_t first_low;

	/* Counted nonces. */
	struct replay window;
	uint64_t ring[REPLAY_WORDS];

	/* Drawn ones, and those before that is known. */
	struct snek_history *history;
	uint64_t next; /* one above the highest sequence number */
	unsigned int astray;
};

enum err snek_replay_new(struct snek_replay **ret)
{
	*ret = NULL;
	struct snek_replay *r = calloc(1, sizeof *r);
	if (!r)
		return ERR_NOMEM;
	const enum err err = snek_history_new(&r->history);
	if (err != OK) {
		free(r);
		return err;
	}
	replay_widen(&r->window, r->ring, REPLAY_WORDS);
	*ret = r;
	return OK;
}

void snek_replay_free(struct snek_replay *replay)
{
	if (!replay)
		return;
	snek_history_free(replay->history);
	free(replay);
}

/* Where a counted nonce stands; UINT64_MAX: it is none of those. One carry before the first packet that came is
 * possible, if others overtook it. */
static uint64_t position(const struct snek_replay *r, const uint8_t nonce[static AEAD_NONCE_LEN])
{
	const uint64_t carries = le64_get(nonce) - r->first_high + 1;
	return carries < UINT32_MAX ? carries << 32 | le32_get(nonce + 8) : UINT64_MAX;
}

bool snek_replay_is_seen(const struct snek_replay *replay, const uint8_t nonce[static AEAD_NONCE_LEN])
{
	return replay->nonces == COUNTED ? replay_is_seen(&replay->window, position(replay, nonce))
					 : snek_history_has(replay->history, nonce);
}

/* Should a carry come between the first two, they are taken for drawn ones: that works as well as it does for those. */
static bool is_counted(const struct snek_replay *r, uint64_t high, uint32_t low)
{
	const uint32_t up = low - r->first_low, down = r->first_low - low;
	return high == r->first_high && (up < COUNTED_NEAR || down < COUNTED_NEAR);
}

/* What the packets so far say of the peer's nonces, and this one, which has not been seen. */
static void learn(struct snek_replay *r, const uint8_t nonce[static AEAD_NONCE_LEN])
{
	const uint64_t high = le64_get(nonce);
	const uint32_t low = le32_get(nonce + 8);
	if (r->nonces == NOTHING_YET) {
		r->nonces = ONE_PACKET;
		r->first_high = high;
		r->first_low = low;
	} else if (is_counted(r, high, low)) {
		r->nonces = COUNTED;
		(void)!replay_accept(&r->window, UINT64_C(1) << 32 | r->first_low);
	} else {
		r->nonces = DRAWN;
	}
}

/* Is a sequence number recent enough to go by the history? */
static enum err check_seq(struct snek_replay *r, uint64_t seq)
{
	const bool is_behind = seq < r->next && r->next - seq > SNEK_REPLAY_WINDOW;
	const bool is_beyond = seq >= r->next && seq - r->next > SNEK_REPLAY_JUMP;
	if (!is_behind && !is_beyond) {
		r->astray = 0;
	} else if (++r->astray >= SNEK_REPLAY_ASTRAY) {
		r->astray = 0;
		r->next = seq;
	} else {
		return is_behind ? ERR_REPLAY : OK;
	}
	if (seq >= r->next && seq != UINT64_MAX)
		r->next = seq + 1;
	return OK;
}

enum err snek_replay_accept(struct snek_replay *replay, const uint8_t nonce[static AEAD_NONCE_LEN], uint64_t seq)
{
	if (snek_replay_is_seen(replay, nonce))
		return ERR_REPLAY;
	if (replay->nonces == NOTHING_YET)
		replay->next = seq;
	if (replay->nonces == NOTHING_YET || replay->nonces == ONE_PACKET)
		learn(replay, nonce);
	if (replay->nonces == COUNTED)
		return replay_accept(&replay->window, position(replay, nonce));
	const enum err err = check_seq(replay, seq);
	return err == OK ? snek_history_add(replay->history, nonce) : err;
}

bool snek_replay_peer_counts(const struct snek_replay *replay)
{
	return replay->nonces == COUNTED;
}
