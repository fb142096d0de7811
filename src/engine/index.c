#include "engine/index.h"

#include "engine/grace.h"

#include <stdlib.h>
#include <urcu/rculfhash.h>

/* 10,000 peers with two epochs each still give short chains. */
#define BUCKETS 8192

#ifdef GRACE_TSAN
char grace_tsan_tag;
#endif

struct entry {
	struct cds_lfht_node node;
	struct keys *keys;
	struct entry *next_removed;
};

struct index {
	struct cds_lfht *table;
	struct entry *removed;
};

enum err index_new(struct index **ret)
{
	struct index *x = calloc(1, sizeof *x);
	if (!x)
		return ERR_NOMEM;
	x->table = cds_lfht_new(BUCKETS, BUCKETS, BUCKETS, 0, NULL);
	if (!x->table) {
		free(x);
		return ERR_NOMEM;
	}
	*ret = x;
	return OK;
}

/* Indices are random already; the multiplication only moves entropy to where the table looks. */
static unsigned long hash_of(uint32_t local_index)
{
	return (unsigned long)local_index * 0x9e3779b97f4a7c15UL >> 16;
}

static int matches(struct cds_lfht_node *node, const void *key)
{
	const struct entry *e = caa_container_of(node, struct entry, node);
	return keys_local_index(e->keys) == *(const uint32_t *)key;
}

static struct entry *find(const struct index *x, uint32_t local_index)
{
	struct cds_lfht_iter iter;
	cds_lfht_lookup(x->table, hash_of(local_index), matches, &local_index, &iter);
	struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
	return node ? caa_container_of(node, struct entry, node) : NULL;
}

struct keys *index_find(const struct index *x, uint32_t local_index)
{
	struct entry *e = find(x, local_index);
	return e ? e->keys : NULL;
}

struct keys *index_find_owned(const struct index *x, uint32_t local_index)
{
	grace_read_begin();
	struct keys *keys = index_find(x, local_index);
	grace_read_end();
	return keys;
}

uint32_t index_pick(struct index *x, const struct rng *rng)
{
	for (;;) {
		uint32_t candidate = rng_u32(rng);
		grace_read_begin();
		bool is_used = candidate == 0 || find(x, candidate);
		grace_read_end();
		if (!is_used)
			return candidate;
	}
}

enum err index_add(struct index *x, struct keys *keys)
{
	struct entry *e = calloc(1, sizeof *e);
	if (!e)
		return ERR_NOMEM;
	e->keys = keys;
	uint32_t local_index = keys_local_index(keys);
	cds_lfht_node_init(&e->node);
	grace_read_begin();
	struct cds_lfht_node *there =
		cds_lfht_add_unique(x->table, hash_of(local_index), matches, &local_index, &e->node);
	grace_read_end();
	if (there != &e->node) {
		free(e);
		return ERR_EXISTS;
	}
	return OK;
}

void index_remove(struct index *x, struct keys *keys)
{
	if (!keys)
		return;
	grace_read_begin();
	struct entry *e = find(x, keys_local_index(keys));
	if (e && e->keys == keys && cds_lfht_del(x->table, &e->node) == 0) {
		e->next_removed = x->removed;
		x->removed = e;
	}
	grace_read_end();
}

void index_reclaim(struct index *x)
{
	if (!x->removed)
		return;
	grace_wait();
	while (x->removed) {
		struct entry *e = x->removed;
		x->removed = e->next_removed;
		keys_free(e->keys);
		free(e);
	}
}

void index_free(struct index *x)
{
	if (!x)
		return;
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;
	grace_read_begin();
	/* Node by node: the loop over entries ends with an entry that would lie at NULL, which is undefined. */
	cds_lfht_for_each(x->table, &iter, node)
	{
		struct entry *e = caa_container_of(node, struct entry, node);
		if (cds_lfht_del(x->table, node) == 0) {
			e->next_removed = x->removed;
			x->removed = e;
		}
	}
	grace_read_end();
	index_reclaim(x);
	cds_lfht_destroy(x->table, NULL);
	free(x);
}
