/*
 * The documents of the local API (docs/api.md), from the engine and what the daemon knows besides. Control thread.
 * Each function gives a new reference, or NULL when memory runs out.
 */
#pragma once

#include "config/config.h"
#include "engine/engine.h"
#include "wire/accept.h"

#include <jansson.h>

/* What the engine does not know of a peer. All is borrowed for the call. */
struct report_peer {
	enum { REPORT_FILE, REPORT_FOLDER, REPORT_ADDED } origin; /* a section; AuthorizedKeys, Pads; jorm peer add */
	const struct prefix *allowed_ips;
	size_t n_allowed_ips;
	struct pad *pad;            /* NULL: it has none */
	const struct accept *given; /* what it has given us, as we took it; NULL: nothing */
};

struct report_source {
	const struct config *config;
	const struct engine *engine;
	const struct identity *identity; /* NULL: there is none */
	const char *interface;
	uint32_t mtu;
	uint16_t port;
	usec started;
	/* Of the engine's peer with that number; false: nothing is known. NULL: the engine has the configuration's
	 * peers, in its order. */
	bool (*peer)(void *context, uint32_t number, struct report_peer *ret);
	void *context;
	const char *sandbox;          /* one line (daemon/sandbox.h); NULL: there is none */
	const struct config_dns *dns; /* what this host uses now because of the tunnel; NULL: nothing */
};

/* GET /v1/status */
json_t *report_status(const struct report_source *source, usec now);
/* GET /v1/peers */
json_t *report_peers(const struct report_source *source, usec now);
/* GET /v1/peers/NAME; *ret_number (may be NULL) is the engine's. NULL also when there is none of that name. */
json_t *report_peer(const struct report_source *source, const char *name, uint32_t *ret_number, usec now);
/* GET /v1/leases */
json_t *report_leases(const struct report_source *source);
/* GET /v1/counters */
json_t *report_counters(const struct report_source *source);

/* "established", ...: the word for an event, in the log and in GET /v1/events. */
const char *report_notice_name(enum notice notice);
/* A line of GET /v1/events: what the engine's notice says. `peer` may be NULL. */
json_t *report_notice(enum notice notice, const char *peer, const char *text);

/* "established", ...; what documents and metrics call a peer's state. */
const char *report_state(const struct peer_status *status);
/* What is known of the engine's peer with that number. */
struct report_peer report_known(const struct report_source *source, uint32_t number);
/* How many addresses are handed out. */
size_t report_leases_used(const struct engine *engine);
