#include "sim/crowd.h"

#include "engine/private.h"

#include <stdio.h>
#include <stdlib.h>

#define PUSHED_WITHIN USEC_PER_SEC

static struct prefix address_of(const char *text)
{
	struct prefix p = {0};
	(void)!prefix_parse(&p, text);
	return p;
}

/* ---- what the engines ask and say ---- */

static uint32_t client_of_key(const struct crowd *c, const uint8_t key_id[KEY_ID_LEN])
{
	for (uint32_t i = 1; i < MEMBERS; i++)
		if (memcmp(identity_key_id(c->identities[i]), key_id, KEY_ID_LEN) == 0)
			return i;
	return BOOK_NOBODY;
}

static void crash(void *context, void *owned)
{
	struct crowd *c = context;
	(void)owned;
	if (!c->hosts[SERVER].engine)
		return;
	world_log(&c->world, "the server crashes with a lease that nobody has been told of");
	crowd_stop(c, SERVER, false);
	crowd_start_server(c);
}

static enum err on_keep_lease(void *context, const uint8_t key_id[KEY_ID_LEN], const char *peer,
	const struct prefix *address, struct fault *fault)
{
	struct crowd *c = crowd_of(context);
	uint32_t client = client_of_key(c, key_id);
	(void)peer;
	if (client == BOOK_NOBODY || !c->members[client].is_known) {
		world_fail(&c->world, "an address for a key that is not known");
		return ERR_STATE;
	}
	if (c->is_disk_full)
		return fault_set(fault, ERR_IO, "the simulated disk is full");
	book_keep(&c->book, client, address);
	struct member *m = &c->members[client];
	if (m->is_told[address->v4] && book_same(&m->view[address->v4], address)) /* the same again is no news to it */
		m->has_view[address->v4] = true;
	if (c->crashes_at_lease) {
		c->crashes_at_lease = false;
		world_at(&c->world, c->world.now, crash, c, NULL);
	}
	return OK;
}

static void on_drop_lease(void *context, const struct prefix *address)
{
	struct crowd *c = crowd_of(context);
	char text[ADDR_TEXT_LEN];
	uint32_t holder = book_holder(&c->book, address);
	if (holder == BOOK_NOBODY)
		return; /* it was never recorded */
	struct member *m = &c->members[holder];
	world_log(&c->world, "client %u loses %s", holder, prefix_format(address, text));
	if (m->is_known && !c->may_drop)
		world_fail(&c->world, "client %u, who is known, loses %s", holder, prefix_format(address, text));
	book_drop(&c->book, address);
	m->has_view[address->v4] = false;
}

/* A client is told of its addresses. It may be old news; but what it will use is nobody else's. */
static void on_accepted(void *context, uint32_t number, const struct accept *accept)
{
	struct host *h = context;
	struct crowd *c = crowd_of(h);
	struct member *m = &c->members[h->number];
	char text[ADDR_TEXT_LEN];
	(void)number;
	for (int v4 = 0; v4 < 2; v4++)
		m->is_told[v4] = m->has_view[v4] = false;
	for (size_t i = 0; i < accept->n_addresses; i++) {
		struct prefix address = accept->addresses[i];
		address.bits = address.v4 ? 32 : 128;
		(void)prefix_format(&address, text);
		if (!book_had(&c->book, h->number, &address, 0, c->world.now))
			world_fail(&c->world, "client %u is told to use %s, which is not on disk", h->number, text);
		m->is_told[address.v4] = true;
		m->view[address.v4] = address;
		if (book_holder(&c->book, &address) != h->number)
			continue;
		for (uint32_t k = 1; k < MEMBERS; k++)
			if (k != h->number && c->members[k].has_view[address.v4] &&
				book_same(&c->members[k].view[address.v4], &address))
				world_fail(&c->world, "clients %u and %u both have %s", h->number, k, text);
		m->has_view[address.v4] = true;
		world_log(&c->world, "client %u has %s", h->number, text);
	}
}

