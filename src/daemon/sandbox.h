/*
 * What the daemon gives up after set-up (docs/threat-model.md, "A daemon taken over"; docs/decisions/0017): its user,
 * all capabilities but CAP_NET_ADMIN, new privileges, nearly all system calls, the file system but its two folders.
 * Before any thread starts: all of it is inherited by them.
 *
 * Here are the order, the memory, the user and the capabilities; Landlock is in sandbox_files.h, seccomp in
 * sandbox_syscalls.h. A build with sanitisers has less of it, since those need more; its text says so.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SANDBOX_TEXT_LEN 256 /* of the line that says what holds, with its NUL */

/* Who the daemon will run as. */
struct sandbox_user {
	uid_t uid;
	gid_t gid;
	char name[32]; /* "root" when there is no user of its own */
};

/*
 * `name`: the configuration's User, or NULL for "jorm" where there is one and whoever we are elsewhere. To be asked
 * before the sandbox, since it reads the host's list of users. ERR_NOT_FOUND: no such user; ERR_IO: the list cannot be
 * read.
 */
enum err sandbox_user_find(struct sandbox_user *ret, const char *name, struct fault *fault);

/*
 * Makes a folder the user's: makes it (0700) if it is missing, and chowns it and the regular files directly in it. A
 * symbolic link is not followed, neither in place of the folder nor in it, and a file with several names is refused,
 * because it may be somebody else's, too. ERR_PERMISSION, ERR_IO, ERR_STATE (it is a symbolic link or no folder, or
 * holds such a file).
 */
enum err sandbox_give_folder(const struct sandbox_user *user, const char *folder, struct fault *fault);

struct sandbox_config {
	struct sandbox_user user;
	const char *read_folder;  /* the configuration's; may be NULL */
	const char *write_folder; /* the state's */
};

/*
 * Core dumps off, memory locked, user and capabilities dropped, no_new_privs, Landlock, seccomp, in that order. What
 * the kernel lacks (Landlock before 5.13, ...) is left out with a warning in the log; *ret_text (SANDBOX_TEXT_LEN
 * bytes, may be NULL) says in one line what holds. Whatever the kernel has and refuses is an error: ERR_PERMISSION,
 * ERR_IO, ERR_NOT_FOUND (a folder); ERR_STATE: the process has other threads, which would stay outside. After an error
 * the process may have lost some of its rights and is to end.
 */
enum err sandbox_enter(const struct sandbox_config *config, char *ret_text, struct fault *fault);

/* The first part alone, before any secret is read: core dumps off, not dumpable, memory locked. */
void sandbox_protect_memory(void);
bool sandbox_memory_is_locked(void); /* also false before that */

/* ERR_STATE: the process has other threads, which would keep what this one gives up (a fault of the program). Without
 * /proc, and in a build with sanitisers, which have threads of their own, nobody can tell: OK. */
enum err sandbox_check_alone(struct fault *fault);
