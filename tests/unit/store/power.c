/*
 * What was acknowledged is there after a power loss at any moment, what was not is there whole or not at all; a disk
 * that is full or fails loses nothing either.
 */
#include "disk.h"
#include "random.h"
#include "scratch.h"
#include "store/private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define KEYS 8
#define STEPS 130

static struct fault fault;
static struct stream_random rng;

/* ---- the naive model: a lease of one family a key, address 10.9.0.KEY or 10.9.1.KEY; a peer of that number ---- */

struct model {
	struct {
		bool has_lease, has_peer;
		uint8_t third;
		int64_t last_seen;
	} of[KEYS];
};

static struct store_lease lease_of(uint8_t key, uint8_t third, int64_t last_seen)
{
	char text[32];
	(void)snprintf(text, sizeof text, "10.9.%u.%u", third, key);
	struct store_lease lease = scratch_lease(key, text);
	lease.last_seen = last_seen;
	return lease;
}

static enum err put_lease(struct store *store, struct model *m, uint8_t key)
{
	uint8_t third = m->of[key].has_lease ? m->of[key].third : (uint8_t)random_below(&rng, 2);
	struct store_lease lease = lease_of(key, third, random_below(&rng, 1U << 30));
	enum err err = store_lease_put(store, &lease, &fault);
	m->of[key].has_lease = true;
	m->of[key].third = third;
	m->of[key].last_seen = lease.last_seen;
	return err;
}

static enum err delete_lease(struct store *store, struct model *m, uint8_t key)
{
	struct store_lease lease = lease_of(key, m->of[key].third, 0);
	enum err err = store_lease_delete(store, &lease.address, &fault);
	m->of[key].has_lease = false;
	return err;
}

static enum err see_all(struct store *store, struct model *m)
{
	uint8_t ids[KEYS][STORE_KEY_ID_LEN];
	int64_t now = random_below(&rng, 1U << 30);
	for (uint8_t key = 0; key < KEYS; key++) {
		memset(ids[key], key, sizeof ids[key]);
		m->of[key].last_seen = now;
	}
	return store_leases_seen(store, ids, KEYS, now, &fault);
}

static enum err change_peer(struct store *store, struct model *m, uint8_t key)
{
	struct store_peer peer = {0};
	memset(peer.key_id, key, sizeof peer.key_id);
	(void)snprintf(peer.name, sizeof peer.name, "%u", key);
	memset(peer.allowed_ips, 'x', sizeof peer.allowed_ips - 1);
	m->of[key].has_peer = !m->of[key].has_peer;
	return m->of[key].has_peer ? store_peer_put(store, &peer, &fault) : store_peer_delete(store, peer.name, &fault);
}

static enum err step(struct store *store, struct model *m)
{
	uint32_t what = random_below(&rng, 12);
	uint8_t key = (uint8_t)random_below(&rng, KEYS);
	if (what < 5 || (what < 8 && !m->of[key].has_lease))
		return put_lease(store, m, key);
	if (what < 8)
		return delete_lease(store, m, key);
	if (what < 10)
		return change_peer(store, m, key);
	return see_all(store, m);
}

static bool read_lease(void *context, const struct store_lease *lease)
{
	struct model *m = context;
	uint8_t key = lease->address.ip[15];
	m->of[key].has_lease = true;
	m->of[key].third = lease->address.ip[14];
	m->of[key].last_seen = lease->last_seen;
	return true;
}

static bool read_peer(void *context, const struct store_peer *peer)
{
	((struct model *)context)->of[peer->key_id[0]].has_peer = true;
	return true;
}

static struct model read_all(struct store *store)
{
	struct model m = {0};
	assert_int_equal(store_leases(store, read_lease, &m, &fault), OK);
	assert_int_equal(store_peers(store, read_peer, &m, &fault), OK);
	return m;
}

static bool is_same(const struct model *a, const struct model *b)
{
	for (int i = 0; i < KEYS; i++) {
		if (a->of[i].has_lease != b->of[i].has_lease || a->of[i].has_peer != b->of[i].has_peer)
			return false;
		if (a->of[i].has_lease &&
			(a->of[i].third != b->of[i].third || a->of[i].last_seen != b->of[i].last_seen))
			return false;
	}
	return true;
}

/* ---- power loss ---- */

static struct model models[STEPS + 1];
static size_t known_at[STEPS + 1]; /* the moment when a step's function had returned */

static struct store *open_ok(const char *name)
{
	struct store *store;
	fault = (struct fault){0};
	if (store_open(&store, name, &fault) != OK)
		fail_msg("said: %s", fault.text);
	/* So that the log is carried over into the file, and begun anew, in the midst of it. */
	assert_int_equal(sqlite3_exec(store->db, "PRAGMA wal_autocheckpoint = 40", NULL, NULL, NULL), SQLITE_OK);
	return store;
}

