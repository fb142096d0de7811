/* Leases against a naive model: one number for each address, searched one by one. */
#include "seeded.h"

#include "engine/leases.h"

#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

/* The model's world: in each family SPAN addresses, 10.66.0.0/16 and fd66::/112, of which pools are parts. */
#define SPAN 65536
#define KEYS 400
#define POOLS_MAX 4
#define RESERVATIONS_MAX 64
#define NOBODY KEYS /* as who has an address: none; as whom a reservation is for: nobody */

static uint8_t key_ids[KEYS][KEY_ID_LEN];

static int make_key_ids(void **state)
{
	struct seeded seed = {3};
	seeded_bytes(&seed, key_ids, sizeof key_ids);
	return 0;
}

static int key_of(const uint8_t key_id[KEY_ID_LEN])
{
	for (int key = 0; key < KEYS; key++)
		if (memcmp(key_ids[key], key_id, KEY_ID_LEN) == 0)
			return key;
	fail();
	return NOBODY;
}

static struct prefix prefix_of(const char *text)
{
	struct prefix p;
	assert_err(prefix_parse(&p, text), OK);
	return p;
}

/* A part of the world: 2^host_bits addresses from `first`. */
struct range {
	bool v4;
	uint32_t first, host_bits;
};

static struct prefix prefix_of_range(const struct range *r)
{
	struct prefix p = prefix_of(r->v4 ? "10.66.0.0" : "fd66::");
	p.ip[14] = (uint8_t)(r->first >> 8);
	p.ip[15] = (uint8_t)r->first;
	p.bits = (uint8_t)(p.bits - r->host_bits);
	return p;
}

static struct prefix address_at(bool v4, uint32_t at)
{
	return prefix_of_range(&(struct range){v4, at, 0});
}

static uint32_t place_of(const struct prefix *address)
{
	assert_int_equal(address->bits, address->v4 ? 32 : 128);
	return (uint32_t)address->ip[14] << 8 | address->ip[15];
}

static bool is_in(const struct range *r, uint32_t at)
{
	return at >> r->host_bits == r->first >> r->host_bits;
}

struct model {
	struct model_pool {
		struct range range;
		uint32_t next;
	} pools[POOLS_MAX];
	struct {
		struct range range;
		int key;
	} reservations[RESERVATIONS_MAX];
	size_t n_pools, n_reservations;
	int holder[2][SPAN];
	uint64_t since[2][SPAN], clock;
	bool is_known[KEYS];
	uint32_t dropped[2 * SPAN]; /* as `at`, IPv4 with bit 31 */
	size_t n_dropped;
};

static bool gives(const struct range *pool, bool v4, uint32_t at)
{
	uint32_t rest = at - (at >> pool->host_bits << pool->host_bits), size = 1U << pool->host_bits;
	if (pool->v4 != v4 || !is_in(pool, at))
		return false;
	return pool->host_bits < 2 || (rest != 0 && (!v4 || rest != size - 1));
}

/* The first pool that gives it, or NULL. */
static const struct range *giver_of(const struct model *m, bool v4, uint32_t at)
{
	for (size_t i = 0; i < m->n_pools; i++)
		if (gives(&m->pools[i].range, v4, at))
			return &m->pools[i].range;
	return NULL;
}

static bool may_have(const struct model *m, const struct range *pool, uint32_t at, int key)
{
	uint32_t longest = pool->host_bits;
	bool may = true;
	for (size_t i = 0; i < m->n_reservations; i++) {
		const struct range *r = &m->reservations[i].range;
		if (r->v4 != pool->v4 || !is_in(r, at) || r->host_bits > longest)
			continue;
		may = (r->host_bits < longest || may) && m->reservations[i].key == key;
		longest = r->host_bits;
	}
	return may;
}

static bool has(const struct model *m, bool v4, int key, uint32_t *ret_at)
{
	for (uint32_t at = 0; at < SPAN; at++)
		if (m->holder[v4][at] == key) {
			*ret_at = at;
			return true;
		}
	return false;
}

static bool is_free_for(const struct model *m, const struct range *pool, uint32_t at, int key)
{
	return m->holder[pool->v4][at] == NOBODY && gives(pool, pool->v4, at) && may_have(m, pool, at, key);
}

