#include "inside.h"

#include "daemon/sandbox_files.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static void need_landlock(void)
{
	inside_need_root();
	if (inside_has_landlock())
		return;
	print_message("skipped: this kernel has no Landlock\n");
	skip();
}

static void other_files_are_closed_to(const struct sandbox_user *user)
{
	char config[PATH_LEN], new_config[PATH_LEN], other[PATH_LEN], new_other[PATH_LEN], state[PATH_LEN];
	need_landlock();
	(void)inside_path(config, "read/in");
	(void)inside_path(new_config, "read/new");
	(void)inside_path(other, "other/in");
	(void)inside_path(new_other, "other/new");
	(void)inside_path(state, "write/in");
#define OPEN(expected, path, flags) PROBE(openat, expected, AT_FDCWD, POINTER(path), flags, 0600)
	const struct probe probes[] = {OPEN(EACCES, "/etc/shadow", O_RDONLY), OPEN(EACCES, "/etc/passwd", O_RDONLY),
		OPEN(EACCES, "/", O_RDONLY | O_DIRECTORY), OPEN(EACCES, "/root", O_RDONLY | O_DIRECTORY),
		OPEN(EACCES, "/dev/null", O_RDWR), OPEN(EACCES, "/dev/net/tun", O_RDWR),
		OPEN(EACCES, "/tmp/jorm-sandbox-new", O_WRONLY | O_CREAT), OPEN(EACCES, config, O_WRONLY),
		OPEN(EACCES, config, O_RDONLY | O_TRUNC), OPEN(EACCES, new_config, O_WRONLY | O_CREAT),
		OPEN(EACCES, other, O_RDONLY), OPEN(EACCES, new_other, O_WRONLY | O_CREAT),
		PROBE(unlinkat, EACCES, AT_FDCWD, POINTER(config), 0),
		PROBE(mkdirat, EACCES, AT_FDCWD, POINTER(new_config), 0700),
		PROBE(renameat2, EACCES, AT_FDCWD, POINTER(config), AT_FDCWD, POINTER(new_config), 0),
		PROBE(renameat2, EACCES, AT_FDCWD, POINTER(state), AT_FDCWD, POINTER(new_other), 0)};
	inside_probe(user, probes, sizeof probes / sizeof *probes);
}

static void other_files_are_closed_to_a_user(void **state)
{
	(void)state;
	other_files_are_closed_to(&inside_nobody);
}

/* Who owns most of them, so it is Landlock alone that says no. */
static void other_files_are_closed_to_root(void **state)
{
	(void)state;
	other_files_are_closed_to(&inside_root);
}

/* A second name in the state folder would be a way to give a file away (sandbox_give_folder). To a user of its own the
 * kernel refuses it earlier where fs.protected_hardlinks is set. */
static void no_second_names(void **state)
{
	char config[PATH_LEN], other[PATH_LEN], new[PATH_LEN];
	(void)state;
	need_landlock();
	(void)inside_path(config, "read/in");
	(void)inside_path(other, "other/in");
	(void)inside_path(new, "write/new");
	const struct probe probes[] = {PROBE(linkat, EXDEV, AT_FDCWD, POINTER(config), AT_FDCWD, POINTER(new), 0),
		PROBE(linkat, EXDEV, AT_FDCWD, POINTER(other), AT_FDCWD, POINTER(new), 0)};
	inside_probe(&inside_root, probes, sizeof probes / sizeof *probes);
}