static void on_notice(void *context, enum notice notice, const char *peer, const char *text)
{
	struct host *h = context;
	struct crowd *c = crowd_of(h);
	struct member *m = &c->members[h->number];
	(void)peer;
	world_log(&c->world, "host %u: %s", h->number, text);
	if (h->number == SERVER)
		return;
	if (notice == NOTICE_ESTABLISHED) {
		m->refused = 0;
		crowd_reconfigure_soon(c);
	}
	if (notice != NOTICE_REJECTED)
		return;
	const struct reject_reason *reason = initiator_reason(h->engine->peers[m->server_number]->initiator);
	m->refused = reason->code;
	if (reason->code == REJECT_POOL &&
		!strstr(text, "no address is left: the server's admin must enlarge its Pool"))
		world_fail(&c->world, "client %u is refused for want of an address, but hears: %s", h->number, text);
}

/* ---- lives ---- */

static const struct host_hooks hooks = {.deliver = crowd_deliver,
	.asks = {.keep_lease = on_keep_lease,
		.drop_lease = on_drop_lease,
		.accepted = on_accepted,
		.notice = on_notice}};

struct addr crowd_new_address(struct crowd *c)
{
	uint32_t n = ++c->addresses;
	return (struct addr){.ip = {[10] = 0xff, 0xff, 203, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n},
		.port = (uint16_t)(20000 + n % 40000)};
}

void crowd_set_pools(struct crowd *c, enum pools pools)
{
	static struct prefix lists[POOLS_COUNT][3], own[2];
	static const char *const texts[POOLS_COUNT][3] = {{"10.99.0.0/26", "fd99::/112"},
		{"10.99.0.0/24", "fd99::/112"}, {"10.99.0.0/26", "10.98.0.0/24", "fd99::/112"}};
	struct engine_config *config = &c->hosts[SERVER].config;
	config->n_pools = 0;
	for (size_t i = 0; i < 3 && texts[pools][i]; i++)
		lists[pools][config->n_pools++] = address_of(texts[pools][i]);
	config->pools = lists[pools];
	own[0] = crowd_own_address(false);
	own[1] = crowd_own_address(true);
	config->own = own;
	config->n_own = 2;
	c->pools = pools;
}

static uint32_t allowed_of(const struct crowd *c, uint32_t client, struct prefix out[static 2])
{
	const struct member *m = &c->members[client];
	uint32_t n = 0;
	if (m->has_fixed)
		out[n++] = m->fixed;
	if (m->has_network)
		out[n++] = crowd_network_of(client);
	return n;
}

static struct peer_config client_config(
	const struct crowd *c, uint32_t client, struct prefix allowed[static 2], char name[static 16])
{
	const struct member *m = &c->members[client];
	(void)snprintf(name, 16, "client %u", client);
	struct peer_config config = {.name = name, .allowed_ips = allowed, .has_psk = m->has_psk};
	config.n_allowed_ips = allowed_of(c, client, allowed);
	memcpy(config.key_id, identity_key_id(c->identities[client]), KEY_ID_LEN);
	memcpy(config.psk, m->psk, PSK_LEN);
	return config;
}

void crowd_add(struct crowd *c, uint32_t client)
{
	struct member *m = &c->members[client];
	struct prefix allowed[2];
	char name[16];
	m->is_known = true;
	if (!c->hosts[SERVER].engine)
		return;
	struct peer_config config = client_config(c, client, allowed, name);
	c->may_drop = m->has_fixed; /* it may be another's */
	if (engine_add_peer(c->hosts[SERVER].engine, &config, &m->number) != OK)
		world_fail(&c->world, "client %u cannot be added", client);
	c->may_drop = false;
}

