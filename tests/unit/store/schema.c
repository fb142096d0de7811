/* Versions of the schema, with a table of the test's own. */
#include "store/schema.h"

#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fault fault;

static const char *const steps[] = {
	"CREATE TABLE thing (name TEXT NOT NULL) STRICT; INSERT INTO thing VALUES ('first');",
	"ALTER TABLE thing ADD COLUMN size INTEGER NOT NULL DEFAULT 7;",
	"UPDATE thing SET size = size + 1;",
};

static int64_t number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *statement;
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(statement, 0);
	assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
	return n;
}

/* From every version, and when there is nothing to do. */
static void migrates_from_every_version(void **state)
{
	for (uint32_t from = 0; from <= 3; from++) {
		sqlite3 *db = scratch_sql(":memory:", "PRAGMA application_id = 1");
		struct migrations before = {.steps = steps, .n = from}, all = {.steps = steps, .n = 3};
		assert_int_equal(schema_migrate(db, &before, "x", &fault), OK);
		assert_int_equal(number(db, "PRAGMA user_version"), from);
		for (int again = 0; again < 2; again++) {
			assert_int_equal(schema_migrate(db, &all, "x", &fault), OK);
			assert_int_equal(number(db, "PRAGMA user_version"), 3);
			assert_int_equal(number(db, "SELECT sum(size) FROM thing"), 8);
		}
		sqlite3_close(db);
	}
}

/* The last of three fails: the first two have not happened either. */
static void fails_as_a_whole(void **state)
{
	const char *const broken[] = {steps[0], steps[1], "UPDATE absent SET size = 1;"};
	struct migrations table = {.steps = broken, .n = 3};
	sqlite3 *db = scratch_sql(":memory:", "PRAGMA application_id = 1");
	assert_int_equal(schema_migrate(db, &table, "the-file", &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "the-file"));
	assert_non_null(strstr(fault.text, "no such table: absent"));
	assert_int_equal(number(db, "PRAGMA user_version"), 0);
	assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema"), 0);
	assert_true(sqlite3_get_autocommit(db));
	sqlite3_close(db);
}

static void makes_an_image_that_is_ours(void **state)
{
	void *image;
	size_t len;
	uint32_t version = 99;
	assert_int_equal(schema_image(&schema_migrations, &image, &len, &fault), OK);
	assert_true(len > SCHEMA_HEADER_LEN);
	assert_int_equal(schema_judge_header(image, "x", &version, &fault), OK);
	assert_int_equal(version, schema_migrations.n);

	uint8_t *header = image;
	header[68] ^= 1;
	assert_int_equal(schema_judge_header(header, "the-file", &version, &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "the-file is the database of another program"));
	header[68] ^= 1;
	header[63]++;
	assert_int_equal(schema_judge_header(header, "the-file", &version, &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "of a newer jorm (version 2 of the schema, this one knows 1)"));
	header[63]--;
	header[60] = 0x80; /* negative, as SQLite sees it */
	assert_int_equal(schema_judge_header(header, "the-file", &version, &fault), ERR_FORMAT);
	header[60] = 0;
	header[15] = '4';
	assert_int_equal(schema_judge_header(header, "the-file", &version, &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "the-file is no state file, or its beginning is damaged"));
	sqlite3_free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(migrates_from_every_version),
		cmocka_unit_test(fails_as_a_whole),
		cmocka_unit_test(makes_an_image_that_is_ours),
	};
	return cmocka_run_group_tests(tests, scratch_set_up, scratch_tear_down);
}
