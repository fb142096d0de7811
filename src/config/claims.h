/*
 * What may belong to one peer only: names, key IDs, allowed prefixes. Every peer's claims are
 * gathered while its section is read and compared at the end, in n log n, since a file may hold
 * thousands of peers. Private to src/config.
 */
#pragma once

#include "config/config.h"

enum claim_kind { CLAIM_NAME, CLAIM_KEY_ID, CLAIM_PREFIX };

struct claims {
	struct claim *items; /* owned */
	size_t count;
};

/* `data` (at most CONFIG_PEER_NAME_LEN bytes) is claimed by the peer with that index, in that line. ERR_NOMEM. */
enum err claims_add(struct claims *claims, enum claim_kind kind, struct view data, size_t peer, unsigned line);

/* An error at each later one of two equal claims; a warning where a peer repeats its own prefix. Reorders the claims.
 */
void claims_check(struct claims *claims, const struct config *config, struct config_diagnostics *diags);

void claims_done(struct claims *claims);
