/* The inside of the roster, shared by its files. */
#pragma once

#include "daemon/roster.h"

#include <limits.h>

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
	bool has_begun;        /* the first roster_sync is over */
	char unripe[PATH_MAX]; /* a pad in the folder that is still being written; empty: none */
};

/* What the entry's configuration says of where it is to be called. Numeric addresses are known at once; names are asked
 * for as soon as roster_tick comes. */
void roster_set_endpoint(struct roster *r, struct entry *e, usec now);

/* Lists a peer in this round. `own`: the roster's from now on, whatever comes of it. ERR_STATE: the key is listed
 * already; else as engine_add_peer and pads_open. */
enum err roster_list(struct roster *r, enum roster_source source, const struct config_peer *from,
	struct config_peer *own, struct fault *fault);
/* Is the name listed in this round? One of before may have had it, too. */
bool roster_has_listed(const struct roster *r, const char *name);
/* Would the peer use the same pad in the same way, or none, as the entry does? */
bool roster_is_pad_as_before(const struct roster *r, const struct entry *e, const struct config_peer *peer);
/* What is in the folders of keys and of pads. */
void roster_list_folders(struct roster *r);
