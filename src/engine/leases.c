#include "engine/leases.h"

#include "engine/reservations.h"

struct lease {
	uint8_t ip[16];
	uint8_t key_id[KEY_ID_LEN];
	uint64_t since; /* counts leases: the lowest is the oldest */
	bool v4;
};

struct pool {
	struct prefix prefix;        /* without host bits */
	uint8_t first[16], last[16]; /* that are given */
	uint8_t next[16];            /* where the search begins: first..last */
};

/* One address family. */
struct family {
	struct sorted by_ip, by_key; /* the same leases, owned */
};

struct leases {
	struct pool *pools;
	size_t n_pools;
	struct family families[2]; /* [v4] */
	struct reservations reservations;
	uint64_t n_given;
};

static int by_ip(const void *a, const void *b)
{
	const struct lease *x = a, *y = b;
	return memcmp(x->ip, y->ip, sizeof x->ip);
}

static int by_key(const void *a, const void *b)
{
	const struct lease *x = a, *y = b;
	return memcmp(x->key_id, y->key_id, sizeof x->key_id);
}

static struct lease *lease_at(const struct leases *l, const struct prefix *address)
{
	struct lease wanted;
	memcpy(wanted.ip, address->ip, sizeof wanted.ip);
	return sorted_find(&l->families[address->v4].by_ip, &wanted);
}

static struct lease *lease_of(const struct leases *l, bool v4, const uint8_t *key_id)
{
	struct lease wanted;
	memcpy(wanted.key_id, key_id, sizeof wanted.key_id);
	return sorted_find(&l->families[v4].by_key, &wanted);
}

static struct prefix address_of(const struct lease *lease)
{
	struct prefix p = {.bits = lease->v4 ? 32 : 128, .v4 = lease->v4};
	memcpy(p.ip, lease->ip, sizeof p.ip);
	return p;
}

/* A new lease that sorted_add can take; not in yet. NULL: no memory. */
static struct lease *make(struct leases *l, bool v4)
{
	struct family *f = &l->families[v4];
	if (sorted_reserve(&f->by_ip) != OK || sorted_reserve(&f->by_key) != OK)
		return NULL;
	struct lease *made = calloc(1, sizeof *made);
	if (made)
		made->v4 = v4;
	return made;
}

static void enter(struct leases *l, struct lease *lease, const uint8_t *ip, const uint8_t *key_id)
{
	memcpy(lease->ip, ip, sizeof lease->ip);
	memcpy(lease->key_id, key_id, sizeof lease->key_id);
	lease->since = l->n_given++;
	sorted_add(&l->families[lease->v4].by_ip, lease);
	sorted_add(&l->families[lease->v4].by_key, lease);
}

static void end(struct leases *l, struct lease *lease)
{
	sorted_remove(&l->families[lease->v4].by_ip, lease);
	sorted_remove(&l->families[lease->v4].by_key, lease);
	free(lease);
}

/* ---- pools ---- */

static void step_up(uint8_t ip[static 16])
{
	for (size_t i = 16; i-- > 0;)
		if (++ip[i])
			return;
}

static bool is_within(const uint8_t ip[16], const uint8_t first[16], const uint8_t last[16])
{
	return memcmp(ip, first, 16) >= 0 && memcmp(ip, last, 16) <= 0;
}

static void pool_init(struct pool *pool, const struct prefix *prefix)
{
	unsigned host_bits = (prefix->v4 ? 32U : 128U) - prefix->bits;
	pool->prefix = *prefix;
	prefix_first(pool->prefix.ip, prefix);
	memcpy(pool->first, pool->prefix.ip, 16);
	prefix_last(pool->last, prefix);
	if (host_bits >= 2) {
		pool->first[15] |= 1;
		pool->last[15] &= prefix->v4 ? 0xfe : 0xff;
	}
	memcpy(pool->next, pool->first, 16);
}

static bool pool_gives(const struct pool *pool, const struct prefix *address)
{
	return pool->prefix.v4 == address->v4 && is_within(address->ip, pool->first, pool->last);
}

/* The first pool that gives the address, or NULL. */
static const struct pool *giver_of(const struct leases *l, const struct prefix *address)
{
	for (size_t i = 0; i < l->n_pools; i++)
		if (pool_gives(&l->pools[i], address))
			return &l->pools[i];
	return NULL;
}

/* The reservation that keeps a pool's address from the key, or NULL. */
static const struct reservation *against(
	const struct leases *l, const struct pool *pool, const struct prefix *address, const uint8_t *key_id)
{
	return reservations_against(&l->reservations, address, key_id, pool->prefix.bits);
}

const struct prefix *leases_pool_of(const struct leases *l, const struct prefix *address)
{
	for (size_t i = 0; i < l->n_pools; i++)
		if (prefix_contains(&l->pools[i].prefix, address->ip))
			return &l->pools[i].prefix;
	return NULL;
}

/* A pool that stays goes on where it was. */
static void keep_place(struct pool *pool, const struct leases *l)
{
	for (size_t i = 0; i < l->n_pools; i++) {
		const struct pool *old = &l->pools[i];
		if (old->prefix.v4 == pool->prefix.v4 && old->prefix.bits == pool->prefix.bits &&
			memcmp(old->prefix.ip, pool->prefix.ip, 16) == 0)
			memcpy(pool->next, old->next, 16);
	}
}

