/*
 * What the daemon gives up after set-up (docs/threat-model.md, "A daemon taken over"): its user, all capabilities but
 * CAP_NET_ADMIN, new privileges, nearly all system calls, the file system but its two folders. Before any thread
 * starts: all of it is inherited by them.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Who the daemon will run as. */
struct sandbox_user {
	uid_t uid;
	gid_t gid;
	char name[32]; /* "root" when there is no user of its own */
};
/* `name`: the configuration's User, or NULL for "jorm" where there is one and root elsewhere. ERR_NOT_FOUND: no such user. */
enum err sandbox_user_find(struct sandbox_user *ret, const char *name, struct fault *fault);

struct sandbox_config {
	struct sandbox_user user;
	const char *read_folder;  /* the configuration's; may be NULL */
	const char *write_folder; /* the state's */
};

/*
 * Core dumps off, memory locked, user and capabilities dropped, no_new_privs, Landlock, seccomp, in that order. What
 * the kernel lacks (Landlock before 5.13, ...) is left out with a warning in the log; *ret_text (256 bytes, may be NULL) says in one line what
 * holds. Whatever the kernel has and refuses is an error: ERR_PERMISSION, ERR_IO.
 */
enum err sandbox_enter(const struct sandbox_config *config, char *ret_text, struct fault *fault);
/* The first part alone, before any secret is read: core dumps off, not dumpable, memory locked. */
void sandbox_protect_memory(void);
