/*
 * Each test forks: a child enters the sandbox and tries, the parent compares. tests/net/test_privileges.py does the
 * same to a daemon that runs.
 */
#include "inside.h"

#include "daemon/sandbox_syscalls.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what the kernel says ---- */

struct watched {
	const struct sandbox_user *user;
	int to_parent, from_parent;
};

static void *thread_wait(void *argument)
{
	char byte;
	ssize_t n = read(*(int *)argument, &byte, 1); /* until the parent closes its end */
	return n == 0 ? NULL : argument;
}

/* Has a second thread, started in the sandbox, while the parent looks. */
static int be_looked_at(void *context)
{
	struct watched *w = context;
	pthread_t thread;
	if (inside_enter(w->user, NULL, NULL) != OK)
		return 1;
	if (pthread_create(&thread, NULL, thread_wait, &w->from_parent) != 0)
		return 2;
	if (write(w->to_parent, "x", 1) != 1)
		return 3;
	thread_wait(&w->from_parent);
	return pthread_join(thread, NULL) == 0 ? 0 : 4;
}

/* The rest of the line that begins with `name` in a process's or thread's status; false: there is none. */
static bool status_of(const char *path, const char *name, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;
	while (file && !found && fgets(line, sizeof line, file)) {
		size_t len = strlen(name);
		found = strncmp(line, name, len) == 0 && line[len] == ':';
		if (found)
			(void)snprintf(out, size, "%s", line + len + 1 + strspn(line + len + 1, "\t "));
	}
	if (file)
		(void)fclose(file);
	out[strcspn(out, "\n")] = '\0';
	return found;
}

static void status_is(const char *path, const char *name, const char *expected)
{
	char value[128] = "";
	assert_true(status_of(path, name, value, sizeof value));
	if (strcmp(value, expected) != 0)
		fail_msg("%s: %s is '%s', not '%s'", path, name, value, expected);
}

static void look_at_thread(const char *path, const struct sandbox_user *user)
{
	char ids[80];
	(void)snprintf(ids, sizeof ids, "%u\t%u\t%u\t%u", user->uid, user->uid, user->uid, user->uid);
	status_is(path, "Uid", ids);
	(void)snprintf(ids, sizeof ids, "%u\t%u\t%u\t%u", user->gid, user->gid, user->gid, user->gid);
	status_is(path, "Gid", ids);
	status_is(path, "Groups", "");
	status_is(path, "CapEff", "0000000000001000"); /* CAP_NET_ADMIN is number 12 */
	status_is(path, "CapPrm", "0000000000001000");
	status_is(path, "CapBnd", "0000000000001000");
	status_is(path, "CapInh", "0000000000000000");
	status_is(path, "CapAmb", "0000000000000000");
	status_is(path, "NoNewPrivs", "1");
	status_is(path, "Seccomp", sandbox_syscalls_built() ? "2" : "0");
}

static bool limit_can_be_raised(void)
{
	struct rlimit limit;
	capng_get_caps_process();
	return capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_RESOURCE) ||
	       (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max == RLIM_INFINITY);
}

