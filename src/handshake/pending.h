/*
 * The responder's half-open handshakes (docs/protocol.md, "Handshake"): a bounded table, found by
 * (source, sender_I) for Init and by our index for Finish, each without a scan. A full table gives
 * up one at random, so that a flood pushes out mostly itself. One thread.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"
#include "handshake/reassembly.h"
#include "handshake/responder_steps.h"

enum pending_stage {
	PENDING_COLLECTS, /* Init's fragments */
	PENDING_ANSWERED, /* Resp is built: waits for Finish */
	PENDING_REFUSED,  /* Reject is built, and repeated for a repeated Finish */
};

/* Owned by the table, which wipes it when it goes. */
struct pending {
	struct addr source;
	enum pending_stage stage;
	usec expires;
	uint64_t received, sent; /* bytes from and to source for this state: sent <= 3 * received */

	struct reassembly in; /* Init, then Finish */
	uint8_t again;        /* bits: fragments of the answered message that have come again since */
	uint8_t init_mac1[HS_INIT_FRAGMENTS][HS_MAC_LEN]; /* tells a repeat from another Init */
	uint32_t finishes_tried;

	struct resp_state resp; /* sender_i from the start; the rest once answered */
	struct hs_bytes reject; /* once refused */

	/* The table's own. */
	struct pending *next_by_source, *next_by_index;
	uint32_t source_chain, place;
};

struct pending_table;

/* max: 1 to 65,536. Draws the secret of its hash from rng, which is copied. ERR_NOMEM. */
enum err pending_table_new(struct pending_table **ret, uint32_t max, const struct rng *rng);
void pending_table_free(struct pending_table *table); /* NULL is fine */
uint32_t pending_count(const struct pending_table *table);

/* OK; ERR_NOT_FOUND (also: expired, and removed now); ERR_CRYPTO. */
enum err pending_find_source(
	struct pending **ret, struct pending_table *table, const struct addr *source, uint32_t sender_i, usec now);
enum err pending_find_index(struct pending **ret, struct pending_table *table, uint32_t sender_r, usec now);

/* A new state in stage PENDING_COLLECTS. ERR_NOMEM, ERR_CRYPTO: the table is as it was. */
enum err pending_add(
	struct pending **ret, struct pending_table *table, const struct addr *source, uint32_t sender_i, usec expires);
/* Takes over an answer (its secrets are copied and wiped at `resp`): from now on pending_find_index
 * finds the state. */
void pending_answer(struct pending_table *table, struct pending *pending, struct resp_state *resp);
void pending_remove(struct pending_table *table, struct pending *pending);
/* Removes all whose time has passed. */
void pending_expire(struct pending_table *table, usec now);
