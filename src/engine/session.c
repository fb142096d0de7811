#include "engine/padkeys.h"
#include "engine/padlink.h"
#include "engine/session.h"

#include "engine/grace.h"
#include "engine/private.h"

#include <stdlib.h>

#define CONFIRM_FIRST (100 * USEC_PER_MS)
#define CONFIRM_MAX (5 * USEC_PER_SEC)

/* Keys of an epoch, published in the index. */
static enum err publish_keys(struct session *s, const struct keys_config *config, struct keys **ret)
{
	struct keys *keys;
	enum err err = keys_new(&keys, config);
	if (err != OK)
		return err;
	err = index_add(s->peer->engine->index, keys);
	if (err != OK) {
		keys_free(keys);
		return err;
	}
	*ret = keys;
	return OK;
}

static enum err make_keys(struct session *s, const struct epoch *epoch, uint32_t local, uint32_t remote,
	enum cipher cipher, usec now, struct keys **ret)
{
	struct engine *e = s->peer->engine;
	if (s->peer->protection != PROTECTION_PQ && !s->peer->pad)
		return ERR_STATE; /* never with less than is configured */
	struct keys_config config = {
		.local_index = local,
		.remote_index = remote,
		.cipher = cipher,
		.rank = s->rank + s->n_epochs + (s->current ? 1 : 0),
		.born = now,
		.n_lanes = e->config.n_lanes + 1,
		.key_send = s->is_initiator ? epoch->k_i2r : epoch->k_r2i,
		.key_receive = s->is_initiator ? epoch->k_r2i : epoch->k_i2r,
		.owner = s->peer,
		.protection = s->peer->protection, /* the configuration's, whatever came */
		.pad = s->peer->protection == PROTECTION_PQ ? NULL : s->peer->pad,
	};
	return publish_keys(s, &config, ret);
}

enum err session_new(struct session **ret, struct peer *peer, const struct hs_result *result, usec now)
{
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		return ERR_NOMEM;
	s->peer = peer;
	s->is_initiator = result->is_initiator;
	s->peer_alg = result->peer_alg;
	s->made_at = now;
	s->rank = ++peer->sessions_made << 32;
	memcpy(s->epoch.r, result->h6, HASH_LEN); /* r_0 = h6 */
	memcpy(s->epoch.rekey, result->rekey_0, HASH_LEN);
	memcpy(s->epoch.k_i2r, result->k_i2r, AEAD_KEY_LEN);
	memcpy(s->epoch.k_r2i, result->k_r2i, AEAD_KEY_LEN);
	enum err err = stream_new(&s->stream);
	if (err == OK)
		err = make_keys(
			s, &s->epoch, result->local_index, result->remote_index, result->suite, now, &s->current);
	secret_wipe(s->epoch.k_i2r, AEAD_KEY_LEN);
	secret_wipe(s->epoch.k_r2i, AEAD_KEY_LEN);
	if (err != OK) {
		session_free(s);
		return err;
	}
	*ret = s;
	return OK;
}

enum err session_new_pad(struct session **ret, struct peer *peer, const struct session_ends *ends, usec now)
{
	struct session *s = calloc(1, sizeof *s);
	if (!s)
		return ERR_NOMEM;
	s->peer = peer;
	s->is_initiator = ends->is_initiator;
	s->made_at = now;
	s->rank = ++peer->sessions_made << 32;
	struct keys_config config = {
		.local_index = ends->local_index,
		.remote_index = ends->remote_index,
		.rank = s->rank,
		.born = now,
		.n_lanes = peer->engine->config.n_lanes + 1,
		.owner = peer,
		.protection = PROTECTION_OTP,
		.pad = peer->pad,
		.pad_floor = ends->floor,
	};
	enum err err = stream_new(&s->stream);
	if (err == OK)
		err = publish_keys(s, &config, &s->current);
	if (err != OK) {
		session_free(s);
		return err;
	}
	*ret = s;
	return OK;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	struct index *index = s->peer->engine->index;
	index_remove(index, s->current);
	index_remove(index, s->previous);
	index_remove(index, s->next);
	stream_free(s->stream);
	rekey_abandon(s->rekey);
	secret_wipe(s, sizeof *s);
	free(s);
}

void session_retire(struct session *s, usec now)
{
	keys_retire(s->current);
	index_remove(s->peer->engine->index, s->next);
	s->next = NULL;
	rekey_abandon(s->rekey);
	s->rekey = NULL;
	secret_wipe(&s->epoch, sizeof s->epoch);
	secret_wipe(&s->next_epoch, sizeof s->next_epoch);
	s->previous_until = now + PREVIOUS_LIFETIME;
}

/* A pad needs no new keys: each of its bytes is one. */
static bool has_epochs(const struct session *s)
{
	return keys_protection(s->current) != PROTECTION_OTP;
}

