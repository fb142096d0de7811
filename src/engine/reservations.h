/*
 * Which addresses are kept for whom, of which leases.h tells. Private to the engine.
 */
#pragma once

#include "base/addr.h"
#include "crypto/sig.h"
#include "engine/sorted.h"

struct reservation {
	struct prefix prefix; /* without host bits */
	bool for_key;         /* else for nobody */
	uint8_t key_id[KEY_ID_LEN];
};

struct reservations {
	struct sorted by_prefix, by_key; /* the same ones, owned */
	size_t of_length[2][129];        /* how many of [v4] have so many bits: only those lengths are looked for */
};

void reservations_init(struct reservations *r);
void reservations_done(struct reservations *r);

/* key_id: NULL is nobody. OK too if it was there. ERR_NOMEM: as before. */
enum err reservations_add(struct reservations *r, const struct prefix *prefix, const uint8_t key_id[KEY_ID_LEN]);
void reservations_remove(struct reservations *r, const uint8_t key_id[KEY_ID_LEN]);

/* The longest one over the address, of those with at least `bits_min` bits, when that keeps it from the key; or NULL.
 */
const struct reservation *reservations_against(
	const struct reservations *r, const struct prefix *address, const uint8_t key_id[KEY_ID_LEN], uint8_t bits_min);
/* The key's own, longest first; NULL: there are fewer. */
const struct reservation *reservations_of(const struct reservations *r, const uint8_t key_id[KEY_ID_LEN], size_t at);

/* The prefix's first and last address. */
void prefix_first(uint8_t ret[static 16], const struct prefix *p);
void prefix_last(uint8_t ret[static 16], const struct prefix *p);
