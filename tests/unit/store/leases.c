/* Leases as rows, and against a naive table. */
#include "random.h"
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FILE_NAME "a.db"
#define KEYS 24

static struct fault fault;
static struct stream_random rng;

static struct store *open_new(void)
{
	struct store *store;
	scratch_clear();
	assert_int_equal(store_open(&store, FILE_NAME, &fault), OK);
	return store;
}

static struct store *open_again(struct store *store)
{
	store_close(store);
	assert_int_equal(store_open(&store, FILE_NAME, &fault), OK);
	return store;
}

struct list {
	struct store_lease items[2 * KEYS];
	size_t n, stop_at;
};

static bool take(void *context, const struct store_lease *lease)
{
	struct list *list = context;
	assert_true(list->n < sizeof list->items / sizeof list->items[0]);
	list->items[list->n++] = *lease;
	return list->n != list->stop_at;
}

static void expect_lease(const struct store_lease *is, const struct store_lease *should)
{
	assert_memory_equal(is->key_id, should->key_id, sizeof is->key_id);
	assert_memory_equal(is->address.ip, should->address.ip, 16);
	assert_int_equal(is->address.bits, should->address.bits);
	assert_int_equal(is->address.v4, should->address.v4);
	assert_string_equal(is->name, should->name);
	assert_int_equal(is->given_at, should->given_at);
	assert_int_equal(is->last_seen, should->last_seen);
}

static void keeps_leases_in_order(void **state)
{
	static const char *const addresses[] = {"fd00::2", "10.9.0.200", "10.9.0.3", "fd00::1", "9.255.255.255"};
	static const size_t order[] = {4, 2, 1, 3, 0};
	struct store *store = open_new();
	for (uint8_t i = 0; i < 5; i++) {
		struct store_lease lease = scratch_lease(i, addresses[i]);
		assert_int_equal(store_lease_put(store, &lease, &fault), OK);
	}
	store = open_again(store);
	struct list list = {0};
	assert_int_equal(store_leases(store, take, &list, &fault), OK);
	assert_int_equal(list.n, 5);
	for (size_t i = 0; i < 5; i++) {
		struct store_lease should = scratch_lease((uint8_t)order[i], addresses[order[i]]);
		expect_lease(&list.items[i], &should);
	}
	list = (struct list){.stop_at = 2};
	assert_int_equal(store_leases(store, take, &list, &fault), OK);
	assert_int_equal(list.n, 2);
	store_close(store);
}

static void renews_a_lease(void **state)
{
	struct store *store = open_new();
	struct store_lease lease = scratch_lease(1, "10.9.0.2"), should = lease;
	assert_int_equal(store_lease_put(store, &lease, &fault), OK);
	(void)snprintf(lease.name, sizeof lease.name, "renamed");
	lease.given_at = 7777;
	lease.last_seen = 8888;
	assert_int_equal(store_lease_put(store, &lease, &fault), OK);

	struct list list = {0};
	assert_int_equal(store_leases(store, take, &list, &fault), OK);
	assert_int_equal(list.n, 1);
	memcpy(should.name, lease.name, sizeof should.name);
	should.last_seen = 8888;
	expect_lease(&list.items[0], &should);
	store_close(store);
}

static void refuses_what_contradicts(void **state)
{
	struct store *store = open_new();
	struct store_lease lease = scratch_lease(1, "10.9.0.2");
	assert_int_equal(store_lease_put(store, &lease, &fault), OK);

	struct store_lease other_key = scratch_lease(2, "10.9.0.2");
	assert_int_equal(store_lease_put(store, &other_key, &fault), ERR_EXISTS);
	assert_non_null(strstr(fault.text, "10.9.0.2 is leased to another key (of peer peer-1)"));
	struct store_lease second = scratch_lease(1, "10.9.0.3");
	assert_int_equal(store_lease_put(store, &second, &fault), ERR_EXISTS);
	assert_non_null(strstr(fault.text, "peer-1 has a lease of another IPv4 address than 10.9.0.3"));
	struct store_lease sixth = scratch_lease(1, "fd00::3");
	assert_int_equal(store_lease_put(store, &sixth, &fault), OK);
	assert_int_equal(scratch_count(store), 2);
	store_close(store);
}

static void refuses_what_is_no_lease(void **state)
{
	struct store *store = open_new();
	struct store_lease lease = scratch_lease(1, "10.9.0.0/24");
	assert_int_equal(store_lease_put(store, &lease, &fault), ERR_ARGUMENT);
	assert_non_null(strstr(fault.text, "10.9.0.0/24 is no single address"));
	assert_int_equal(store_lease_delete(store, &lease.address, &fault), ERR_ARGUMENT);
	lease = scratch_lease(1, "fd00::/64");
	assert_int_equal(store_lease_put(store, &lease, &fault), ERR_ARGUMENT);
	lease = scratch_lease(1, "fd00::1");
	lease.address.v4 = true;
	lease.address.bits = 32;
	assert_int_equal(store_lease_put(store, &lease, &fault), ERR_ARGUMENT);
	lease = scratch_lease(1, "10.9.0.2");
	memset(lease.name, 'x', sizeof lease.name);
	assert_int_equal(store_lease_put(store, &lease, &fault), ERR_ARGUMENT);
	lease = scratch_lease(1, "10.9.0.2");
	lease.last_seen = -1;
	assert_int_equal(store_lease_put(store, &lease, &fault), ERR_ARGUMENT);
	lease = scratch_lease(1, "10.9.0.2");
	lease.given_at = -1;
	assert_int_equal(store_lease_put(store, &lease, &fault), ERR_ARGUMENT);
	assert_int_equal(store_leases_seen(store, &lease.key_id, 1, -1, &fault), ERR_ARGUMENT);
	assert_int_equal(scratch_count(store), 0);
	store_close(store);
}

