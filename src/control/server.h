/*
 * The daemon's end of the control socket (control.h has the protocol). It lives in one thread,
 * never blocks and holds a bounded number of clients for a bounded time, so that a client that is
 * stuck or hostile cannot hold up the daemon. Who runs it watches one file descriptor.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

#include <jansson.h>

#define CONTROL_CLIENTS_MAX 8
#define CONTROL_REQUEST_MAX 256             /* bytes of a request, its newline not counted */
#define CONTROL_DEADLINE (2 * USEC_PER_SEC) /* from a client's coming to its going */

struct control_server;

/* Answers a request (without its newline). The server takes the reference over; NULL means that the request is unknown.
 */
typedef json_t *control_answer(void *ctx, const char *request);

/*
 * Makes the socket (0600; its folder 0755 when missing) and a lock beside it, PATH.lock, that shows as long as this
 * process lives that the place is taken. What a dead daemon left is replaced. ERR_EXISTS: a live one has it, or
 * something that is no socket stands there. ERR_TOO_BIG: the path does not fit. ERR_PERMISSION, ERR_NOT_FOUND, ERR_IO,
 * ERR_NOMEM.
 */
enum err control_server_open(
	struct control_server **ret, const char *path, control_answer *answer, void *ctx, struct fault *fault);

/* Readable when control_server_handle has something to do (an epoll instance). Owned by the server. */
int control_server_fd(const struct control_server *server);

/* Does what can be done without waiting. Returns when to call again though the descriptor is quiet (a client's
 * deadline), or USEC_NEVER. */
usec control_server_handle(struct control_server *server, usec now);

/* Gives waiting clients what they can take at once, closes them, removes socket and lock. NULL is fine. */
void control_server_close(struct control_server *server);
