/*
 * One client of bench/load: a handshake, then an idle session, as src/engine has them, without an interface of its own.
 * Knows when to call again: at once after a Close, after 5 s without an answer, when an attempt has expired.
 * It does not rekey: a run ends before the server would begin to (135 s). No I/O, no clock.
 */
#pragma once

#include "base/clock.h"
#include "base/rng.h"
#include "crypto/sig.h"
#include "handshake/initiator.h"
#include "transport/keys.h"
#include "transport/stream.h"

struct client_config {
	uint8_t server_key_id[KEY_ID_LEN];
	uint32_t suites;
	usec keepalive; /* a probe when nothing was sent for so long */
	struct rng rng;
	/* Sends a datagram from client `number`. */
	void (*send)(void *context, uint32_t number, const uint8_t *data, size_t len);
	/* Accept has come, `took` after the client began to call. */
	void (*up)(void *context, uint32_t number, usec took);
	/* The session has ended. */
	void (*down)(void *context, uint32_t number);
	void *context;
};

struct client {
	const struct client_config *config; /* borrowed */
	uint32_t number;
	struct identity *identity; /* owned, as all below */
	struct initiator *initiator;
	struct keys *keys; /* also while Accept is awaited */
	struct stream *stream;
	bool is_up;
	usec calls_since; /* began to call then */
	usec begin_at;    /* not before */
	usec due;         /* client_tick has something to do then */
	usec last_send, unanswered_since;
	uint64_t expired, rejected;
};

/* The identity of client `number`: always the same one, so that a server can be told who will call. */
enum err client_identity(struct identity **ret, uint32_t number);

enum err client_init(struct client *c, const struct client_config *config, uint32_t number, usec begin_at);
void client_done(struct client *c);

/* A datagram that came to its address; opened in place. */
void client_input(struct client *c, uint8_t *data, size_t len, usec now);
/* Does what is due, and sets `due`. */
void client_tick(struct client *c, usec now);
