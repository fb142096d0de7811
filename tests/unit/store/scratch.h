/*
 * What the store's tests share: a folder of their own, files as bytes, and a folder's whole content, to compare with
 * what it was before. A failure ends the test.
 */
#pragma once

#include "store/store.h"

#include <stddef.h>

struct sqlite3;

/* A new folder below /tmp, for which `set_up` and `tear_down` are a test's; the test runs in it. */
int scratch_set_up(void **state);
int scratch_tear_down(void **state);
void scratch_clear(void); /* removes all files in it */

struct bytes {
	char *data; /* free */
	size_t len;
};
struct bytes scratch_read(const char *name);
void scratch_write(const char *name, const void *data, size_t len);
void scratch_copy(const char *from, const char *to);
/* Copies a state file with its -wal: of an open store, that is what kill -9 leaves. */
void scratch_copy_state(const char *from, const char *to);

/* Names, modes and contents of all files, the parts of SQLite's included. */
struct bytes scratch_all(void);
/* They are as they were; frees it. */
void scratch_expect_all(struct bytes before);

/* Opens with SQLite alone and runs SQL; the connection is to be closed by sqlite3_close. */
struct sqlite3 *scratch_sql(const char *name, const char *sql);

/* A lease of key `key` (its bytes) for an address. */
struct store_lease scratch_lease(uint8_t key, const char *address);
/* The number of leases. */
size_t scratch_count(struct store *store);
