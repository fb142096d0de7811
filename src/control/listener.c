#include "control/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err paths_take(struct control_listener *l, const char *path, struct fault *fault)
{
	size_t n = strlen(path);
	l->address.sun_family = AF_UNIX;
	if (n == 0 || n >= sizeof(l->address.sun_path))
		return fault_set(fault, ERR_TOO_BIG,
			"%s: a socket's path has 1 to %zu bytes: give another ControlSocket", path,
			sizeof(l->address.sun_path) - 1);
	memcpy(l->address.sun_path, path, n + 1);
	snprintf(l->lock_path, sizeof(l->lock_path), "%s.lock", l->address.sun_path);
	char folder[sizeof(l->address.sun_path)];
	memcpy(folder, path, n + 1);
	char *slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		if (mkdir(folder, 0755) < 0 && errno != EEXIST)
			return fault_errno(fault, "cannot make the folder %s of the control socket", folder);
	}
	return OK;
}

/* The lock is held while this process lives; it tells a live daemon from what a dead one left. */
static enum err lock_take(struct control_listener *l, struct fault *fault)
{
	for (;;) {
		struct stat held, named;
		l->lock = open(l->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (l->lock < 0)
			return fault_errno(fault, "cannot make %s", l->lock_path);
		if (flock(l->lock, LOCK_EX | LOCK_NB) < 0)
			return fault_set(fault, ERR_EXISTS,
				"a tunnel is already running with the control socket %s: take it down first, "
				"or give this one another ControlSocket",
				l->address.sun_path);
		/* the one who had it may have removed the file between our two calls */
		if (fstat(l->lock, &held) == 0 && stat(l->lock_path, &named) == 0 && held.st_ino == named.st_ino &&
			held.st_dev == named.st_dev)
			return OK;
		close(l->lock);
	}
}

/* Removes the socket of a dead daemon; leaves everything else alone. */
static enum err stale_remove(const struct control_listener *l, struct fault *fault)
{
	const char *path = l->address.sun_path;
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? OK : fault_errno(fault, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return fault_set(fault, ERR_EXISTS, "%s exists and is no socket: give another ControlSocket", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault_errno(fault, "cannot make a socket");
	bool dead = connect(fd, (const struct sockaddr *)&l->address, sizeof(l->address)) < 0 && errno == ECONNREFUSED;
	close(fd);
	if (!dead)
		return fault_set(fault, ERR_EXISTS,
			"another program is already running behind %s: give another ControlSocket", path);
	return unlink(path) == 0 ? OK : fault_errno(fault, "cannot remove the stale socket %s", path);
}

/* The group first, the mode then: at no moment does another group have access. */
static enum err group_give(const struct control_listener *l, gid_t group, struct fault *fault)
{
	const char *path = l->address.sun_path;
	if (group != (gid_t)-1 && (lchown(path, (uid_t)-1, group) < 0 || chmod(path, 0660) < 0))
		return fault_errno(fault, "cannot give the control socket %s to its group", path);
	return OK;
}

static enum err socket_open(struct control_listener *l, gid_t group, int backlog, struct fault *fault)
{
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Linux gives the file the mode of the unbound socket: it is never open to others, not even for a moment */
	if (l->fd < 0 || fchmod(l->fd, 0600) < 0 || bind(l->fd, (struct sockaddr *)&l->address, sizeof(l->address)) < 0)
		return fault_errno(fault, "cannot make the control socket %s", l->address.sun_path);
	enum err e = listen(l->fd, backlog) < 0 ? fault_errno(fault, "cannot listen on %s", l->address.sun_path)
						: group_give(l, group, fault);
	if (e)
		unlink(l->address.sun_path);
	return e;
}

enum err control_listener_open(
	struct control_listener *ret, const char *path, gid_t group, int backlog, struct fault *fault)
{
	*ret = (struct control_listener){.fd = -1, .lock = -1};
	enum err e = paths_take(ret, path, fault);
	if (e)
		return e;
	e = lock_take(ret, fault);
	bool locked = e == OK;
	if (e == OK)
		e = stale_remove(ret, fault);
	if (e == OK)
		e = socket_open(ret, group, backlog, fault);
	if (e == OK)
		return OK;
	if (locked)
		unlink(ret->lock_path);
	if (ret->fd >= 0)
		close(ret->fd);
	if (ret->lock >= 0)
		close(ret->lock);
	*ret = (struct control_listener){.fd = -1, .lock = -1};
	return e;
}

void control_listener_close(struct control_listener *listener)
{
	unlink(listener->address.sun_path);
	unlink(listener->lock_path);
	if (listener->fd >= 0)
		close(listener->fd);
	if (listener->lock >= 0)
		close(listener->lock);
	*listener = (struct control_listener){.fd = -1, .lock = -1};
}
