#include "seeded.h"

#include "base/log.h"
#include "compat/snek_authorized.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test has an empty folder. */
static char folder[] = "/tmp/jorm-authorized-XXXXXX";
static struct fault fault;
static struct identity *alice, *bob;
static uint8_t data_key[AEAD_KEY_LEN], sig[SIG_MAX];

static int setup(void **state)
{
	(void)state;
	const uint8_t alices[SIG_SEED_LEN] = {1}, bobs[SIG_SEED_LEN] = {2}, entropy[SIG_ENTROPY_LEN] = {0};
	memset(data_key, 5, sizeof data_key);
	assert_int_equal(identity_generate(&alice, SIG_ML_DSA_65, alices), OK);
	assert_int_equal(identity_generate(&bob, SIG_ML_DSA_65, bobs), OK);
	assert_int_equal(identity_sign(alice, sig, SNEK_CONTEXT, VIEW_ARRAY(data_key), entropy), OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	identity_free(alice);
	identity_free(bob);
	return 0;
}

static int enter(void **state)
{
	(void)state;
	memcpy(folder + sizeof folder - 7, "XXXXXX", 6);
	return mkdtemp(folder) ? 0 : -1;
}

static int leave(void **state)
{
	(void)state;
	DIR *dir = opendir(folder);
	if (!dir)
		return -1;
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
		if (unlinkat(dirfd(dir), e->d_name, 0) != 0 && e->d_name[0] != '.')
			(void)unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR);
	(void)closedir(dir);
	return rmdir(folder);
}

