/* The peers: added, changed, found and removed (control thread). */
#include "engine/padlink.h"
#include "engine/grace.h"
#include "engine/private.h"

#include <stdlib.h>

/* Where the key ID stands, or would stand, in the sorted list. */
static uint32_t key_id_position(const struct engine *e, const uint8_t key_id[KEY_ID_LEN], bool *found)
{
	uint32_t low = 0, high = e->n_by_key_id;
	*found = false;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = memcmp(e->peers[e->by_key_id[middle]]->key_id, key_id, KEY_ID_LEN);
		if (order == 0) {
			*found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct peer *engine_find_key_id(const struct engine *e, const uint8_t key_id[KEY_ID_LEN])
{
	bool found;
	uint32_t at = key_id_position(e, key_id, &found);
	return found ? e->peers[e->by_key_id[at]] : NULL;
}

struct peer *engine_peer(const struct engine *e, uint32_t number)
{
	return number < e->n_peers ? e->peers[number] : NULL;
}

enum err engine_find_peer(const struct engine *e, const uint8_t key_id[KEY_ID_LEN], uint32_t *ret_number)
{
	const struct peer *p = engine_find_key_id(e, key_id);
	if (!p)
		return ERR_NOT_FOUND;
	*ret_number = p->number;
	return OK;
}

/* ---- room ---- */

static enum err enlarge(void **array, size_t count, size_t each)
{
	void *larger = reallocarray(*array, count, each);
	if (!larger)
		return ERR_NOMEM;
	*array = larger;
	return OK;
}

static enum err grow(struct engine *e)
{
	if (e->n_peers < e->peers_size)
		return OK;
	uint32_t size = e->peers_size ? 2 * e->peers_size : 16;
	if (size > PEERS_MAX)
		return ERR_FULL;
	enum err err = enlarge((void **)&e->peers, size, sizeof *e->peers);
	if (err == OK)
		err = enlarge((void **)&e->by_key_id, size, sizeof *e->by_key_id);
	if (err == OK)
		err = enlarge((void **)&e->callers, size, sizeof *e->callers);
	if (err == OK)
		err = timers_reserve(&e->timers, size);
	if (err == OK)
		e->peers_size = size;
	return err;
}

/* A number that a removed peer had, or the next. ERR_NOMEM, ERR_FULL. */
static enum err free_number(struct engine *e, uint32_t *ret)
{
	for (uint32_t i = 0; e->n_by_key_id < e->n_peers && i < e->n_peers; i++) {
		if (!e->peers[i]) {
			*ret = i;
			return OK;
		}
	}
	*ret = e->n_peers;
	return grow(e);
}

void registry_free(struct engine *e)
{
	for (uint32_t i = 0; i < e->n_peers; i++)
		peer_free(e->peers[i]);
	free(e->peers);
	free(e->by_key_id);
	free(e->callers);
	timers_done(&e->timers);
}

/* ---- prefixes ---- */

static bool has_prefix(const struct prefix *list, size_t n, const struct prefix *prefix)
{
	for (size_t i = 0; i < n; i++)
		if (list[i].v4 == prefix->v4 && list[i].bits == prefix->bits && memcmp(list[i].ip, prefix->ip, 16) == 0)
			return true;
	return false;
}

bool peer_owns(const struct peer *p, const struct prefix *prefix)
{
	return has_prefix(p->allowed, p->n_allowed, prefix) || has_prefix(p->leased, p->n_leased, prefix) ||
	       (p->accepted && has_prefix(p->accepted->routes, p->accepted->n_routes, prefix));
}

/* The peer's own prefixes become these. Those that stay match all the time. ERR_NOMEM: some of the new ones may be in
 * the trie. */
static enum err set_allowed(struct peer *p, const struct prefix *prefixes, size_t n)
{
	struct engine *e = p->engine;
	struct prefix *copy = NULL;
	if (n) {
		copy = calloc(n, sizeof *copy);
		if (!copy)
			return ERR_NOMEM;
		memcpy(copy, prefixes, n * sizeof *copy);
	}
	enum err err = OK;
	for (size_t i = 0; err == OK && i < n; i++)
		err = trie_insert(e->trie, &copy[i], p);
	if (err != OK) {
		free(copy);
		return err;
	}
	struct prefix *before = p->allowed;
	size_t n_before = p->n_allowed;
	p->allowed = copy;
	p->n_allowed = n;
	for (size_t i = 0; i < n_before; i++)
		if (!peer_owns(p, &before[i]))
			trie_remove_prefix(e->trie, &before[i], p);
	free(before);
	return handout_add_peer(p);
}

/* ---- adding, changing, removing ---- */

static void discard(struct peer *p)
{
	trie_remove(p->engine->trie, p);
	p->next_removed = p->engine->removed_peers;
	p->engine->removed_peers = p;
}

enum err engine_add_peer(struct engine *e, const struct peer_config *config, uint32_t *ret_number)
{
	bool found;
	struct peer *p;
	uint32_t number;
	if (config->protection != PROTECTION_PQ && !config->pad)
		return ERR_ARGUMENT;
	enum err err = free_number(e, &number);
	if (err != OK)
		return err;
	uint32_t at = key_id_position(e, config->key_id, &found);
	if (found || memcmp(config->key_id, engine_own_id(&e->config), KEY_ID_LEN) == 0)
		return ERR_EXISTS;
	err = peer_new(&p, e, config, number);
	if (err != OK)
		return err;
	err = set_allowed(p, config->allowed_ips, config->n_allowed_ips);
	if (err != OK) {
		discard(p);
		return err;
	}
	memmove(e->by_key_id + at + 1, e->by_key_id + at, (e->n_by_key_id - at) * sizeof *e->by_key_id);
	e->by_key_id[at] = number;
	e->n_by_key_id++;
	e->peers[number] = p;
	bridge_change(e->bridge);
	if (number == e->n_peers)
		e->n_peers++;
	*ret_number = number;
	return OK;
}

enum err engine_change_peer(struct engine *e, uint32_t number, const struct peer_config *config, usec now)
{
	struct peer *p = engine_peer(e, number);
	if (!p || memcmp(p->key_id, config->key_id, KEY_ID_LEN) != 0)
		return ERR_ARGUMENT;
	e->now = now;
	enum err err = set_allowed(p, config->allowed_ips, config->n_allowed_ips);
	if (err != OK)
		return err;
	bool same_psk = p->has_psk == config->has_psk && (!p->has_psk || secret_equal(p->psk, config->psk, PSK_LEN));
	bool began = config->initiates && !p->initiates;
	bool same_pad = p->pad == config->pad && p->protection == config->protection;
	if (!same_psk || !same_pad)
		peer_reset(p);
	if (!same_pad) {
		grace_wait(); /* no lane uses the pad any more */
		padlink_free(p);
	}
	peer_configure(p, config);
	bridge_change(e->bridge);
	p->must_connect |= began || (!same_pad && p->initiates);
	if (!same_pad && p->pad && padlink_new(p) != OK) {
		p->pad = NULL; /* and with it what it protects: nothing is sent with less */
		return ERR_NOMEM;
	}
	peer_wake(p, now);
	return OK;
}

void engine_remove_peer(struct engine *e, uint32_t number)
{
	struct peer *p = engine_peer(e, number);
	bool found;
	if (!p)
		return;
	uint32_t at = key_id_position(e, p->key_id, &found);
	e->n_by_key_id--;
	memmove(e->by_key_id + at, e->by_key_id + at + 1, (e->n_by_key_id - at) * sizeof *e->by_key_id);
	peer_reset(p);
	timers_set(&e->timers, &p->timer, USEC_NEVER);
	e->peers[number] = NULL;
	if (e->leases)
		leases_unreserve(e->leases, p->key_id);
	discard(p);
	engine_reclaim(e);
}

void engine_set_endpoint(struct engine *e, uint32_t number, const struct addr *address, usec now)
{
	struct peer *p = engine_peer(e, number);
	if (!p)
		return;
	if (!addr_equal(&p->configured, address)) {
		p->configured = *address;
		peer_call_again(p);
	}
	p->retry_at = 0;
	peer_wake(p, now);
}
