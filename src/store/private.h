/*
 * What the files of src/store share: the connection, the statements that are kept prepared, and the way from SQLite's
 * result codes to faults. Private to the store.
 */
#pragma once

#include "store/store.h"

#include <sqlite3.h>
#include <string.h>

#define LEASE_COLUMNS "key_id, address, name, given_at, last_seen"
#define PEER_COLUMNS "name, key_id, endpoint, allowed_ips, keepalive_s, added_at"

/* Every statement that runs on rows; the schema's are in schema.c. */
#define STATEMENT_LIST(X)                                                                                              \
	X(STATEMENT_BEGIN, "BEGIN IMMEDIATE")                                                                          \
	X(STATEMENT_COMMIT, "COMMIT")                                                                                  \
	X(LEASE_RENEW, "UPDATE lease SET name = ?3, last_seen = ?4 WHERE address = ?1 AND key_id = ?2")                \
	X(LEASE_INSERT, "INSERT INTO lease (address, key_id, name, last_seen, given_at, family) VALUES (?1, ?2, ?3, "  \
			"?4, ?5, ?6)")                                                                                 \
	X(LEASE_HOLDER, "SELECT name FROM lease WHERE address = ?1")                                                   \
	X(LEASE_DELETE, "DELETE FROM lease WHERE address = ?1")                                                        \
	X(LEASE_ALL, "SELECT " LEASE_COLUMNS " FROM lease ORDER BY family, address")                                   \
	X(LEASE_SEEN, "UPDATE lease SET last_seen = ?2 WHERE key_id = ?1")                                             \
	X(PEER_INSERT, "INSERT INTO peer (" PEER_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                          \
	X(PEER_HAS_NAME, "SELECT 1 FROM peer WHERE name = ?1")                                                         \
	X(PEER_DELETE, "DELETE FROM peer WHERE name = ?1")                                                             \
	X(PEER_ALL, "SELECT " PEER_COLUMNS " FROM peer ORDER BY name")

enum statement {
#define X(name, text) name,
	STATEMENT_LIST(X)
#undef X
		STATEMENTS
};

struct store {
	sqlite3 *db;
	char *path;
	sqlite3_stmt *statements[STATEMENTS];
};

/* Fills the fault from the connection's last error: what could not be done ("record a lease"), with which file, and the
 * remedy. Returns the code that goes with `rc`, never OK. */
enum err store_fault(sqlite3 *db, int rc, const char *path, const char *what, struct fault *fault);

/* Runs a bound statement that returns no rows, and makes it ready for the next time. SQLite's result code: SQLITE_OK,
 * or why not. */
int store_run(struct store *store, enum statement statement);

/* After an error within a transaction; SQLite has ended it itself after some. */
void store_roll_back(struct store *store);

/* Does the array hold a text, with its NUL? */
static inline bool store_is_text(const char *array, size_t size)
{
	return memchr(array, 0, size) != NULL;
}

/* A column into an array with its NUL; false: it does not fit. */
bool store_column_text(sqlite3_stmt *row, int column, char *out, size_t size);
bool store_column_bytes(sqlite3_stmt *row, int column, void *out, size_t len);
