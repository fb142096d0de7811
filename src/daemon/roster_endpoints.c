/* Where peers are to be called: names are looked up by the keeper, again while a peer is silent. */
#include "base/log.h"
#include "daemon/roster_private.h"

#include <netdb.h>
#include <string.h>

#define ASK_FIRST USEC_PER_SEC
#define ASK_MAX (60 * USEC_PER_SEC)
#define LOOK_EVERY (2 * USEC_PER_SEC) /* whether a peer with a name is silent */

static bool parse_numeric(struct addr *ret, const char *host, uint16_t port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST};
	struct addrinfo *list;
	struct sockaddr_storage sa = {0};
	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return false;
	memcpy(&sa, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	enum err err = addr_of_sockaddr(ret, &sa);
	ret->port = port;
	return err == OK;
}

bool roster_is_numeric(const char *host)
{
	struct addr address;
	return parse_numeric(&address, host, 1);
}

void roster_set_endpoint(struct roster *r, struct entry *e, usec now)
{
	const struct config_peer *peer = e->peer.config;
	struct addr address;
	e->has_name = e->has_address = false;
	if (!peer->endpoint_host)
		return;
	if (parse_numeric(&address, peer->endpoint_host, peer->endpoint_port)) {
		engine_set_endpoint(r->config.engine, e->peer.number, &address, now);
		return;
	}
	e->has_name = true;
	e->wait = ASK_FIRST;
	e->ask_at = now;
	r->due = now;
}

void roster_answer(struct roster *r, const struct keeper_answer *answer, usec now)
{
	struct entry *e = answer->tag < r->size ? r->entries[answer->tag] : NULL;
	char text[ADDR_TEXT_LEN];
	if (!e || !e->has_name || !e->is_asked)
		return; /* it has gone, or has another endpoint by now */
	e->is_asked = false;
	const struct config_peer *peer = e->peer.config;
	if (answer->err != OK) {
		if (!e->has_address)
			log_warning("peer %s: cannot look up %s: %s; trying again", peer->name, peer->endpoint_host,
				answer->text);
		return;
	}
	struct addr address = answer->address;
	address.port = peer->endpoint_port;
	if (e->has_address && addr_equal(&e->address, &address))
		return;
	e->has_address = true;
	e->address = address;
	e->wait = ASK_FIRST;
	log_debug("peer %s is to be called at %s", peer->name, addr_format(&address, text));
	engine_set_endpoint(r->config.engine, e->peer.number, &address, now);
}

/* A peer that answers is where it is; for one that does not, the name may say something else by now. */
static bool is_silent(const struct roster *r, const struct entry *e)
{
	struct peer_status status;
	return !e->has_address ||
	       (engine_peer_status(r->config.engine, e->peer.number, &status) && status.is_connecting);
}

usec roster_tick(struct roster *r, usec now)
{
	if (now < r->due)
		return r->due;
	r->due = USEC_NEVER;
	for (size_t i = 0; i < r->size; i++) {
		struct entry *e = r->entries[i];
		if (!e || !e->has_name)
			continue;
		r->due = now + LOOK_EVERY;
		if (now < e->ask_at || e->is_asked || !is_silent(r, e))
			continue;
		if (keeper_resolve(r->config.keeper, (uint32_t)i, e->peer.config->endpoint_host,
			    e->peer.config->endpoint_port) != OK)
			continue;
		e->is_asked = true;
		e->ask_at = now + e->wait;
		e->wait = 2 * e->wait < ASK_MAX ? 2 * e->wait : ASK_MAX;
	}
	return r->due;
}
