#include "control/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER CONTROL_CLIENTS_MAX /* its number among the events' data */

/* Someone connected: first its request comes in, then the answer goes out. */
struct client {
	int fd; /* -1: free */
	usec deadline;
	char request[CONTROL_REQUEST_MAX + 1];
	size_t request_len;
	char *answer; /* owned; NULL: still reading */
	size_t answer_len, answer_at;
};

struct control_server {
	struct sockaddr_un address;
	char lock_path[sizeof(((struct sockaddr_un *)0)->sun_path) + 8];
	int epoll, listener, lock;
	uid_t owner;
	control_answer *answer;
	void *ctx;
	bool listening; /* the listener is watched: there is room for a client */
	struct client clients[CONTROL_CLIENTS_MAX];
};

/* ---- clients --------------------------------------------------------------------------------- */

static void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->answer);
	*c = (struct client){.fd = -1};
}

/* Sends what the socket takes; closes when all is sent. */
static void client_write(struct client *c)
{
	while (c->answer_at < c->answer_len) {
		ssize_t n = send(
			c->fd, c->answer + c->answer_at, c->answer_len - c->answer_at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			break;
		c->answer_at += (size_t)n;
	}
	client_close(c);
}

static void client_answer(struct control_server *s, struct client *c, json_t *document)
{
	if (!document)
		document = json_pack("{s:s}", "error", "unknown request: this daemon knows status and down");
	c->answer = document ? json_dumps(document, JSON_COMPACT) : NULL;
	json_decref(document);
	if (!c->answer) {
		client_close(c);
		return;
	}
	c->answer_len = strlen(c->answer);
	struct epoll_event event = {.events = EPOLLOUT, .data.u32 = (uint32_t)(c - s->clients)};
	if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &event) < 0)
		client_close(c);
	else
		client_write(c);
}

static void client_read(struct control_server *s, struct client *c)
{
	/* one byte more than a request may have shows that it is too long */
	ssize_t n = recv(c->fd, c->request + c->request_len, sizeof(c->request) - c->request_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(c);
		return;
	}
	c->request_len += (size_t)n;
	char *newline = memchr(c->request, '\n', c->request_len);
	if (newline) {
		*newline = '\0';
		client_answer(s, c, s->answer(s->ctx, c->request));
	} else if (c->request_len == sizeof(c->request)) {
		client_answer(s, c, json_pack("{s:s}", "error", "the request is too long"));
	}
}

static bool client_is_trusted(const struct control_server *s, int fd)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == 0 || who.uid == s->owner);
}

static struct client *client_free_slot(struct control_server *s)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (s->clients[i].fd < 0)
			return &s->clients[i];
	}
	return NULL;
}

/* Takes the next one in the queue. */
static void client_accept(struct control_server *s, usec now)
{
	struct client *c = client_free_slot(s);
	if (!c)
		return;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(c - s->clients)};
	if (!client_is_trusted(s, fd) || epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) < 0) {
		close(fd);
		return;
	}
	*c = (struct client){.fd = fd, .deadline = now + CONTROL_DEADLINE};
}

/* ---- the server ------------------------------------------------------------------------------ */

/* While there is no room the listener is not watched: it would be readable all the time. */
static void listener_watch(struct control_server *s)
{
	bool wanted = client_free_slot(s) != NULL;
	struct epoll_event event = {.events = wanted ? EPOLLIN : 0, .data.u32 = LISTENER};
	if (wanted != s->listening && epoll_ctl(s->epoll, EPOLL_CTL_MOD, s->listener, &event) == 0)
		s->listening = wanted;
}

int control_server_fd(const struct control_server *server)
{
	return server->epoll;
}