enum err leases_set_pools(struct leases *l, const struct prefix *pools, size_t n_pools,
	void (*dropped)(void *context, const struct prefix *address), void *context)
{
	struct pool *made = calloc(n_pools ? n_pools : 1, sizeof *made);
	if (!made)
		return ERR_NOMEM;
	for (size_t i = 0; i < n_pools; i++) {
		pool_init(&made[i], &pools[i]);
		keep_place(&made[i], l);
	}
	free(l->pools);
	l->pools = made;
	l->n_pools = n_pools;
	for (size_t v4 = 0; v4 < 2; v4++) {
		struct sorted *leased = &l->families[v4].by_ip;
		for (size_t i = leased->count; i-- > 0;) {
			struct prefix address = address_of(leased->at[i]);
			if (giver_of(l, &address))
				continue;
			end(l, leased->at[i]);
			if (dropped)
				dropped(context, &address);
		}
	}
	return OK;
}

enum err leases_new(struct leases **ret, const struct prefix *pools, size_t n_pools)
{
	struct leases *l = calloc(1, sizeof *l);
	if (!l)
		return ERR_NOMEM;
	for (size_t v4 = 0; v4 < 2; v4++) {
		l->families[v4].by_ip.compare = by_ip;
		l->families[v4].by_key.compare = by_key;
	}
	reservations_init(&l->reservations);
	enum err e = leases_set_pools(l, pools, n_pools, NULL, NULL);
	if (e != OK)
		leases_free(l);
	else
		*ret = l;
	return e;
}

void leases_free(struct leases *l)
{
	if (!l)
		return;
	for (size_t v4 = 0; v4 < 2; v4++) {
		struct family *f = &l->families[v4];
		for (size_t i = 0; i < f->by_ip.count; i++)
			free(f->by_ip.at[i]);
		free(f->by_ip.at);
		free(f->by_key.at);
	}
	reservations_done(&l->reservations);
	free(l->pools);
	free(l);
}

enum err leases_reserve(struct leases *l, const struct prefix *prefix, const uint8_t key_id[KEY_ID_LEN])
{
	return reservations_add(&l->reservations, prefix, key_id);
}

void leases_unreserve(struct leases *l, const uint8_t key_id[KEY_ID_LEN])
{
	reservations_remove(&l->reservations, key_id);
}

/* ---- leases ---- */

enum err leases_put(struct leases *l, const uint8_t key_id[KEY_ID_LEN], const struct prefix *address)
{
	const struct lease *there = lease_at(l, address);
	if (there && memcmp(there->key_id, key_id, KEY_ID_LEN) == 0)
		return OK;
	const struct pool *pool = giver_of(l, address);
	if (!pool)
		return ERR_NOT_FOUND;
	if (there || lease_of(l, address->v4, key_id) || against(l, pool, address, key_id))
		return ERR_EXISTS;
	struct lease *made = make(l, address->v4);
	if (!made)
		return ERR_NOMEM;
	enter(l, made, address->ip, key_id);
	return OK;
}

/* The pool's first address from at->ip to `last` that is neither leased nor kept from the key, into *at. */
static bool search(const struct leases *l, const struct pool *pool, const uint8_t *key_id, struct prefix *at,
	const uint8_t last[16])
{
	const struct sorted *leased = &l->families[at->v4].by_ip;
	size_t place = SIZE_MAX; /* in `leased`, of the first that is not below at->ip; SIZE_MAX: to be looked up */
	for (;; step_up(at->ip)) {
		if (place == SIZE_MAX) {
			struct lease wanted;
			memcpy(wanted.ip, at->ip, sizeof wanted.ip);
			place = sorted_place(leased, &wanted);
		}
		if (place < leased->count && memcmp(((struct lease *)leased->at[place])->ip, at->ip, 16) == 0) {
			place++;
		} else {
			const struct reservation *kept = against(l, pool, at, key_id);
			if (!kept)
				return true;
			/* a longer one of the key's own further on in it has been tried before */
			prefix_last(at->ip, &kept->prefix);
			place = SIZE_MAX;
		}
		if (memcmp(at->ip, last, 16) >= 0)
			return false;
	}
}

/* What one family's part of leases_give would do. */
struct plan {
	struct prefix address;
	struct pool *pool;    /* whose place moves on, or NULL */
	struct lease *victim; /* who loses the address, or NULL */
	struct lease *made;
};

static bool plan_reserved(const struct leases *l, const uint8_t *key_id, struct plan *plan)
{
	const struct reservation *own;
	for (size_t i = 0; (own = reservations_of(&l->reservations, key_id, i)) != NULL; i++) {
		uint8_t first[16], last[16];
		prefix_first(first, &own->prefix);
		prefix_last(last, &own->prefix);
		for (size_t j = 0; j < l->n_pools; j++) {
			const struct pool *pool = &l->pools[j];
			if (own->prefix.v4 != plan->address.v4 || pool->prefix.v4 != plan->address.v4 ||
				own->prefix.bits < pool->prefix.bits)
				continue;
			const uint8_t *end_ip = memcmp(last, pool->last, 16) < 0 ? last : pool->last;
			memcpy(plan->address.ip, memcmp(first, pool->first, 16) > 0 ? first : pool->first, 16);
			if (memcmp(plan->address.ip, end_ip, 16) <= 0 &&
				search(l, pool, key_id, &plan->address, end_ip))
				return true;
		}
	}
	return false;
}

