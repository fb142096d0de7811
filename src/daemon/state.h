/*
 * The daemon's state on disk, as the engine's callbacks want it: leases are written when they are new, not at every
 * handshake; when a client was last seen is noted now and then. Control thread. A tunnel can go without: NULL is a
 * state that holds nothing and keeps nothing.
 */
#pragma once

#include "base/clock.h"
#include "crypto/sig.h"
#include "store/store.h"

struct state;

/* Opens StateDirectory/INSTANCE.db. Faults as store_open's. */
enum err state_open(struct state **ret, const char *folder, const char *instance, struct fault *fault);
void state_close(struct state *s);          /* notes who was seen */
struct store *state_store(struct state *s); /* NULL: there is none */

/* The leases that are on disk, one after another from 0; false: there are fewer. */
bool state_lease(const struct state *s, size_t at, struct store_lease *ret);

/* OK: the lease is on disk. Faults as store_lease_put's; ERR_STATE: there is no state. */
enum err state_keep_lease(struct state *s, const uint8_t key_id[KEY_ID_LEN], const char *name,
	const struct prefix *address, struct fault *fault);
/* Logged when it fails: the address is then given again after the next start. */
enum err state_drop_lease(struct state *s, const struct prefix *address, struct fault *fault);

/* Writes what is due; returns when to call again, USEC_NEVER when nothing waits. ERR_IO in *fault (zeroed otherwise):
 * what was to be noted is tried again later. */
usec state_tick(struct state *s, usec now, struct fault *fault);
