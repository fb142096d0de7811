/* Opening: whose file it is, what is wrong with it, and that what is refused stays as it was. */
#include "random.h"
#include "scratch.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct fault fault;

static struct store *open_ok(const char *name)
{
	struct store *store;
	fault = (struct fault){0};
	enum err err = store_open(&store, name, &fault);
	if (err != OK)
		print_message("said: %s\n", fault.text);
	assert_int_equal(err, OK);
	return store;
}

/* Refused, with these words, and nothing in the folder is another. */
static void expect_refused(const char *name, enum err err, const char *words)
{
	struct store *store = (struct store *)&fault;
	struct bytes before = scratch_all();
	assert_int_equal(store_open(&store, name, &fault), err);
	assert_null(store);
	assert_int_equal(fault.code, err);
	if (!strstr(fault.text, words))
		fail_msg("said: %s", fault.text);
	scratch_expect_all(before);
}

static void put(struct store *store, uint8_t key, const char *address)
{
	struct store_lease lease = scratch_lease(key, address);
	assert_int_equal(store_lease_put(store, &lease, &fault), OK);
}

/* a.db with two leases, closed. */
static void make_file(void)
{
	scratch_clear();
	struct store *store = open_ok("a.db");
	put(store, 1, "10.9.0.2");
	put(store, 2, "fd00::2");
	store_close(store);
}