/* A hello may be an old one, recorded, and sent again to an end whose state was restored from a backup: no pad is used
 * for it before the initiator has shown, in this session, that it is there now. */
static bool may_speak(const struct session *s)
{
	return has_epochs(s) || s->is_initiator || keys_is_heard(s->current);
}

void session_send(struct session *s, struct keys *keys, struct view frames, size_t plain, usec now)
{
	struct peer *p = s->peer;
	struct lane *lane = engine_control_lane(p->engine);
	struct route *route = atomic_load(&p->route);
	uint8_t *datagram = lane->buffer; /* the control lane has no batch open between calls */
	if (!keys)
		keys = s->current;
	size_t prefix = keys_prefix(keys);
	if (plain == 0)
		plain = lane_padded(lane, prefix + frames.len, p->plain_max);
	size_t wire = plain + DATA_OVERHEAD;
	if (!route || !keys_may_send(keys, now) || !may_speak(s) || prefix + frames.len > plain)
		return;
	if (!route_may_send(route, wire)) {
		lane_drop(lane, DROP_UNPROVEN_PATH);
		return;
	}
	if (frames.len)
		memcpy(datagram + DATA_HEADER_LEN + prefix, frames.data, frames.len);
	grace_read_begin(); /* what is found of a pad stays in memory */
	enum err err = sealing_seal(&lane->sealing, keys, datagram, frames.len, plain, true);
	grace_read_end();
	if (err != OK) {
		lane_drop_unsealed(lane, err);
		return;
	}
	err = lane->io.send(lane->io.context, &route->to, datagram, wire, wire);
	if (err != OK) {
		lane_drop(lane, err == ERR_TOO_BIG ? DROP_TOO_BIG : DROP_SEND);
		return;
	}
	atomic_fetch_add_explicit(&p->tx_bytes, wire, memory_order_relaxed);
	atomic_store_explicit(&p->last_send, now, memory_order_relaxed);
	atomic_store_explicit(&p->owed_since, 0, memory_order_relaxed);
}

/* ---- rekey ---- */

/* `keys` become current; the old current ones take packets for a while and send no more. */
static void switch_keys(struct session *s, struct keys *keys, struct epoch *epoch, usec now)
{
	struct engine *e = s->peer->engine;
	index_remove(e->index, s->previous);
	s->previous = s->current;
	s->previous_until = now + PREVIOUS_LIFETIME;
	s->current = keys;
	s->epoch = *epoch;
	secret_wipe(s->epoch.k_i2r, AEAD_KEY_LEN);
	secret_wipe(s->epoch.k_r2i, AEAD_KEY_LEN);
	secret_wipe(epoch, sizeof *epoch);
	s->n_epochs++;
	s->has_answered = false;
	e->counts.rekeys++;
	peer_publish_keys(s->peer);

	grace_wait(); /* no lane seals under them any more: retired earlier, what is in hand would be lost */
	keys_retire(s->previous);
	keys_wipe_sending(s->previous);
}

static enum err begin_rekey(struct session *s)
{
	struct engine *e = s->peer->engine;
	struct rekey1_body one;
	s->rekey_index = index_pick(e->index, &e->rng);
	struct rekey_pad pad = padkeys_rekey(s->peer);
	enum err err = rekey_begin(&s->rekey, &one, s->rekey_index, padkeys_has_secret(s->peer) ? &pad : NULL, &e->rng);
	if (err == OK)
		err = stream_send(s->stream, CONTROL_REKEY1, VIEW(&one, sizeof one));
	return err;
}

static enum err answer_rekey(struct session *s, struct view rekey1, usec now)
{
	struct engine *e = s->peer->engine;
	if (s->has_answered || s->next || s->peer->protection == PROTECTION_OTP)
		return OK; /* one Rekey1 is answered per epoch */
	if (s->rekey && s->is_initiator)
		return OK; /* both began: the initiator's counts */
	if (s->rekey) {
		rekey_abandon(s->rekey);
		s->rekey = NULL;
		stream_drop(s->stream, CONTROL_REKEY1);
	}
	struct rekey2_body two;
	uint32_t local = index_pick(e->index, &e->rng);
	struct rekey_pad pad = padkeys_rekey(s->peer);
	enum err err = rekey_answer(
		&s->epoch, rekey1, local, padkeys_has_secret(s->peer) ? &pad : NULL, &e->rng, &two, &s->next_epoch);
	if (err == OK)
		err = make_keys(s, &s->next_epoch, local, rekey1_index(rekey1), keys_cipher(s->current), now, &s->next);
	if (err == OK)
		err = stream_send(s->stream, CONTROL_REKEY2, VIEW(&two, sizeof two));
	s->has_answered = true;
	return err;
}