void crowd_change(struct crowd *c, uint32_t client)
{
	struct prefix allowed[2];
	char name[16];
	struct peer_config config = client_config(c, client, allowed, name);
	c->may_drop = c->members[client].has_fixed;
	if (c->hosts[SERVER].engine && engine_change_peer(c->hosts[SERVER].engine, c->members[client].number, &config,
					       host_clock(&c->hosts[SERVER])) != OK)
		world_fail(&c->world, "client %u cannot be changed", client);
	c->may_drop = false;
}

void crowd_remove(struct crowd *c, uint32_t client)
{
	struct member *m = &c->members[client];
	if (c->hosts[SERVER].engine)
		engine_remove_peer(c->hosts[SERVER].engine, m->number);
	m->is_known = false;
	m->removed_at = c->world.now;
}

void crowd_start_server(struct crowd *c)
{
	struct host *h = &c->hosts[SERVER];
	host_start(h, NULL);
	for (size_t i = 0; i < c->book.n; i++) {
		struct book_entry *e = &c->book.entries[i];
		if (e->until != USEC_NEVER)
			continue;
		enum err err = engine_load_lease(h->engine, identity_key_id(c->identities[e->client]), &e->address);
		if (err != OK)
			world_fail(
				&c->world, "a lease of client %u is not taken from disk: %s", e->client, err_text(err));
	}
	for (uint32_t i = 1; i < MEMBERS; i++)
		if (c->members[i].is_known)
			crowd_add(c, i);
}

void crowd_start_client(struct crowd *c, uint32_t client)
{
	struct host *h = &c->hosts[client];
	struct member *m = &c->members[client];
	struct peer_config config = {.name = "the server",
		.initiates = true,
		.has_psk = m->has_psk,
		.takes = TAKE_ADDRESS | TAKE_ROUTES | TAKE_DNS | TAKE_MTU | TAKE_KEEPALIVE};
	memcpy(config.key_id, identity_key_id(c->identities[SERVER]), KEY_ID_LEN);
	memcpy(config.psk, m->psk, PSK_LEN);
	host_start(h, NULL);
	if (engine_add_peer(h->engine, &config, &m->server_number) != OK)
		world_fail(&c->world, "client %u cannot add the server", client);
	else
		engine_set_endpoint(
			h->engine, m->server_number, &c->network.nodes[c->hosts[SERVER].node].address, host_clock(h));
	host_wake(h);
}

void crowd_stop(struct crowd *c, uint32_t member, bool politely)
{
	struct host *h = &c->hosts[member];
	if (!h->engine)
		return;
	struct handshake_counts counts = engine_handshake_counts(h->engine);
	c->handshakes += counts.established;
	c->rekeys += counts.rekeys;
	host_stop(h, politely);
	for (int v4 = 0; v4 < 2; v4++)
		c->members[member].is_told[v4] = c->members[member].has_view[v4] = false;
}

static bool tap(void *context, uint32_t node, const struct datagram *d)
{
	observer_sent(&((struct crowd *)context)->observer, node, d);
	return true;
}

static void choose_member(struct crowd *c, uint32_t number)
{
	struct stream_random *r = &c->random;
	struct member *m = &c->members[number];
	struct host *h = &c->hosts[number];
	*h = (struct host){.world = &c->world,
		.observer = &c->observer,
		.hooks = &hooks,
		.number = number,
		.identity = c->identities[number],
		.interface_mtu = 1500,
		.clock_ahead = random_between(r, 0, 1000000) * USEC_PER_MS};
	h->config = (struct engine_config){.suites = CIPHER_ALL,
		.prefer_aes = random_chance(r, 500),
		.padding = random_chance(r, 300) ? PADDING_NONE : PADDING_BUCKETS,
		.tunnel_mtu = 1420,
		.reauthenticate = 3600 * USEC_PER_SEC,
		.rekey = random_chance(r, 300) ? random_between(r, 10, 60) * USEC_PER_SEC : 0,
		.max_pending = 256,
		.handshake_rate = 1000};
	struct addr address = crowd_new_address(c);
	host_attach(h, &c->network, &address);
	if (number == SERVER)
		return;
	m->is_known = true;
	m->has_network = random_chance(r, 200);
	m->has_psk = random_chance(r, 200);
	if (m->has_psk)
		random_fill(r, m->psk, sizeof m->psk);
	if (number <= 4) { /* the last ones of the smallest pool, so that they are nobody's by chance */
		m->has_fixed = true;
		m->fixed = address_of("10.99.0.62");
		m->fixed.ip[15] = (uint8_t)(m->fixed.ip[15] - number);
	}
}