static void takes_names_of_any_bytes(void **state)
{
	struct store *store = open_new();
	struct store_lease lease = scratch_lease(1, "10.9.0.2"), nameless = scratch_lease(2, "10.9.0.3");
	memset(lease.name, '\xff', sizeof lease.name - 1);
	lease.name[sizeof lease.name - 1] = 0;
	nameless.name[0] = 0;
	assert_int_equal(store_lease_put(store, &lease, &fault), OK);
	assert_int_equal(store_lease_put(store, &nameless, &fault), OK);
	store = open_again(store);
	struct list list = {0};
	assert_int_equal(store_leases(store, take, &list, &fault), OK);
	assert_int_equal(list.n, 2);
	expect_lease(&list.items[0], &lease);
	expect_lease(&list.items[1], &nameless);
	store_close(store);
}

/* ---- against a naive table ---- */

struct model {
	struct store_lease of[KEYS][2];
	bool has[KEYS][2];
};

static struct store_lease *holder(struct model *m, int address, int family)
{
	for (int key = 0; key < KEYS; key++)
		if (m->has[key][family] && m->of[key][family].address.ip[15] == address)
			return &m->of[key][family];
	return NULL;
}

static void put_one(struct store *store, struct model *m)
{
	int key = (int)random_below(&rng, KEYS), family = (int)random_below(&rng, 2),
	    address = (int)random_below(&rng, KEYS);
	char text[32];
	(void)snprintf(text, sizeof text, family ? "fd00::%x" : "10.9.0.%d", address);
	struct store_lease lease = scratch_lease((uint8_t)key, text), *mine = &m->of[key][family];
	lease.last_seen = random_below(&rng, INT32_MAX);
	bool has = m->has[key][family];
	bool fits = has ? mine->address.ip[15] == address : !holder(m, address, family);
	assert_int_equal(store_lease_put(store, &lease, &fault), fits ? OK : ERR_EXISTS);
	if (!fits)
		return;
	if (has)
		lease.given_at = mine->given_at;
	*mine = lease;
	m->has[key][family] = true;
}

static void delete_one(struct store *store, struct model *m)
{
	int family = (int)random_below(&rng, 2), address = (int)random_below(&rng, KEYS);
	char text[32];
	struct prefix prefix;
	(void)snprintf(text, sizeof text, family ? "fd00::%x" : "10.9.0.%d", address);
	assert_int_equal(prefix_parse(&prefix, text), OK);
	assert_int_equal(store_lease_delete(store, &prefix, &fault), OK);
	for (int key = 0; key < KEYS; key++)
		if (m->has[key][family] && m->of[key][family].address.ip[15] == address)
			m->has[key][family] = false;
}

static void see_some(struct store *store, struct model *m)
{
	uint8_t ids[KEYS][STORE_KEY_ID_LEN];
	int64_t now = random_below(&rng, INT32_MAX);
	size_t n = random_below(&rng, KEYS);
	for (size_t i = 0; i < n; i++) {
		int key = (int)random_below(&rng, KEYS);
		memset(ids[i], key, sizeof ids[i]);
		for (int family = 0; family < 2; family++)
			m->of[key][family].last_seen = now;
	}
	assert_int_equal(store_leases_seen(store, ids, n, now, &fault), OK);
}

static void expect_model(struct store *store, struct model *m)
{
	struct list list = {0};
	size_t at = 0;
	assert_int_equal(store_leases(store, take, &list, &fault), OK);
	for (int family = 0; family < 2; family++)
		for (int address = 0; address < KEYS; address++) {
			const struct store_lease *should = holder(m, address, family);
			if (should)
				expect_lease(&list.items[at++], should);
		}
	assert_int_equal(at, list.n);
}

static void is_as_a_naive_table(void **state)
{
	rng = (struct stream_random){7};
	struct model m = {0};
	struct store *store = open_new();
	for (int i = 0; i < 3000; i++) {
		int what = (int)random_below(&rng, 16);
		if (what < 10)
			put_one(store, &m);
		else if (what < 14)
			delete_one(store, &m);
		else if (what < 15)
			see_some(store, &m);
		else
			expect_model(store, &m);
		if (i % 500 == 499)
			store = open_again(store);
	}
	expect_model(store, &m);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_leases_in_order),
		cmocka_unit_test(renews_a_lease),
		cmocka_unit_test(refuses_what_contradicts),
		cmocka_unit_test(refuses_what_is_no_lease),
		cmocka_unit_test(takes_names_of_any_bytes),
		cmocka_unit_test(is_as_a_naive_table),
	};
	return cmocka_run_group_tests(tests, scratch_set_up, scratch_tear_down);
}
