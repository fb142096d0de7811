#include "daemon/roster.h"

#include "base/log.h"
#include "base/secret.h"
#include "config/authorized.h"
#include "crypto/keyfile.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_FIRST USEC_PER_SEC
#define ASK_MAX (60 * USEC_PER_SEC)
#define LOOK_EVERY (2 * USEC_PER_SEC) /* whether a peer with a name is silent */

struct entry {
	struct roster_peer peer;
	struct config_peer own; /* of a folder, or added */
	uint64_t round;         /* of the last roster_sync that listed it */

	/* Its endpoint, if that is a name. */
	bool has_name, is_asked, has_address;
	usec ask_at, wait;
	struct addr address;
};

struct roster {
	struct roster_config config;
	const struct config *file;
	struct entry **entries; /* by the engine's number; NULL: none */
	size_t size;
	uint64_t round;
	struct prefix *prefixes;
	usec due;
};

enum err roster_new(struct roster **ret, const struct roster_config *config, struct fault *fault)
{
	struct roster *r = calloc(1, sizeof *r);
	if (!r)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	r->config = *config;
	r->due = USEC_NEVER;
	*ret = r;
	return OK;
}

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	config_peer_done(&e->own);
	free(e);
}

void roster_free(struct roster *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->size; i++)
		entry_free(r->entries[i]);
	free(r->entries);
	free(r->prefixes);
	free(r);
}

/* ---- endpoints ---- */

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

/* Numeric ones are known at once; names are asked for as soon as roster_tick comes. */
static void set_endpoint(struct roster *r, struct entry *e, usec now)
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

/* ---- who is a peer ---- */

static uint32_t takes_of(const struct config *file, const struct config_peer *peer)
{
	bool has_address = file->addresses.count > 0; /* its own: none is asked for */
	return (peer->accept_address && !has_address ? TAKE_ADDRESS : 0) | (peer->accept_routes ? TAKE_ROUTES : 0) |
	       (peer->accept_dns ? TAKE_DNS : 0) | (peer->accept_mtu ? TAKE_MTU : 0) |
	       (peer->accept_keepalive ? TAKE_KEEPALIVE : 0);
}

static enum err grow(struct roster *r, uint32_t number)
{
	if (number < r->size)
		return OK;
	size_t size = r->size ? r->size : 16;
	while (size <= number)
		size *= 2;
	struct entry **larger = reallocarray(r->entries, size, sizeof(struct entry *));
	if (!larger)
		return ERR_NOMEM;
	memset(larger + r->size, 0, (size - r->size) * sizeof(struct entry *));
	r->entries = larger;
	r->size = size;
	return OK;
}

/* The engine's peer becomes, or is changed to be, this one. */
static enum err tell_engine(
	struct roster *r, const struct config_peer *from, bool is_new, uint32_t *number, struct fault *fault)
{
	struct peer_config peer = {
		.name = from->name,
		.allowed_ips = from->allowed_ips.items,
		.n_allowed_ips = from->allowed_ips.count,
		.initiates = from->endpoint_host,
		.keepalive = from->keepalive_s * USEC_PER_SEC,
		.has_psk = from->preshared_key,
		.takes = takes_of(r->file, from),
	};
	enum err err = OK;
	memcpy(peer.key_id, from->key_id, KEY_ID_LEN);
	if (from->preshared_key)
		err = keyfile_read_psk(peer.psk, from->preshared_key, fault);
	if (err == OK) {
		err = is_new ? engine_add_peer(r->config.engine, &peer, number)
			     : engine_change_peer(r->config.engine, *number, &peer, clock_now());
		if (err == ERR_EXISTS)
			err = fault_set(
				fault, err, "peer %s has this host's own key: give it its own KeyID", from->name);
		else if (err != OK)
			err = fault_set(fault, err, "peer %s: %s", from->name, err_text(err));
	}
	secret_wipe(peer.psk, sizeof peer.psk);
	return err;
}

/*
 * Lists a peer in this round. `own`: the roster's from now on, whatever comes of it. ERR_STATE: the key, or its
 * name, is listed already.
 */
static enum err list_peer(struct roster *r, enum roster_source source, const struct config_peer *from,
	struct config_peer *own, struct fault *fault)
{
	uint32_t number = 0;
	bool is_new = engine_find_peer(r->config.engine, from->key_id, &number) != OK;
	struct entry *e = is_new ? calloc(1, sizeof *e) : r->entries[number];
	enum err err = e ? OK : fault_set(fault, ERR_NOMEM, "out of memory");
	if (err == OK && !is_new && e->round == r->round)
		err = fault_set(fault, ERR_STATE, "the key of %s is %s's already", from->name, e->peer.config->name);
	if (err == OK)
		err = tell_engine(r, from, is_new, &number, fault);
	if (err == OK && is_new && grow(r, number) != OK) {
		engine_remove_peer(r->config.engine, number);
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	}
	if (err != OK) {
		if (is_new)
			free(e);
		if (own)
			config_peer_done(own);
		return err;
	}
	if (!is_new)
		config_peer_done(&e->own);
	e->round = r->round;
	e->own = own ? *own : (struct config_peer){0};
	e->peer = (struct roster_peer){.source = source, .number = number, .config = own ? &e->own : from};
	r->entries[number] = e;
	set_endpoint(r, e, clock_now());
	return OK;
}

/* In this round: one of before may have had the name, too. */
static bool is_listed_name(const struct roster *r, const char *name)
{
	for (size_t i = 0; i < r->size; i++) {
		const struct entry *e = r->entries[i];
		if (e && e->round == r->round && strcmp(e->peer.config->name, name) == 0)
			return true;
	}
	return false;
}

