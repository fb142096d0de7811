#include "engine/engine.h"

#include "engine/grace.h"
#include "engine/private.h"

#include <stdlib.h>

/* ---- what the responder asks and tells ---- */

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

struct peer *engine_find_key_id(struct engine *e, const uint8_t key_id[KEY_ID_LEN])
{
	bool found;
	uint32_t at = key_id_position(e, key_id, &found);
	return found ? e->peers[e->by_key_id[at]] : NULL;
}

static struct responder_verdict authorise(void *context, const struct sig_public *key, const uint8_t key_id[KEY_ID_LEN])
{
	(void)key;
	struct peer *p = engine_find_key_id(context, key_id);
	if (!p)
		return (struct responder_verdict){
			.reason = {.code = REJECT_UNAUTHORISED,
				.text = "this key is not known here: the server's admin must add its key ID"}};
	return (struct responder_verdict){.authorised = true, .psk = p->has_psk ? p->psk : NULL};
}

static uint32_t new_index(void *context)
{
	struct engine *e = context;
	return index_pick(e->index, &e->rng);
}

/* A valid Finish: the session takes packets from now on; it is used for sending once heard. */
static void established(void *context, const struct hs_result *result, const struct addr *proven)
{
	struct engine *e = context;
	struct peer *p = engine_find_key_id(e, result->peer_key_id);
	struct session *s;
	if (!p)
		return;
	usec now = e->now;
	if (session_new(&s, p, result, now) != OK) {
		lane_drop(engine_control_lane(e), DROP_MEMORY);
		return;
	}
	e->counts.answered++;
	peer_drop_session(p, p->pending[0]);
	p->pending[0] = s;
	p->moved_rank = s->rank;
	p->moved_counter = 0;
	bool is_proven = addr_equal(&e->answer_to.remote, proven);
	peer_set_route(p, &e->answer_to, is_proven, now);
	struct route *route = atomic_load(&p->route);
	if (!is_proven && route) /* one full datagram at least came from there */
		atomic_fetch_add(&route->received, HS_DATAGRAM_MAX);
	if (stream_send(s->stream, CONTROL_ACCEPT, VIEW(NULL, 0)) != OK)
		lane_drop(engine_control_lane(e), DROP_MEMORY);
	peer_wake(p, 0);
}

/* ---- life ---- */

enum err engine_new(struct engine **ret, const struct engine_config *config, const struct lane_io *io,
	const struct rng *rng, usec now)
{
	struct engine *e = calloc(1, sizeof *e);
	if (!e)
		return ERR_NOMEM;
	e->config = *config;
	e->rng = *rng;
	e->now = now;
	e->deadline = now;
	struct responder_config responder = {
		.identity = config->identity,
		.suites = config->suites,
		.prefer_aes = config->prefer_aes,
		.max_pending = config->max_pending,
		.rate = config->handshake_rate,
		.authorise = authorise,
		.new_index = new_index,
		.established = established,
		.context = e,
	};
	e->lanes = calloc(config->n_lanes + 1, sizeof *e->lanes);
	enum err err = e->lanes ? OK : ERR_NOMEM;
	if (err == OK)
		err = trie_new(&e->trie);
	if (err == OK)
		err = index_new(&e->index);
	if (err == OK)
		err = responder_new(&e->responder, &responder, rng, now);
	for (uint32_t i = 0; err == OK && i <= config->n_lanes; i++)
		err = lane_new(&e->lanes[i], e, i, &io[i]);
	if (err != OK) {
		engine_free(e);
		return err;
	}
	*ret = e;
	return OK;
}

static void reclaim(struct engine *e)
{
	index_reclaim(e->index);
	if (!e->removed_routes && !e->removed_peers)
		return;
	grace_wait();
	while (e->removed_routes) {
		struct route *next = e->removed_routes->next_removed;
		free(e->removed_routes);
		e->removed_routes = next;
	}
	while (e->removed_peers) {
		struct peer *next = e->removed_peers->next_removed;
		peer_free(e->removed_peers);
		e->removed_peers = next;
	}
	index_reclaim(e->index);
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	for (uint32_t i = 0; i < e->n_peers; i++)
		peer_free(e->peers[i]);
	if (e->index)
		reclaim(e);
	index_free(e->index);
	trie_free(e->trie);
	responder_free(e->responder);
	for (uint32_t i = 0; e->lanes && i <= e->config.n_lanes; i++)
		lane_free(e->lanes[i]);
	free(e->lanes);
	free(e->peers);
	free(e->by_key_id);
	free(e);
}

