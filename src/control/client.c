#include "control/client.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MAX (64U << 20) /* some 100,000 peers; a daemon that says more is broken */

static enum err connect_fault(const char *path, struct fault *fault)
{
	switch (errno) {
	case ENOENT:
	case ECONNREFUSED:
	case ENOTSOCK:
		return fault_set(fault, ERR_NOT_FOUND, "no tunnel is up at %s: start it with jorm up", path);
	case EACCES:
	case EPERM:
		return fault_set(fault, ERR_PERMISSION, "%s: permission denied: run this as root", path);
	case EAGAIN:
		return fault_set(fault, ERR_AGAIN, "%s: the daemon does not answer", path);
	default:
		return fault_errno(fault, "%s: cannot connect", path);
	}
}

static enum err client_connect(int *ret, const char *path, struct fault *fault)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = CONTROL_TIMEOUT_S};
	size_t n = strlen(path);
	if (n >= sizeof(sun.sun_path))
		return fault_set(fault, ERR_TOO_BIG, "%s: a socket's path has at most %zu bytes", path,
			sizeof(sun.sun_path) - 1);
	memcpy(sun.sun_path, path, n + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault_errno(fault, "cannot make a socket");
	/* the sending time-out holds for connect, too */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		enum err e = connect_fault(path, fault);
		close(fd);
		return e;
	}
	*ret = fd;
	return OK;
}

static enum err answer_read(int fd, const char *path, char **ret, size_t *ret_len, struct fault *fault)
{
	size_t len = 0, room = 0;
	char *text = NULL;
	for (;;) {
		if (len == room) {
			room = room ? room * 2 : 1U << 16;
			char *larger = room > ANSWER_MAX ? NULL : realloc(text, room);
			if (!larger) {
				free(text);
				return fault_set(fault, ERR_TOO_BIG, "%s: the answer is too long", path);
			}
			text = larger;
		}
		ssize_t n = recv(fd, text + len, room - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		/* the daemon closed without reading all of an over-long request; what it said came before */
		if (n < 0 && errno == ECONNRESET && len > 0)
			break;
		if (n < 0) {
			enum err e = errno == EAGAIN
					     ? fault_set(fault, ERR_AGAIN, "%s: the daemon did not answer within %d s",
						       path, CONTROL_TIMEOUT_S)
					     : fault_errno(fault, "%s: no answer", path);
			free(text);
			return e;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = text;
	*ret_len = len;
	return OK;
}

static enum err answer_parse(const char *text, size_t len, const char *path, json_t **ret, struct fault *fault)
{
	json_t *answer = json_loadb(text, len, 0, NULL);
	if (!json_is_object(answer)) {
		json_decref(answer);
		return fault_set(fault, ERR_FORMAT, "%s: %s", path,
			len ? "the answer is not what a jorm daemon says" : "the daemon went away without an answer");
	}
	const char *error = json_string_value(json_object_get(answer, "error"));
	if (error) {
		enum err e = fault_set(fault, ERR_STATE, "%s", error);
		json_decref(answer);
		return e;
	}
	*ret = answer;
	return OK;
}

enum err control_request(const char *path, const char *request, json_t **ret, struct fault *fault)
{
	int fd = -1;
	*ret = NULL;
	enum err e = client_connect(&fd, path, fault);
	if (e)
		return e;
	struct iovec parts[] = {{.iov_base = (void *)(uintptr_t)request, .iov_len = strlen(request)},
		{.iov_base = (char[]){'\n'}, .iov_len = 1}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	char *text = NULL;
	size_t len = 0;
	/* a server that refuses us closes at once: what it had to say is read all the same */
	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
		e = fault_errno(fault, "%s: cannot ask the daemon", path);
	else
		e = answer_read(fd, path, &text, &len, fault);
	close(fd);
	if (e == OK)
		e = answer_parse(text, len, path, ret, fault);
	free(text);
	return e;
}
