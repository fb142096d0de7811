/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/secret.h"
#include "crypto/keyfile.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each test works in its own empty directory, which is the working directory meanwhile. */
static char home[] = "/tmp/jorm-keyfile-XXXXXX";
static struct fault fault;

static int enter(void **state)
{
	(void)state;
	(void)umask(0); /* modes must not depend on it */
	memset(&fault, 0, sizeof fault);
	memcpy(home + sizeof home - 7, "XXXXXX", 6);
	return mkdtemp(home) && chdir(home) == 0 ? 0 : -1;
}

/* Removes what is in `path` and path itself; tests make no deeper trees. */
static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir)
		return;
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	(void)closedir(dir);
	(void)rmdir(path);
}

static int leave(void **state)
{
	(void)state;
	remove_dir("keys");
	remove_dir(".");
	return chdir("/") == 0 && rmdir(home) == 0 ? 0 : -1;
}

static unsigned count_entries(const char *path)
{
	unsigned n = 0;
	DIR *dir = opendir(path);
	assert_non_null(dir);
	for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
		n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
	assert_int_equal(closedir(dir), 0);
	return n;
}

static void put(const char *path, const void *data, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static void assert_mode(const char *path, mode_t mode)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

/* A fault is right when it names the file and has the remedy's word. */
static void assert_fault(enum err code, const char *path, const char *remedy)
{
	assert_int_equal(fault.code, code);
	if (!strstr(fault.text, path) || !strstr(fault.text, remedy))
		fail_msg("\"%s\" names not both %s and %s", fault.text, path, remedy);
}

static struct identity *identity(enum sig_alg alg)
{
	struct identity *id;
	const uint8_t seed[SIG_SEED_LEN] = {5};
	assert_int_equal(identity_generate(&id, alg, seed), OK);
	return id;
}

static void pairs_are_written_and_read(void **state)
{
	(void)state;
	const enum sig_alg algs[] = {SIG_ML_DSA_65, SIG_ML_DSA_87};
	for (size_t i = 0; i < 2; i++) {
		struct identity *id = identity(algs[i]), *back;
		struct sig_public public_key;
		assert_int_equal(keyfile_write_pair(id, "keys", &fault), OK);
		assert_mode("keys", 0700);
		assert_mode("keys/snek-cert.priv", 0600);
		assert_mode("keys/snek-cert.pub", 0644);
		assert_int_equal(count_entries("keys"), 2);
		assert_int_equal(keyfile_read_private(&back, "keys/snek-cert.priv", &fault), OK);
		assert_memory_equal(identity_key_id(back), identity_key_id(id), KEY_ID_LEN);
		assert_int_equal(keyfile_read_public(&public_key, "keys/snek-cert.pub", &fault), OK);
		assert_int_equal(public_key.alg, algs[i]);
		assert_memory_equal(public_key.bytes, identity_public(id)->bytes, sig_public_len(algs[i]));
		identity_free(back);
		identity_free(id);
		remove_dir("keys");
	}
}

static void directories_may_exist(void **state)
{
	(void)state;
	struct identity *id = identity(SIG_ML_DSA_65);
	assert_int_equal(mkdir("keys", 0755), 0);
	assert_int_equal(keyfile_write_pair(id, "keys", NULL), OK);
	assert_mode("keys", 0755);
	assert_int_equal(count_entries("keys"), 2);
	identity_free(id);
}

/* Either name being taken leaves everything as it was; a dangling symbolic link takes it too. */
static void nothing_is_overwritten(void **state)
{
	(void)state;
	struct identity *id = identity(SIG_ML_DSA_65);
	const char *names[] = {"keys/snek-cert.priv", "keys/snek-cert.pub"};
	for (size_t i = 0; i < 2; i++) {
		char content[4] = "";
		assert_int_equal(mkdir("keys", 0700), 0);
		put(names[i], "old", 3, 0600);
		assert_int_equal(keyfile_write_pair(id, "keys", &fault), ERR_EXISTS);
		assert_fault(ERR_EXISTS, names[i], "move it away");
		assert_int_equal(count_entries("keys"), 1);
		int fd = open(names[i], O_RDONLY | O_CLOEXEC);
		assert_int_equal(read(fd, content, 3), 3);
		assert_string_equal(content, "old");
		assert_int_equal(close(fd), 0);
		assert_int_equal(unlink(names[i]), 0);

		assert_int_equal(symlink("nowhere", names[i]), 0);
		assert_int_equal(keyfile_write_pair(id, "keys", &fault), ERR_EXISTS);
		assert_int_equal(count_entries("keys"), 1);
		remove_dir("keys");
	}
	identity_free(id);
}

/* A limit on the file size stands for a full disk: writing stops within the private key (4032 bytes),
 * the public one (1952), or at once. */
static void full_disks_leave_nothing(void **state)
{
	(void)state;
	struct identity *id = identity(SIG_ML_DSA_65);
	struct rlimit before, limit;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
	const rlim_t sizes[] = {0, 1, 1951, 4031};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		for (int existed = 0; existed < 2; existed++) {
			if (existed)
				assert_int_equal(mkdir("keys", 0700), 0);
			limit.rlim_cur = sizes[i];
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
			enum err result = keyfile_write_pair(id, "keys", &fault);
			assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
			assert_int_equal(result, ERR_IO);
			assert_fault(ERR_IO, "keys/snek-cert.priv", "make room");
			if (existed)
				assert_int_equal(count_entries("keys"), 0);
			else
				assert_int_equal(access("keys", F_OK), -1);
			remove_dir("keys");
		}
	}
	(void)signal(SIGXFSZ, handler);
	identity_free(id);
}

