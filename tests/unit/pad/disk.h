/*
 * A medium in memory, for simulations: it outlives the pads that use it, and crashes, tears and fails as it is told.
 * A dead one keeps what it holds and refuses everything, as if the process were gone.
 */
#pragma once

#include "seeded.h"

#include "pad/medium.h"

#include <stdatomic.h>

/* What a crash does to the write during which it happens. */
enum crash {
	CRASH_BEFORE, /* nothing of it arrives */
	CRASH_TORN,   /* a part of it */
	CRASH_AFTER,  /* all of it */
};

struct disk {
	uint64_t size;
	uint8_t *bytes;                                   /* of the pad; burning changes them */
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN]; /* of the ledger */
	struct seeded *seed;
	_Atomic uint64_t operations; /* so far */
	uint64_t crash_at;           /* the operation that kills; UINT64_MAX: none does */
	enum crash crash;
	uint32_t failing;  /* percent of operations that fail, and leave the process alive */
	bool spares_reads; /* only writes fail */
	bool is_dead;
	_Atomic unsigned int wakes;
};

/* With a copy of `size` bytes. disk_done frees it. */
void disk_init(struct disk *d, const uint8_t *bytes, uint64_t size, struct seeded *seed);
void disk_done(struct disk *d);
struct pad_medium disk_medium(struct disk *d);
/* The next process: nothing is pending, nothing fails. */
void disk_revive(struct disk *d);