static enum err finish_rekey(struct session *s, struct view rekey2, usec now)
{
	if (!s->rekey)
		return OK; /* answers a Rekey1 that was dropped */
	struct epoch epoch;
	struct keys *keys;
	enum err err = rekey_finish(s->rekey, &s->epoch, rekey2, &epoch);
	if (err == OK)
		err = make_keys(s, &epoch, s->rekey_index, rekey2_index(rekey2), keys_cipher(s->current), now, &keys);
	rekey_abandon(s->rekey);
	s->rekey = NULL;
	if (err == OK) {
		switch_keys(s, keys, &epoch, now);
		s->confirm_due = now;
		s->confirm_interval = CONFIRM_FIRST;
	}
	secret_wipe(&epoch, sizeof epoch);
	return err;
}

void session_heard(struct session *s, const struct keys *keys, usec now)
{
	if (keys != s->next)
		return;
	struct keys *next = s->next;
	s->next = NULL;
	stream_confirm(s->stream, CONTROL_REKEY2); /* who sends under the new keys has had it */
	switch_keys(s, next, &s->next_epoch, now);
}

enum err session_message(struct session *s, uint8_t type, struct view message, usec now)
{
	switch (type) {
	case CONTROL_ACCEPT: {
		if (!s->is_initiator)
			return OK; /* only who answered hands out */
		enum err err = handout_take(s->peer, message, !s->is_confirmed);
		if (err == OK && !s->is_confirmed)
			peer_confirm(s->peer, s, now);
		return err;
	}
	case CONTROL_REKEY1:
		return answer_rekey(s, message, now);
	case CONTROL_REKEY2:
		return finish_rekey(s, message, now);
	case CONTROL_PAD_CREDIT:
		padlink_credit(s->peer, message);
		return OK;
	case CONTROL_CLOSE:
		return ERR_STATE;
	default:
		return OK; /* of a later version: acknowledged and ignored */
	}
}

/* ---- time ---- */

/* Have packets gone either way in this epoch (or must the tunnel stay up)? */
static bool is_used(const struct session *s)
{
	const struct peer *p = s->peer;
	usec born = keys_born(s->current);
	return peer_keepalive(p) || atomic_load(&p->last_send_packet) > born ||
	       atomic_load(&p->last_receive_packet) > born;
}

static usec rekey_due(const struct session *s)
{
	usec after = s->peer->engine->config.rekey ? s->peer->engine->config.rekey : REKEY_DEFAULT;
	/* The responder waits an eighth longer (135 s for 120): so mostly only one begins. */
	return keys_born(s->current) + (s->is_initiator ? after : after + after / 8);
}

static bool must_rekey(const struct session *s, usec now)
{
	if (s != s->peer->active || s->rekey || s->next || keys_is_retired(s->current) || !has_epochs(s))
		return false;
	return (now >= rekey_due(s) && is_used(s)) || keys_sent(s->current) >= KEYS_COUNTER_MAX ||
	       keys_forgeries(s->current) >= KEYS_FORGERIES_MAX;
}

static void send_control(struct session *s, usec now)
{
	uint8_t frames[PATH_PLAIN_MIN];
	struct writer w = writer_of(frames, sizeof frames);
	while (stream_poll(s->stream, now, &w)) {
		session_send(s, NULL, VIEW(frames, w.at), 0, now);
		w = writer_of(frames, sizeof frames);
	}
}

static usec earlier(usec a, usec b)
{
	return a < b ? a : b;
}

usec session_tick(struct session *s, usec now)
{
	struct peer *p = s->peer;
	if (s->previous && now >= s->previous_until) {
		index_remove(p->engine->index, s->previous);
		s->previous = NULL;
	}
	if (s->next && keys_is_heard(s->next))
		session_heard(s, s->next, now);
	if (must_rekey(s, now) && begin_rekey(s) != OK) {
		peer_drop_session(p, s);
		return USEC_NEVER;
	}
	usec deadline = s->previous ? s->previous_until : USEC_NEVER;
	if (s->n_epochs && !keys_is_heard(s->current)) {
		if (now >= s->confirm_due) {
			uint8_t nonce[PROBE_LEN];
			rng_fill(&p->engine->rng, nonce, sizeof nonce);
			peer_send_probe(p, nonce, 0, 0, now);
			s->confirm_due = now + s->confirm_interval;
			s->confirm_interval = earlier(2 * s->confirm_interval, CONFIRM_MAX);
		}
		deadline = earlier(deadline, s->confirm_due);
	}
	if (!keys_is_retired(s->current) && may_speak(s)) {
		send_control(s, now);
		deadline = earlier(deadline, stream_deadline(s->stream));
		if (s == p->active && !s->rekey && !s->next && has_epochs(s) && is_used(s))
			deadline = earlier(deadline, rekey_due(s) > now ? rekey_due(s) : now + USEC_PER_SEC);
	}
	return deadline;
}
