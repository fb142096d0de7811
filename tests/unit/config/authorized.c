/* The folder of AuthorizedKeys. Keys are bytes of the right length here: nothing is computed with them. */
#include "config/authorized.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/jorm-authorized-XXXXXX";

static void key_write(const char *name, uint32_t number, size_t len)
{
	uint8_t bytes[SIG_87_PUBLIC_LEN] = {0};
	memcpy(bytes, &number, sizeof(number));
	int fd = openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

/* Each test has a folder of its own, and stands in it. */
static int set_up(void **state)
{
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	return mkdtemp(folder) ? chdir(folder) : -1;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"Zoe.pub", "amy.pub", "ben.pub", ".hidden.pub", "readme", "key.PUB",
		"a b.pub", "\xc3\xa9.pub", "short.pub", "long.pub", "empty.pub", "fifo.pub", "lost.pub", "link.pub",
		"real", "dir.pub"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove(names[i]);
	for (unsigned i = 0; i <= AUTHORIZED_MAX; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%05u.pub", i);
		if (remove(name) < 0)
			break;
	}
	return chdir("/") < 0 ? -1 : rmdir(folder);
}

/* There is a warning, and no error, that says each of the parts. */
static void assert_warned(const struct config_diagnostics *diags, const char *const *parts, size_t count)
{
	assert_int_equal(diags->errors, 0);
	for (size_t i = 0; i < diags->count; i++) {
		assert_true(diags->items[i].warning);
		assert_string_equal(diags->items[i].key, "AuthorizedKeys");
		assert_int_equal(diags->items[i].line, 0);
	}
	for (size_t i = 0; i < count; i++) {
		bool said = false;
		for (size_t j = 0; j < diags->count; j++)
			said = said || strstr(diags->items[j].text, parts[i]);
		if (!said)
			print_message("not said: %s\n", parts[i]);
		assert_true(said);
	}
	assert_int_equal(diags->count, count);
}

static void reads_in_the_order_of_names(void **state)
{
	struct authorized keys;
	struct config_diagnostics diags = {0};
	key_write("ben.pub", 1, SIG_65_PUBLIC_LEN);
	key_write("Zoe.pub", 2, SIG_87_PUBLIC_LEN);
	key_write("amy.pub", 3, SIG_65_PUBLIC_LEN);
	key_write("real", 4, SIG_65_PUBLIC_LEN);
	assert_int_equal(symlink("real", "link.pub"), 0);
	/* what is no business of ours */
	key_write(".hidden.pub", 5, SIG_65_PUBLIC_LEN);
	key_write("readme", 6, 10);
	key_write("key.PUB", 7, SIG_65_PUBLIC_LEN);
	assert_int_equal(authorized_read(&keys, folder, &diags), OK);
	assert_int_equal(diags.count, 0);
	assert_int_equal(keys.count, 4);
	static const char *const names[] = {"Zoe", "amy", "ben", "link"};
	static const uint8_t numbers[] = {2, 3, 1, 4};
	for (size_t i = 0; i < keys.count; i++) {
		struct sig_public key = {.alg = i == 0 ? SIG_ML_DSA_87 : SIG_ML_DSA_65, .bytes = {numbers[i]}};
		uint8_t id[KEY_ID_LEN];
		assert_string_equal(keys.items[i].name, names[i]);
		assert_int_equal(key_id_compute(id, &key), OK);
		assert_memory_equal(keys.items[i].key_id, id, sizeof(id));
	}
	authorized_done(&keys);
	assert_null(keys.items);
	assert_int_equal(keys.count, 0);
}

static void leaves_out_what_is_wrong(void **state)
{
	struct authorized keys;
	struct config_diagnostics diags = {0};
	key_write("amy.pub", 1, SIG_65_PUBLIC_LEN);
	key_write("ben.pub", 1, SIG_65_PUBLIC_LEN);
	key_write("a b.pub", 2, SIG_65_PUBLIC_LEN);
	key_write("\xc3\xa9.pub", 3, SIG_65_PUBLIC_LEN);
	key_write("short.pub", 4, SIG_65_PUBLIC_LEN - 1);
	key_write("long.pub", 5, SIG_65_PUBLIC_LEN + 1);
	key_write("empty.pub", 6, 0);
	assert_int_equal(mkfifo("fifo.pub", 0600), 0);
	assert_int_equal(mkdir("dir.pub", 0700), 0);
	assert_int_equal(symlink("nowhere", "lost.pub"), 0);
	assert_int_equal(chmod(folder, 0707), 0);
	static const char *const parts[] = {"ben.pub is left out: amy.pub is the same key", "a b.pub is left out",
		"\xc3\xa9.pub is left out", "short.pub is not a public key", "long.pub is not a public key",
		"empty.pub is not a public key", "fifo.pub is not a regular file", "dir.pub is not a regular file",
		"lost.pub", "chmod o-w"};
	assert_int_equal(authorized_read(&keys, folder, &diags), OK);
	assert_warned(&diags, parts, sizeof(parts) / sizeof(parts[0]));
	assert_int_equal(keys.count, 1);
	assert_string_equal(keys.items[0].name, "amy");
	authorized_done(&keys);
	config_diagnostics_done(&diags);
}

static void an_empty_folder_is_fine(void **state)
{
	struct authorized keys;
	struct config_diagnostics diags = {0};
	assert_int_equal(authorized_read(&keys, folder, &diags), OK);
	assert_int_equal(diags.count, 0);
	assert_int_equal(keys.count, 0);
	authorized_done(&keys);
}

static void says_why_a_folder_cannot_be_read(void **state)
{
	static const struct {
		const char *path, *part;
		enum err e;
	} rows[] = {
		{"nowhere", "mkdir", ERR_NOT_FOUND},
		{"readme", "give the folder", ERR_FORMAT},
		{"readme/x", "give the folder", ERR_FORMAT},
	};
	key_write("readme", 1, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct authorized keys;
		struct config_diagnostics diags = {0};
		assert_int_equal(authorized_read(&keys, rows[i].path, &diags), rows[i].e);
		assert_null(keys.items);
		assert_int_equal(diags.errors, 1);
		assert_int_equal(diags.count, 1);
		assert_non_null(strstr(diags.items[0].text, rows[i].path));
		assert_non_null(strstr(diags.items[0].text, rows[i].part));
		authorized_done(&keys);
		config_diagnostics_done(&diags);
	}
}

/* Distinct keys for all but the last, which is beyond the limit. */
static void takes_many_and_no_more(void **state)
{
	struct authorized keys;
	struct config_diagnostics diags = {0};
	for (unsigned i = 0; i < 10000; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%05u.pub", i);
		key_write(name, i, SIG_65_PUBLIC_LEN);
	}
	assert_int_equal(authorized_read(&keys, folder, &diags), OK);
	assert_int_equal(diags.count, 0);
	assert_int_equal(keys.count, 10000);
	assert_string_equal(keys.items[9999].name, "09999");
	authorized_done(&keys);

	/* links are quicker to make; as they are all one key, few of them are kept */
	for (unsigned i = 10000; i <= AUTHORIZED_MAX; i++) {
		char name[32];
		snprintf(name, sizeof(name), "%05u.pub", i);
		assert_int_equal(symlink("00000.pub", name), 0);
	}
	assert_int_equal(authorized_read(&keys, folder, &diags), OK);
	assert_int_equal(keys.count, 10000);
	assert_non_null(strstr(diags.items[0].text, "from 65000.pub on"));
	authorized_done(&keys);
	config_diagnostics_done(&diags);
}

/* Takes away the right to see into the folder (which, from root, only another user can do), or gives it back. */
static void rights_set(bool given)
{
	static bool root;
	root = root || geteuid() == 0;
	if (root)
		assert_int_equal(seteuid(given ? 0 : 65534), 0);
	else
		assert_int_equal(chmod(folder, given ? 0700 : 0), 0);
}

struct keeper {
	unsigned asked;
	bool refuses;
};

static int opener(void *context, const char *path, int flags)
{
	struct keeper *keeper = context;
	keeper->asked++;
	errno = EPERM;
	if (keeper->refuses)
		return -1;
	rights_set(true);
	int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	rights_set(false);
	return fd;
}

/* A daemon without rights asks its keeper, for the folder and for each file. */
static void asks_the_opener(void **state)
{
	struct authorized keys;
	struct config_diagnostics diags = {0};
	struct keeper keeper = {0};
	key_write("amy.pub", 1, SIG_65_PUBLIC_LEN);
	key_write("ben.pub", 2, SIG_65_PUBLIC_LEN);
	rights_set(false);
	file_set_opener(opener, &keeper);
	enum err e = authorized_read(&keys, folder, &diags);
	struct keeper strict = {.refuses = true};
	struct authorized nothing;
	file_set_opener(opener, &strict);
	enum err refused = authorized_read(&nothing, folder, &diags);
	file_set_opener(NULL, NULL);
	rights_set(true);

	assert_int_equal(e, OK);
	assert_int_equal(keys.count, 2);
	assert_int_equal(keeper.asked, 3);
	assert_int_equal(refused, ERR_PERMISSION);
	assert_int_equal(strict.asked, 1);
	assert_int_equal(diags.count, 1);
	assert_non_null(strstr(diags.items[0].text, "access rights"));
	authorized_done(&keys);
	authorized_done(&nothing);
	config_diagnostics_done(&diags);
}

#define IN_FOLDER(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(reads_in_the_order_of_names),
		IN_FOLDER(leaves_out_what_is_wrong),
		IN_FOLDER(an_empty_folder_is_fine),
		IN_FOLDER(says_why_a_folder_cannot_be_read),
		IN_FOLDER(takes_many_and_no_more),
		IN_FOLDER(asks_the_opener),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
