#include "daemon/roster_private.h"

#include "base/file.h"
#include "base/log.h"
#include "base/secret.h"
#include "config/authorized.h"
#include "crypto/keyfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RIPE_S 2 /* nobody has written to it for so long */

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

static bool is_pad_as_before(const struct roster *r, const struct entry *e, const struct config_peer *peer)
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

/*
 * Lists a peer in this round. `own`: the roster's from now on, whatever comes of it. ERR_STATE: the key, or its
 * name, is listed already.
 */
static enum err list_peer(struct roster *r, enum roster_source source, const struct config_peer *from,
	struct config_peer *own, struct fault *fault)
{
	uint32_t number = 0;
	enum err err = OK;
	struct entry *e = engine_find_peer(r->config.engine, from->key_id, &number) == OK ? r->entries[number] : NULL;
	if (e && e->round == r->round) {
		err = fault_set(fault, ERR_STATE, "the key of %s is %s's already", from->name, e->peer.config->name);
	} else if (e && is_pad_as_before(r, e, from)) {
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

/* ---- folders ---- */

struct folder {
	const char *key, *path, *suffix;
	bool has_pads; /* not keys */
	enum err (*read)(struct authorized *ret, const char *path, struct config_diagnostics *diags);
};

/* A copy is under way as long as somebody writes to it: its end would be taken for the pad's. */
static bool is_ripe(const char *path)
{
	struct stat st;
	int fd = file_open(path, O_RDONLY | O_NONBLOCK);
	bool is_known = fd >= 0 && fstat(fd, &st) == 0;
	if (fd >= 0)
		close(fd);
	int64_t now = (int64_t)(clock_wall() / USEC_PER_SEC);
	return !is_known || st.st_mtim.tv_sec > now || st.st_mtim.tv_sec < now - RIPE_S;
}

/* The peer of one file. */
static enum err peer_of(
	struct config_peer *ret, const struct folder *folder, const struct authorized_key *item, struct fault *fault)
{
	enum err err = config_peer_from(ret, item->name, item->key_id, NULL, NULL, 0, fault);
	if (err != OK || !folder->has_pads)
		return err;
	ret->protection = CONFIG_PROTECTION_OTP;
	if (asprintf(&ret->pad, "%s/%s%s", folder->path, item->name, folder->suffix) < 0) {
		ret->pad = NULL;
		config_peer_done(ret);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	return OK;
}

/* An unchanged file of the folder is the common case: nothing is to be done then. */
static bool is_as_before(struct roster *r, const struct config_peer *peer)
{
	uint32_t number;
	if (engine_find_peer(r->config.engine, peer->key_id, &number) != OK)
		return false;
	struct entry *e = r->entries[number];
	if (e->peer.source != ROSTER_FOLDER || e->round == r->round || strcmp(e->own.name, peer->name) != 0 ||
		!is_pad_as_before(r, e, peer))
		return false;
	e->round = r->round;
	return true;
}

static void list_file(struct roster *r, const struct folder *folder, const struct authorized_key *item)
{
	struct config_peer own;
	struct fault fault;
	enum err err = peer_of(&own, folder, item, &fault);
	if (err == OK && is_as_before(r, &own)) {
		config_peer_done(&own);
	} else if (err == OK && folder->has_pads && is_listed_name(r, item->name)) {
		config_peer_done(&own);
		err = fault_set(&fault, ERR_STATE, "another peer has that name");
	} else if (err == OK && folder->has_pads && r->has_begun && !is_ripe(own.pad)) {
		config_peer_done(&own);
		r->is_unripe = true;
	} else if (err == OK) {
		err = list_peer(r, ROSTER_FOLDER, &own, &own, &fault);
	}
	if (err != OK)
		log_warning("%s: %s%s is left out: %s", folder->key, item->name, folder->suffix, fault.text);
}

static void list_folder(struct roster *r, const struct folder *folder)
{
	struct authorized files;
	struct config_diagnostics diags = {0};
	if (!folder->path)
		return;
	enum err err = folder->read(&files, folder->path, &diags);
	for (size_t i = 0; i < diags.count; i++)
		log_warning("%s", diags.items[i].text);
	config_diagnostics_done(&diags);
	if (err != OK) /* a folder that cannot be read now must not throw everybody out */
		for (size_t i = 0; i < r->size; i++) {
			struct entry *e = r->entries[i];
			if (e && e->peer.source == ROSTER_FOLDER && !e->own.pad == !folder->has_pads &&
				err != ERR_NOT_FOUND)
				e->round = r->round;
		}
	for (size_t i = 0; i < files.count; i++) {
		if (has_section(r->file, files.items[i].name))
			log_warning("%s: %s%s is left out: the section [peer %s] counts", folder->key,
				files.items[i].name, folder->suffix, files.items[i].name);
		else
			list_file(r, folder, &files.items[i]);
	}
	authorized_done(&files);
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
	if (err == OK && is_listed_name(r, added->name)) {
		config_peer_done(&own);
		err = fault_set(&fault, ERR_STATE, "the configuration has a peer of that name");
	} else if (err == OK && !roster_takes_keys(r->file, &fault)) {
		config_peer_done(&own);
		err = fault.code;
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
		forget(r, i);
	}
}

enum err roster_sync(struct roster *r, const struct config *config, struct fault *fault)
{
	const struct folder folders[] = {{"AuthorizedKeys", config->authorized_keys, ".pub", false, authorized_read},
		{"Pads", config->pads, ".pad", true, authorized_read_pads}};
	enum err first = OK;
	struct fault later;
	r->round++;
	r->file = config;
	r->is_unripe = false;
	for (size_t i = 0; i < config->peer_count; i++) {
		if (is_same_section(r, &config->peers[i]))
			continue;
		enum err err = list_peer(r, ROSTER_FILE, &config->peers[i], NULL, first == OK ? fault : &later);
		first = first == OK ? err : first;
	}
	for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
		list_folder(r, &folders[i]);
	if (r->config.store && store_peers(r->config.store, list_added, r, &later) != OK)
		log_warning("the peers added at run time cannot be read: %s", later.text);
	remove_others(r);
	r->has_begun = true;
	return first;
}

/* ---- questions ---- */

bool roster_is_unripe(const struct roster *r)
{
	return r->is_unripe;
}

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
