/*
 * snek-vpn as a program: the older program's two roles over its own protocol (docs/migrating.md). A server waits for
 * probes, connects back and carries one session at a time; a client asks for one, and again whenever its peer has gone.
 *
 * It prints what the older program printed to standard output, and everything else to the log.
 */
#pragma once

#include "base/addr.h"

#include <stdbool.h>

#define SNEK_KEY_PORT 443
#define SNEK_DATA_PORT 10666
#define SNEK_MTU 1536
#define SNEK_ADDRESSES_MAX 16

struct snek_options {
	const char *connect; /* the server's name or IPv4 address; NULL: this is the server */
	const char *cert;    /* client: its private key; server: the folder of public keys */
	uint16_t key_port, data_port;
	bool any_source;  /* client: the server may answer from another address than the one that was asked */
	const char *name; /* of the interface; NULL: the first free one of snk0, snk1, ... */
	struct prefix addresses[SNEK_ADDRESSES_MAX]; /* none: the interface is left down and without any */
	size_t n_addresses;
	/* Gives up what rights are not needed any more, when all is set up and before anything is read from the
	 * network (but the first look-up of the server's name); may be NULL. */
	enum err (*confine)(const struct snek_options *options, struct fault *fault);
};

/*
 * Runs until SIGINT or SIGTERM (OK), or until it cannot go on; SIGUSR1 logs counters. Nothing is left behind. A client
 * whose first attempt fails gives up, as the older one did; later ones are repeated for ever. Faults say what to do.
 * Standard output is to be line-buffered by the caller, before it writes anything there.
 */
enum err snek_run(const struct snek_options *options, struct fault *fault);

/* Writes DIR/snek-cert.pub and .priv; never over existing ones. As keyfile_write_pair. */
enum err snek_generate(const char *dir, struct fault *fault);
