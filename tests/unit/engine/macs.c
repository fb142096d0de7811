/* The table of MAC addresses against a deliberately naive model, its limits, and with many threads at once. */
#include "seeded.h"

#include "engine/grace.h"
#include "engine/macs.h"

#include <pthread.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static struct macs *macs;
static usec now;

static int setup(void **state)
{
	(void)state;
	static struct seeded seed = {7};
	struct rng rng = seeded_rng(&seed);
	now = 1000 * USEC_PER_SEC;
	return macs_new(&macs, &rng) == OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	macs_free(macs);
	return 0;
}

static struct mac_key key_of(uint32_t number, uint32_t vlan)
{
	struct mac_key key = {.vlan = vlan, .address = {2}};
	be32_put(key.address + 2, number);
	return key;
}

static enum err learn(struct mac_port *port, uint32_t number, uint32_t vlan)
{
	struct mac_key key = key_of(number, vlan);
	return macs_learn(macs, port, &key, now);
}

static struct mac_port *find(uint32_t number, uint32_t vlan)
{
	struct mac_key key = key_of(number, vlan);
	return macs_find(macs, &key, now);
}

/* ---- against a model ---- */

#define MODEL_MAX 600
#define PORTS 5

struct line {
	struct mac_key key;
	struct mac_port *port;
	usec seen;
};

static struct line model[MODEL_MAX];
static uint32_t n_model;
static struct mac_port ports[PORTS];

static struct line *model_find(const struct mac_key *key)
{
	for (uint32_t i = 0; i < n_model; i++)
		if (model[i].key.vlan == key->vlan && memcmp(model[i].key.address, key->address, 6) == 0)
			return &model[i];
	return NULL;
}

static bool model_learn(struct mac_port *port, const struct mac_key *key)
{
	struct line *line = model_find(key);
	if (!line) {
		model[n_model++] = (struct line){*key, port, now};
		return true;
	}
	if (line->port == port) {
		if (now - line->seen > USEC_PER_SEC) /* it is known to the second */
			line->seen = now;
		return true;
	}
	usec quiet = (line->port->is_local ? 60 : 5) * USEC_PER_SEC;
	if (!port->is_local && now - line->seen <= quiet)
		return false;
	line->port = port;
	line->seen = now;
	return true;
}

static void model_remove(const struct mac_port *port)
{
	for (uint32_t i = 0; i < n_model;)
		if (port ? model[i].port == port : now - model[i].seen > 300 * USEC_PER_SEC)
			model[i] = model[--n_model];
		else
			i++;
}

static void compare_all(void)
{
	uint32_t counts[PORTS] = {0};
	for (uint32_t i = 0; i < n_model; i++) {
		bool is_old = now - model[i].seen > 300 * USEC_PER_SEC;
		assert_ptr_equal(macs_find(macs, &model[i].key, now), is_old ? NULL : model[i].port);
		counts[model[i].port - ports]++;
	}
	for (int i = 0; i < PORTS; i++)
		assert_int_equal(ports[i].count, counts[i]);
}

static void test_random_traffic_against_the_model(void **state)
{
	(void)state;
	struct seeded seed = {1};
	memset(ports, 0, sizeof ports);
	n_model = 0;
	ports[0].is_local = true;
	for (int i = 0; i < 60000; i++) {
		/* 30 each and 5 ports: no limit is met */
		struct mac_key key =
			key_of(seeded_below(&seed, 10), seeded_below(&seed, 3) * 4096 + seeded_below(&seed, 2));
		struct mac_port *port = &ports[seeded_below(&seed, PORTS)];
		now += seeded_chance(&seed, 1) ? seeded_below(&seed, 200) * USEC_PER_SEC : seeded_below(&seed, 900000);
		assert_err(macs_learn(macs, port, &key, now), model_learn(port, &key) ? OK : ERR_EXISTS);
		if (seeded_chance(&seed, 1)) {
			macs_forget(macs, port);
			model_remove(port);
		}
		if (seeded_chance(&seed, 1)) {
			macs_age(macs, now);
			model_remove(NULL);
		}
		compare_all();
	}
}

/* ---- rules ---- */

static void test_virtual_networks_are_apart(void **state)
{
	(void)state;
	struct mac_port a = {0}, b = {0};
	assert_err(learn(&a, 1, 0), OK);
	assert_err(learn(&b, 1, 7), OK);
	assert_ptr_equal(find(1, 0), &a);
	assert_ptr_equal(find(1, 7), &b);
	assert_null(find(1, 7 << 12));
	assert_null(find(2, 0));
}

static void test_nobody_takes_a_station_that_is_heard(void **state)
{
	(void)state;
	struct mac_port local = {.is_local = true}, a = {0}, b = {0};
	assert_err(learn(&local, 1, 0), OK);
	assert_err(learn(&a, 2, 0), OK);
	for (int i = 0; i < 100; i++) {
		now += 3 * USEC_PER_SEC;
		assert_err(learn(&b, 1, 0), ERR_EXISTS);
		assert_err(learn(&b, 2, 0), ERR_EXISTS);
		assert_err(learn(&local, 1, 0), OK);
		assert_err(learn(&a, 2, 0), OK);
	}
	assert_ptr_equal(find(1, 0), &local);
	assert_ptr_equal(find(2, 0), &a);
	assert_int_equal(b.count, 0);
}