/* The first that is free for the key in what a reservation and a pool have in common. */
static bool find_within(const struct model *m, const struct range *r, int key, uint32_t *ret_at)
{
	for (size_t i = 0; i < m->n_pools; i++) {
		const struct range *pool = &m->pools[i].range;
		if (pool->v4 != r->v4 || pool->host_bits < r->host_bits)
			continue;
		for (uint32_t at = r->first; at < r->first + (1U << r->host_bits); at++)
			if (is_free_for(m, pool, at, key)) {
				*ret_at = at;
				return true;
			}
	}
	return false;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;
	return x->host_bits != y->host_bits ? (int)x->host_bits - (int)y->host_bits : (int)x->first - (int)y->first;
}

/* What is reserved for the key: the longest prefix first, then the lowest. */
static bool find_reserved(const struct model *m, bool v4, int key, uint32_t *ret_at)
{
	struct range own[RESERVATIONS_MAX];
	size_t n = 0;
	for (size_t i = 0; i < m->n_reservations; i++)
		if (m->reservations[i].key == key && m->reservations[i].range.v4 == v4)
			own[n++] = m->reservations[i].range;
	qsort(own, n, sizeof *own, compare_ranges);
	for (size_t i = 0; i < n; i++)
		if (find_within(m, &own[i], key, ret_at))
			return true;
	return false;
}

static bool find_free(const struct model *m, bool v4, int key, uint32_t *ret_at, size_t *ret_pool)
{
	for (size_t j = 0; j < m->n_pools; j++) {
		const struct range *pool = &m->pools[j].range;
		for (uint32_t i = 0; pool->v4 == v4 && i < 1U << pool->host_bits; i++) {
			uint32_t at = pool->first + (m->pools[j].next - pool->first + i) % (1U << pool->host_bits);
			if (is_free_for(m, pool, at, key)) {
				*ret_at = at;
				*ret_pool = j;
				return true;
			}
		}
	}
	return false;
}

static bool find_taken(const struct model *m, bool v4, int key, uint32_t *ret_at)
{
	bool found = false;
	for (uint32_t at = 0; at < SPAN; at++)
		if (m->holder[v4][at] != NOBODY && !m->is_known[m->holder[v4][at]] &&
			may_have(m, giver_of(m, v4, at), at, key) &&
			(!found || m->since[v4][at] < m->since[v4][*ret_at])) {
			found = true;
			*ret_at = at;
		}
	return found;
}

static void drop(struct model *m, bool v4, uint32_t at)
{
	m->holder[v4][at] = NOBODY;
	m->dropped[m->n_dropped++] = at | (uint32_t)v4 << 31;
}

static enum err model_give(struct model *m, int key)
{
	uint32_t at[2];
	size_t pool[2] = {POOLS_MAX, POOLS_MAX};
	bool needs[2] = {false, false};
	for (int v4 = 1; v4 >= 0; v4--) {
		for (size_t i = 0; i < m->n_pools; i++)
			needs[v4] |= m->pools[i].range.v4 == (v4 != 0);
		needs[v4] = needs[v4] && !has(m, v4, key, &at[v4]);
		if (needs[v4] && !find_reserved(m, v4, key, &at[v4]) && !find_free(m, v4, key, &at[v4], &pool[v4]) &&
			!find_taken(m, v4, key, &at[v4]))
			return ERR_FULL;
	}
	for (int v4 = 1; v4 >= 0; v4--) {
		if (!needs[v4])
			continue;
		if (m->holder[v4][at[v4]] != NOBODY)
			drop(m, v4, at[v4]);
		m->holder[v4][at[v4]] = key;
		m->since[v4][at[v4]] = m->clock++;
		if (pool[v4] == POOLS_MAX)
			continue;
		const struct range *r = &m->pools[pool[v4]].range;
		m->pools[pool[v4]].next = r->first + (at[v4] + 1 - r->first) % (1U << r->host_bits);
	}
	return OK;
}

static enum err model_put(struct model *m, int key, bool v4, uint32_t at)
{
	uint32_t other;
	if (m->holder[v4][at] == key)
		return OK;
	if (!giver_of(m, v4, at))
		return ERR_NOT_FOUND;
	if (m->holder[v4][at] != NOBODY || has(m, v4, key, &other) || !may_have(m, giver_of(m, v4, at), at, key))
		return ERR_EXISTS;
	m->holder[v4][at] = key;
	m->since[v4][at] = m->clock++;
	return OK;
}

/* ---- both side by side ---- */

struct pair {
	struct seeded seed;
	struct model m;
	struct leases *l;
	uint32_t dropped[2 * SPAN];
	size_t n_dropped;
	uint32_t largest; /* pools' host bits */
};

static void note_dropped(void *context, const struct prefix *address)
{
	struct pair *p = context;
	p->dropped[p->n_dropped++] = place_of(address) | (uint32_t)address->v4 << 31;
}