void engine_close(struct engine *e, usec now)
{
	for (uint32_t i = 0; i < e->n_peers; i++) {
		struct peer *p = e->peers[i];
		if (p && p->active && stream_send(p->active->stream, CONTROL_CLOSE, VIEW(NULL, 0)) == OK)
			(void)session_tick(p->active, now);
	}
	reclaim(e);
}

/* ---- peers ---- */

static enum err grow(struct engine *e)
{
	if (e->n_peers < e->peers_size)
		return OK;
	uint32_t size = e->peers_size ? 2 * e->peers_size : 16;
	if (size > PEERS_MAX)
		return ERR_FULL;
	struct peer **peers = realloc(e->peers, size * sizeof *peers);
	if (!peers)
		return ERR_NOMEM;
	e->peers = peers;
	uint32_t *sorted = realloc(e->by_key_id, size * sizeof *sorted);
	if (!sorted)
		return ERR_NOMEM;
	e->by_key_id = sorted;
	e->peers_size = size;
	return OK;
}

enum err engine_add_peer(struct engine *e, const struct peer_config *config, uint32_t *ret_number)
{
	bool found;
	struct peer *p;
	enum err err = grow(e);
	if (err != OK)
		return err;
	uint32_t at = key_id_position(e, config->key_id, &found);
	if (found || memcmp(config->key_id, identity_key_id(e->config.identity), KEY_ID_LEN) == 0)
		return ERR_EXISTS;
	err = peer_new(&p, e, config, e->n_peers);
	if (err != OK)
		return err;
	for (size_t i = 0; err == OK && i < config->n_allowed_ips; i++)
		err = trie_insert(e->trie, &config->allowed_ips[i], p);
	if (err != OK) {
		trie_remove(e->trie, p);
		p->next_removed = e->removed_peers;
		e->removed_peers = p;
		return err;
	}
	memmove(e->by_key_id + at + 1, e->by_key_id + at, (e->n_by_key_id - at) * sizeof *e->by_key_id);
	e->by_key_id[at] = e->n_peers;
	e->n_by_key_id++;
	e->peers[e->n_peers] = p;
	*ret_number = e->n_peers++;
	return OK;
}

void engine_remove_peer(struct engine *e, uint32_t number)
{
	struct peer *p = number < e->n_peers ? e->peers[number] : NULL;
	bool found;
	if (!p)
		return;
	uint32_t at = key_id_position(e, p->key_id, &found);
	e->n_by_key_id--;
	memmove(e->by_key_id + at, e->by_key_id + at + 1, (e->n_by_key_id - at) * sizeof *e->by_key_id);
	trie_remove(e->trie, p);
	peer_drop_session(p, p->active);
	peer_drop_session(p, p->pending[0]);
	peer_drop_session(p, p->pending[1]);
	peer_drop_session(p, p->old);
	e->peers[number] = NULL;
	p->next_removed = e->removed_peers;
	e->removed_peers = p;
	reclaim(e);
}

void engine_set_endpoint(struct engine *e, uint32_t number, const struct addr *address, usec now)
{
	struct peer *p = number < e->n_peers ? e->peers[number] : NULL;
	if (!p)
		return;
	if (!addr_equal(&p->configured, address)) {
		p->configured = *address;
		peer_call_again(p);
	}
	p->retry_at = 0;
	peer_wake(p, now);
}

struct lane *engine_lane(struct engine *e, uint32_t number)
{
	return e->lanes[number];
}

usec engine_tick(struct engine *e, usec now)
{
	e->now = now;
	if (now >= e->responder_due) {
		responder_tick(e->responder, now);
		e->responder_due = now + USEC_PER_SEC;
	}
	if (now >= e->deadline) {
		usec earliest = USEC_NEVER;
		for (uint32_t i = 0; i < e->n_peers; i++) {
			struct peer *p = e->peers[i];
			if (p && p->deadline <= now)
				peer_tick(p, now);
			if (p && p->deadline < earliest)
				earliest = p->deadline;
		}
		e->deadline = earliest;
	}
	reclaim(e);
	return e->deadline < e->responder_due ? e->deadline : e->responder_due;
}
