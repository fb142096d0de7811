/*
 * The TCP side of the older program's connections (IPv4, as there): listening, connecting, waiting, each with a
 * deadline and with a descriptor that ends it at once when it becomes readable. All sockets are close-on-exec; what is
 * given out is the caller's to close.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"

/* The first IPv4 address of a name. ERR_NOT_FOUND: there is none, or no name server answers. Blocks as long as the
 * system's resolver does. */
enum err snek_resolve(struct addr *ret, const char *host, uint16_t port, struct fault *fault);

/* Listens on all of this host's IPv4 addresses. `flag`: what the user sets the port with, for the fault. ERR_EXISTS,
 * ERR_PERMISSION, ERR_IO. */
enum err snek_listen(int *ret_fd, uint16_t port, const char *flag, struct fault *fault);

/* The next connection, until `deadline` (0: only if one waits). ERR_AGAIN: none came; ERR_STATE: stop_fd; ERR_IO. */
enum err snek_accept(int *ret_fd, struct addr *ret_remote, int listen_fd, int stop_fd, usec deadline);

/* Connects. ERR_AGAIN: refused, unreachable or no answer until the deadline (errno says which); ERR_STATE: stop_fd;
 * ERR_IO: no socket. */
enum err snek_dial(int *ret_fd, const struct addr *remote, int stop_fd, usec deadline);

/* Waits until fd can be read. ERR_AGAIN: the deadline; ERR_STATE: stop_fd; ERR_IO. fd -1: just waits. */
enum err snek_wait(int fd, int stop_fd, usec deadline);
