/*
 * Pads of simulated hosts: memory that outlives a host's crash, tears what was being written, and is fed by turns of
 * its own. And the proof: each datagram that a host sends is read with the pad itself, and no byte of a pad may be used
 * by two of them.
 */
#pragma once

#include "pad/pad.h"
#include "sim/network.h"

#define SIM_PAD_SIZE ((size_t)4 << 20)

struct host;
struct sim_link;

/* One end: what is on its disk, and the pad in use while the host runs. */
struct sim_end {
	struct sim_link *link;
	struct host *host; /* NULL: not running */
	enum pad_role role;
	uint8_t *bytes;
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct pad *pad; /* NULL: not running */
	bool is_dead;    /* the process is gone: nothing reaches the disk any more */
	bool has_turn;
};

struct sim_link {
	struct world *world;
	struct stream_random random;
	struct pad_layout layout;
	uint8_t *bytes;         /* as it was made */
	uint64_t *used;         /* by which datagram each byte has been: its hash; 0: by none */
	struct sim_end ends[2]; /* the responder's, the initiator's */
	uint8_t max_zero_run;
	bool burns, crashes; /* while it writes its ledger */
	bool is_lazy;        /* what fills memory comes late */
	uint64_t datagrams;
};

struct sim_link *sim_link_new(struct world *w, uint64_t number);
void sim_link_free(struct sim_link *l); /* NULL is fine */

/* A process begins with what is on disk; NULL: it cannot (world_fail has been called). */
struct pad *sim_end_start(struct sim_end *end, struct host *host);
/* It ends, and nobody uses the pad any more. */
void sim_end_stop(struct sim_end *end, bool politely);

/* A host has sent a datagram: is it one of this end's (else false), and does it use pad that another has used? */
bool sim_link_check(struct sim_link *l, const struct sim_end *from, const struct datagram *d);
