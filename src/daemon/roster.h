/*
 * Who may be a peer: sections of the configuration file, the folders of authorised keys and of pads, and peers added at
 * run time; where their endpoints are, and which pads they have. It keeps the engine's peers as these say. A key that
 * stands in several counts once, in that order. Control thread.
 */
#pragma once

#include "config/peer.h"
#include "daemon/pads.h"
#include "engine/engine.h"
#include "host/keeper.h"
#include "store/store.h"

enum roster_source { ROSTER_FILE, ROSTER_FOLDER, ROSTER_ADDED };

struct roster_peer {
	enum roster_source source;
	uint32_t number;                  /* the engine's */
	struct pad *pad;                  /* NULL: it has none */
	const struct config_peer *config; /* of a file: the configuration's; else its own */
};

struct roster;

struct roster_config {
	struct engine *engine;
	struct keeper *keeper;
	struct store *store; /* NULL: nobody has been added */
	struct pads *pads;
};
enum err roster_new(struct roster **ret, const struct roster_config *config, struct fault *fault);
void roster_free(struct roster *r); /* leaves the engine's peers; NULL is fine */

/*
 * Makes the engine's peers so: new ones are added, changed ones changed, others removed, at once. `config` stays
 * borrowed until the next call. What cannot be taken is logged and left out, except for the peers of the file:
 * ERR_EXISTS, ERR_NOMEM, a pre-shared key's or a pad's ERR_*: the first such (all others have been taken).
 */
enum err roster_sync(struct roster *r, const struct config *config, struct fault *fault);

/* A pad in the folder is still being written: to be asked again in a while whether it is not any more, so that
 * roster_sync would take it. */
bool roster_is_unripe(const struct roster *r);
bool roster_has_ripened(const struct roster *r);

/* May a key without a pad be added at run time? Else the fault says why not. */
bool roster_takes_keys(const struct config *file, struct fault *fault);

/* false: there is no such peer (any more). */
bool roster_peer(const struct roster *r, uint32_t number, struct roster_peer *ret);
bool roster_find(const struct roster *r, const char *name, struct roster_peer *ret);

/* Is this an address, which nobody has to look up? Names are looked up only for peers of the file: the keeper asks for
 * no others (docs/decisions/0015). */
bool roster_is_numeric(const char *host);

/* All that the peers' AllowedIPs name, for the interface's routes; owned by the roster, until the next call. ERR_NOMEM.
 */
enum err roster_prefixes(struct roster *r, const struct prefix **ret, size_t *ret_n);

/* An answer to a question of the roster's. */
void roster_answer(struct roster *r, const struct keeper_answer *answer, usec now);
/* Asks again for the addresses of peers that are silent; returns when to call again. */
usec roster_tick(struct roster *r, usec now);
