/* The inside of the roster, shared by its files. */
#pragma once

#include "daemon/roster.h"

struct entry {
	struct roster_peer peer;
	struct config_peer own; /* of a folder, or added */
	uint64_t round;         /* of the last roster_sync that listed it */
	enum config_protection protection;
	struct pad *pad; /* in use by the engine's peer; NULL: it has none */

	/* Its endpoint, if that is a name. */
	bool has_name, is_asked, has_address;
	usec ask_at, wait;
	struct addr address;
};

struct roster {
	struct roster_config config;
	const struct config *file;
	struct entry **entries; /* by the engine's number; NULL: none */
	size_t size;
	uint64_t round;
	struct prefix *prefixes;
	usec due;
	bool has_begun; /* the first roster_sync is over */
	bool is_unripe; /* a pad is still being written: it has to be looked at again */
};

/* What the entry's configuration says of where it is to be called. Numeric addresses are known at once; names are asked
 * for as soon as roster_tick comes. */
void roster_set_endpoint(struct roster *r, struct entry *e, usec now);