/* The steps, with the file closed and opened in between, and a crash without power loss. */
static void record(void)
{
	scratch_clear();
	disk_record();
	struct store *store = open_ok("a.db");
	known_at[0] = 0;
	models[0] = (struct model){0};
	for (int i = 1; i <= STEPS; i++) {
		models[i] = models[i - 1];
		assert_int_equal(step(store, &models[i]), OK);
		known_at[i] = disk_moments();
		if (i % 50 == 0) {
			store_close(store);
			store = open_ok("a.db");
		}
	}
	store_close(store);
	disk_stop();
}

static void expect_after_loss(size_t moment)
{
	int last = 0;
	while (last < STEPS && known_at[last + 1] <= moment)
		last++;
	disk_build(moment, "b.db", &rng);
	struct store *store = open_ok("b.db");
	struct model is = read_all(store);
	if (!is_same(&is, &models[last]) && (last == STEPS || !is_same(&is, &models[last + 1])))
		fail_msg("lost at moment %zu, after step %d", moment, last);
	/* It works on, and what it writes then is sound, too. */
	struct store_lease lease = lease_of(KEYS + 1, 7, 1);
	assert_int_equal(store_lease_put(store, &lease, &fault), OK);
	store_close(store);
	if (moment % 16 == 0) {
		size_t n = 0;
		for (int i = 0; i < KEYS; i++)
			n += is.of[i].has_lease;
		store = open_ok("b.db");
		assert_int_equal(scratch_count(store), n + 1);
		store_close(store);
	}
}

static void loses_nothing_with_the_power(void **state)
{
	rng = (struct stream_random){3};
	record();
	for (size_t moment = 0; moment <= disk_moments(); moment++)
		expect_after_loss(moment);
	print_message("%zu moments, %zu syncs\n", disk_moments(), disk_syncs());
}

static void syncs_once_for_each_change(void **state)
{
	scratch_clear();
	struct store *store;
	assert_int_equal(store_open(&store, "a.db", &fault), OK);
	struct store_lease lease = lease_of(1, 1, 1);
	assert_int_equal(store_lease_put(store, &lease, &fault), OK); /* the log's first is one more */
	struct model m = {0};
	disk_record();
	for (size_t i = 1; i <= 20; i++) {
		assert_int_equal(i % 2 ? put_lease(store, &m, 2) : see_all(store, &m), OK);
		assert_int_equal(disk_syncs(), i);
	}
	disk_stop();
	store_close(store);
}

/* ---- a disk that fails ---- */

/* At every change of a short run the disk begins to fail; each function that says ERR_IO has changed nothing. */
static void fail_at_each_change(int rc)
{
	bool has_failed = true;
	for (int64_t n = 0; has_failed; n++) {
		scratch_clear();
		struct store *store = open_ok("a.db");
		struct model m = {0};
		assert_int_equal(put_lease(store, &m, 1), OK);
		disk_fail_after(n, rc);
		for (int i = 0; i < 25; i++) {
			struct model next = m;
			enum err err = step(store, &next);
			if (err == OK)
				m = next;
			else
				assert_int_equal(err, ERR_IO);
		}
		has_failed = disk_has_failed();
		if (has_failed && rc == SQLITE_FULL)
			assert_non_null(strstr(fault.text, "make room, then it works again"));
		disk_fail_after(-1, 0);

		struct model is = read_all(store);
		assert_true(is_same(&is, &m));
		assert_int_equal(put_lease(store, &m, 2), OK);
		store_close(store);
		store = open_ok("a.db");
		is = read_all(store);
		assert_true(is_same(&is, &m));
		store_close(store);
	}
}

static void loses_nothing_on_a_full_disk(void **state)
{
	rng = (struct stream_random){4};
	fail_at_each_change(SQLITE_FULL);
}

static void loses_nothing_on_a_failing_disk(void **state)
{
	rng = (struct stream_random){5};
	fail_at_each_change(SQLITE_IOERR_WRITE);
}

/* The same while it is opened: it says so, and the next time all is there. */
static void opens_later_when_the_disk_is_full(void **state)
{
	bool has_failed = true;
	for (int64_t n = 0; has_failed; n++) {
		scratch_clear();
		struct store *store = open_ok("a.db");
		struct store_lease lease = lease_of(1, 1, 1);
		assert_int_equal(store_lease_put(store, &lease, &fault), OK);
		scratch_copy_state("a.db", "b.db");
		store_close(store);
		disk_fail_after(n, SQLITE_FULL);
		enum err err = store_open(&store, "b.db", &fault);
		if (err == OK)
			store_close(store);
		else
			assert_int_equal(err, ERR_IO);
		has_failed = disk_has_failed();
		disk_fail_after(-1, 0);
		store = open_ok("b.db");
		assert_int_equal(scratch_count(store), 1);
		store_close(store);
	}
}

static int set_up(void **state)
{
	disk_register();
	return scratch_set_up(state);
}

static int tear_down(void **state)
{
	disk_record(); /* frees what was written down */
	disk_stop();
	return scratch_tear_down(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(syncs_once_for_each_change),
		cmocka_unit_test(loses_nothing_on_a_full_disk),
		cmocka_unit_test(loses_nothing_on_a_failing_disk),
		cmocka_unit_test(opens_later_when_the_disk_is_full),
		cmocka_unit_test(loses_nothing_with_the_power),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