static int use_files(void *context)
{
	char path[PATH_LEN], moved[PATH_LEN];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	struct stat st;
	(void)context;
	CHECK(inside_enter(&inside_nobody, NULL, NULL) == OK);
	CHECK(inside_open("read/in", O_RDONLY) >= 0 && inside_open("read", O_RDONLY | O_DIRECTORY) >= 0);
	CHECK(stat(inside_path(path, "read/in"), &st) == 0);
	/* As SQLite does. */
	int fd = inside_open("write/draft", O_RDWR | O_CREAT);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == NOBODY);
	CHECK(fcntl(fd, F_SETLK, &lock) == 0 && fchmod(fd, 0600) == 0);
	CHECK(pwrite(fd, "page", 4, 4096) == 4 && fsync(fd) == 0 && fdatasync(fd) == 0 && ftruncate(fd, 8192) == 0);
	CHECK(close(fd) == 0);
	CHECK(link(inside_path(path, "write/draft"), inside_path(moved, "write/db")) == 0 && unlink(path) == 0);
	CHECK(rename(moved, inside_path(path, "write/db.old")) == 0 && unlink(path) == 0);
	CHECK(mkdir(inside_path(path, "write/folder"), 0700) == 0 && unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0);
	CHECK(inside_open("write/in", O_RDWR | O_TRUNC) >= 0); /* was there before */
	return 0;
}

static void the_two_folders_are_open(void **state)
{
	(void)state;
	inside_need_root();
	inside_give(&inside_nobody);
	assert_int_equal(inside_child(use_files, NULL), 0);
}

/* ---- Landlock alone: what the filter of system calls would hide ---- */

static int enter_files(void)
{
	struct sandbox_files files;
	char folder[PATH_LEN];
	CHECK(sandbox_files_prepare(&files, NULL, inside_path(folder, "write"), NULL) == OK);
	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	int version = files.version;
	CHECK(sandbox_files_enter(&files, NULL) == OK && files.ruleset < 0);
	return -version;
}

static int reach_out(void *context)
{
	const struct sockaddr_un *abstract = context;
	const socklen_t len = offsetof(struct sockaddr_un, sun_path) + 24;
	struct sockaddr any = {.sa_family = AF_INET};
	int unix_socket = socket(AF_UNIX, SOCK_STREAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
	int version = -enter_files();
	CHECK(version > 0);
	CHECK(execve("/bin/true", (char *[]){"true", NULL}, (char *[]){NULL}) < 0 && errno == EACCES);
	if (version >= 4)
		CHECK(bind(tcp, &any, sizeof any) < 0 && errno == EACCES);
	if (version >= 6) {
		CHECK(connect(unix_socket, (const struct sockaddr *)abstract, len) < 0 && errno == EPERM);
		CHECK(kill(getppid(), 0) < 0 && errno == EPERM);
	}
	CHECK(kill(getpid(), 0) == 0);
	return 0;
}

static void nobody_else_is_reached(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)state;
	need_landlock();
	(void)snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "jorm-sandbox-%010ld", (long)getpid());
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, offsetof(struct sockaddr_un, sun_path) + 24), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(inside_child(reach_out, &address), 0);
	close(listener);
}

static void folders_must_be_there(void **state)
{
	char there[PATH_LEN], missing[PATH_LEN], file[PATH_LEN];
	struct sandbox_files files = {.ruleset = 7};
	struct fault fault;
	(void)state;
	need_landlock();
	(void)inside_path(there, "write");
	(void)inside_path(missing, "missing");
	(void)inside_path(file, "write/in");
	assert_int_equal(sandbox_files_prepare(&files, missing, there, &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, missing));
	assert_int_equal(sandbox_files_prepare(&files, there, missing, &fault), ERR_NOT_FOUND);
	assert_int_equal(sandbox_files_prepare(&files, file, there, &fault), ERR_IO);
	assert_int_equal(files.ruleset, 7);
	assert_int_equal(sandbox_files_prepare(&files, there, there, &fault), OK);
	assert_true(files.ruleset >= 0 && files.version > 0);
	sandbox_files_done(&files);
	sandbox_files_done(&files);
	assert_int_equal(files.ruleset, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(other_files_are_closed_to_a_user), TEST(other_files_are_closed_to_root),
		TEST(no_second_names), TEST(the_two_folders_are_open), TEST(nobody_else_is_reached),
		TEST(folders_must_be_there)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