/* An unchanged file of the folder is the common case: nothing is to be done then. */
static bool is_as_before(struct roster *r, const char *name, const uint8_t key_id[KEY_ID_LEN])
{
	uint32_t number;
	if (engine_find_peer(r->config.engine, key_id, &number) != OK)
		return false;
	struct entry *e = r->entries[number];
	if (e->peer.source != ROSTER_FOLDER || e->round == r->round || strcmp(e->own.name, name) != 0)
		return false;
	e->round = r->round;
	return true;
}

/* The configuration is the same as the last time. */
static bool is_same_section(struct roster *r, const struct config_peer *section)
{
	uint32_t number;
	if (engine_find_peer(r->config.engine, section->key_id, &number) != OK)
		return false;
	struct entry *e = r->entries[number];
	if (e->peer.config != section)
		return false;
	e->round = r->round;
	return true;
}

static bool has_section(const struct config *file, const char *name)
{
	for (size_t i = 0; i < file->peer_count; i++)
		if (strcmp(file->peers[i].name, name) == 0)
			return true;
	return false;
}

static void list_folder(struct roster *r)
{
	struct authorized keys;
	struct config_diagnostics diags = {0};
	enum err err = authorized_read(&keys, r->file->authorized_keys, &diags);
	for (size_t i = 0; i < diags.count; i++)
		log_warning("%s", diags.items[i].text);
	config_diagnostics_done(&diags);
	if (err != OK) /* a folder that cannot be read now must not throw everybody out */
		for (size_t i = 0; i < r->size; i++)
			if (r->entries[i] && r->entries[i]->peer.source == ROSTER_FOLDER && err != ERR_NOT_FOUND)
				r->entries[i]->round = r->round;
	for (size_t i = 0; i < keys.count; i++) {
		struct config_peer own;
		struct fault fault;
		const struct authorized_key *key = &keys.items[i];
		if (has_section(r->file, key->name)) {
			log_warning("AuthorizedKeys: %s.pub is left out: the section [peer %s] counts", key->name,
				key->name);
			continue;
		}
		if (is_as_before(r, key->name, key->key_id))
			continue;
		if (config_peer_from(&own, key->name, key->key_id, NULL, NULL, 0, &fault) != OK ||
			list_peer(r, ROSTER_FOLDER, &own, &own, &fault) != OK)
			log_warning("AuthorizedKeys: %s.pub is left out: %s", key->name, fault.text);
	}
	authorized_done(&keys);
}

static bool list_added(void *context, const struct store_peer *added)
{
	struct roster *r = context;
	struct config_peer own;
	struct fault fault;
	enum err err = config_peer_from(
		&own, added->name, added->key_id, added->allowed_ips, added->endpoint, added->keepalive_s, &fault);
	if (err == OK && is_listed_name(r, added->name)) {
		config_peer_done(&own);
		err = fault_set(&fault, ERR_STATE, "the configuration has a peer of that name");
	} else if (err == OK) {
		err = list_peer(r, ROSTER_ADDED, &own, &own, &fault);
	}
	if (err != OK)
		log_warning("the added peer %s is left out: %s", added->name, fault.text);
	return true;
}

static void remove_others(struct roster *r)
{
	for (size_t i = 0; i < r->size; i++) {
		struct entry *e = r->entries[i];
		if (!e || e->round == r->round)
			continue;
		log_info("peer %s is removed", e->peer.config->name);
		engine_remove_peer(r->config.engine, (uint32_t)i);
		r->entries[i] = NULL;
		entry_free(e);
	}
}

enum err roster_sync(struct roster *r, const struct config *config, struct fault *fault)
{
	enum err first = OK;
	struct fault later;
	r->round++;
	r->file = config;
	for (size_t i = 0; i < config->peer_count; i++) {
		if (is_same_section(r, &config->peers[i]))
			continue;
		enum err err = list_peer(r, ROSTER_FILE, &config->peers[i], NULL, first == OK ? fault : &later);
		first = first == OK ? err : first;
	}
	if (config->authorized_keys)
		list_folder(r);
	if (r->config.store && store_peers(r->config.store, list_added, r, &later) != OK)
		log_warning("the peers added at run time cannot be read: %s", later.text);
	remove_others(r);
	return first;
}

/* ---- questions ---- */

bool roster_peer(const struct roster *r, uint32_t number, struct roster_peer *ret)
{
	if (number >= r->size || !r->entries[number])
		return false;
	*ret = r->entries[number]->peer;
	return true;
}

bool roster_find(const struct roster *r, const char *name, struct roster_peer *ret)
{
	for (size_t i = 0; i < r->size; i++) {
		if (r->entries[i] && strcmp(r->entries[i]->peer.config->name, name) == 0) {
			*ret = r->entries[i]->peer;
			return true;
		}
	}
	return false;
}

enum err roster_prefixes(struct roster *r, const struct prefix **ret, size_t *ret_n)
{
	size_t n = 0, at = 0;
	for (size_t i = 0; i < r->size; i++)
		n += r->entries[i] ? r->entries[i]->peer.config->allowed_ips.count : 0;
	struct prefix *list = reallocarray(r->prefixes, n + 1, sizeof *list);
	if (!list)
		return ERR_NOMEM;
	r->prefixes = list;
	for (size_t i = 0; i < r->size; i++) {
		const struct config_prefixes *own = r->entries[i] ? &r->entries[i]->peer.config->allowed_ips : NULL;
		for (size_t k = 0; own && k < own->count; k++)
			list[at++] = own->items[k];
	}
	*ret = list;
	*ret_n = n;
	return OK;
}
