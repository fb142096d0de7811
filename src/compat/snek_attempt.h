/*
 * A server's attempts to get a session: each begins with a probe that somebody sent, connects back, exchanges keys and
 * ends with the hello, in a thread of its own, so that nobody who is slow or silent keeps others waiting. A stranger
 * can start one; what that costs is bounded in time, number and for each address.
 */
#pragma once

#include "compat/snek_exchange.h"
#include "net/udp.h"

#define SNEK_ATTEMPTS_MAX 16

struct snek_attempts;

struct snek_attempts_config {
	const char *folder; /* of authorised keys */
	uint16_t key_port, data_port;
	int stop_fd;  /* ends them all when it becomes readable */
	int event_fd; /* is written to when one has ended */
};

/* NULL: no memory. */
struct snek_attempts *snek_attempts_new(const struct snek_attempts_config *config);
/* stop_fd must be readable, or this takes as long as the attempts do. NULL is fine. */
void snek_attempts_free(struct snek_attempts *attempts);

/*
 * Takes a probe's connection, whatever comes of it. ERR_FULL: too many attempts, or one from there already; ERR_NOMEM:
 * no thread.
 */
enum err snek_attempts_begin(struct snek_attempts *attempts, int fd, const struct addr *remote);

struct snek_outcome {
	enum err err; /* OK, or why there is no session, in words in: */
	struct fault fault;
	bool was_asked;                 /* a probe came: what failed is worth a line in the log */
	struct addr remote;             /* with the data port */
	struct udp *udp;                /* the taker's; connected, the hello is sent. NULL on error */
	uint8_t data_key[AEAD_KEY_LEN]; /* the taker wipes it */
	char key_name[NAME_MAX + 1];
};

/* One that has ended. ERR_AGAIN: none. */
enum err snek_attempts_take(struct snek_attempts *attempts, struct snek_outcome *ret);
