/*
 * The place where the local API is found: a UNIX socket, and a lock beside it, PATH.lock, that shows as long as this
 * process lives that the place is taken. Knows nothing of what is spoken. The owner closes it. Private to src/control.
 */
#pragma once

#include "base/err.h"

#include <sys/types.h>
#include <sys/un.h>

struct control_listener {
	struct sockaddr_un address;
	char lock_path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int fd; /* listens, does not block; -1: it has been handed over */
	int lock;
};

/*
 * Makes both (0600, or 0660 and the group's with a group that is not (gid_t)-1; the folder 0755 when missing).
 * What a dead daemon left is replaced. ERR_EXISTS: a live one has it, or something that is no socket stands there.
 * ERR_TOO_BIG: the path does not fit. ERR_PERMISSION, ERR_NOT_FOUND, ERR_IO. On failure there is nothing to close.
 */
enum err control_listener_open(
	struct control_listener *ret, const char *path, gid_t group, int backlog, struct fault *fault);

/* Removes socket and lock where that is still allowed (a daemon that gave up root may not), and closes what is open. */
void control_listener_close(struct control_listener *listener);