static void put(const char *name, const void *data, size_t len)
{
	char path[PATH_MAX];
	(void)snprintf(path, sizeof path, "%s/%s", folder, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(close(fd), 0);
}

static void put_key(const char *name, const struct identity *of)
{
	put(name, identity_public(of)->bytes, SIG_65_PUBLIC_LEN);
}

static enum err find(char name[static NAME_MAX + 1])
{
	memset(name, 'x', NAME_MAX + 1);
	enum err e = snek_authorized_find(name, folder, data_key, sig, &fault);
	if (e != OK) {
		assert_string_equal(name, "");
		assert_int_equal(fault.code, e);
		assert_non_null(strstr(fault.text, folder));
	}
	return e;
}

/* What is logged by the check, and what it gives. */
static enum err check(size_t *ret_n, char log[static 4096])
{
	int file = memfd_create("log", MFD_CLOEXEC), before = dup(STDERR_FILENO);
	assert_true(file >= 0 && before >= 0);
	assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
	*ret_n = 7;
	enum err e = snek_authorized_check(ret_n, folder, &fault);
	assert_int_equal(dup2(before, STDERR_FILENO), STDERR_FILENO);
	ssize_t len = pread(file, log, 4095, 0);
	assert_true(len >= 0);
	log[len] = '\0';
	assert_int_equal(close(file), 0);
	assert_int_equal(close(before), 0);
	return e;
}

static void signers_are_found(void **state)
{
	(void)state;
	char name[NAME_MAX + 1];
	put_key("bob.pub", bob);
	assert_int_equal(find(name), ERR_AUTH);
	assert_non_null(strstr(fault.text, "(1 tried)"));
	put_key("alice.pub", alice);
	assert_int_equal(find(name), OK);
	assert_string_equal(name, "alice.pub");
}

/* What is signed counts, every bit of it. */
static void other_signatures_are_nobodys(void **state)
{
	(void)state;
	char name[NAME_MAX + 1];
	put_key("alice.pub", alice);
	data_key[31] ^= 1;
	assert_int_equal(find(name), ERR_AUTH);
	data_key[31] ^= 1;
	for (size_t i = 0; i < SIG_65_LEN; i += 300) {
		sig[i] ^= 4;
		assert_int_equal(find(name), ERR_AUTH);
		sig[i] ^= 4;
	}
	assert_int_equal(find(name), OK);
}

/* Names as the older program took them. */
static void names_end_in_pub(void **state)
{
	(void)state;
	char name[NAME_MAX + 1], longest[NAME_MAX + 1];
	size_t n;
	char log[4096];
	put_key("alice", alice);
	put_key("alice.pub.old", alice);
	put_key("alice.PUB", alice);
	put_key("pub", alice);
	assert_int_equal(find(name), ERR_AUTH);
	assert_int_equal(check(&n, log), ERR_NOT_FOUND);
	assert_int_equal(n, 0);
	assert_non_null(strstr(fault.text, "snek-cert.pub"));
	memset(longest, 'a', sizeof longest);
	memcpy(longest + NAME_MAX - 4, ".pub", 5);
	const char *const names[] = {".pub", ".alice.pub", "a b\n%s.pub", longest};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[PATH_MAX];
		put_key(names[i], alice);
		assert_int_equal(find(name), OK);
		assert_string_equal(name, names[i]);
		(void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		assert_int_equal(unlink(path), 0);
	}
}

/* Whatever else lies there is passed over, and said at the start. */
static void what_is_no_key_is_left_out(void **state)
{
	(void)state;
	char name[NAME_MAX + 1], log[4096], path[PATH_MAX];
	uint8_t bytes[SIG_87_PUBLIC_LEN] = {0};
	size_t n;
	put("empty.pub", "", 0);
	put("short.pub", bytes, SIG_65_PUBLIC_LEN - 1);
	put("larger.pub", bytes, SIG_87_PUBLIC_LEN);
	put("private.pub", bytes, 100);
	(void)snprintf(path, sizeof path, "%s/folder.pub", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof path, "%s/fifo.pub", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	(void)snprintf(path, sizeof path, "%s/dangling.pub", folder);
	assert_int_equal(symlink("nowhere", path), 0);
	assert_int_equal(find(name), ERR_AUTH);
	assert_non_null(strstr(fault.text, "(0 tried)"));
	assert_int_equal(check(&n, log), ERR_NOT_FOUND);
	put_key("alice.pub", alice);
	assert_int_equal(find(name), OK);
	assert_string_equal(name, "alice.pub");
	assert_int_equal(check(&n, log), OK);
	assert_int_equal(n, 1);
	static const char *const left_out[] = {"empty.pub", "short.pub", "larger.pub", "private.pub", "folder.pub",
		"fifo.pub", "dangling.pub", "ML-DSA-87"};
	for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
		assert_non_null(strstr(log, left_out[i]));
	assert_null(strstr(log, "alice.pub"));
}

static void links_are_followed(void **state)
{
	(void)state;
	char name[NAME_MAX + 1], path[PATH_MAX];
	put_key("alice", alice);
	(void)snprintf(path, sizeof path, "%s/link.pub", folder);
	assert_int_equal(symlink("alice", path), 0);
	assert_int_equal(find(name), OK);
	assert_string_equal(name, "link.pub");
}

static void folders_that_cannot_be_read_are_named(void **state)
{
	(void)state;
	char name[NAME_MAX + 1], path[PATH_MAX];
	size_t n = 7;
	(void)snprintf(path, sizeof path, "%s/none", folder);
	assert_int_equal(snek_authorized_find(name, path, data_key, sig, &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, path));
	assert_non_null(strstr(fault.text, "make it"));
	assert_int_equal(snek_authorized_check(&n, path, &fault), ERR_NOT_FOUND);
	assert_int_equal(n, 0);
	put("none", "", 0);
	assert_int_equal(snek_authorized_find(name, path, data_key, sig, &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "no folder"));
	assert_string_equal(name, "");
	assert_int_equal(snek_authorized_check(&n, path, NULL), ERR_FORMAT);
}

static void open_folders_are_warned_of(void **state)
{
	(void)state;
	char log[4096];
	size_t n;
	put_key("alice.pub", alice);
	assert_int_equal(check(&n, log), OK);
	assert_string_equal(log, "");
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(check(&n, log), OK);
	assert_non_null(strstr(log, "chmod o-w"));
}

/* As many keys as are looked at, and more: links, so that it is quick. */
static void files_are_bounded(void **state)
{
	(void)state;
	char name[NAME_MAX + 1], log[4096], path[PATH_MAX];
	size_t n;
	put_key("key", bob);
	for (unsigned i = 0; i < SNEK_AUTHORIZED_MAX; i++) {
		(void)snprintf(path, sizeof path, "%s/%u.pub", folder, i);
		assert_int_equal(symlink("key", path), 0);
	}
	assert_int_equal(check(&n, log), OK);
	assert_int_equal(n, SNEK_AUTHORIZED_MAX);
	assert_string_equal(log, "");
	(void)snprintf(path, sizeof path, "%s/more.pub", folder);
	assert_int_equal(symlink("key", path), 0);
	assert_int_equal(check(&n, log), OK);
	assert_int_equal(n, SNEK_AUTHORIZED_MAX);
	assert_non_null(strstr(log, "more than 4096"));
	assert_int_equal(find(name), ERR_AUTH);
	assert_non_null(strstr(fault.text, "(4096 tried)"));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, enter, leave)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(signers_are_found),
		IN_FOLDER(other_signatures_are_nobodys),
		IN_FOLDER(names_end_in_pub),
		IN_FOLDER(what_is_no_key_is_left_out),
		IN_FOLDER(links_are_followed),
		IN_FOLDER(folders_that_cannot_be_read_are_named),
		IN_FOLDER(open_folders_are_warned_of),
		IN_FOLDER(files_are_bounded),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