/* A disk with room for the private key alone, one page. */
static void room_for_one_leaves_nothing(void **state)
{
	(void)state;
	assert_int_equal(mkdir("keys", 0700), 0);
	if (mount("jorm-test", "keys", "tmpfs", MS_NOSUID | MS_NODEV, "size=4096,mode=0700") != 0) {
		print_message("needs the right to mount a tmpfs\n");
		skip();
	}
	struct identity *id = identity(SIG_ML_DSA_65);
	enum err result = keyfile_write_pair(id, "keys", &fault);
	unsigned left = count_entries("keys");
	int unmounted = umount2("keys", MNT_DETACH);
	identity_free(id);
	assert_int_equal(unmounted, 0);
	assert_int_equal(result, ERR_IO);
	assert_fault(ERR_IO, "keys/snek-cert.pub", "make room");
	assert_int_equal(left, 0);
}

static void bad_directories_are_named(void **state)
{
	(void)state;
	struct identity *id = identity(SIG_ML_DSA_65);
	assert_int_equal(keyfile_write_pair(id, "no/keys", &fault), ERR_NOT_FOUND);
	assert_fault(ERR_NOT_FOUND, "no/keys", "parent");
	put("keys", "", 0, 0600);
	assert_int_equal(keyfile_write_pair(id, "keys", &fault), ERR_IO);
	assert_fault(ERR_IO, "keys", "choose another");
	assert_int_equal(unlink("keys"), 0);
	identity_free(id);
}

static void private_keys_must_be_private(void **state)
{
	(void)state;
	struct identity *id = identity(SIG_ML_DSA_65), *back;
	uint8_t psk[32];
	const char path[] = "keys/snek-cert.priv";
	assert_int_equal(keyfile_write_pair(id, "keys", &fault), OK);
	const mode_t refused[] = {0640, 0620, 0604, 0602, 0644, 0666, 0601};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		assert_int_equal(chmod(path, refused[i]), 0);
		assert_int_equal(keyfile_read_private(&back, path, &fault), ERR_PERMISSION);
		assert_null(back);
		assert_fault(ERR_PERMISSION, path, "chmod 600");
		assert_int_equal(keyfile_read_psk(psk, path, &fault), ERR_PERMISSION);
	}
	const mode_t taken[] = {0600, 0400, 0700};
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
		assert_int_equal(chmod(path, taken[i]), 0);
		assert_int_equal(keyfile_read_private(&back, path, &fault), OK);
		identity_free(back);
	}
	/* Public keys may be read and even written by anybody: they are only compared. */
	struct sig_public public_key;
	assert_int_equal(chmod("keys/snek-cert.pub", 0666), 0);
	assert_int_equal(keyfile_read_public(&public_key, "keys/snek-cert.pub", &fault), OK);
	identity_free(id);
}

/* As the older program wrote it. */
static void private_keys_may_be_readable_where_asked(void **state)
{
	(void)state;
	struct identity *id = identity(SIG_ML_DSA_65), *back;
	const char path[] = "keys/snek-cert.priv";
	bool others;
	assert_int_equal(keyfile_write_pair(id, "keys", &fault), OK);
	const struct {
		mode_t mode;
		bool others;
	} taken[] = {
		{0600, false}, {0400, false}, {0644, true}, {0640, true}, {0604, true}, {0755, true}, {0711, false}};
	for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
		assert_int_equal(chmod(path, taken[i].mode), 0);
		others = !taken[i].others;
		assert_int_equal(keyfile_read_private_lenient(&back, path, &others, &fault), OK);
		assert_int_equal(others, taken[i].others);
		assert_memory_equal(identity_key_id(back), identity_key_id(id), KEY_ID_LEN);
		identity_free(back);
	}
	const mode_t refused[] = {0660, 0620, 0602, 0666, 0777};
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		assert_int_equal(chmod(path, refused[i]), 0);
		others = true;
		assert_int_equal(keyfile_read_private_lenient(&back, path, &others, &fault), ERR_PERMISSION);
		assert_null(back);
		assert_false(others);
		assert_fault(ERR_PERMISSION, path, "chmod 600");
	}
	assert_int_equal(keyfile_read_private_lenient(&back, "none", &others, &fault), ERR_NOT_FOUND);
	assert_fault(ERR_NOT_FOUND, "none", "correct the path");
	identity_free(id);
}

