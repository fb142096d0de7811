/*
 * An active attacker on the path. He knows every key ID and sees every datagram; he holds, drops,
 * rewrites and moves what is under way, and sends things of his own making from any address. What he
 * cannot do is what the protocol promises, which the ledger and the observer check.
 */
#pragma once

#include "sim/observer.h"

#define RECORDED_MAX 256

struct attacker {
	struct world *world;
	struct network *network;
	struct host *hosts;
	uint32_t n_hosts;
	struct stream_random random;
	bool is_active;
	uint32_t interference; /* of 1000 datagrams under way */
	usec pause;            /* between things of his own, on average */

	struct datagram *recorded[RECORDED_MAX]; /* the later ones replace earlier ones at random */
	uint32_t n_recorded;
	struct init_seen { /* the last Init of each host, as far as seen */
		uint32_t to, sender;
		uint8_t have, message[HS_INIT_LEN], mac1[HS_INIT_FRAGMENTS][16];
	} inits[HOSTS_MAX];
};

void attacker_init(struct attacker *a, struct world *w, struct network *n);
void attacker_done(struct attacker *a);

/* He begins to act; until attacker_rest. */
void attacker_start(struct attacker *a);
void attacker_rest(struct attacker *a);

/* The network's tap: sees a datagram leave host `from`; false: he has taken it away. */
bool attacker_tap(struct attacker *a, uint32_t from, const struct datagram *d);