static bool is_known(void *context, const uint8_t key_id[KEY_ID_LEN])
{
	const struct pair *p = context;
	return p->m.is_known[key_of(key_id)];
}

static struct range random_range(struct pair *p, uint32_t largest)
{
	uint32_t host_bits = seeded_below(&p->seed, largest + 1);
	return (struct range){.v4 = seeded_chance(&p->seed, 50),
		.first = seeded_below(&p->seed, SPAN >> host_bits) << host_bits,
		.host_bits = host_bits};
}

/* Near the pools mostly, so that something happens. */
static uint32_t random_place(struct pair *p)
{
	const struct range *r = &p->m.pools[seeded_below(&p->seed, POOLS_MAX)].range;
	return (r->first + seeded_below(&p->seed, 1U << r->host_bits) + seeded_below(&p->seed, 3)) % SPAN;
}

static int compare_u32(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static void assert_same_dropped(struct pair *p)
{
	assert_int_equal(p->n_dropped, p->m.n_dropped);
	qsort(p->dropped, p->n_dropped, sizeof *p->dropped, compare_u32);
	qsort(p->m.dropped, p->n_dropped, sizeof *p->dropped, compare_u32);
	assert_memory_equal(p->dropped, p->m.dropped, p->n_dropped * sizeof *p->dropped);
	p->n_dropped = p->m.n_dropped = 0;
}

static bool is_same(const struct range *a, const struct range *b)
{
	return a->v4 == b->v4 && a->first == b->first && a->host_bits == b->host_bits;
}

/* A pool that is in neither list. */
static struct model_pool new_pool(struct pair *p, const struct model_pool *others, size_t n)
{
	struct range r = random_range(p, p->largest);
	for (size_t i = 0; i < n; i++)
		if (is_same(&r, &others[i].range))
			return new_pool(p, others, n);
	for (size_t i = 0; i < p->m.n_pools; i++)
		if (is_same(&r, &p->m.pools[i].range))
			return new_pool(p, others, n);
	return (struct model_pool){.range = r, .next = r.first};
}

static void change_pools(struct pair *p)
{
	struct model *m = &p->m;
	struct model_pool pools[POOLS_MAX];
	struct prefix prefixes[POOLS_MAX];
	size_t n = seeded_below(&p->seed, POOLS_MAX + 1);
	for (size_t i = 0; i < n; i++) {
		bool stays = i < m->n_pools && seeded_chance(&p->seed, 60); /* and goes on where it was */
		pools[i] = stays ? m->pools[i] : new_pool(p, pools, i);
		prefixes[i] = prefix_of_range(&pools[i].range);
	}
	memcpy(m->pools, pools, n * sizeof *pools);
	m->n_pools = n;
	for (int v4 = 0; v4 < 2; v4++)
		for (uint32_t at = 0; at < SPAN; at++)
			if (m->holder[v4][at] != NOBODY && !giver_of(m, v4, at))
				drop(m, v4, at);
	assert_err(leases_set_pools(p->l, prefixes, n, note_dropped, p), OK);
	assert_same_dropped(p);
}

static void reserve(struct pair *p, int key)
{
	struct model *m = &p->m;
	if (m->n_reservations == RESERVATIONS_MAX)
		return;
	struct range r = random_range(p, seeded_chance(&p->seed, 50) ? p->largest : 0);
	r.first = random_place(p) >> r.host_bits << r.host_bits;
	if (m->n_reservations && seeded_chance(&p->seed, 20)) /* another's, too */
		r = m->reservations[0].range;
	struct prefix prefix = prefix_of_range(&r);
	prefix.ip[15] |= (uint8_t)(seeded_next(&p->seed) & ((1U << (r.host_bits < 8 ? r.host_bits : 8)) - 1));
	m->reservations[m->n_reservations].range = r;
	m->reservations[m->n_reservations++].key = key;
	assert_err(leases_reserve(p->l, &prefix, key == NOBODY ? NULL : key_ids[key]), OK);
}

static void unreserve(struct pair *p, int key)
{
	struct model *m = &p->m;
	size_t kept = 0;
	for (size_t i = 0; i < m->n_reservations; i++)
		if (m->reservations[i].key != key)
			m->reservations[kept++] = m->reservations[i];
	m->n_reservations = kept;
	leases_unreserve(p->l, key == NOBODY ? NULL : key_ids[key]);
}

static void assert_has(struct pair *p, int key, const struct prefix *addresses, size_t n)
{
	size_t i = 0;
	for (int v4 = 1; v4 >= 0; v4--) {
		uint32_t at;
		if (!has(&p->m, v4, key, &at))
			continue;
		struct prefix expected = address_at(v4, at);
		assert_true(i < n);
		assert_memory_equal(&addresses[i], &expected, sizeof expected);
		i++;
	}
	assert_int_equal(i, n);
}

static void give(struct pair *p, int key)
{
	struct leases_asking asking = {.is_known = is_known, .dropped = note_dropped, .context = p};
	struct prefix given[LEASES_EACH];
	size_t n = 99;
	enum err expected = model_give(&p->m, key);
	assert_err(leases_give(p->l, key_ids[key], &asking, given, &n), expected);
	assert_same_dropped(p);
	if (expected == OK)
		assert_has(p, key, given, n);
	else
		assert_int_equal(n, 0);
	assert_has(p, key, given, leases_of(p->l, key_ids[key], given));
}

static void put(struct pair *p, int key)
{
	uint32_t at = random_place(p);
	bool v4 = seeded_chance(&p->seed, 50);
	struct prefix address = address_at(v4, at);
	assert_err(leases_put(p->l, key_ids[key], &address), model_put(&p->m, key, v4, at));
}

static void take_back(struct pair *p, int key)
{
	bool v4 = seeded_chance(&p->seed, 50);
	uint32_t at = random_place(p);
	if (seeded_chance(&p->seed, 80))
		(void)has(&p->m, v4, key, &at);
	struct prefix address = address_at(v4, at);
	assert_err(leases_free_address(p->l, &address), p->m.holder[v4][at] == NOBODY ? ERR_NOT_FOUND : OK);
	p->m.holder[v4][at] = NOBODY;
}

static void assert_same_list(struct pair *p)
{
	uint8_t key_id[KEY_ID_LEN];
	struct prefix address;
	size_t n = 0;
	for (int v4 = 1; v4 >= 0; v4--)
		for (uint32_t at = 0; at < SPAN; at++) {
			if (p->m.holder[v4][at] == NOBODY)
				continue;
			assert_true(leases_at(p->l, n++, key_id, &address));
			assert_int_equal(address.v4, v4);
			assert_int_equal(place_of(&address), at);
			assert_int_equal(key_of(key_id), p->m.holder[v4][at]);
		}
	assert_false(leases_at(p->l, n, key_id, &address));
}

static void step(struct pair *p)
{
	int key = (int)seeded_below(&p->seed, KEYS);
	if (p->m.n_reservations && p->m.reservations[0].key != NOBODY && seeded_chance(&p->seed, 20))
		key = p->m.reservations[0].key;
	uint32_t what = seeded_below(&p->seed, 1000);
	if (what < 600)
		give(p, key);
	else if (what < 750)
		take_back(p, key);
	else if (what < 850)
		put(p, key);
	else if (what < 900)
		p->m.is_known[key] = !p->m.is_known[key];
	else if (what < 960)
		reserve(p, what < 915 ? NOBODY : key);
	else if (what < 990)
		unreserve(p, what < 965 ? NOBODY : key);
	else
		change_pools(p);
}

static void run(uint64_t number, uint32_t largest, int steps)
{
	struct pair *p = calloc(1, sizeof *p);
	p->seed.state = number;
	p->largest = largest;
	for (uint32_t at = 0; at < SPAN; at++)
		p->m.holder[0][at] = p->m.holder[1][at] = NOBODY;
	for (int key = 0; key < KEYS; key++)
		p->m.is_known[key] = seeded_chance(&p->seed, 70);
	assert_err(leases_new(&p->l, NULL, 0), OK);
	change_pools(p);
	for (int i = 0; i < steps; i++) {
		step(p);
		if (i % 50 == 0)
			assert_same_list(p);
	}
	assert_same_list(p);
	leases_free(p->l);
	free(p);
}

static void test_small_pools_do_what_the_model_does(void **state)
{
	(void)state;
	for (uint64_t number = 1; number <= 10; number++)
		run(number, 4, 400); /* addresses are always scarce */
}

static void test_larger_pools_do_what_the_model_does(void **state)
{
	(void)state;
	for (uint64_t number = 1; number <= 4; number++)
		run(number, 9, 800); /* at times */
	for (uint64_t number = 1; number <= 3; number++)
		run(number, 16, 800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_pools_do_what_the_model_does),
		cmocka_unit_test(test_larger_pools_do_what_the_model_does),
	};
	return cmocka_run_group_tests(tests, make_key_ids, NULL);
}
