/*
 * One run with a server and a hundred clients: addresses are handed out and run out, the server crashes, peers are
 * removed and added, and its configuration changes under way; then all becomes quiet, and everyone must be in, with an
 * address of one's own, the same as before a last restart.
 */
#pragma once

#include "sim/scenario.h"

#define CLIENTS 100

/* Made once, shared by all runs. false: libcrypto failed. */
bool many_identities(struct identity *ret[CLIENTS + 1]);

struct result many_run(uint64_t seed, bool is_verbose, struct identity *const identities[CLIENTS + 1]);
