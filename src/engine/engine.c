#include "engine/padkeys.h"
#include "engine/engine.h"

#include "engine/grace.h"
#include "engine/private.h"

#include <stdlib.h>

#define HELLO_RATE_DEFAULT 50

/* ---- what the responder asks and tells ---- */

static struct responder_verdict authorise(void *context, const struct sig_public *key, const uint8_t key_id[KEY_ID_LEN])
{
	(void)key;
	struct peer *p = engine_find_key_id(context, key_id);
	if (!p || p->protection == PROTECTION_OTP)
		return (struct responder_verdict){
			.reason = {.code = REJECT_UNAUTHORISED,
				.text = "this key is not known here: the server's admin must add its key ID"}};
	return (struct responder_verdict){
		.authorised = true, .psk = p->has_psk ? p->psk : NULL, .requires_pad = padkeys_has_secret(p)};
}

static uint32_t new_index(void *context)
{
	struct engine *e = context;
	return index_pick(e->index, &e->rng);
}

static enum err admit(void *context, const uint8_t key_id[static KEY_ID_LEN], const struct responder_claim *claim,
	struct reject_reason *reason)
{
	struct peer *p = engine_find_key_id(context, key_id);
	enum err err = p ? padkeys_admit(p, claim, reason) : ERR_STATE; /* nobody goes between authorise and here */
	return err == OK ? handout_admit(context, key_id, reason) : err;
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
	if (handout_send(s) != OK)
		lane_drop(engine_control_lane(e), DROP_MEMORY);
	peer_wake(p, 0);
}

/* ---- life ---- */

static struct responder_config responder_of(struct engine *e)
{
	return (struct responder_config){
		.identity = e->config.identity,
		.suites = e->config.suites,
		.prefer_aes = e->config.prefer_aes,
		.max_pending = e->config.max_pending,
		.rate = e->config.handshake_rate,
		.authorise = authorise,
		.new_index = new_index,
		.find_pad = padkeys_find,
		.admit = admit,
		.established = established,
		.context = e,
	};
}

/* What is borrowed only for the call, or copied elsewhere, is not kept. */
static void take_config(struct engine *e, const struct engine_config *config)
{
	e->config = *config;
	e->config.pools = e->config.own = NULL;
	atomic_store(&e->padding, config->padding);
	atomic_store(&e->are_peers_apart, config->are_peers_apart);
}

enum err engine_new(struct engine **ret, const struct engine_config *config, const struct lane_io *io,
	const struct rng *rng, usec now)
{
	struct engine *e = calloc(1, sizeof *e);
	if (!e)
		return ERR_NOMEM;
	take_config(e, config);
	e->rng = *rng;
	e->now = now;
	ratelimit_init(&e->hellos, config->handshake_rate ? config->handshake_rate : HELLO_RATE_DEFAULT, rng);
	struct responder_config responder = responder_of(e);
	e->lanes = calloc(config->n_lanes + 1, sizeof *e->lanes);
	enum err err = e->lanes ? OK : ERR_NOMEM;
	if (err == OK)
		err = trie_new(&e->trie);
	if (err == OK)
		err = index_new(&e->index);
	if (err == OK && config->is_layer2)
		err = bridge_new(&e->bridge, config->mac, rng);
	if (err == OK)
		err = handout_init(e, config);
	if (err == OK && config->identity)
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

void engine_reclaim(struct engine *e)
{
	index_reclaim(e->index);
	if (!e->removed_routes && !e->removed_peers)
		return;
	grace_wait();
	bridge_forget(e, e->removed_peers);
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
	bridge_free(e->bridge);
	e->bridge = NULL;
	registry_free(e);
	if (e->index)
		engine_reclaim(e);
	index_free(e->index);
	trie_free(e->trie);
	responder_free(e->responder);
	for (uint32_t i = 0; e->lanes && i <= e->config.n_lanes; i++)
		lane_free(e->lanes[i]);
	free(e->lanes);
	leases_free(e->leases);
	free(e);
}

void engine_close(struct engine *e, usec now)
{
	for (uint32_t i = 0; i < e->n_peers; i++) {
		if (e->peers[i])
			peer_say_goodbye(e->peers[i], now);
	}
	engine_reclaim(e);
}

/* ---- another configuration ---- */

/* Sessions prove the identity that they were made under: with another one they end. */
static void change_identity(struct engine *e)
{
	const uint8_t *own = engine_own_id(&e->config);
	for (uint32_t i = 0; i < e->n_peers; i++) {
		struct peer *p = e->peers[i];
		if (!p || p->protection == PROTECTION_OTP)
			continue;
		p->has_smaller_id = memcmp(p->key_id, own, KEY_ID_LEN) < 0;
		p->must_connect = p->initiates;
		peer_reset(p);
		peer_wake(p, e->now);
	}
}

/* With an identity there is a responder, without one there is none. Unchanged on an error. */
static enum err change_responder(struct engine *e, const struct identity *before, usec now)
{
	struct responder_config config = responder_of(e);
	if (before && config.identity)
		return responder_reconfigure(e->responder, &config, now);
	if (config.identity)
		return responder_new(&e->responder, &config, &e->rng, now);
	responder_free(e->responder);
	e->responder = NULL;
	return OK;
}

enum err engine_reconfigure(struct engine *e, const struct engine_config *config, usec now)
{
	struct engine_config wanted = *config;
	const struct identity *before = e->config.identity;
	bool is_other = memcmp(engine_own_id(&e->config), engine_own_id(config), KEY_ID_LEN) != 0;
	e->now = now;
	wanted.n_lanes = e->config.n_lanes;
	wanted.max_pending = e->config.max_pending;
	wanted.host = e->config.host;

	struct engine_config old = e->config;
	e->config.identity = wanted.identity;
	e->config.suites = wanted.suites;
	e->config.prefer_aes = wanted.prefer_aes;
	e->config.handshake_rate = wanted.handshake_rate;
	enum err err = change_responder(e, before, now);
	e->config.identity = before;
	if (err != OK) {
		e->config = old;
		return err;
	}
	err = handout_change(e, &wanted);
	bool mtu_is_auto = old.tunnel_mtu && !wanted.tunnel_mtu;
	take_config(e, &wanted);
	if (is_other)
		change_identity(e);
	if (mtu_is_auto)
		engine_publish_mtu(e);
	return err;
}

struct lane *engine_lane(struct engine *e, uint32_t number)
{
	return e->lanes[number];
}

usec engine_tick(struct engine *e, usec now)
{
	e->now = now;
	if (now >= e->responder_due) {
		if (e->responder)
			responder_tick(e->responder, now);
		e->responder_due = now + USEC_PER_SEC;
	}
	/* Each peer once: one that wants to be called again at once must not keep the others waiting. */
	struct timer *first;
	for (uint32_t n = e->timers.count; n > 0 && (first = timers_first(&e->timers)) && first->due <= now; n--)
		peer_tick((struct peer *)((char *)first - offsetof(struct peer, timer)), now);
	engine_reclaim(e);
	bridge_tick(e, now);
	first = timers_first(&e->timers);
	return first && first->due < e->responder_due ? first->due : e->responder_due;
}