static bool plan_free(const struct leases *l, const uint8_t *key_id, struct plan *plan)
{
	for (size_t i = 0; i < l->n_pools; i++) {
		struct pool *pool = &l->pools[i];
		if (pool->prefix.v4 != plan->address.v4)
			continue;
		plan->pool = pool;
		memcpy(plan->address.ip, pool->next, 16);
		if (search(l, pool, key_id, &plan->address, pool->last))
			return true;
		memcpy(plan->address.ip, pool->first, 16);
		if (search(l, pool, key_id, &plan->address, pool->last))
			return true;
	}
	plan->pool = NULL;
	return false;
}

static bool plan_taken(
	const struct leases *l, const uint8_t *key_id, const struct leases_asking *asking, struct plan *plan)
{
	const struct sorted *leased = &l->families[plan->address.v4].by_ip;
	for (size_t i = 0; i < leased->count; i++) {
		struct lease *lease = leased->at[i];
		struct prefix address = address_of(lease);
		if ((plan->victim && plan->victim->since < lease->since) ||
			asking->is_known(asking->context, lease->key_id) ||
			against(l, giver_of(l, &address), &address, key_id))
			continue;
		plan->victim = lease;
		plan->address = address;
	}
	return plan->victim != NULL;
}

static bool has_pools(const struct leases *l, bool v4)
{
	for (size_t i = 0; i < l->n_pools; i++)
		if (l->pools[i].prefix.v4 == v4)
			return true;
	return false;
}

/* plan->made stays NULL when the key needs none. */
static enum err plan_family(
	struct leases *l, bool v4, const uint8_t *key_id, const struct leases_asking *asking, struct plan *plan)
{
	plan->address = (struct prefix){.bits = v4 ? 32 : 128, .v4 = v4};
	if (!has_pools(l, v4) || lease_of(l, v4, key_id))
		return OK;
	if (!plan_reserved(l, key_id, plan) && !plan_free(l, key_id, plan) && !plan_taken(l, key_id, asking, plan))
		return ERR_FULL;
	plan->made = make(l, v4);
	return plan->made ? OK : ERR_NOMEM;
}

static void carry_out(
	struct leases *l, const struct plan *plan, const uint8_t *key_id, const struct leases_asking *asking)
{
	if (plan->victim) {
		end(l, plan->victim);
		if (asking->dropped)
			asking->dropped(asking->context, &plan->address);
	}
	if (plan->pool && memcmp(plan->address.ip, plan->pool->last, 16) == 0) {
		memcpy(plan->pool->next, plan->pool->first, 16);
	} else if (plan->pool) {
		memcpy(plan->pool->next, plan->address.ip, 16);
		step_up(plan->pool->next);
	}
	enter(l, plan->made, plan->address.ip, key_id);
}

enum err leases_give(struct leases *l, const uint8_t key_id[KEY_ID_LEN], const struct leases_asking *asking,
	struct prefix ret[static LEASES_EACH], size_t *ret_n)
{
	struct plan plans[2] = {0};
	*ret_n = 0;
	enum err e = plan_family(l, true, key_id, asking, &plans[0]);
	if (e == OK)
		e = plan_family(l, false, key_id, asking, &plans[1]);
	if (e != OK) {
		free(plans[0].made);
		free(plans[1].made);
		return e;
	}
	for (size_t i = 0; i < 2; i++)
		if (plans[i].made)
			carry_out(l, &plans[i], key_id, asking);
	*ret_n = leases_of(l, key_id, ret);
	return OK;
}

size_t leases_of(const struct leases *l, const uint8_t key_id[KEY_ID_LEN], struct prefix ret[static LEASES_EACH])
{
	size_t n = 0;
	for (size_t i = 0; i < 2; i++) {
		const struct lease *lease = lease_of(l, i == 0, key_id);
		if (lease)
			ret[n++] = address_of(lease);
	}
	return n;
}

enum err leases_free_address(struct leases *l, const struct prefix *address)
{
	struct lease *lease = lease_at(l, address);
	if (!lease)
		return ERR_NOT_FOUND;
	end(l, lease);
	return OK;
}

bool leases_at(const struct leases *l, size_t at, uint8_t ret_key_id[KEY_ID_LEN], struct prefix *ret_address)
{
	bool v4 = at < l->families[true].by_ip.count;
	size_t place = v4 ? at : at - l->families[true].by_ip.count;
	if (place >= l->families[v4].by_ip.count)
		return false;
	const struct lease *lease = l->families[v4].by_ip.at[place];
	memcpy(ret_key_id, lease->key_id, KEY_ID_LEN);
	*ret_address = address_of(lease);
	return true;
}
