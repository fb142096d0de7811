#include "store/store.h"

#include "store/file.h"
#include "store/private.h"
#include "store/schema.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of several that open at once, each holds a lock to look first: so that not all of them find it busy. Against one that
 * has the file open this waits for nothing. */
#define BUSY_MS 200
/* On a machine that is slow enough all of them may find it busy all the same, and retreat. */
#define OPEN_AGAIN 4

/* ---- what the other files use ---- */

static enum err fault_by_errno(int number, const char *path, const char *what, const char *said, struct fault *fault)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
		return fault_set(fault, ERR_IO,
			"cannot %s %s: its file system is full; make room, then it works again (nothing has changed)",
			what, path);
	case EACCES:
	case EPERM:
		return fault_set(fault, ERR_PERMISSION,
			"cannot %s %s: the file and its folder must be writable for the user that jorm runs as (chown "
			"them)",
			what, path);
	case EROFS:
		return fault_set(fault, ERR_IO,
			"cannot %s %s: its file system is read-only; mount it writable, or choose another "
			"StateDirectory",
			what, path);
	default:
		return fault_set(fault, ERR_IO,
			"cannot %s %s: %s%s%s; look into the kernel's log, the disk may be failing", what, path, said,
			number ? ": " : "", number ? strerror(number) : "");
	}
}

enum err store_fault(sqlite3 *db, int rc, const char *path, const char *what, struct fault *fault)
{
	const char *said = db ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
	switch (rc & 0xff) { /* the rest says more than we tell apart */
	case SQLITE_NOMEM:
		return fault_set(fault, ERR_NOMEM, "cannot %s %s: no memory left", what, path);
	case SQLITE_FULL:
		return fault_by_errno(ENOSPC, path, what, said, fault);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fault_set(fault, ERR_EXISTS,
			"another process has the state file %s (`fuser %s` names it): stop that one first", path, path);
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return fault_by_errno(EACCES, path, what, said, fault);
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		return fault_by_errno(db ? sqlite3_system_errno(db) : 0, path, what, said, fault);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_ERROR: /* the SQL is ours, so the tables are not */
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return fault_set(fault, ERR_FORMAT,
			"cannot %s %s: it is damaged, or not as jorm made it (%s); put back a copy, or move it (and "
			"%s-wal) away "
			"to begin without leases and added peers",
			what, path, said, path);
	default:
		return fault_set(fault, ERR_IO, "cannot %s %s: %s", what, path, said);
	}
}

