/*
 * OTPTunnel as a program: either of its roles over its own protocol (docs/migrating.md), with a ledger of what has been
 * used of the key file. Everything it says goes to the log.
 */
#pragma once

#include "base/addr.h"

#include <stdbool.h>

#define OTPTUNNEL_PORT 12000
#define OTPTUNNEL_STATE "/var/lib/jorm"
#define OTPTUNNEL_MTU 1500
#define OTPTUNNEL_MTU_MIN 68 /* RFC 791 */

struct otptunnel_options {
	bool is_server;
	const char *key_file;
	const char *peer; /* name or IPv4 address; NULL: whoever sends authentic frames (a server) */
	uint16_t peer_port;
	struct prefix tap_address;
	uint32_t tap_mtu;     /* OTPTUNNEL_MTU_MIN to OTPTUNNEL_MTU */
	const char *tap_name; /* NULL: the first free one of tap0, tap1, ... */
	struct addr local;
	const char *state;     /* ledgers are in the folder "pads" in it; made when it is not there */
	bool restarts_at_zero; /* as the older program did: the key file is used from its beginning, again */
	bool has_start_at;     /* nothing below this offset is sent with: */
	uint64_t start_at;
	bool peer_restarts; /* a peer that begins again at its first byte is believed */
	bool allows_weak;   /* a key file that looks constant is taken */
	/* Gives up what rights are not needed any more, when all is set up and before anything is read from the
	 * network; may be NULL. */
	enum err (*confine)(struct fault *fault);
};

/* Runs until SIGINT, SIGTERM or SIGHUP (OK), or until it cannot go on; SIGUSR1 logs counters. Nothing is left behind
 * but the ledger. Faults say what to do. */
enum err otptunnel_run(const struct otptunnel_options *options, struct fault *fault);
