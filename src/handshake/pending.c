#include "handshake/pending.h"

#include <stdlib.h>

struct pending_table {
	struct rng rng;
	uint8_t secret[32]; /* of the hash by source: nobody can choose a chain */
	uint32_t max, count, mask;
	struct pending **all;       /* count of max, in no order: for eviction and expiry */
	struct pending **by_source; /* mask + 1 chains */
	struct pending **by_index;  /* the same; the indices are random, chosen here */
};

enum err pending_table_new(struct pending_table **ret, uint32_t max, const struct rng *rng)
{
	struct pending_table *t = calloc(1, sizeof *t);
	if (!t)
		return ERR_NOMEM;
	uint32_t chains = 1;
	while (chains < max)
		chains *= 2;
	t->rng = *rng;
	t->max = max;
	t->mask = chains - 1;
	t->all = calloc(max, sizeof(struct pending *));
	t->by_source = calloc(chains, sizeof(struct pending *));
	t->by_index = calloc(chains, sizeof(struct pending *));
	if (!t->all || !t->by_source || !t->by_index) {
		pending_table_free(t);
		return ERR_NOMEM;
	}
	rng_fill(rng, t->secret, sizeof t->secret);
	*ret = t;
	return OK;
}

void pending_table_free(struct pending_table *table)
{
	if (!table)
		return;
	while (table->count > 0)
		pending_remove(table, table->all[table->count - 1]);
	free(table->all);
	free(table->by_source);
	free(table->by_index);
	secret_wipe(table, sizeof *table);
	free(table);
}

uint32_t pending_count(const struct pending_table *table)
{
	return table->count;
}

static enum err source_chain(uint32_t *ret, const struct pending_table *t, const struct addr *source, uint32_t sender_i)
{
	uint8_t tail[10], mac[HASH_SHA256_LEN];
	le32_put(tail, sender_i);
	le16_put(tail + 4, source->port);
	le32_put(tail + 6, source->scope);
	enum err e = HMAC_SHA256(mac, VIEW_ARRAY(t->secret), VIEW_ARRAY(source->ip), VIEW_ARRAY(tail));
	*ret = le32_get(mac) & t->mask;
	return e;
}

static struct pending **index_chain(const struct pending_table *t, uint32_t sender_r)
{
	return &t->by_index[sender_r & t->mask];
}

static enum err unless_expired(struct pending **ret, struct pending_table *t, struct pending *p, usec now)
{
	if (!p)
		return ERR_NOT_FOUND;
	if (now >= p->expires) {
		pending_remove(t, p);
		return ERR_NOT_FOUND;
	}
	*ret = p;
	return OK;
}

enum err pending_find_source(
	struct pending **ret, struct pending_table *table, const struct addr *source, uint32_t sender_i, usec now)
{
	uint32_t chain;
	enum err e = source_chain(&chain, table, source, sender_i);
	if (e != OK)
		return e;
	struct pending *p = table->by_source[chain];
	while (p && !(p->resp.sender_i == sender_i && addr_equal(&p->source, source)))
		p = p->next_by_source;
	return unless_expired(ret, table, p, now);
}

enum err pending_find_index(struct pending **ret, struct pending_table *table, uint32_t sender_r, usec now)
{
	struct pending *p = *index_chain(table, sender_r);
	while (p && p->resp.sender_r != sender_r)
		p = p->next_by_index;
	return unless_expired(ret, table, p, now);
}

enum err pending_add(
	struct pending **ret, struct pending_table *table, const struct addr *source, uint32_t sender_i, usec expires)
{
	uint32_t chain;
	enum err e = source_chain(&chain, table, source, sender_i);
	if (e != OK)
		return e;
	struct pending *p = calloc(1, sizeof *p);
	if (!p)
		return ERR_NOMEM;
	if (table->count == table->max)
		pending_remove(table, table->all[rng_below(&table->rng, table->count)]);
	p->source = *source;
	p->expires = expires;
	p->resp.sender_i = sender_i;
	p->source_chain = chain;
	p->next_by_source = table->by_source[chain];
	table->by_source[chain] = p;
	p->place = table->count++;
	table->all[p->place] = p;
	*ret = p;
	return OK;
}

void pending_answer(struct pending_table *table, struct pending *pending, struct resp_state *resp)
{
	struct pending **chain = index_chain(table, resp->sender_r);
	pending->resp = *resp;
	secret_wipe(resp, sizeof *resp);
	pending->stage = PENDING_ANSWERED;
	pending->next_by_index = *chain;
	*chain = pending;
}

static void unchain(struct pending_table *t, const struct pending *p)
{
	struct pending **at = &t->by_source[p->source_chain];
	while (*at != p)
		at = &(*at)->next_by_source;
	*at = p->next_by_source;
	if (p->stage == PENDING_COLLECTS)
		return;
	at = index_chain(t, p->resp.sender_r);
	while (*at != p)
		at = &(*at)->next_by_index;
	*at = p->next_by_index;
}

void pending_remove(struct pending_table *table, struct pending *pending)
{
	unchain(table, pending);
	struct pending *last = table->all[--table->count];
	table->all[pending->place] = last;
	last->place = pending->place;
	reassembly_reset(&pending->in);
	resp_state_wipe(&pending->resp);
	hs_bytes_free(&pending->reject);
	secret_wipe(pending, sizeof *pending);
	free(pending);
}

void pending_expire(struct pending_table *table, usec now)
{
	for (uint32_t i = table->count; i-- > 0;)
		if (now >= table->all[i]->expires)
			pending_remove(table, table->all[i]);
}