int store_run(struct store *store, enum statement statement)
{
	sqlite3_stmt *s = store->statements[statement];
	int rc = sqlite3_step(s);
	(void)sqlite3_reset(s);
	(void)sqlite3_clear_bindings(s);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

void store_roll_back(struct store *store)
{
	if (!sqlite3_get_autocommit(store->db))
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
}

bool store_column_text(sqlite3_stmt *row, int column, char *out, size_t size)
{
	const unsigned char *text = sqlite3_column_text(row, column);
	size_t len = (size_t)sqlite3_column_bytes(row, column);
	if (!text || len >= size || memchr(text, 0, len))
		return false;
	memcpy(out, text, len + 1);
	return true;
}

bool store_column_bytes(sqlite3_stmt *row, int column, void *out, size_t len)
{
	const void *bytes = sqlite3_column_blob(row, column);
	if (!bytes || (size_t)sqlite3_column_bytes(row, column) != len)
		return false;
	memcpy(out, bytes, len);
	return true;
}

/* ---- opening ---- */

static int prepare_all(sqlite3 *db, sqlite3_stmt *ret[static STATEMENTS])
{
	static const char *const texts[STATEMENTS] = {
#define X(name, text) [name] = (text),
		STATEMENT_LIST(X)
#undef X
	};
	int rc = SQLITE_OK;
	for (size_t i = 0; rc == SQLITE_OK && i < STATEMENTS; i++)
		rc = sqlite3_prepare_v3(db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &ret[i], NULL);
	return rc;
}

static void finalize_all(sqlite3_stmt *statements[static STATEMENTS])
{
	for (size_t i = 0; i < STATEMENTS; i++)
		(void)sqlite3_finalize(statements[i]);
}

/* Is the database sound, and has it what the statements need? (The tables of an older version get it later.) */
static enum err judge(sqlite3 *db, bool is_newest, const char *path, struct fault *fault)
{
	sqlite3_stmt *statements[STATEMENTS] = {0};
	enum err err = schema_judge_database(db, path, fault);
	if (err != OK || !is_newest)
		return err;
	int rc = prepare_all(db, statements);
	if (rc != SQLITE_OK)
		err = store_fault(db, rc, path, "use", fault);
	finalize_all(statements);
	return err;
}

/* A database's file name as a URI: SQLite takes "immutable" in no other way. */
static char *uri_of(const char *path)
{
	static const char query[] = "?immutable=1";
	size_t len = strlen(path);
	char *uri = malloc(5 + 3 * len + sizeof query);
	if (!uri)
		return NULL;
	char *at = stpcpy(uri, "file:");
	for (; *path; path++) {
		if (*path == '%' || *path == '?' || *path == '#')
			at += snprintf(at, 4, "%%%02X", (unsigned)*path);
		else
			*at++ = *path;
	}
	memcpy(at, query, sizeof query);
	return uri;
}

/* Looks through the file by itself: nothing is written, and nothing made beside it. The caller holds a lock. */
static enum err judge_unchanged(const char *path, bool is_newest, struct fault *fault)
{
	sqlite3 *db = NULL;
	char *uri = uri_of(path);
	if (!uri)
		return fault_set(fault, ERR_NOMEM, "no memory left to open the state file %s", path);
	int rc = sqlite3_open_v2(
		uri, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX, NULL);
	enum err err = rc == SQLITE_OK ? judge(db, is_newest, path, fault) : store_fault(db, rc, path, "open", fault);
	(void)sqlite3_close(db);
	free(uri);
	return err;
}

/*
 * The lock and the first bytes, by the connection's file and not by the connection: as soon as SQLite reads the
 * database itself, it opens or makes files beside it, and another program's file is none of our business. No descriptor
 * of our own either: closing one would take this process's locks of the file away (fcntl(2)).
 */
static enum err read_header(sqlite3 *db, uint8_t ret[static SCHEMA_HEADER_LEN], const char *path, struct fault *fault)
{
	sqlite3_file *file = NULL;
	int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
	if (rc == SQLITE_OK)
		rc = file->pMethods->xLock(file, SQLITE_LOCK_SHARED);
	if (rc == SQLITE_OK)
		rc = file->pMethods->xRead(file, ret, SCHEMA_HEADER_LEN, 0);
	if (rc == SQLITE_IOERR_SHORT_READ) /* zero-filled: then it is no header */
		rc = SQLITE_OK;
	return rc == SQLITE_OK ? OK : store_fault(NULL, rc, path, "read", fault);
}

static enum err open_file(struct store *s, struct fault *fault)
{
	int rc = sqlite3_open_v2(
		s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX, NULL);
	if (rc != SQLITE_OK)
		return store_fault(s->db, rc, s->path, "open", fault);
	(void)sqlite3_extended_result_codes(s->db, 1);
	(void)sqlite3_busy_timeout(s->db, BUSY_MS);
	if (sqlite3_db_readonly(s->db, "main")) /* what SQLite makes of a file that it may not write */
		return fault_by_errno(access(s->path, W_OK) < 0 ? errno : EACCES, s->path, "write to", "", fault);
	/* Whoever wrote the file, its schema calls no function; and what is not accepted is left with its -wal. */
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	return OK;
}

/* Is it ours to change? After this, it is. */
static enum err accept_file(struct store *s, bool has_journal, struct fault *fault)
{
	uint8_t header[SCHEMA_HEADER_LEN];
	uint32_t version = 0;
	enum err err = read_header(s->db, header, s->path, fault);
	if (err == OK)
		err = schema_judge_header(header, s->path, &version, fault);
	if (err != OK)
		return err;
	/* Before the first read: so the WAL's index is in our memory, not in a file, and the lock lasts until the end.
	 */
	int rc = sqlite3_exec(s->db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA temp_store = MEMORY", NULL, NULL, NULL);
	if (rc != SQLITE_OK)
		return store_fault(s->db, rc, s->path, "lock", fault);
	bool is_newest = version == schema_migrations.n;
	if (has_journal) /* a crash left it: only together are the files the database */
		err = judge(s->db, is_newest, s->path, fault);
	else
		err = judge_unchanged(s->path, is_newest, fault);
	if (err == OK)
		(void)sqlite3_db_config(s->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	return err;
}

static enum err set_journal(struct store *s, struct fault *fault)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_exec(s->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(s->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
	bool is_wal = false;
	if (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
		is_wal = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
		rc = SQLITE_OK;
	}
	enum err err = OK;
	if (rc != SQLITE_OK)
		err = store_fault(s->db, rc, s->path, "use", fault);
	else if (!is_wal)
		err = fault_set(fault, ERR_IO,
			"SQLite cannot keep a write-ahead log for %s: choose another StateDirectory", s->path);
	(void)sqlite3_finalize(statement);
	return err;
}

static enum err make_file(const char *path, struct fault *fault)
{
	void *image;
	size_t len;
	enum err err = schema_image(&schema_migrations, &image, &len, fault);
	if (err != OK)
		return err;
	err = store_file_make(path, image, len, fault);
	sqlite3_free(image);
	return err;
}

static enum err open_store(struct store *s, const char *path, struct fault *fault)
{
	bool has_journal = false;
	char byte;
	/* SQLite seeds its generator at first use, from a file; later, in the sandbox, there is none. */
	sqlite3_randomness(sizeof byte, &byte);
	enum err err = store_file_find(&s->path, path, fault);
	if (err == OK && access(s->path, F_OK) < 0 && errno == ENOENT)
		err = make_file(s->path, fault);
	if (err == OK)
		err = store_file_check(s->path, &has_journal, fault);
	if (err == OK)
		err = open_file(s, fault);
	if (err == OK)
		err = accept_file(s, has_journal, fault);
	if (err == OK)
		err = set_journal(s, fault);
	if (err == OK)
		err = schema_migrate(s->db, &schema_migrations, s->path, fault);
	if (err != OK)
		return err;
	int rc = prepare_all(s->db, s->statements);
	return rc == SQLITE_OK ? OK : store_fault(s->db, rc, s->path, "use", fault);
}

static enum err try_open(struct store **ret, const char *path, struct fault *fault)
{
	struct store *s = calloc(1, sizeof *s);
	if (!s)
		return fault_set(fault, ERR_NOMEM, "no memory left to open the state file %s", path);
	enum err err = open_store(s, path, fault);
	if (err == OK)
		*ret = s;
	else
		store_close(s);
	return err;
}

enum err store_open(struct store **ret, const char *path, struct fault *fault)
{
	*ret = NULL;
	enum err err = try_open(ret, path, fault);
	for (int i = 0; i < OPEN_AGAIN && err == ERR_EXISTS; i++) {
		uint8_t wait_ms;
		sqlite3_randomness(sizeof wait_ms, &wait_ms);
		(void)sqlite3_sleep(wait_ms);
		err = try_open(ret, path, fault);
	}
	return err;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	finalize_all(store->statements);
	(void)sqlite3_close(store->db);
	free(store->path);
	free(store);
}
