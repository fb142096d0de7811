/*
 * The daemon's end of the local API: HTTP/1.1 by libmicrohttpd on a UNIX socket (docs/api.md). It lives in one thread,
 * never blocks, and holds a bounded number of connections for a bounded time, so that a client that is stuck or
 * hostile cannot hold up the daemon. Who runs it watches one file descriptor.
 *
 * It knows HTTP, who may speak (SO_PEERCRED) and the table of paths; what an operation does is the handler's business.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

#define CONTROL_CLIENTS_MAX 32
#define CONTROL_LISTENERS_MAX 8              /* of them, those that may follow /v1/events at a time */
#define CONTROL_BODY_MAX ((size_t)65536)     /* of a request */
#define CONTROL_DEADLINE (10 * USEC_PER_SEC) /* from a client's coming to its going; not for /v1/events */

struct control_server;

/* One row a path in docs/api.md. */
enum control_operation {
	CONTROL_STATUS,      /* GET /v1/status */
	CONTROL_PEERS,       /* GET /v1/peers */
	CONTROL_PEER,        /* GET /v1/peers/NAME */
	CONTROL_PEER_ADD,    /* POST /v1/peers; a body */
	CONTROL_PEER_REMOVE, /* DELETE /v1/peers/NAME */
	CONTROL_LEASES,      /* GET /v1/leases */
	CONTROL_LEASE_FREE,  /* DELETE /v1/leases/ADDRESS */
	CONTROL_COUNTERS,    /* GET /v1/counters */
	CONTROL_RELOAD,      /* POST /v1/reload */
	CONTROL_DOWN,        /* POST /v1/down */
	CONTROL_METRICS,     /* GET /metrics: text */
	CONTROL_EVENTS,      /* GET /v1/events: the server's own, the handler never sees it */
};

struct control_call {
	enum control_operation operation;
	const char *name;   /* the last part of the path, decoded, where the row has one; else NULL */
	const json_t *body; /* an object; NULL without one */
	uid_t uid;          /* who asks */
};

/* Filled by the handler, whose references the server takes over. */
struct control_reply {
	/* OK: 200. ERR_NOT_FOUND: 404; ERR_EXISTS, ERR_STATE and ERR_FULL: 409; ERR_FORMAT, ERR_ARGUMENT and
	 * ERR_TOO_BIG: 400; ERR_PERMISSION: 403; ERR_UNSUPPORTED: 501; others: 500. All with {"error": fault.text}. */
	enum err err;
	json_t *document; /* with OK; NULL: {"ok": true} */
	char *text;       /* with OK, CONTROL_METRICS: malloc'ed, in place of the document; NULL: memory ran out */
	struct fault fault;
};
typedef void control_handler(void *context, const struct control_call *call, struct control_reply *reply);

struct control_config {
	const char *path; /* of the socket */
	gid_t group;      /* whose members may connect, too; (gid_t)-1: none */
	uid_t owner;      /* the daemon's own user after set-up; may connect as root may */
	control_handler *handler;
	void *context;
};

/*
 * Makes the socket (0600, or 0660 and the group's; its folder 0755 when missing) and a lock beside it, PATH.lock, that
 * shows as long as this process lives that the place is taken. What a dead daemon left is replaced. ERR_EXISTS: a live
 * one has it, or something that is no socket stands there. ERR_TOO_BIG: the path does not fit. ERR_PERMISSION,
 * ERR_NOT_FOUND, ERR_IO, ERR_NOMEM.
 */
enum err control_server_open(struct control_server **ret, const struct control_config *config, struct fault *fault);

/* Readable when control_server_handle has something to do (an epoll instance). Owned by the server. */
int control_server_fd(const struct control_server *server);

/* Does what can be done without waiting. Returns when to call again though the descriptor is quiet, or USEC_NEVER. */
usec control_server_handle(struct control_server *server, usec now);

/* Tells everyone who follows /v1/events: one line of JSON. Takes the reference over; NULL (memory ran out when it was
 * made) is fine. Whoever does not keep up (256 KiB waiting) is cut off. */
void control_server_event(struct control_server *server, json_t *event);
bool control_server_has_listeners(const struct control_server *server);

/* Gives waiting clients what they can take at once, closes them, removes socket and lock where that is still allowed.
 * NULL is fine. */
void control_server_close(struct control_server *server);
