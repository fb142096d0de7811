/*
 * From a datagram's receiver field to the keys it names: a concurrent hash table (liburcu's), read by
 * every lane, changed by the control thread only. Entries are freed after a grace period by
 * index_reclaim.
 */
#pragma once

#include "base/rng.h"
#include "transport/keys.h"

struct index;

enum err index_new(struct index **ret);
void index_free(struct index *x); /* frees all keys in it; NULL is fine; no reader may be left */

/* A random index that is not in use (never 0). */
uint32_t index_pick(struct index *x, const struct rng *rng);

/* Publishes keys under their local index; the index owns them from now on. ERR_EXISTS, ERR_NOMEM
 * (the caller still owns them then). */
enum err index_add(struct index *x, struct keys *keys);
/* Takes keys out: no new reader finds them; freed by a later index_reclaim. NULL is fine. */
void index_remove(struct index *x, struct keys *keys);
/* Waits for a grace period and frees what was removed; quick when nothing was. Control thread. */
void index_reclaim(struct index *x);

/* The keys, or NULL. Within a read section (engine/grace). */
struct keys *index_find(const struct index *x, uint32_t local_index);
/* The same on the control thread, outside a read section: only it removes keys. */
struct keys *index_find_owned(const struct index *x, uint32_t local_index);
