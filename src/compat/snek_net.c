#include "compat/snek_net.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 16

enum err snek_resolve(struct addr *ret, const char *host, uint16_t port, struct fault *fault)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	struct sockaddr_storage name = {0};
	int error = getaddrinfo(host, NULL, &hints, &found);
	if (error)
		return fault_set(fault, ERR_NOT_FOUND, "there is no IPv4 address of '%.200s': %s (correct the name)",
			host, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
	memcpy(&name, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	enum err err = addr_of_sockaddr(ret, &name);
	ret->port = port;
	return err;
}

static struct sockaddr_in name_of(const struct addr *addr)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(addr->port)};
	memcpy(&name.sin_addr, addr->ip + 12, 4);
	return name;
}

enum err snek_listen(int *ret_fd, uint16_t port, const char *flag, struct fault *fault)
{
	const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;
	if (fd < 0)
		return fault_errno(fault, "cannot open a TCP socket");
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0 &&
		bind(fd, (const struct sockaddr *)&any, sizeof any) == 0 && listen(fd, BACKLOG) == 0) {
		*ret_fd = fd;
		return OK;
	}
	error = errno;
	(void)close(fd);
	errno = error;
	if (error == EADDRINUSE)
		return fault_set(fault, ERR_EXISTS,
			"TCP port %u is in use by another program ('ss -tlpn sport = :%u' shows which); stop it, or "
			"give another port with %s, at both ends",
			port, port, flag);
	return fault_errno(fault,
		"cannot listen on TCP port %u (ports below 1024 need root; another one is given with %s, at both ends)",
		port, flag);
}

static int timeout_of(usec deadline)
{
	usec now = clock_now(), ms;
	if (deadline == USEC_NEVER)
		return -1;
	if (deadline <= now)
		return 0;
	ms = (deadline - now + USEC_PER_MS - 1) / USEC_PER_MS;
	return ms > 3600000 ? 3600000 : (int)ms;
}

static enum err wait_for(int fd, short events, int stop_fd, usec deadline)
{
	struct pollfd polled[2] = {{.fd = stop_fd, .events = POLLIN}, {.fd = fd, .events = events}};
	for (;;) {
		int n = poll(polled, 2, timeout_of(deadline));
		if (n < 0 && errno != EINTR)
			return ERR_IO;
		if (n > 0)
			return polled[0].revents ? ERR_STATE : OK;
		if (n == 0 && clock_now() >= deadline)
			return ERR_AGAIN;
	}
}

enum err snek_wait(int fd, int stop_fd, usec deadline)
{
	return wait_for(fd, POLLIN, stop_fd, deadline);
}

enum err snek_accept(int *ret_fd, struct addr *ret_remote, int listen_fd, int stop_fd, usec deadline)
{
	for (;;) {
		struct sockaddr_storage name = {0};
		socklen_t len = sizeof name;
		enum err err = snek_wait(listen_fd, stop_fd, deadline);
		if (err != OK)
			return err;
		int fd = accept4(listen_fd, (struct sockaddr *)&name, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0 && addr_of_sockaddr(ret_remote, &name) == OK) {
			*ret_fd = fd;
			return OK;
		}
		if (fd >= 0)
			(void)close(fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			return ERR_IO;
	}
}

static enum err finish_dial(int fd, int stop_fd, usec deadline)
{
	int error = 0;
	socklen_t len = sizeof error;
	enum err err = wait_for(fd, POLLOUT, stop_fd, deadline);
	if (err == ERR_AGAIN)
		errno = ETIMEDOUT;
	if (err != OK)
		return err;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		return ERR_IO;
	errno = error;
	return error ? ERR_AGAIN : OK;
}

enum err snek_dial(int *ret_fd, const struct addr *remote, int stop_fd, usec deadline)
{
	const struct sockaddr_in name = name_of(remote);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ERR_IO;
	enum err err = OK;
	if (connect(fd, (const struct sockaddr *)&name, sizeof name) < 0)
		err = errno == EINPROGRESS || errno == EINTR ? finish_dial(fd, stop_fd, deadline) : ERR_AGAIN;
	if (err == OK) {
		*ret_fd = fd;
		return OK;
	}
	int error = errno;
	(void)close(fd);
	errno = error;
	return err;
}
