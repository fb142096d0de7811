#include "scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];

int scratch_set_up(void **state)
{
	(void)snprintf(folder, sizeof folder, "/tmp/jorm-store-XXXXXX");
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

void scratch_clear(void)
{
	DIR *dir = opendir(folder);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			assert_int_equal(
				unlinkat(dirfd(dir), entry->d_name, entry->d_type == DT_DIR ? AT_REMOVEDIR : 0), 0);
	closedir(dir);
}

int scratch_tear_down(void **state)
{
	scratch_clear();
	return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

struct bytes scratch_read(const char *name)
{
	struct bytes all = {0};
	FILE *file = fopen(name, "rb");
	assert_non_null(file);
	assert_int_equal(fseek(file, 0, SEEK_END), 0);
	all.len = (size_t)ftell(file);
	rewind(file);
	all.data = malloc(all.len + 1);
	assert_non_null(all.data);
	assert_int_equal(fread(all.data, 1, all.len, file), all.len);
	assert_int_equal(fclose(file), 0);
	return all;
}

void scratch_write(const char *name, const void *data, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(close(fd), 0);
}

void scratch_copy(const char *from, const char *to)
{
	struct bytes all = scratch_read(from);
	scratch_write(to, all.data, all.len);
	free(all.data);
}

void scratch_copy_state(const char *from, const char *to)
{
	char from_wal[64], to_wal[64];
	(void)snprintf(from_wal, sizeof from_wal, "%s-wal", from);
	(void)snprintf(to_wal, sizeof to_wal, "%s-wal", to);
	scratch_copy(from, to);
	scratch_copy(from_wal, to_wal);
}

static int no_dots(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

struct bytes scratch_all(void)
{
	struct bytes all = {0};
	struct dirent **entries;
	FILE *out = open_memstream(&all.data, &all.len);
	assert_non_null(out);
	int n = scandir(".", &entries, no_dots, alphasort);
	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		struct stat st;
		assert_int_equal(lstat(entries[i]->d_name, &st), 0);
		(void)fprintf(out, "%s %o %lld\n", entries[i]->d_name, st.st_mode, (long long)st.st_size);
		if (S_ISREG(st.st_mode) && st.st_size < 1 << 24) {
			struct bytes content = scratch_read(entries[i]->d_name);
			assert_int_equal(fwrite(content.data, 1, content.len, out), content.len);
			free(content.data);
		}
		free(entries[i]);
	}
	free(entries);
	assert_int_equal(fclose(out), 0);
	return all;
}

void scratch_expect_all(struct bytes before)
{
	struct bytes now = scratch_all();
	assert_int_equal(now.len, before.len);
	assert_memory_equal(now.data, before.data, now.len);
	free(now.data);
	free(before.data);
}

sqlite3 *scratch_sql(const char *name, const char *sql)
{
	sqlite3 *db;
	char *said = NULL;
	assert_int_equal(sqlite3_open(name, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &said) != SQLITE_OK)
		fail_msg("%s: %s", sql, said);
	return db;
}

struct store_lease scratch_lease(uint8_t key, const char *address)
{
	struct store_lease lease = {.given_at = 1000 + key, .last_seen = 2000 + key};
	memset(lease.key_id, key, sizeof lease.key_id);
	(void)snprintf(lease.name, sizeof lease.name, "peer-%u", key);
	assert_int_equal(prefix_parse(&lease.address, address), OK);
	return lease;
}

static bool count_one(void *context, const struct store_lease *lease)
{
	++*(size_t *)context;
	return true;
}

size_t scratch_count(struct store *store)
{
	size_t n = 0;
	assert_int_equal(store_leases(store, count_one, &n, NULL), OK);
	return n;
}
