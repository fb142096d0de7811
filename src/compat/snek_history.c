#include "compat/snek_history.h"

#include "base/bytes.h"

#include <stdlib.h>

#define SLOTS (SNEK_HISTORY * 2)
#define EMPTY 0 /* no fingerprint is */

struct snek_history {
	uint64_t slots[SLOTS];
	uint64_t ring[SNEK_HISTORY];
	uint64_t n; /* added since the beginning */
};

enum err snek_history_new(struct snek_history **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? OK : ERR_NOMEM;
}

void snek_history_free(struct snek_history *history)
{
	free(history);
}

/* Two rounds of xor, shift and multiply: a peer's nonces may be counters or random, and have to be spread alike. */
static uint64_t fingerprint(const uint8_t nonce[static AEAD_NONCE_LEN])
{
	uint64_t x = le64_get(nonce) ^ le32_get(nonce + 8) * UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	return x == EMPTY ? 1 : x;
}

static size_t home(uint64_t print)
{
	return print % SLOTS;
}

/* Where it is, or the empty slot where it would be. */
static size_t find(const struct snek_history *h, uint64_t print)
{
	size_t at = home(print);
	while (h->slots[at] != EMPTY && h->slots[at] != print)
		at = (at + 1) % SLOTS;
	return at;
}

bool snek_history_has(const struct snek_history *history, const uint8_t nonce[static AEAD_NONCE_LEN])
{
	return history->slots[find(history, fingerprint(nonce))] != EMPTY;
}

/* What stands behind moves up, unless it would come before its home, so that no search stops short of it. */
static void forget(struct snek_history *h, uint64_t print)
{
	size_t hole = find(h, print);
	for (size_t at = (hole + 1) % SLOTS; h->slots[at] != EMPTY; at = (at + 1) % SLOTS) {
		if ((at - home(h->slots[at])) % SLOTS >= (at - hole) % SLOTS) {
			h->slots[hole] = h->slots[at];
			hole = at;
		}
	}
	h->slots[hole] = EMPTY;
}

enum err snek_history_add(struct snek_history *history, const uint8_t nonce[static AEAD_NONCE_LEN])
{
	const uint64_t print = fingerprint(nonce);
	if (history->slots[find(history, print)] != EMPTY)
		return ERR_REPLAY;
	uint64_t *oldest = &history->ring[history->n % SNEK_HISTORY];
	if (history->n >= SNEK_HISTORY)
		forget(history, *oldest);
	*oldest = print;
	history->slots[find(history, print)] = print;
	history->n++;
	return OK;
}