static void test_a_station_that_was_silent_moves(void **state)
{
	(void)state;
	struct mac_port local = {.is_local = true}, a = {0}, b = {0};
	assert_err(learn(&local, 1, 0), OK);
	assert_err(learn(&a, 2, 0), OK);
	now += MACS_QUIET_PEER + 1;
	assert_err(learn(&b, 1, 0), ERR_EXISTS);
	assert_err(learn(&b, 2, 0), OK);
	assert_ptr_equal(find(2, 0), &b);
	now += MACS_QUIET_LOCAL;
	assert_err(learn(&b, 1, 0), OK);
	assert_ptr_equal(find(1, 0), &b);
	assert_err(learn(&local, 1, 0), OK); /* one's own side gets it back at once */
	assert_ptr_equal(find(1, 0), &local);
	assert_int_equal(a.count, 0);
	assert_int_equal(b.count, 1);
	assert_int_equal(local.count, 1);
}

static void test_who_is_not_heard_is_forgotten(void **state)
{
	(void)state;
	struct mac_port a = {0};
	assert_err(learn(&a, 1, 0), OK);
	assert_err(learn(&a, 2, 0), OK);
	now += MACS_LIFETIME;
	assert_err(learn(&a, 2, 0), OK);
	assert_ptr_equal(find(1, 0), &a);
	now++;
	assert_null(find(1, 0));
	assert_int_equal(a.count, 2);
	macs_age(macs, now);
	assert_int_equal(a.count, 1);
	assert_ptr_equal(find(2, 0), &a);
}

/* ---- limits ---- */

static void test_a_flood_of_addresses_is_bounded_and_takes_nothing_from_others(void **state)
{
	(void)state;
	struct mac_port a = {0}, victim = {0};
	assert_err(learn(&victim, 1, 0), OK);
	for (uint32_t i = 0; i < 100000; i++)
		assert_err(learn(&a, 1000 + i, 0), i < MACS_PEER_MAX ? OK : ERR_FULL);
	assert_int_equal(a.count, MACS_PEER_MAX);
	assert_ptr_equal(find(1, 0), &victim);
	now += MACS_QUIET_PEER + 1; /* who has no room takes no station from another either */
	assert_err(learn(&a, 1, 0), ERR_FULL);
	assert_ptr_equal(find(1, 0), &victim);
	macs_forget(macs, &a);
	assert_int_equal(a.count, 0);
	assert_null(find(1000, 0));
	assert_err(learn(&a, 1000, 0), OK);
}

static void test_many_floods_leave_every_peer_its_own_entries(void **state)
{
	(void)state;
	static struct mac_port floods[24];
	memset(floods, 0, sizeof floods);
	struct mac_port local = {.is_local = true}, late = {0};
	uint32_t number = 0, learned = 0;
	for (uint32_t i = 0; i < 24; i++)
		for (uint32_t n = 0; n < MACS_PEER_MAX; n++)
			learned += learn(&floods[i], number++, 0) == OK;
	assert_int_equal(learned, MACS_SHARED_MAX + 24 * MACS_PEER_OWN);
	for (uint32_t i = 0; i < MACS_PEER_OWN; i++)
		assert_err(learn(&late, number++, 0), OK);
	assert_err(learn(&late, number++, 0), ERR_FULL);
	for (uint32_t i = 0; i < MACS_LOCAL_MAX; i++)
		assert_err(learn(&local, number++, 0), OK);
	assert_err(learn(&local, number++, 0), ERR_FULL);
	macs_forget(macs, &floods[0]); /* what is given back can be used again */
	assert_err(learn(&late, number++, 0), OK);
}

/* ---- threads ---- */

#define THREADS 4
static struct mac_port each[THREADS];
static atomic_bool stop;

static void *hammer(void *argument)
{
	struct mac_port *mine = argument;
	struct seeded seed = {(uint64_t)(mine - each) + 1};
	grace_register_thread();
	while (!stop) {
		grace_read_begin();
		for (int i = 0; i < 50; i++) {
			struct mac_key key = key_of(seeded_below(&seed, 200), 0);
			usec when = now + seeded_below(&seed, 100) * USEC_PER_SEC;
			(void)!macs_learn(macs, mine, &key, when);
			struct mac_port *port = macs_find(macs, &key, when);
			if (port && (port < each || port >= each + THREADS))
				abort();
		}
		grace_read_end();
	}
	grace_unregister_thread();
	return NULL;
}

static void test_lanes_learn_while_entries_go(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	stop = false;
	memset(each, 0, sizeof each);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &each[i]), 0);
	for (int i = 0; i < 300; i++) {
		macs_forget(macs, &each[i % THREADS]);
		macs_age(macs, now + MACS_LIFETIME + 50 * USEC_PER_SEC);
	}
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < THREADS; i++) {
		macs_forget(macs, &each[i]);
		assert_int_equal(each[i].count, 0);
	}
}

int main(void)
{
	grace_register_thread();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_traffic_against_the_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_virtual_networks_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody_takes_a_station_that_is_heard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_station_that_was_silent_moves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_who_is_not_heard_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_flood_of_addresses_is_bounded_and_takes_nothing_from_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_floods_leave_every_peer_its_own_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lanes_learn_while_entries_go, setup, teardown),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grace_unregister_thread();
	return failed;
}
