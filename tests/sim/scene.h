/*
 * Who takes part in a run and on what path, as its seed decides; and what may befall them. Private to the scenario.
 */
#pragma once

#include "sim/attacker.h"
#include "sim/scenario.h"

struct scenario {
	struct world world;
	struct network network;
	struct delivery_ledger ledger;
	struct observer observer;
	struct attacker attacker;
	struct host hosts[HOSTS_MAX];
	uint32_t n_hosts;
	bool may_talk[HOSTS_MAX][HOSTS_MAX];
	struct sim_link *links[HOSTS_MAX]; /* of a client's pad and the server's; NULL: they have none */
	struct stream_random random;
	usec ends;     /* of the troubled part */
	bool is_quiet; /* it is over */
	bool is_calm;  /* nothing goes wrong in this run at all */
	enum { BOTH_WAYS, UP_ONLY, DOWN_ONLY } direction;
	uint32_t addresses;          /* given out so far */
	usec pause;                  /* between bursts of a pair, on average */
	uint32_t largest;            /* payload */
	uint64_t handshakes, rekeys; /* of engines that are gone */
	struct traffic {
		struct scenario *scenario;
		bool is_over;
	} troubled, quiet;
};

/* Path, hosts, and who knows whom. */
void scene_set(struct scenario *s, struct identity *const identities[IDENTITIES]);
void scene_choose_path(struct scenario *s);
/* One that nobody has had. */
struct addr scene_new_address(struct scenario *s, bool v4);
/* host_stop, with its handshakes counted. */
void scene_stop_host(struct scenario *s, struct host *h, bool politely);

/* From some moment on something happens again and again, until all becomes quiet. */
void trouble_start(struct scenario *s);
