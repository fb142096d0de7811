/*
 * The schema: its versions, each made from the one before, and what tells a file of ours from others. Private to the
 * store.
 */
#pragma once

#include "base/err.h"

#include <sqlite3.h>
#include <stdint.h>

/* The SQL that leads to each version from the one before; version 0 is an empty database of ours. The place in the
 * table is the version, so an entry that has been released never changes: a new version is one more entry. */
struct migrations {
	const char *const *steps;
	uint32_t n;
};
extern const struct migrations schema_migrations;

/* May this program use a file that begins so? Without SQLite, which would open the files beside it. *ret_version: of
 * the schema. ERR_FORMAT: another program's, or of a newer version of ours; `path` is for the fault. */
#define SCHEMA_HEADER_LEN 100
enum err schema_judge_header(
	const uint8_t header[static SCHEMA_HEADER_LEN], const char *path, uint32_t *ret_version, struct fault *fault);
/* The same by the database, which is looked through for damage, too. ERR_NOMEM, ERR_IO. */
enum err schema_judge_database(sqlite3 *db, const char *path, struct fault *fault);

/* Brings the database up to the table's last version, all in one transaction: it is done, or nothing is. ERR_FORMAT:
 * the database does not have the form of its version; ERR_IO, ERR_NOMEM. */
enum err schema_migrate(sqlite3 *db, const struct migrations *table, const char *path, struct fault *fault);

/* The bytes of a new database's file; sqlite3_free. ERR_NOMEM. */
enum err schema_image(const struct migrations *table, void **ret, size_t *ret_len, struct fault *fault);
