#include "inside.h"

#include "daemon/sandbox_syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_LIMIT_S 60

const struct sandbox_user inside_nobody = {.uid = NOBODY, .gid = NOBODY, .name = "nobody"};
const struct sandbox_user inside_root = {.name = "root"};

static char top[64];

/* ---- folders ---- */

const char *inside_path(char out[static PATH_LEN], const char *name)
{
	(void)snprintf(out, PATH_LEN, "%s/%.100s", top, name);
	return out;
}

int inside_open(const char *name, int flags)
{
	char path[PATH_LEN];
	return open(*name == '/' ? name : inside_path(path, name), flags | O_CLOEXEC, 0644);
}

void inside_make_file(const char *name)
{
	int fd = inside_open(name, O_CREAT | O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "text", 4), 4);
	close(fd);
}

int inside_set_up(void **state)
{
	static const char *const folders[] = {"read", "write", "other"};
	static const char *const files[] = {"read/in", "write/in", "other/in"};
	char path[PATH_LEN];
	(void)state;
	(void)snprintf(top, sizeof top, "/tmp/jorm-sandbox-XXXXXX");
	if (!mkdtemp(top) || chmod(top, 0755) < 0)
		return -1;
	for (size_t i = 0; i < 3; i++) {
		if (mkdir(inside_path(path, folders[i]), 0755) < 0)
			return -1;
		inside_make_file(files[i]);
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

int inside_clean_up(void **state)
{
	(void)state;
	return nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- what a test needs ---- */

void inside_need_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("skipped: only root has rights to drop\n");
	skip();
}

void inside_need_filter(void)
{
	if (sandbox_syscalls_built())
		return;
	print_message("skipped: a build with sanitisers has no filter of system calls, and threads of its own\n");
	skip();
}

bool inside_has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0L, 1L) > 0;
}

/* ---- children ---- */

void inside_give(const struct sandbox_user *user)
{
	char path[PATH_LEN];
	assert_int_equal(sandbox_give_folder(user, inside_path(path, "write"), NULL), OK);
}

enum err inside_enter(const struct sandbox_user *user, char *ret_text, struct fault *fault)
{
	char read_folder[PATH_LEN], write_folder[PATH_LEN];
	struct fault own = {0};
	const struct sandbox_config config = {.user = *user,
		.read_folder = inside_path(read_folder, "read"),
		.write_folder = inside_path(write_folder, "write")};
	enum err err = sandbox_enter(&config, ret_text, fault ? fault : &own);
	if (err != OK && !fault)
		(void)fprintf(stderr, "%s\n", own.text);
	return err;
}

int inside_child(int (*fn)(void *context), void *context)
{
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(CHILD_LIMIT_S);
		_exit(fn(context));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1 - WTERMSIG(status);
}

/* ---- probes ---- */

struct attempt {
	int (*enter)(void *context);
	void *context;
	const struct probe *probes;
	size_t n;
	int to_parent;
};

static int try_all(void *context)
{
	const struct attempt *a = context;
	pid_t self = getpid();
	if (a->enter(a->context) != 0)
		return 1;
	for (size_t i = 0; i < a->n; i++) {
		const struct probe *p = &a->probes[i];
		errno = 0;
		long result = syscall(p->number, p->arguments[0], p->arguments[1], p->arguments[2], p->arguments[3],
			p->arguments[4], p->arguments[5]);
		int error = result == -1 ? errno : 0;
		if (getpid() != self)
			_exit(0); /* a process more: what was to be shown impossible */
		if (write(a->to_parent, &error, sizeof error) != (ssize_t)sizeof error)
			return 2;
	}
	return 0;
}

void inside_probe_by(int (*enter)(void *context), void *context, const struct probe *probes, size_t n)
{
	int ends[2];
	unsigned int wrong = 0;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	int code = inside_child(try_all, &(struct attempt){enter, context, probes, n, ends[1]});
	close(ends[1]);
	for (size_t i = 0; i < n; i++) {
		int error;
		if (read(ends[0], &error, sizeof error) != (ssize_t)sizeof error)
			fail_msg("%s: there was no answer (exit code %d)", probes[i].name, code);
		if (error != probes[i].expected) {
			print_error("%s: %s, not %s\n", probes[i].name, strerror(error), strerror(probes[i].expected));
			wrong++;
		}
	}
	close(ends[0]);
	assert_int_equal(code, 0);
	assert_int_equal(wrong, 0);
}

static int enter_as(void *context)
{
	return inside_enter(context, NULL, NULL) == OK ? 0 : 1;
}

void inside_probe(const struct sandbox_user *user, const struct probe *probes, size_t n)
{
	struct sandbox_user own = *user;
	inside_give(user);
	inside_probe_by(enter_as, &own, probes, n);
}