void crowd_init(struct crowd *c, uint64_t seed, bool is_verbose, struct identity *const identities[MEMBERS])
{
	*c = (struct crowd){.identities = identities};
	world_init(&c->world, seed, is_verbose);
	c->random = random_fork(&c->world.random, 6);
	network_init(&c->network, &c->world);
	c->network.tap = tap;
	c->network.tap_context = c;
	c->network.conditions = (struct conditions){.latency = 20000, .mtu = 1500};
	observer_init(&c->observer, &c->world, c->hosts);
	book_init(&c->book, &c->world);
	letters_init(&c->letters, &c->world);
	for (uint32_t i = 0; i < MEMBERS; i++)
		choose_member(c, i);
}

void crowd_done(struct crowd *c)
{
	for (uint32_t i = 0; i < MEMBERS; i++)
		crowd_stop(c, i, true);
	observer_done(&c->observer);
	book_done(&c->book);
	letters_done(&c->letters);
	world_done(&c->world);
}

/* ---- what holds at any time ---- */

bool crowd_has_session(const struct crowd *c, uint32_t client, usec *ret_at)
{
	struct peer_status status;
	const struct engine *e = c->hosts[SERVER].engine;
	if (!e || !c->members[client].is_known || !engine_peer_status(e, c->members[client].number, &status))
		return false;
	if (ret_at)
		*ret_at = status.established_at;
	return status.is_established;
}

/* Where nothing is lost, everyone who is in knows soon what the server says now. */
static void check_pushed(struct crowd *c)
{
	const struct host *server = &c->hosts[SERVER];
	usec at = 0;
	if (!c->is_calm || c->world.now < c->pushed_at + PUSHED_WITHIN)
		return;
	for (uint32_t i = 1; i < MEMBERS; i++) {
		if (!crowd_has_session(c, i, &at) || host_clock(server) < at + PUSHED_WITHIN)
			continue;
		const struct accept *accept = engine_accepted(c->hosts[i].engine, c->members[i].server_number);
		if (!accept || accept->mtu != server->config.push.mtu)
			world_fail(&c->world, "client %u has not heard of the server's MTU", i);
	}
}

void crowd_check(struct crowd *c)
{
	check_pushed(c);
	const struct engine *e = c->hosts[SERVER].engine;
	struct lease lease;
	struct peer_status status;
	char text[ADDR_TEXT_LEN];
	for (size_t i = 0; e && engine_lease(e, i, &lease); i++) {
		uint32_t holder = book_holder(&c->book, &lease.address);
		if (holder != BOOK_NOBODY && holder != client_of_key(c, lease.key_id))
			world_fail(&c->world, "%s is another's on disk", prefix_format(&lease.address, text));
	}
	for (uint32_t i = 1; e && i < MEMBERS; i++) {
		if (!c->members[i].is_known || !engine_peer_status(e, c->members[i].number, &status))
			continue;
		for (size_t k = 0; k < status.n_addresses; k++)
			if (book_holder(&c->book, &status.addresses[k]) != i)
				world_fail(&c->world, "client %u uses %s, which is not its own on disk", i,
					prefix_format(&status.addresses[k], text));
		if (crowd_has_session(c, i, NULL) && status.n_addresses != 2)
			world_fail(&c->world, "client %u is in with %zu addresses", i, status.n_addresses);
	}
}