usec control_server_handle(struct control_server *server, usec now)
{
	struct epoll_event events[CONTROL_CLIENTS_MAX + 1];
	int n = epoll_wait(server->epoll, events, CONTROL_CLIENTS_MAX + 1, 0);
	for (int i = 0; i < n; i++) {
		if (events[i].data.u32 == LISTENER) {
			client_accept(server, now);
			continue;
		}
		struct client *c = &server->clients[events[i].data.u32];
		if (c->fd >= 0 && c->answer)
			client_write(c);
		else if (c->fd >= 0)
			client_read(server, c);
	}
	usec next = USEC_NEVER;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *c = &server->clients[i];
		if (c->fd >= 0 && c->deadline <= now)
			client_close(c);
		else if (c->fd >= 0 && c->deadline < next)
			next = c->deadline;
	}
	listener_watch(server);
	return next;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static enum err paths_take(struct control_server *s, const char *path, struct fault *fault)
{
	size_t n = strlen(path);
	s->address.sun_family = AF_UNIX;
	if (n == 0 || n >= sizeof(s->address.sun_path))
		return fault_set(fault, ERR_TOO_BIG,
			"%s: a socket's path has 1 to %zu bytes: give another ControlSocket", path,
			sizeof(s->address.sun_path) - 1);
	memcpy(s->address.sun_path, path, n + 1);
	snprintf(s->lock_path, sizeof(s->lock_path), "%s.lock", s->address.sun_path);
	char folder[sizeof(s->address.sun_path)];
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
static enum err lock_take(struct control_server *s, struct fault *fault)
{
	for (;;) {
		struct stat held, named;
		s->lock = open(s->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (s->lock < 0)
			return fault_errno(fault, "cannot make %s", s->lock_path);
		if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
			return fault_set(fault, ERR_EXISTS,
				"a tunnel is already running with the control socket %s: take it down first, "
				"or give this one another ControlSocket",
				s->address.sun_path);
		/* the one who had it may have removed the file between our two calls */
		if (fstat(s->lock, &held) == 0 && stat(s->lock_path, &named) == 0 && held.st_ino == named.st_ino &&
			held.st_dev == named.st_dev)
			return OK;
		close(s->lock);
	}
}

/* Removes the socket of a dead daemon; leaves everything else alone. */
static enum err stale_remove(const struct control_server *s, struct fault *fault)
{
	const char *path = s->address.sun_path;
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? OK : fault_errno(fault, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode))
		return fault_set(fault, ERR_EXISTS, "%s exists and is no socket: give another ControlSocket", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault_errno(fault, "cannot make a socket");
	bool dead = connect(fd, (const struct sockaddr *)&s->address, sizeof(s->address)) < 0 && errno == ECONNREFUSED;
	close(fd);
	if (!dead)
		return fault_set(fault, ERR_EXISTS,
			"another program is already running behind %s: give another ControlSocket", path);
	return unlink(path) == 0 ? OK : fault_errno(fault, "cannot remove the stale socket %s", path);
}

static enum err listener_open(struct control_server *s, struct fault *fault)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = LISTENER};
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Linux gives the file the mode of the unbound socket: it is never open to others, not even for a moment */
	if (s->listener < 0 || fchmod(s->listener, 0600) < 0 ||
		bind(s->listener, (struct sockaddr *)&s->address, sizeof(s->address)) < 0)
		return fault_errno(fault, "cannot make the control socket %s", s->address.sun_path);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (listen(s->listener, CONTROL_CLIENTS_MAX) < 0 || s->epoll < 0 ||
		epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &event) < 0) {
		enum err e = fault_errno(fault, "cannot listen on %s", s->address.sun_path);
		unlink(s->address.sun_path);
		return e;
	}
	s->listening = true;
	return OK;
}

enum err control_server_open(
	struct control_server **ret, const char *path, control_answer *answer, void *ctx, struct fault *fault)
{
	struct control_server *s = calloc(1, sizeof(*s));
	*ret = NULL;
	if (!s)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	s->epoll = s->listener = s->lock = -1;
	s->answer = answer;
	s->ctx = ctx;
	s->owner = geteuid();
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		s->clients[i].fd = -1;
	enum err e = paths_take(s, path, fault);
	bool locked = false;
	if (e == OK) {
		e = lock_take(s, fault);
		locked = e == OK;
	}
	if (e == OK)
		e = stale_remove(s, fault);
	if (e == OK)
		e = listener_open(s, fault);
	if (e == OK) {
		*ret = s;
		return OK;
	}
	if (locked)
		unlink(s->lock_path);
	const int fds[] = {s->epoll, s->listener, s->lock};
	for (size_t i = 0; i < 3; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
	free(s);
	return e;
}

void control_server_close(struct control_server *server)
{
	if (!server)
		return;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (server->clients[i].fd >= 0 && server->clients[i].answer)
			client_write(&server->clients[i]);
		client_close(&server->clients[i]);
	}
	unlink(server->address.sun_path);
	unlink(server->lock_path);
	close(server->epoll);
	close(server->listener);
	close(server->lock);
	free(server);
}
