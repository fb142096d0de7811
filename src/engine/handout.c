/*
 * What a server hands out and a client takes (docs/protocol.md, "Accept"): addresses of pools, routes, name servers,
 * MTU, keepalive.
 */
#include "engine/padkeys.h"
#include "engine/private.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the server's end ---- */

enum err handout_init(struct engine *e, const struct engine_config *config)
{
	enum err err = leases_new(&e->leases, config->pools, config->n_pools);
	for (size_t i = 0; err == OK && i < config->n_own; i++) {
		struct prefix own = config->own[i];
		own.bits = own.v4 ? 32 : 128;
		err = leases_reserve(e->leases, &own, NULL);
	}
	return err;
}

/* Who uses an address that was handed out. The trie may know it as another's already. Rare enough to look at all. */
static struct peer *holder_of(const struct engine *e, const struct prefix *address, size_t *ret_at)
{
	for (uint32_t i = 0; i < e->n_peers; i++) {
		struct peer *p = e->peers[i];
		for (size_t k = 0; p && k < p->n_leased; k++) {
			if (memcmp(p->leased[k].ip, address->ip, 16) == 0) {
				*ret_at = k;
				return p;
			}
		}
	}
	return NULL;
}

/* The address is no longer its holder's, who has to come again. */
static void dropped(void *context, const struct prefix *address)
{
	struct engine *e = context;
	const struct engine_host *host = &e->config.host;
	size_t at;
	struct peer *p = holder_of(e, address, &at);
	if (host->drop_lease)
		host->drop_lease(host->context, address);
	if (!p)
		return;
	p->leased[at] = p->leased[--p->n_leased];
	if (!peer_owns(p, address))
		trie_remove_prefix(e->trie, address, p);
	peer_reset(p);
}

static bool is_known(void *context, const uint8_t key_id[KEY_ID_LEN])
{
	return engine_find_key_id(context, key_id);
}

/* A single address in the pools that the configuration gives to a peer becomes its lease, whoever had it. */
static enum err claim(struct peer *p, const struct prefix *address)
{
	struct engine *e = p->engine;
	struct prefix has[LEASES_EACH];
	size_t n = leases_of(e->leases, p->key_id, has);
	for (size_t i = 0; i < n; i++)
		if (has[i].v4 == address->v4 && memcmp(has[i].ip, address->ip, 16) != 0)
			(void)engine_free_lease(e, &has[i]);
	enum err err = leases_put(e->leases, p->key_id, address);
	if (err == ERR_EXISTS && engine_free_lease(e, address) == OK)
		err = leases_put(e->leases, p->key_id, address);
	return err == ERR_NOMEM ? err : OK;
}

enum err handout_add_peer(struct peer *p)
{
	struct engine *e = p->engine;
	enum err err = OK;
	bool has[2] = {false, false};
	leases_unreserve(e->leases, p->key_id);
	for (size_t i = 0; err == OK && i < p->n_allowed; i++) {
		const struct prefix *prefix = &p->allowed[i];
		bool is_single = prefix->bits == (prefix->v4 ? 32 : 128);
		err = leases_reserve(e->leases, prefix, p->key_id);
		if (err == OK && is_single && !has[prefix->v4] && leases_pool_of(e->leases, prefix)) {
			has[prefix->v4] = true;
			err = claim(p, prefix);
		}
	}
	return err;
}

/* The address is the peer's: on disk, and in the trie. */
static enum err grant(struct peer *p, const struct prefix *address, struct reject_reason *reason)
{
	struct engine *e = p->engine;
	const struct engine_host *host = &e->config.host;
	struct fault fault = {0};
	bool is_held = false;
	for (size_t i = 0; i < p->n_leased; i++)
		is_held |= memcmp(p->leased[i].ip, address->ip, 16) == 0;
	enum err err = host->keep_lease ? host->keep_lease(host->context, p->key_id, p->name, address, &fault) : OK;
	if (err == OK)
		err = trie_insert(e->trie, address, p);
	if (err != OK) {
		*reason = (struct reject_reason){
			.code = REJECT_CONFIG, .text = "the server cannot record an address: its log says why"};
		peer_notice(p, NOTICE_REFUSED, "%s is refused: its address cannot be recorded: %s", p->name,
			fault.text[0] ? fault.text : err_text(err));
		return err;
	}
	if (!is_held) {
		char text[ADDR_TEXT_LEN];
		p->leased[p->n_leased++] = *address;
		peer_notice(p, NOTICE_LEASE, "%s has %s", p->name, addr_format_ip(address->ip, text));
	}
	return OK;
}

