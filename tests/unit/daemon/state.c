/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "daemon/state.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/jorm-state-XXXXXX";

static int make_folder(void **unused)
{
	(void)unused;
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **unused)
{
	(void)unused;
	DIR *d = opendir(folder);
	const struct dirent *entry;
	while ((entry = readdir(d))) {
		char path[512];
		(void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
		(void)unlink(path);
	}
	closedir(d);
	return rmdir(folder);
}

static struct state *open_state(void)
{
	struct state *s;
	struct fault fault;
	if (state_open(&s, folder, "vpn", &fault) != OK)
		fail_msg("%s", fault.text);
	return s;
}

static struct prefix address(unsigned last)
{
	struct prefix p;
	char text[32];
	(void)snprintf(text, sizeof text, "10.66.%u.%u", last / 256, last % 256);
	assert_int_equal(prefix_parse(&p, text), OK);
	return p;
}

static void keep(struct state *s, uint8_t key, unsigned last, enum err expected)
{
	uint8_t key_id[KEY_ID_LEN];
	struct prefix p = address(last);
	struct fault fault;
	memset(key_id, key, sizeof key_id);
	assert_int_equal(state_keep_lease(s, key_id, "somebody", &p, &fault), expected);
}

static size_t count(const struct state *s)
{
	struct store_lease lease;
	size_t n = 0;
	while (state_lease(s, n, &lease))
		n++;
	return n;
}

static void leases_are_there_after_a_restart(void **unused)
{
	(void)unused;
	struct state *s = open_state();
	for (unsigned i = 0; i < 200; i++) /* from the middle outwards: the list is kept in order */
		keep(s, (uint8_t)(i + 1), i % 2 ? 300 + i : 300 - i, OK);
	assert_int_equal(count(s), 200);
	state_close(s);
	s = open_state();
	assert_int_equal(count(s), 200);
	struct store_lease before, lease;
	for (size_t i = 0; state_lease(s, i, &lease); i++) {
		assert_true(i == 0 || memcmp(before.address.ip, lease.address.ip, 16) < 0);
		assert_string_equal(lease.name, "somebody");
		before = lease;
	}
	state_close(s);
}

/* A number that another content of the file hardly has. (Its size and time may stay the same.) */
static uint64_t content_of(const char *path)
{
	uint64_t hash = 14695981039346656037U;
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	for (int c; (c = getc(f)) != EOF;)
		hash = (hash ^ (uint8_t)c) * 1099511628211U;
	fclose(f);
	return hash;
}

static void a_known_lease_is_not_written_again(void **unused)
{
	(void)unused;
	char log[512];
	struct state *s = open_state();
	keep(s, 1, 5, OK);
	(void)snprintf(log, sizeof log, "%s/vpn.db-wal", folder);
	uint64_t before = content_of(log);
	for (int i = 0; i < 100; i++)
		keep(s, 1, 5, OK);
	assert_true(content_of(log) == before);

	state_close(s);
}

/* Once a minute, for all who came. */
static void who_came_is_noted_when_that_is_due(void **unused)
{
	(void)unused;
	struct fault fault;
	struct state *s = open_state();
	struct store_lease lease = {.address = address(5), .given_at = 1000, .last_seen = 1000, .name = "somebody"};
	memset(lease.key_id, 1, sizeof lease.key_id);
	assert_int_equal(store_lease_put(state_store(s), &lease, &fault), OK);
	state_close(s);

	s = open_state();
	assert_true(state_tick(s, clock_now(), &fault) == USEC_NEVER);
	keep(s, 1, 5, OK);
	usec due = state_tick(s, clock_now(), &fault);
	assert_true(due != USEC_NEVER && due > clock_now());
	assert_true(state_lease(s, 0, &lease) && lease.last_seen == 1000);
	assert_true(state_tick(s, due, &fault) == USEC_NEVER);
	assert_int_equal(fault.code, OK);
	assert_true(state_lease(s, 0, &lease) && lease.last_seen > 1000);
	state_close(s);

	s = open_state();
	assert_true(state_lease(s, 0, &lease) && lease.last_seen > 1000 && lease.given_at == 1000);
	state_close(s);
}

static void another_keys_address_is_refused(void **unused)
{
	(void)unused;
	struct state *s = open_state();
	keep(s, 1, 5, OK);
	keep(s, 2, 5, ERR_EXISTS);
	keep(s, 1, 6, ERR_EXISTS);
	assert_int_equal(count(s), 1);
	state_close(s);
}

static void what_is_dropped_is_free(void **unused)
{
	(void)unused;
	struct state *s = open_state();
	struct fault fault;
	struct prefix five = address(5), nine = address(9);
	keep(s, 1, 5, OK);
	assert_int_equal(state_drop_lease(s, &five, &fault), OK);
	assert_int_equal(state_drop_lease(s, &nine, &fault), OK);
	keep(s, 2, 5, OK);
	assert_int_equal(count(s), 1);
	state_close(s);
	s = open_state();
	struct store_lease lease;
	assert_true(state_lease(s, 0, &lease));
	assert_int_equal(lease.key_id[0], 2);
	state_close(s);
}

static void none_keeps_nothing(void **unused)
{
	(void)unused;
	struct fault fault;
	struct prefix five = address(5);
	keep(NULL, 1, 5, ERR_STATE);
	assert_int_equal(count(NULL), 0);
	assert_int_equal(state_drop_lease(NULL, &five, &fault), OK);
	assert_true(state_tick(NULL, 0, &fault) == USEC_NEVER);
	assert_null(state_store(NULL));
	state_close(NULL);
}

static void a_missing_folder_is_named(void **unused)
{
	(void)unused;
	struct state *s;
	struct fault fault;
	assert_int_not_equal(state_open(&s, "/tmp/jorm-state-that-is-not-there", "vpn", &fault), OK);
	assert_non_null(strstr(fault.text, "/tmp/jorm-state-that-is-not-there"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(leases_are_there_after_a_restart, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(a_known_lease_is_not_written_again, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(who_came_is_noted_when_that_is_due, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(another_keys_address_is_refused, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(what_is_dropped_is_free, make_folder, remove_folder),
		cmocka_unit_test(none_keeps_nothing),
		cmocka_unit_test(a_missing_folder_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
