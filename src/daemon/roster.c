#include "daemon/roster_private.h"

#include "base/log.h"
#include "base/secret.h"
#include "crypto/keyfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- pads ---- */

static struct pads_wish wish_of(const struct config *file, const struct config_peer *peer)
{
	return (struct pads_wish){.path = peer->pad,
		.options = {.role = peer->endpoint_host ? PAD_INITIATOR : PAD_RESPONDER,
			.max_zero_run = file->max_zero_run,
			.burns = file->burn,
			.first = peer->pad_offset},
		.allows_weak = file->allow_weak_pad};
}

bool roster_is_pad_as_before(const struct roster *r, const struct entry *e, const struct config_peer *peer)
{
	struct pads_wish wish = wish_of(r->file, peer);
	if (e->protection != peer->protection || !e->pad || !peer->pad)
		return e->protection == peer->protection && !e->pad && !peer->pad;
	return pads_is_as_wished(r->config.pads, e->pad, &wish);
}

/* Its pad is closed only when the engine has let go of it. */
static void forget(struct roster *r, size_t number)
{
	struct entry *e = r->entries[number];
	engine_remove_peer(r->config.engine, (uint32_t)number);
	if (e->pad)
		pads_close(r->config.pads, e->pad);
	r->entries[number] = NULL;
	entry_free(e);
}

/* Whoever had it until now, and is not listed with it any more, must let go of it first. */
static enum err open_pad(struct roster *r, const struct config_peer *peer, struct pad **ret, struct fault *fault)
{
	struct pads_wish wish = wish_of(r->file, peer);
	for (size_t i = 0; i < r->size; i++) {
		const struct entry *e = r->entries[i];
		if (e && e->round != r->round && e->pad && strcmp(e->peer.config->pad, peer->pad) == 0)
			forget(r, i);
	}
	return pads_open(r->config.pads, &wish, ret, fault);
}

/* ---- peers ---- */

static enum protection protection_of(const struct config_peer *peer)
{
	switch (peer->protection) {
	case CONFIG_PROTECTION_OTP:
		return PROTECTION_OTP;
	case CONFIG_PROTECTION_PQ_OTP:
		return PROTECTION_PQ_OTP;
	case CONFIG_PROTECTION_PQ:
		break;
	}
	return PROTECTION_PQ;
}

/* The engine's peer becomes, or is changed to be, this one. */
static enum err tell_engine(struct roster *r, const struct config_peer *from, struct pad *pad, uint32_t *number,
	bool is_new, struct fault *fault)
{
	struct peer_config peer = {
		.name = from->name,
		.allowed_ips = from->allowed_ips.items,
		.n_allowed_ips = from->allowed_ips.count,
		.initiates = from->endpoint_host,
		.keepalive = from->keepalive_s * USEC_PER_SEC,
		.has_psk = from->preshared_key,
		.takes = takes_of(r->file, from),
		.protection = protection_of(from),
		.pad = pad,
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

/* One that the engine does not know. */
static enum err add(struct roster *r, const struct config_peer *from, struct entry **ret, struct fault *fault)
{
	uint32_t number = 0;
	struct entry *e = calloc(1, sizeof *e);
	if (!e)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err err = from->pad ? open_pad(r, from, &e->pad, fault) : OK;
	if (err == OK)
		err = tell_engine(r, from, e->pad, &number, true, fault);
	if (err == OK && grow(r, number) != OK) {
		engine_remove_peer(r->config.engine, number);
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	}
	if (err != OK) {
		if (e->pad)
			pads_close(r->config.pads, e->pad);
		free(e);
		return err;
	}
	e->peer.number = number;
	e->protection = from->protection;
	r->entries[number] = *ret = e;
	return OK;
}

enum err roster_list(struct roster *r, enum roster_source source, const struct config_peer *from,
	struct config_peer *own, struct fault *fault)
{
	uint32_t number = 0;
	enum err err = OK;
	struct entry *e = engine_find_peer(r->config.engine, from->key_id, &number) == OK ? r->entries[number] : NULL;
	if (e && e->round == r->round) {
		err = fault_set(fault, ERR_STATE, "the key of %s is %s's already", from->name, e->peer.config->name);
	} else if (e && roster_is_pad_as_before(r, e, from)) {
		err = tell_engine(r, from, e->pad, &number, false, fault);
	} else {
		if (e)
			forget(r, number);
		err = add(r, from, &e, fault);
	}
	if (err != OK) {
		if (own)
			config_peer_done(own);
		return err;
	}
	config_peer_done(&e->own);
	e->round = r->round;
	e->own = own ? *own : (struct config_peer){0};
	e->peer = (struct roster_peer){
		.source = source, .number = e->peer.number, .pad = e->pad, .config = own ? &e->own : from};
	roster_set_endpoint(r, e, clock_now());
	return OK;
}

bool roster_has_listed(const struct roster *r, const char *name)
{
	for (size_t i = 0; i < r->size; i++) {
		const struct entry *e = r->entries[i];
		if (e && e->round == r->round && strcmp(e->peer.config->name, name) == 0)
			return true;
	}
	return false;
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

/* ---- all of them ---- */

bool roster_takes_keys(const struct config *file, struct fault *fault)
{
	enum err err = OK;
	if (file->protection != CONFIG_PROTECTION_PQ)
		err = fault_set(fault, ERR_STATE,
			"it has no pad, and so cannot have the Protection that [interface] says: give it a section "
			"with "
			"its Pad, or put its pad into the folder Pads");
	else if (!file->private_key)
		err = fault_set(fault, ERR_STATE,
			"this host has no key, which a peer without a pad needs: make one with jorm keygen, and give "
			"it as "
			"PrivateKey");
	return err == OK;
}

static bool list_added(void *context, const struct store_peer *added)
{
	struct roster *r = context;
	struct config_peer own;
	struct fault fault;
	enum err err = config_peer_from(
		&own, added->name, added->key_id, added->allowed_ips, added->endpoint, added->keepalive_s, &fault);
	if (err == OK && roster_has_listed(r, added->name)) {
		config_peer_done(&own);
		err = fault_set(&fault, ERR_STATE, "the configuration has a peer of that name");
	} else if (err == OK && !roster_takes_keys(r->file, &fault)) {
		config_peer_done(&own);
		err = fault.code;
	} else if (err == OK) {
		err = roster_list(r, ROSTER_ADDED, &own, &own, &fault);
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
		forget(r, i);
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
		enum err err = roster_list(r, ROSTER_FILE, &config->peers[i], NULL, first == OK ? fault : &later);
		first = first == OK ? err : first;
	}
	roster_list_folders(r);
	if (r->config.store && store_peers(r->config.store, list_added, r, &later) != OK)
		log_warning("the peers added at run time cannot be read: %s", later.text);
	remove_others(r);
	r->has_begun = true;
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