enum err handout_admit(void *context, const uint8_t key_id[KEY_ID_LEN], struct reject_reason *reason)
{
	struct engine *e = context;
	struct peer *p = engine_find_key_id(e, key_id);
	if (!p) /* not between authorise and here */
		return ERR_STATE;
	struct leases_asking asking = {.is_known = is_known, .dropped = dropped, .context = e};
	struct prefix addresses[LEASES_EACH];
	size_t n = 0;
	enum err err = leases_give(e->leases, key_id, &asking, addresses, &n);
	if (err != OK) {
		*reason = (struct reject_reason){.code = REJECT_POOL};
		(void)snprintf(reason->text, sizeof reason->text, "%s",
			err == ERR_FULL ? "no address is left: the server's admin must enlarge its Pool"
					: "the server is out of memory");
		peer_notice(p, NOTICE_REFUSED, "%s is refused: %s", p->name,
			err == ERR_FULL ? "all addresses of the Pool are taken: enlarge it, or free some (jorm leases)"
					: err_text(err));
		return err;
	}
	for (size_t i = 0; err == OK && i < n; i++)
		err = grant(p, &addresses[i], reason);
	return err;
}

enum err handout_send(struct session *s)
{
	struct peer *p = s->peer;
	struct engine *e = p->engine;
	struct accept accept = e->config.push;
	uint8_t body[ACCEPT_BODY_MAX];
	struct writer w = writer_of(body, sizeof body);
	for (size_t i = 0; i < p->n_leased; i++) {
		const struct prefix *pool = leases_pool_of(e->leases, &p->leased[i]);
		accept.addresses[i] = p->leased[i];
		if (pool)
			accept.addresses[i].bits = pool->bits;
	}
	accept.n_addresses = p->n_leased;
	padkeys_tell(p, &accept);
	accept_write(&w, &accept);
	return w.failed ? ERR_FULL : stream_send(s->stream, CONTROL_ACCEPT, VIEW(body, w.at));
}

/* A client hears what is handed out now. What still waits to be told it is out of date, and would fill the queue. */
static void send_anew(struct session *s)
{
	if (!s || s->is_initiator)
		return;
	stream_drop(s->stream, CONTROL_ACCEPT);
	(void)handout_send(s); /* it is told at its next handshake otherwise */
}

enum err handout_change(struct engine *e, const struct engine_config *config)
{
	enum err err = leases_set_pools(e->leases, config->pools, config->n_pools, dropped, e);
	if (err != OK)
		return err;
	leases_unreserve(e->leases, NULL);
	for (size_t i = 0; err == OK && i < config->n_own; i++) {
		struct prefix own = config->own[i];
		own.bits = own.v4 ? 32 : 128;
		err = leases_reserve(e->leases, &own, NULL);
	}
	bool is_same = memcmp(&e->config.push, &config->push, sizeof config->push) == 0;
	e->config.push = config->push;
	for (uint32_t i = 0; err == OK && i < e->n_peers; i++) {
		struct peer *p = e->peers[i];
		if (p)
			err = handout_add_peer(p);
		if (!is_same && p) {
			send_anew(p->active);
			send_anew(p->pending[0]); /* it has had its Accept perhaps, but not spoken yet */
			peer_wake(p, e->now);
		}
	}
	return err;
}

/* ---- leases, for the owner ---- */

enum err engine_load_lease(struct engine *e, const uint8_t key_id[KEY_ID_LEN], const struct prefix *address)
{
	return leases_put(e->leases, key_id, address);
}

enum err engine_free_lease(struct engine *e, const struct prefix *address)
{
	enum err err = leases_free_address(e->leases, address);
	if (err == OK)
		dropped(e, address);
	return err;
}

bool engine_lease(const struct engine *e, size_t at, struct lease *ret)
{
	return leases_at(e->leases, at, ret->key_id, &ret->address);
}

/* ---- the client's end ---- */

/* So wide a network is more than anybody has behind him, and a few of them would be the whole world: two halves in
 * place of a default route, which is the client's own decision. Private IPv6 networks are one large one. */
#define WIDEST_V4 8
#define WIDEST_V6 16
#define WIDEST_V6_LOCAL 7 /* fc00::/7 */

static bool is_too_wide(const struct prefix *route)
{
	bool is_local = (route->ip[0] & 0xfe) == 0xfc;
	return route->bits < (route->v4 ? WIDEST_V4 : is_local ? WIDEST_V6_LOCAL : WIDEST_V6);
}

/* The tunnels' own datagrams would go into a tunnel. */
static bool covers_an_endpoint(const struct engine *e, const struct prefix *route)
{
	for (uint32_t i = 0; i < e->n_peers; i++) {
		const struct peer *p = e->peers[i];
		const struct route *used = p ? atomic_load(&p->route) : NULL;
		if (p && !addr_is_unset(&p->configured) && prefix_contains(route, p->configured.ip))
			return true;
		if (used && prefix_contains(route, used->to.remote.ip))
			return true;
	}
	return false;
}

