/* The inside of the program snek-vpn, shared by its files. */
#pragma once

#include "compat/snek.h"
#include "compat/snek_link.h"
#include "crypto/sig.h"
#include "net/netlink_monitor.h"

#include <limits.h>

struct snek {
	const struct snek_options *options;
	struct tun *tun;
	struct netlink_monitor *monitor;
	int stop_fd;            /* SIGINT and SIGTERM, never read: once it is readable it stays so for all who wait */
	int report_fd;          /* SIGUSR1 */
	int event_fd;           /* a carrier or an attempt has something new */
	struct snek_link *link; /* NULL: no session */
	usec refused_at;        /* the peer's host said that nobody is there; 0: not since it was last heard */
};

/*
 * Waits for `fd` (-1: none) while looking after the session. OK: fd is readable, or event_fd was, or the session is
 * over (s->link is NULL then); ERR_AGAIN: the deadline; ERR_STATE: a signal to stop; ERR_NOT_FOUND: the interface was
 * removed; ERR_IO.
 */
enum err snek_watch(struct snek *s, int fd, usec deadline, struct fault *fault);

/* A new session in place of the one before, if there is one. Takes `udp`, connected, whatever comes of it. */
enum err snek_begin(struct snek *s, struct udp *udp, const struct addr *remote,
	const uint8_t data_key[static AEAD_KEY_LEN], struct fault *fault);
void snek_end(struct snek *s, const char *why); /* logs; nothing if there is none */

enum err snek_serve(struct snek *s, struct fault *fault);                              /* snek_server.c */
enum err snek_connect(struct snek *s, const struct identity *id, struct fault *fault); /* snek_client.c */