static void other_users_keys_are_refused(void **state)
{
	(void)state;
	struct identity *id, *back;
	const char path[] = "keys/snek-cert.priv";
	if (geteuid() != 0) {
		print_message("needs root to give a file away\n");
		skip();
	}
	id = identity(SIG_ML_DSA_65);
	assert_int_equal(keyfile_write_pair(id, "keys", &fault), OK);
	assert_int_equal(chown(path, 65534, (gid_t)-1), 0);
	assert_int_equal(keyfile_read_private(&back, path, &fault), ERR_PERMISSION);
	assert_fault(ERR_PERMISSION, path, "chown");
	bool others;
	assert_int_equal(keyfile_read_private_lenient(&back, path, &others, &fault), ERR_PERMISSION);
	assert_fault(ERR_PERMISSION, path, "chown");
	identity_free(id);
}

static void what_is_no_key_is_refused(void **state)
{
	(void)state;
	struct identity *id = identity(SIG_ML_DSA_65), *back;
	struct sig_public public_key;
	static uint8_t bytes[SIG_PRIVATE_MAX + 100];
	const size_t lengths[] = {0, 1, 1951, 1953, 4031, 4033, 4897, sizeof bytes};
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		put("key", bytes, lengths[i], 0600);
		assert_int_equal(keyfile_read_private(&back, "key", &fault), ERR_FORMAT);
		assert_null(back);
		assert_fault(ERR_FORMAT, "key", "4032");
		assert_int_equal(keyfile_read_public(&public_key, "key", &fault), ERR_FORMAT);
		assert_int_equal(public_key.alg, 0);
		assert_fault(ERR_FORMAT, "key", "1952");
	}
	put("key", bytes, 4032, 0600);
	assert_int_equal(keyfile_read_private(&back, "key", &fault), ERR_FORMAT);
	assert_fault(ERR_FORMAT, "key", "damaged");

	assert_int_equal(keyfile_read_private(&back, "none", &fault), ERR_NOT_FOUND);
	assert_fault(ERR_NOT_FOUND, "none", "correct the path");
	assert_int_equal(keyfile_read_private(&back, ".", &fault), ERR_FORMAT);
	assert_fault(ERR_FORMAT, ".", "not a regular file");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	assert_int_equal(keyfile_read_private(&back, "fifo", &fault), ERR_FORMAT);
	assert_fault(ERR_FORMAT, "fifo", "not a regular file");
	assert_int_equal(keyfile_read_private(&back, "none", NULL), ERR_NOT_FOUND);
	identity_free(id);
}

static void psks_are_read(void **state)
{
	(void)state;
	static const char text[] = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n";
	uint8_t psk[32], expected[32], zeros[32] = {0};
	for (size_t i = 0; i < sizeof expected; i++)
		expected[i] = (uint8_t)(i + 1);
	const struct {
		const void *data;
		size_t len;
		enum err result;
	} cases[] = {
		{text, 45, OK},
		{text, 44, OK},
		{expected, 32, OK},
		{text, 43, ERR_FORMAT},
		{text, 0, ERR_FORMAT},
		{expected, 31, ERR_FORMAT},
		{"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n\n", 46, ERR_FORMAT},
		{"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA= ", 45, ERR_FORMAT},
		{"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB=\n", 45, ERR_FORMAT},
		{" AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHy=", 44, ERR_FORMAT},
		{"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 45, ERR_FORMAT},
		{zeros, 32, ERR_FORMAT},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put("psk", cases[i].data, cases[i].len, 0600);
		memset(psk, 7, sizeof psk);
		assert_int_equal(keyfile_read_psk(psk, "psk", &fault), cases[i].result);
		if (cases[i].result == OK) {
			assert_memory_equal(psk, expected, sizeof psk);
		} else {
			assert_true(secret_is_zero(psk, sizeof psk));
			assert_fault(ERR_FORMAT, "psk", "head -c 32 /dev/urandom | base64");
			assert_null(strstr(fault.text, "AQID")); /* no key bytes */
		}
	}
	assert_int_equal(keyfile_read_psk(psk, "none", &fault), ERR_NOT_FOUND);
	assert_fault(ERR_NOT_FOUND, "none", "correct the path");
}

int main(void)
{
#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter, leave)
	const struct CMUnitTest tests[] = {
		IN_DIRECTORY(pairs_are_written_and_read),
		IN_DIRECTORY(directories_may_exist),
		IN_DIRECTORY(nothing_is_overwritten),
		IN_DIRECTORY(full_disks_leave_nothing),
		IN_DIRECTORY(room_for_one_leaves_nothing),
		IN_DIRECTORY(bad_directories_are_named),
		IN_DIRECTORY(private_keys_must_be_private),
		IN_DIRECTORY(private_keys_may_be_readable_where_asked),
		IN_DIRECTORY(other_users_keys_are_refused),
		IN_DIRECTORY(what_is_no_key_is_refused),
		IN_DIRECTORY(psks_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