/* Why a route that a peer hands out is not taken; NULL: it is. What our own configuration gives the peer, it may say
 * again. Another peer's default route is the rest, which nobody takes anything from. */
static const char *objection(const struct peer *p, const struct prefix *route)
{
	if (trie_covering(p->engine->trie, route, 0) == p)
		return NULL;
	if (trie_covering(p->engine->trie, route, 1))
		return "another peer has it";
	if (is_too_wide(route))
		return "it is too wide: write it into AllowedIPs if it is wanted";
	return covers_an_endpoint(p->engine, route) ? "an Endpoint lies in it" : NULL;
}

static bool is_taken(struct peer *p, const struct prefix *route, const char *what)
{
	char text[ADDR_TEXT_LEN];
	const char *why = objection(p, route);
	if (why)
		peer_notice(p, NOTICE_REFUSED, "%s hands out the %s %s, which is not taken: %s", p->name, what,
			prefix_format(route, text), why);
	return !why;
}

static void take_routes(struct peer *p, struct accept *a)
{
	size_t kept = 0;
	for (size_t i = 0; i < a->n_routes; i++)
		if (is_taken(p, &a->routes[i], "route"))
			a->routes[kept++] = a->routes[i];
	a->n_routes = kept;
}

/* The network that an address brings with it is a route, too, where routes are taken; without it the address stands
 * alone. An address that is another peer's would keep packets from him. */
static void take_addresses(struct peer *p, struct accept *a, bool with_networks)
{
	size_t kept = 0;
	for (size_t i = 0; i < a->n_addresses; i++) {
		struct prefix address = a->addresses[i], network = address;
		const uint8_t single = address.v4 ? 32 : 128;
		struct prefix host = address;
		host.bits = single;
		if (!is_taken(p, &host, "address"))
			continue;
		prefix_drop_host_bits(&network);
		if (!with_networks || a->n_routes == ACCEPT_ROUTES_MAX || !is_taken(p, &network, "network"))
			address.bits = single;
		else
			a->routes[a->n_routes++] = network;
		a->addresses[kept++] = address;
	}
	a->n_addresses = kept;
}

/* What we do not take is as if it had not been said. */
static void filter(struct peer *p, struct accept *a)
{
	if (!(p->takes & TAKE_ADDRESS))
		a->n_addresses = 0;
	if (!(p->takes & TAKE_ROUTES))
		a->n_routes = 0;
	if (!(p->takes & TAKE_DNS))
		a->n_dns = a->n_domains = 0;
	if (!(p->takes & TAKE_MTU))
		a->mtu = 0;
	if (!(p->takes & TAKE_KEEPALIVE))
		a->keepalive_s = 0;
	take_routes(p, a);
	take_addresses(p, a, p->takes & TAKE_ROUTES);
	/* Two of them are compared byte for byte. */
	memset(a->addresses + a->n_addresses, 0, (ACCEPT_ADDRESSES_MAX - a->n_addresses) * sizeof a->addresses[0]);
	memset(a->routes + a->n_routes, 0, (ACCEPT_ROUTES_MAX - a->n_routes) * sizeof a->routes[0]);
	memset(a->dns + a->n_dns, 0, (ACCEPT_DNS_MAX - a->n_dns) * sizeof a->dns[0]);
	memset(a->domains + a->n_domains, 0, (ACCEPT_DOMAINS_MAX - a->n_domains) * sizeof a->domains[0]);
}

enum err handout_take(struct peer *p, struct view body, bool is_first)
{
	struct engine *e = p->engine;
	struct accept *a = calloc(1, sizeof *a);
	if (!a)
		return ERR_NOMEM;
	enum err err = accept_parse(a, body);
	if (err == OK && is_first)
		err = padkeys_take_accept(p, a);
	a->has_pad_marks = false; /* no more is done with them */
	memset(&a->pad_marks, 0, sizeof a->pad_marks);
	if (err == OK)
		filter(p, a);
	for (size_t i = 0; err == OK && i < a->n_routes; i++)
		err = trie_insert(e->trie, &a->routes[i], p);
	if (err != OK || (p->accepted && memcmp(p->accepted, a, sizeof *a) == 0)) {
		free(a);
		return err;
	}
	struct accept *before = p->accepted;
	p->accepted = a;
	for (size_t i = 0; before && i < before->n_routes; i++)
		if (!peer_owns(p, &before->routes[i]))
			trie_remove_prefix(e->trie, &before->routes[i], p);
	bool is_news = before || a->n_addresses || a->n_routes || a->n_dns || a->n_domains || a->mtu || a->keepalive_s;
	free(before);
	if (is_news && e->config.host.accepted)
		e->config.host.accepted(e->config.host.context, p->number, a);
	return OK;
}
