#include "store/schema.h"

#include "base/bytes.h"
#include "store/private.h"

#include <inttypes.h>
#include <stdio.h>

#define APPLICATION_ID 0x4a6f726dU /* "Jorm" */

/* Lengths are of bytes (of a blob), because length() of a text counts characters. */
static const char *const steps[] = {
	/* 1 */
	"CREATE TABLE lease ("
	"	family INTEGER NOT NULL CHECK (family IN (4, 6)),"
	"	address BLOB NOT NULL UNIQUE CHECK (length(address) = iif(family = 4, 4, 16)),"
	"	key_id BLOB NOT NULL CHECK (length(key_id) = 32),"
	"	name TEXT NOT NULL CHECK (length(CAST(name AS BLOB)) < 64),"
	"	given_at INTEGER NOT NULL CHECK (given_at >= 0),"
	"	last_seen INTEGER NOT NULL CHECK (last_seen >= 0),"
	"	UNIQUE (key_id, family)"
	") STRICT;"
	"CREATE TABLE peer ("
	"	name TEXT NOT NULL PRIMARY KEY CHECK (length(CAST(name AS BLOB)) BETWEEN 1 AND 63),"
	"	key_id BLOB NOT NULL UNIQUE CHECK (length(key_id) = 32),"
	"	endpoint TEXT NOT NULL CHECK (length(CAST(endpoint AS BLOB)) < 256),"
	"	allowed_ips TEXT NOT NULL CHECK (length(CAST(allowed_ips AS BLOB)) < 1024),"
	"	keepalive_s INTEGER NOT NULL CHECK (keepalive_s BETWEEN 0 AND 65535),"
	"	added_at INTEGER NOT NULL CHECK (added_at >= 0)"
	") STRICT;",
};
const struct migrations schema_migrations = {.steps = steps, .n = sizeof steps / sizeof steps[0]};

static enum err judge(uint32_t application_id, uint32_t version, const char *path, struct fault *fault)
{
	if (application_id != APPLICATION_ID)
		return fault_set(fault, ERR_FORMAT,
			"%s is the database of another program, and is left as it is: correct StateDirectory, or move "
			"the "
			"file away",
			path);
	if (version > schema_migrations.n)
		return fault_set(fault, ERR_FORMAT,
			"the state file %s is of a newer jorm (version %" PRIu32
			" of the schema, this one knows %" PRIu32
			"), and is left as it is: install that jorm again, or move the file (and %s-wal) away to begin "
			"without leases and added peers",
			path, version, schema_migrations.n, path);
	return OK;
}

enum err schema_judge_header(
	const uint8_t header[static SCHEMA_HEADER_LEN], const char *path, uint32_t *ret_version, struct fault *fault)
{
	/* sqlite.org/fileformat2.html, 1.3: the magic text, user_version at 60, application_id at 68. */
	if (memcmp(header, "SQLite format 3", 16) != 0)
		return fault_set(fault, ERR_FORMAT,
			"%s is no state file, or its beginning is damaged, and it is left as it is: put back a copy, "
			"or move it "
			"(and %s-wal) away to begin without leases and added peers",
			path, path);
	*ret_version = be32_get(header + 60);
	return judge(be32_get(header + 68), *ret_version, path, fault);
}

static int read_number(sqlite3 *db, const char *pragma, uint32_t *ret)
{
	sqlite3_stmt *statement;
	int rc = sqlite3_prepare_v2(db, pragma, -1, &statement, NULL);
	if (rc != SQLITE_OK)
		return rc;
	rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*ret = (uint32_t)sqlite3_column_int64(statement, 0);
	int end = sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? SQLITE_OK : end;
}

/* One finding is enough. */
static enum err check_pages(sqlite3 *db, const char *path, struct fault *fault)
{
	sqlite3_stmt *statement;
	int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL);
	if (rc != SQLITE_OK)
		return store_fault(db, rc, path, "check", fault);
	enum err err = OK;
	rc = sqlite3_step(statement);
	const char *said = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
	if (rc != SQLITE_ROW)
		err = store_fault(db, rc, path, "check", fault);
	else if (!said || strcmp(said, "ok") != 0)
		err = fault_set(fault, ERR_FORMAT,
			"the state file %s is damaged, and is left as it is: put back a copy, or move it (and %s-wal) "
			"away to "
			"begin without leases and added peers (SQLite says: %.100s)",
			path, path, said ? said : "nothing");
	(void)sqlite3_finalize(statement);
	return err;
}

enum err schema_judge_database(sqlite3 *db, const char *path, struct fault *fault)
{
	uint32_t application_id = 0, version = 0;
	int rc = read_number(db, "PRAGMA application_id", &application_id);
	if (rc == SQLITE_OK)
		rc = read_number(db, "PRAGMA user_version", &version);
	if (rc != SQLITE_OK)
		return store_fault(db, rc, path, "read", fault);
	enum err err = judge(application_id, version, path, fault);
	return err == OK ? check_pages(db, path, fault) : err;
}

static int migrate_from(sqlite3 *db, const struct migrations *table, uint32_t version)
{
	char pragma[64];
	int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	for (uint32_t at = version; rc == SQLITE_OK && at < table->n; at++)
		rc = sqlite3_exec(db, table->steps[at], NULL, NULL, NULL);
	(void)snprintf(pragma, sizeof pragma, "PRAGMA user_version = %" PRIu32, table->n);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, pragma, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
	return rc;
}

enum err schema_migrate(sqlite3 *db, const struct migrations *table, const char *path, struct fault *fault)
{
	uint32_t version = 0;
	int rc = read_number(db, "PRAGMA user_version", &version);
	if (rc == SQLITE_OK && version < table->n)
		rc = migrate_from(db, table, version);
	if (rc == SQLITE_OK)
		return OK;
	enum err err = store_fault(db, rc, path, "bring the tables up to date in", fault);
	if (!sqlite3_get_autocommit(db))
		(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

enum err schema_image(const struct migrations *table, void **ret, size_t *ret_len, struct fault *fault)
{
	static const char memory[] = ":memory:";
	sqlite3 *db = NULL;
	char pragma[64];
	sqlite3_int64 len = 0;
	unsigned char *bytes = NULL;
	enum err err = OK;

	(void)snprintf(pragma, sizeof pragma, "PRAGMA application_id = %u", APPLICATION_ID);
	int rc = sqlite3_open_v2(memory, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(db, pragma, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		err = schema_migrate(db, table, memory, fault);
	else
		err = store_fault(db, rc, memory, "set up", fault);
	if (err == OK && !(bytes = sqlite3_serialize(db, "main", &len, 0)))
		err = store_fault(db, SQLITE_NOMEM, memory, "write out", fault);
	(void)sqlite3_close(db);
	if (err == OK) {
		*ret = bytes;
		*ret_len = (size_t)len;
	}
	return err;
}