static void makes_a_file(void **state)
{
	struct stat st;
	mode_t mask = umask(0);
	scratch_clear();
	struct store *store = open_ok("a.db");
	put(store, 1, "10.9.0.2");
	assert_int_equal(stat("a.db", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(stat("a.db-wal", &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(access("a.db-shm", F_OK), -1);
	store_close(store);
	umask(mask);
	/* Nothing is left beside it. */
	assert_int_equal(unlink("a.db"), 0);
	struct bytes all = scratch_all();
	assert_int_equal(all.len, 0);
	free(all.data);
	store_close(NULL);
}

static void finds_what_was_written(void **state)
{
	make_file();
	struct store *store = open_ok("./a.db");
	assert_int_equal(scratch_count(store), 2);
	store_close(store);
}

static void takes_any_path(void **state)
{
	char folder[256], path[300];
	assert_non_null(getcwd(folder, sizeof folder));
	(void)snprintf(path, sizeof path, "%s/b%%20 c?mode=ro&immutable=0#d.db", folder);
	scratch_clear();
	for (int i = 0; i < 2; i++) {
		struct store *store = open_ok(path);
		put(store, 1, "10.9.0.2");
		store_close(store);
	}
	assert_int_equal(access(path, F_OK), 0);
	expect_refused("", ERR_ARGUMENT, "no path of a state file");
	expect_refused("/", ERR_ARGUMENT, "no path of a state file");
	expect_refused("x/..", ERR_ARGUMENT, "no path of a state file");
	expect_refused("nowhere/a.db", ERR_NOT_FOUND, "cannot use the state folder nowhere");
	scratch_write("file", "", 0);
	expect_refused("file/a.db", ERR_NOT_FOUND, "file is not a folder");
}

/* ---- one at a time ---- */

static int open_in_child(const char *name)
{
	int status = -1;
	pid_t child = fork();
	if (child == 0) {
		struct store *store;
		_exit(store_open(&store, name, NULL) == ERR_EXISTS ? 42 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void is_for_one_at_a_time(void **state)
{
	make_file();
	struct store *store = open_ok("a.db");
	/* Before the first write as after it. */
	for (int i = 0; i < 2; i++) {
		expect_refused("a.db", ERR_EXISTS, "another process has the state file");
		/* What this process tried has not taken its own lock away. */
		assert_int_equal(open_in_child("a.db"), 42);
		put(store, 3, "10.9.0.3");
	}
	store_close(store);
	store = open_ok("a.db");
	assert_int_equal(scratch_count(store), 3);
	store_close(store);
}

static void is_free_when_its_process_is_killed(void **state)
{
	int ends[2], status;
	char byte;
	make_file();
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		struct store *store;
		bool ok = store_open(&store, "a.db", NULL) == OK && write(ends[1], "x", 1) == 1;
		for (;;)
			if (!ok || pause() == 0)
				_exit(1);
	}
	assert_int_equal(read(ends[0], &byte, 1), 1);
	expect_refused("a.db", ERR_EXISTS, "another process has the state file");
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	store_close(open_ok("a.db"));
	close(ends[0]);
	close(ends[1]);
}

/* ---- files of others ---- */

static void leaves_other_files_alone(void **state)
{
	static const char text[] =
		"This is the diary of somebody who has chosen an unlucky name for it, and who would be "
		"sad if it were gone, even more so because it is long.";
	scratch_clear();
	scratch_write("a.db", text, sizeof text);
	expect_refused("a.db", ERR_FORMAT, "is no state file");
	scratch_write("a.db", "x", 1);
	expect_refused("a.db", ERR_FORMAT, "is no state file");
	scratch_write("a.db", "", 0);
	expect_refused("a.db", ERR_FORMAT, "is empty");
	assert_int_equal(truncate("a.db", (off_t)300 << 20), 0);
	expect_refused("a.db", ERR_FORMAT, "more than 256 MiB");
}

static void leaves_other_databases_alone(void **state)
{
	static const char *const journals[] = {"delete", "wal", "persist"};
	for (size_t i = 0; i < 3; i++) {
		char sql[200];
		scratch_clear();
		(void)snprintf(sql, sizeof sql,
			"PRAGMA journal_mode = %s; CREATE TABLE lease (a); INSERT INTO lease VALUES (1)", journals[i]);
		sqlite3 *db = scratch_sql("other", sql);
		if (i == 1) { /* as a crash leaves it */
			scratch_copy_state("other", "a.db");
		} else {
			scratch_copy("other", "a.db");
			assert_int_equal(chmod("other", 0600), 0);
		}
		sqlite3_close(db);
		expect_refused("a.db", ERR_FORMAT, "the database of another program");
		if (i == 1) {
			assert_int_equal(unlink("a.db-wal"), 0);
			expect_refused("a.db", ERR_FORMAT, "the database of another program");
		}
	}
}

/* A rollback journal that would be played back at once. */
static void leaves_another_ones_crash_alone(void **state)
{
	scratch_clear();
	sqlite3 *db = scratch_sql("other",
		"CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(100000)); PRAGMA cache_size = 1;"
		"BEGIN; UPDATE t SET a = randomblob(100000)");
	scratch_copy("other", "a.db");
	scratch_copy("other-journal", "a.db-journal");
	sqlite3_close(db);
	expect_refused("a.db", ERR_FORMAT, "the database of another program");
}

static void leaves_links_alone(void **state)
{
	make_file();
	assert_int_equal(rename("a.db", "real"), 0);
	assert_int_equal(symlink("real", "a.db"), 0);
	expect_refused("a.db", ERR_PERMISSION, "is not a regular file");
	assert_int_equal(unlink("real"), 0);
	expect_refused("a.db", ERR_PERMISSION, "is not a regular file"); /* leads nowhere */
	assert_int_equal(unlink("a.db"), 0);
	assert_int_equal(mkfifo("a.db", 0600), 0);
	expect_refused("a.db", ERR_PERMISSION, "is not a regular file");
	assert_int_equal(unlink("a.db"), 0);
	assert_int_equal(mkdir("a.db", 0700), 0);
	expect_refused("a.db", ERR_PERMISSION, "is not a regular file");

	static const char *const beside[] = {"a.db-wal", "a.db-journal"};
	for (size_t i = 0; i < 2; i++) {
		make_file();
		scratch_write("victim", "precious", 8);
		assert_int_equal(symlink("victim", beside[i]), 0);
		expect_refused("a.db", ERR_PERMISSION, beside[i]);
	}
}

static void follows_links_of_the_folder(void **state)
{
	make_file();
	assert_int_equal(symlink(".", "link"), 0);
	struct store *store = open_ok("link/a.db");
	assert_int_equal(scratch_count(store), 2);
	store_close(store);
}

static void refuses_what_others_may_write(void **state)
{
	make_file();
	assert_int_equal(chmod("a.db", 0660), 0);
	expect_refused("a.db", ERR_PERMISSION, "others may write to the state file");
	assert_int_equal(chmod("a.db", 0600), 0);
	assert_int_equal(chmod(".", 0777), 0);
	expect_refused("a.db", ERR_PERMISSION, "anybody may write to the state folder");
	assert_int_equal(chmod(".", 01777), 0);
	store_close(open_ok("a.db"));
	if (geteuid() == 0) {
		assert_int_equal(chown("a.db", 65534, 65534), 0);
		expect_refused("a.db", ERR_PERMISSION, "belongs to another user (uid 65534)");
	}
	assert_int_equal(chmod(".", 0700), 0);
}

/* ---- rights ---- */

static void as_nobody(void)
{
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
}

static void as_before(void)
{
	assert_int_equal(seteuid(getuid()), 0);
}

static void says_what_may_not_be_written(void **state)
{
	scratch_clear();
	assert_int_equal(chmod(".", 0555), 0);
	as_nobody();
	expect_refused("a.db", ERR_PERMISSION, "its folder must be writable");
	as_before();

	assert_int_equal(chmod(".", 0755), 0);
	make_file();
	if (geteuid() == 0)
		assert_int_equal(chown("a.db", 65534, 65534), 0);
	assert_int_equal(chmod(".", 0555), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(".", 65534, 65534), 0);
	as_nobody();
	expect_refused("a.db", ERR_PERMISSION, "the file and its folder must be writable"); /* only the folder is not */
	assert_int_equal(chmod(".", 0755), 0);
	assert_int_equal(chmod("a.db", 0400), 0);
	expect_refused("a.db", ERR_PERMISSION, "the file and its folder must be writable");
	as_before();
	assert_int_equal(chown(".", geteuid(), getegid()), 0);
	assert_int_equal(chmod(".", 0700), 0);
}

/* ---- versions ---- */

/* Version 1 as it was released, with a row of each kind: every later version must take it. Never to be changed. */
#define VERSION_1                                                                                                      \
	"PRAGMA application_id = 1248817773; PRAGMA user_version = 1;"                                                 \
	"CREATE TABLE lease (family INTEGER NOT NULL CHECK (family IN (4, 6)),"                                        \
	"address BLOB NOT NULL UNIQUE CHECK (length(address) = iif(family = 4, 4, 16)),"                               \
	"key_id BLOB NOT NULL CHECK (length(key_id) = 32),"                                                            \
	"name TEXT NOT NULL CHECK (length(CAST(name AS BLOB)) < 64),"                                                  \
	"given_at INTEGER NOT NULL CHECK (given_at >= 0), last_seen INTEGER NOT NULL CHECK (last_seen >= 0),"          \
	"UNIQUE (key_id, family)) STRICT;"                                                                             \
	"CREATE TABLE peer (name TEXT NOT NULL PRIMARY KEY CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 63),"       \
	"key_id BLOB NOT NULL UNIQUE CHECK (length(key_id) = 32),"                                                     \
	"endpoint TEXT NOT NULL CHECK (length(CAST(endpoint AS BLOB)) < 256),"                                         \
	"allowed_ips TEXT NOT NULL CHECK (length(CAST(allowed_ips AS BLOB)) < 1024),"                                  \
	"keepalive_s INTEGER NOT NULL CHECK (keepalive_s BETWEEN 0 AND 65535),"                                        \
	"added_at INTEGER NOT NULL CHECK (added_at >= 0)) STRICT;"                                                     \
	"INSERT INTO lease VALUES (4, x'0a090002', zeroblob(32), 'laptop', 5, 6);"                                     \
	"INSERT INTO peer VALUES ('laptop', zeroblob(32), '', '', 25, 7);"

static void make_by_sql(const char *sql)
{
	scratch_clear();
	sqlite3_close(scratch_sql("a.db", sql));
	assert_int_equal(chmod("a.db", 0600), 0);
}

static bool take_peer(void *context, const struct store_peer *peer)
{
	*(struct store_peer *)context = *peer;
	return true;
}

static void migrates_older_versions(void **state)
{
	static const char *const journals[] = {"", "PRAGMA journal_mode = wal;"};
	for (size_t i = 0; i < 2; i++) {
		char sql[4096];
		(void)snprintf(
			sql, sizeof sql, "%sPRAGMA application_id = 1248817773; PRAGMA user_version = 0", journals[i]);
		make_by_sql(sql);
		for (size_t again = 0; again < 2; again++) {
			struct store *store = open_ok("a.db");
			assert_int_equal(scratch_count(store), again);
			put(store, 1, "10.9.0.2");
			store_close(store);
		}

		(void)snprintf(sql, sizeof sql, "%s%s", journals[i], VERSION_1);
		make_by_sql(sql);
		struct store *store = open_ok("a.db");
		struct store_peer peer = {0};
		assert_int_equal(scratch_count(store), 1);
		assert_int_equal(store_peers(store, take_peer, &peer, &fault), OK);
		assert_string_equal(peer.name, "laptop");
		assert_int_equal(peer.keepalive_s, 25);
		assert_int_equal(peer.added_at, 7);
		store_close(store);
	}
}

static void leaves_newer_versions_alone(void **state)
{
	make_file();
	sqlite3_close(scratch_sql("a.db", "PRAGMA user_version = 2; ALTER TABLE lease ADD COLUMN more TEXT"));
	expect_refused("a.db", ERR_FORMAT, "of a newer jorm (version 2 of the schema, this one knows 1)");

	/* Only the write-ahead log of a newer program that was killed has it. */
	make_file();
	sqlite3 *db = scratch_sql("a.db", "PRAGMA locking_mode = exclusive; PRAGMA user_version = 2");
	scratch_copy_state("a.db", "b.db");
	sqlite3_close(db);
	expect_refused("b.db", ERR_FORMAT, "of a newer jorm");
}

static void leaves_other_tables_alone(void **state)
{
	make_by_sql("PRAGMA application_id = 1248817773; PRAGMA user_version = 1; CREATE TABLE lease (a)");
	expect_refused("a.db", ERR_FORMAT, "not as jorm made it (no such column");
	make_by_sql("PRAGMA application_id = 1248817773; PRAGMA user_version = 0; CREATE TABLE peer (a)");
	struct store *store;
	assert_int_equal(store_open(&store, "a.db", &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "table peer already exists"));
}

/* ---- damage ---- */

static bool skip_row(void *context, const struct store_lease *lease)
{
	return true;
}

/* Somewhere in the file other bytes: if it is refused, then as it is; if not, rows can be read, or are said to be
 * damaged. */
static void damage_once(struct stream_random *rng, const struct bytes *main, const struct bytes *wal)
{
	struct bytes part = {.data = malloc(main->len), .len = main->len};
	assert_non_null(part.data);
	memcpy(part.data, main->data, main->len);
	size_t from = random_below(rng, 4) == 0 ? random_below(rng, 120) : random_below(rng, (uint32_t)main->len);
	size_t n = 1 + random_below(rng, 64);
	if (random_chance(rng, 200))
		part.len = from + 1;
	for (size_t i = from; i < from + n && i < part.len; i++)
		part.data[i] = (char)random_below(rng, 256);
	scratch_write("b.db", part.data, part.len);
	if (wal)
		scratch_write("b.db-wal", wal->data, wal->len);
	free(part.data);

	struct store *store;
	struct bytes before = scratch_all();
	enum err err = store_open(&store, "b.db", &fault);
	if (err == OK) {
		free(before.data);
		assert_true(store_leases(store, skip_row, NULL, &fault) == OK || fault.code == ERR_FORMAT);
		store_close(store);
		return;
	}
	if (err != ERR_FORMAT)
		fail_msg("said: %s", fault.text);
	scratch_expect_all(before);
}

static void damage_often(bool with_wal)
{
	struct stream_random rng = {11 + with_wal};
	make_file();
	struct store *store = open_ok("a.db");
	for (uint8_t i = 10; i < 80; i++) {
		char text[32];
		(void)snprintf(text, sizeof text, "10.9.0.%u", i);
		put(store, i, text);
	}
	if (!with_wal)
		store_close(store);
	struct bytes main = scratch_read("a.db"), wal = {0};
	if (with_wal) {
		wal = scratch_read("a.db-wal");
		store_close(store);
	}
	scratch_clear();
	for (int i = 0; i < 300; i++) {
		damage_once(&rng, &main, with_wal ? &wal : NULL);
		scratch_clear();
	}
	free(main.data);
	free(wal.data);
}

static void leaves_damaged_files_alone(void **state)
{
	damage_often(false);
}
static void leaves_damaged_files_with_a_log_alone(void **state)
{
	damage_often(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_a_file),
		cmocka_unit_test(finds_what_was_written),
		cmocka_unit_test(takes_any_path),
		cmocka_unit_test(is_for_one_at_a_time),
		cmocka_unit_test(is_free_when_its_process_is_killed),
		cmocka_unit_test(leaves_other_files_alone),
		cmocka_unit_test(leaves_other_databases_alone),
		cmocka_unit_test(leaves_another_ones_crash_alone),
		cmocka_unit_test(leaves_links_alone),
		cmocka_unit_test(follows_links_of_the_folder),
		cmocka_unit_test(refuses_what_others_may_write),
		cmocka_unit_test(says_what_may_not_be_written),
		cmocka_unit_test(migrates_older_versions),
		cmocka_unit_test(leaves_newer_versions_alone),
		cmocka_unit_test(leaves_other_tables_alone),
		cmocka_unit_test(leaves_damaged_files_alone),
		cmocka_unit_test(leaves_damaged_files_with_a_log_alone),
	};
	return cmocka_run_group_tests(tests, scratch_set_up, scratch_tear_down);
}
