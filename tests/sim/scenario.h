/*
 * One run: a seed decides who there is, what the path is like, what happens when; then all becomes
 * quiet, and every pair that should talk must talk again.
 */
#pragma once

#include "sim/attacker.h"

#define IDENTITIES 6

struct result {
	bool has_failed;
	char failure[400];
	uint64_t trace, steps, delivered, sent, datagrams, handshakes, rekeys, pad_datagrams;
};

/* Made once, shared by all runs. false: libcrypto failed. */
bool scenario_identities(struct identity *ret[IDENTITIES]);

struct result scenario_run(uint64_t seed, bool is_verbose, struct identity *const identities[IDENTITIES]);