static void look_at_process(pid_t child, const struct sandbox_user *user)
{
	char path[PATH_LEN], value[128];
	(void)snprintf(path, sizeof path, "/proc/%d/task", (int)child);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	unsigned int threads = 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (*entry->d_name == '.')
			continue;
		(void)snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)child, entry->d_name);
		look_at_thread(path, user);
		threads++;
	}
	(void)closedir(folder);
	assert_int_equal(threads, 2);

	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)child);
	assert_true(status_of(path, "VmLck", value, sizeof value));
	bool is_locked = strtoul(value, NULL, 10) > 0;
	if (sandbox_syscalls_built())
		assert_int_equal(is_locked, limit_can_be_raised());
	if (!is_locked)
		print_message("memory is not locked here: %s\n",
			sandbox_syscalls_built() ? "the limit cannot be raised" : "a build with sanitisers");
	/* Who is not dumpable has its files in /proc owned by root. */
	struct stat st;
	(void)snprintf(path, sizeof path, "/proc/%d/environ", (int)child);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void look_at(const struct sandbox_user *user)
{
	int up[2], down[2], status;
	char byte;
	inside_need_root();
	inside_give(user);
	assert_true(pipe2(up, O_CLOEXEC) == 0 && pipe2(down, O_CLOEXEC) == 0);
	gid_t group = 1; /* a supplementary one, to be lost */
	assert_int_equal(setgroups(1, &group), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		close(down[1]);
		_exit(be_looked_at(&(struct watched){.user = user, .to_parent = up[1], .from_parent = down[0]}));
	}
	close(up[1]);
	ssize_t n = read(up[0], &byte, 1);
	if (n == 1)
		look_at_process(child, user);
	close(down[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(n, 1);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(up[0]);
	close(down[0]);
}

static void the_kernel_says_so_of_a_user(void **state)
{
	(void)state;
	look_at(&inside_nobody);
}

static void the_kernel_says_so_of_root(void **state)
{
	(void)state;
	look_at(&inside_root);
}

/* Locking must not bring pages in that nobody uses. */
static int measure_memory(void *context)
{
	char before[64], after[64];
	(void)context;
	void *unused = mmap(NULL, 64U << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(unused != MAP_FAILED && status_of("/proc/self/status", "VmRSS", before, sizeof before));
	sandbox_protect_memory();
	void *later = mmap(NULL, 64U << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(later != MAP_FAILED && status_of("/proc/self/status", "VmRSS", after, sizeof after));
	return strtoul(after, NULL, 10) < strtoul(before, NULL, 10) + 4096 ? 0 : 1;
}

static void locked_memory_takes_no_more_of_it(void **state)
{
	(void)state;
	inside_need_root();
	assert_int_equal(inside_child(measure_memory, NULL), 0);
}

/* ---- what is refused ---- */

static int enter_while_threads_run(void *context)
{
	int pipe_ends[2];
	struct fault fault;
	pthread_t thread;
	(void)context;
	CHECK(pipe2(pipe_ends, O_CLOEXEC) == 0);
	CHECK(pthread_create(&thread, NULL, thread_wait, &pipe_ends[0]) == 0);
	enum err err = inside_enter(&inside_nobody, NULL, &fault);
	bool is_refused = err == ERR_STATE && strstr(fault.text, "other threads run (1)") && geteuid() == 0;
	close(pipe_ends[1]);
	return pthread_join(thread, NULL) == 0 && is_refused ? 0 : 2;
}

static void other_threads_are_a_fault(void **state)
{
	(void)state;
	inside_need_root();
	if (!sandbox_syscalls_built())
		skip(); /* the sanitisers have threads of their own */
	inside_give(&inside_nobody);
	assert_int_equal(inside_child(enter_while_threads_run, NULL), 0);
}

static int enter_bad_folder(void *context)
{
	const struct sandbox_config *config = context;
	struct fault fault = {0};
	enum err err = sandbox_enter(config, NULL, &fault);
	return strstr(fault.text, config->read_folder ? config->read_folder : config->write_folder) ? (int)err : -1;
}

static void folders_must_be_there_and_open(void **state)
{
	char missing[PATH_LEN], closed[PATH_LEN];
	(void)state;
	inside_need_root();
	struct sandbox_config config = {.user = inside_nobody,
		.read_folder = inside_path(missing, "missing"),
		.write_folder = inside_path(closed, "write")};
	if (inside_has_landlock())
		assert_int_equal(inside_child(enter_bad_folder, &config), ERR_NOT_FOUND);
	config.read_folder = NULL;
	assert_int_equal(inside_child(enter_bad_folder, &config), ERR_PERMISSION); /* it is still root's */
	config.write_folder = inside_path(missing, "missing");
	assert_int_equal(inside_child(enter_bad_folder, &config), ERR_NOT_FOUND);
}

/* As in a container that was given too little. */
static int enter_without(void *context)
{
	const unsigned int *lost = context;
	struct fault fault = {0};
	capng_get_caps_process();
	capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, *lost);
	CHECK(capng_apply(CAPNG_SELECT_CAPS) == 0);
	enum err err = inside_enter(&inside_nobody, NULL, &fault);
	const char *name =
		*lost == CAP_NET_ADMIN ? "CAP_NET_ADMIN is missing" : "cannot become user nobody without CAP_SETUID";
	return err == ERR_PERMISSION && !strstr(fault.text, name) ? 1 : (int)err;
}

static void missing_rights_are_named(void **state)
{
	(void)state;
	inside_need_root();
	inside_give(&inside_nobody);
	unsigned int lost = CAP_NET_ADMIN;
	assert_int_equal(inside_child(enter_without, &lost), ERR_PERMISSION);
	lost = CAP_SETUID;
	assert_int_equal(inside_child(enter_without, &lost), ERR_PERMISSION);
	lost = CAP_SETPCAP; /* the bounding set stays, with a warning */
	assert_int_equal(inside_child(enter_without, &lost), OK);
}

/* Who starts as the user, with CAP_NET_ADMIN alone, needs no other right. */
static int enter_as_oneself(void *context)
{
	struct fault fault;
	(void)context;
	capng_clear(CAPNG_SELECT_CAPS);
	capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
	CHECK(capng_change_id(NOBODY, NOBODY, CAPNG_DROP_SUPP_GRP) == 0);
	struct sandbox_user user;
	CHECK(sandbox_user_find(&user, NULL, &fault) == OK && user.uid == NOBODY);
	enum err err = inside_enter(&user, NULL, &fault);
	if (err != OK)
		(void)fprintf(stderr, "%s\n", fault.text);
	return (int)err;
}

static void an_ordinary_user_can_enter(void **state)
{
	(void)state;
	inside_need_root();
	inside_give(&inside_nobody);
	assert_int_equal(inside_child(enter_as_oneself, NULL), OK);
}

/* ---- users and folders ---- */

static void users_are_found(void **state)
{
	struct sandbox_user user = {.uid = 7, .name = "before"};
	struct fault fault;
	(void)state;
	assert_int_equal(sandbox_user_find(&user, "no-such-user-here", &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, "there is no user 'no-such-user-here'; make it"));
	assert_int_equal(user.uid, 7);
	assert_string_equal(user.name, "before");
	assert_int_equal(sandbox_user_find(&user, "root", &fault), OK);
	assert_int_equal(user.uid, 0);
	assert_int_equal(user.gid, 0);
	assert_string_equal(user.name, "root");
	assert_int_equal(sandbox_user_find(&user, NULL, &fault), OK);
	if (geteuid() == 0)
		assert_true(strcmp(user.name, user.uid ? "jorm" : "root") == 0);
	else
		assert_int_equal(user.uid, geteuid());
}

static void owner_is(const char *name, uid_t uid)
{
	char path[PATH_LEN];
	struct stat st;
	assert_int_equal(lstat(inside_path(path, name), &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, uid);
}

static void folders_are_given(void **state)
{
	char path[PATH_LEN], other[PATH_LEN];
	struct stat st;
	(void)state;
	inside_need_root();
	assert_int_equal(sandbox_give_folder(&inside_nobody, inside_path(path, "new"), NULL), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	owner_is("new", NOBODY);

	assert_int_equal(mkdir(inside_path(path, "write/below"), 0700), 0);
	inside_make_file("write/below/deep");
	assert_int_equal(symlink(inside_path(other, "other/in"), inside_path(path, "write/link")), 0);
	assert_int_equal(mkfifo(inside_path(path, "write/fifo"), 0600), 0); /* nobody waits for its other end */
	assert_int_equal(sandbox_give_folder(&inside_nobody, inside_path(path, "write"), NULL), OK);
	owner_is("write", NOBODY);
	owner_is("write/in", NOBODY);
	owner_is("other/in", 0);
	owner_is("write/link", 0);
	owner_is("write/fifo", 0);
	owner_is("write/below", 0);
	owner_is("write/below/deep", 0);
	/* And back. */
	assert_int_equal(sandbox_give_folder(&inside_root, path, NULL), OK);
	owner_is("write", 0);
	owner_is("write/in", 0);
}

static void other_peoples_files_are_not_given(void **state)
{
	char path[PATH_LEN], other[PATH_LEN];
	struct fault fault;
	(void)state;
	inside_need_root();
	assert_int_equal(symlink(inside_path(other, "other"), inside_path(path, "link")), 0);
	assert_int_equal(sandbox_give_folder(&inside_nobody, path, &fault), ERR_STATE);
	assert_non_null(strstr(fault.text, "is a symbolic link or no folder"));
	owner_is("other", 0);
	owner_is("other/in", 0);
	assert_int_equal(sandbox_give_folder(&inside_nobody, inside_path(path, "other/in"), &fault), ERR_STATE);
	owner_is("other/in", 0);
	assert_int_equal(
		sandbox_give_folder(&inside_nobody, inside_path(path, "missing/folder"), &fault), ERR_NOT_FOUND);
	assert_int_equal(link(inside_path(other, "other/in"), inside_path(path, "write/second")), 0);
	assert_int_equal(sandbox_give_folder(&inside_nobody, inside_path(path, "write"), &fault), ERR_STATE);
	assert_non_null(strstr(fault.text, "the file second has a second name elsewhere"));
	owner_is("other/in", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(the_kernel_says_so_of_a_user), TEST(the_kernel_says_so_of_root),
		TEST(locked_memory_takes_no_more_of_it), TEST(other_threads_are_a_fault),
		TEST(folders_must_be_there_and_open), TEST(missing_rights_are_named), TEST(an_ordinary_user_can_enter),
		TEST(users_are_found), TEST(folders_are_given), TEST(other_peoples_files_are_not_given)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
