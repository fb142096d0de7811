/* A peer's upkeep: handshakes begun and finished, which session is used, and everything timed. */
#include "engine/padhello.h"
#include "engine/padkeys.h"
#include "engine/padlink.h"
#include "engine/grace.h"
#include "engine/private.h"

#include <stdlib.h>

#define UNANSWERED_MAX (5 * USEC_PER_SEC) /* then a new handshake */
#define SILENT_AFTER (1500 * USEC_PER_MS) /* unanswered for so long: perhaps the path shrank */
#define ASK_EVERY (900 * USEC_PER_MS)
#define PASSIVE_KEEPALIVE (10 * USEC_PER_SEC)
#define PENDING_MAX (30 * USEC_PER_SEC)
#define SIMULTANEOUS (10 * USEC_PER_SEC)
#define CROSSED_AFTER (3 * USEC_PER_SEC)
#define PROOF_MAX (2 * USEC_PER_SEC)
#define BACKOFF_FIRST (5 * USEC_PER_SEC)
#define BACKOFF_MAX (300 * USEC_PER_SEC)
#define LOOK_EVERY USEC_PER_SEC /* at what lanes note, while there is a session */

static usec earlier(usec a, usec b)
{
	return a < b ? a : b;
}

/* Time since `then`; 0 if that lies ahead (another thread's clock reading may be a moment newer). */
static usec since(usec then, usec now)
{
	return now > then ? now - then : 0;
}

/* ---- sessions ---- */

void peer_publish_keys(struct peer *p)
{
	struct keys *keys = p->active && !keys_is_retired(p->active->current) ? p->active->current : NULL;
	if (!keys != !atomic_load(&p->send_keys))
		bridge_change(p->engine->bridge);
	atomic_store_explicit(&p->send_keys, keys, memory_order_release);
}

/* The peer's address follows the newest of the sessions that are used or begin. Where that one has ended, or is to
 * lapse, the next may move it again. */
static void follow_newest(struct peer *p)
{
	const struct session *all[] = {p->active, p->pending[0], p->pending[1]};
	uint64_t newest = 0;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] && keys_rank(all[i]->current) > newest)
			newest = keys_rank(all[i]->current);
	if (p->moved_rank > newest) {
		p->moved_rank = newest;
		p->moved_counter = 0;
	}
}

void peer_drop_session(struct peer *p, struct session *s)
{
	if (!s)
		return;
	if (p->active == s)
		p->active = NULL;
	if (p->old == s)
		p->old = NULL;
	for (int i = 0; i < 2; i++)
		if (p->pending[i] == s)
			p->pending[i] = NULL;
	peer_publish_keys(p);
	session_free(s);
	follow_newest(p);
	peer_wake(p, 0);
}

/* Both ends began at once: both sessions are valid, and both ends use the one whose initiator has the
 * smaller key ID. */
static bool is_preferred(const struct session *a, const struct session *b)
{
	usec apart = a->made_at > b->made_at ? a->made_at - b->made_at : b->made_at - a->made_at;
	return a->is_initiator != b->is_initiator && apart < SIMULTANEOUS && a->is_initiator != a->peer->has_smaller_id;
}

static void use_session(struct peer *p, struct session *s, usec now)
{
	struct session *before = p->active;
	if (p->old && p->old != s)
		peer_drop_session(p, p->old);
	if (before && is_preferred(before, s)) {
		s->is_lapsing = true;
		p->old = s;
		p->heard_at = 0;
		follow_newest(p);
		return;
	}
	p->active = s;
	p->peer_alg = s->peer_alg;
	peer_publish_keys(p);
	if (before && is_preferred(s, before)) {
		before->is_lapsing = true;
	} else if (before) {
		grace_wait(); /* what lanes are sealing under the old keys is not lost */
		session_retire(before, now);
	}
	p->old = before;
}

/* What looked like both ends beginning at once was a peer that had restarted and knows only the newer session:
 * for a while all that came from it came under that one. */
static bool is_crossed(struct peer *p, usec now)
{
	if (!p->active || !p->old || !p->old->is_lapsing || p->old->rank < p->active->rank)
		return false;
	uint64_t active = keys_received(p->active->current), lapsing = keys_received(p->old->current);
	if (p->heard_active != active || p->heard_lapsing > lapsing || !p->heard_at) {
		p->heard_active = active;
		p->heard_lapsing = lapsing;
		p->heard_at = now;
	}
	return lapsing > p->heard_lapsing && since(p->heard_at, now) >= CROSSED_AFTER;
}

static void uncross(struct peer *p, usec now)
{
	struct session *before = p->active;
	p->active = p->old;
	p->active->is_lapsing = false;
	p->peer_alg = p->active->peer_alg;
	p->old = before;
	p->heard_at = 0;
	peer_publish_keys(p);
	grace_wait();
	session_retire(before, now);
	follow_newest(p);
}

static void send_staged(struct peer *p, usec now)
{
	struct staged *list = peer_unstage(p);
	if (!list)
		return;
	struct lane *lane = engine_control_lane(p->engine);
	lane_begin(lane, now);
	for (struct staged *s = list; s; s = s->next) {
		struct virtio_net_hdr header;
		memcpy(&header, s->bytes, sizeof header);
		lane_staged(lane, p, &header, s->bytes + sizeof header, s->len - sizeof header);
	}
	lane_end(lane);
	staged_free(list);
}

void peer_confirm(struct peer *p, struct session *s, usec now)
{
	struct engine *e = p->engine;
	if (s->is_confirmed)
		return;
	s->is_confirmed = true;
	for (int i = 0; i < 2; i++)
		if (p->pending[i] == s)
			p->pending[i] = NULL;
	if (s->is_initiator) {
		peer_stop_calling(p);
		p->attempts = 0;
	}
	use_session(p, s, now);
	p->must_connect = false;
	p->backoff = 0;
	p->retry_at = 0;
	p->established_at = now;
	p->rejected[0] = '\0';
	atomic_store(&p->port.is_other_layer, false);
	atomic_store(&p->unanswered_since, 0);
	atomic_store(&p->last_receive, now);
	e->counts.established++;

	struct route *route = atomic_load(&p->route);
	if (p->path.state == PATH_IDLE && route) {
		uint32_t mtu = e->config.host.interface_mtu(e->config.host.context, &route->to.remote);
		path_reset(&p->path, path_plain_of_mtu(mtu), now);
		peer_publish_path(p);
	}
	char where[ADDR_TEXT_LEN] = "?";
	if (route)
		addr_format(&route->to.remote, where);
	peer_announce(p, s, where);
	send_staged(p, now);
	peer_wake(p, now);
}

/* ---- handshakes that we begin ---- */

struct call {
	struct lane *lane;
	const struct endpoint *to;
};

static void send_handshake(void *context, const uint8_t *data, size_t len)
{
	struct call *call = context;
	if (call->lane->io.send(call->lane->io.context, call->to, data, len, len) != OK)
		lane_drop(call->lane, DROP_SEND);
}

bool peer_pick_address(struct peer *p)
{
	struct route *route = atomic_load(&p->route);
	bool is_configured = !addr_is_unset(&p->configured);
	if (route && atomic_load(&route->is_proven) && (!is_configured || p->attempts % 2 == 0)) {
		p->calling = route->to;
		return true;
	}
	p->calling = (struct endpoint){.remote = p->configured};
	return is_configured;
}

static void begin_handshake(struct peer *p, usec now)
{
	struct engine *e = p->engine;
	if (!peer_pick_address(p)) {
		p->retry_at = now + USEC_PER_SEC; /* its name is not resolved yet */
		return;
	}
	if (p->protection == PROTECTION_OTP) {
		if (padhello_call(p, now))
			e->counts.initiated++;
		return;
	}
	struct initiator_config config = {
		.identity = e->config.identity,
		.suites = e->config.suites,
		.psk = p->has_psk ? p->psk : NULL,
		.local_index = index_pick(e->index, &e->rng),
	};
	memcpy(config.responder_key_id, p->key_id, KEY_ID_LEN);
	padkeys_configure(p, &config);
	if (initiator_new(&p->initiator, &config, &e->rng, now) != OK) {
		lane_drop(engine_control_lane(e), DROP_MEMORY);
		p->retry_at = now + BACKOFF_FIRST;
		return;
	}
	peer_start_calling(p, config.local_index);
	e->counts.initiated++;
}

void peer_call_again(struct peer *p)
{
	p->attempts = 1; /* not where it was */
	if (p->initiator && initiator_state(p->initiator) == INITIATOR_WAITS_RESP &&
		!addr_equal(&p->calling.remote, &p->configured))
		peer_stop_calling(p);
}

/* The session waits for Accept. A Resp is authentic wherever it comes from: only what came from the address
 * called proves that address, and none that somebody else forwards it from takes its place. */
void peer_finish_initiated(struct peer *p, const struct endpoint *from, usec now)
{
	struct session *s;
	if (p->pending[1])
		return;
	if (session_new(&s, p, initiator_result(p->initiator), now) != OK) {
		lane_drop(engine_control_lane(p->engine), DROP_MEMORY);
		peer_stop_calling(p);
		return;
	}
	p->pending[1] = s;
	bool is_proven = addr_equal(&from->remote, &p->calling.remote);
	if (is_proven)
		p->calling = *from; /* with the address of ours that it came to */
	peer_set_route(p, &p->calling, is_proven, now);
	p->moved_rank = s->rank;
	p->moved_counter = 0;
}

void peer_start_calling(struct peer *p, uint32_t index)
{
	struct engine *e = p->engine;
	e->callers[e->n_callers++] = (struct caller){.index = index, .peer = p};
}

void peer_stop_calling(struct peer *p)
{
	struct engine *e = p->engine;
	if (!p->initiator && !padhello_is_calling(p))
		return;
	for (uint32_t i = 0; i < e->n_callers; i++)
		if (e->callers[i].peer == p)
			e->callers[i--] = e->callers[--e->n_callers];
	initiator_free(p->initiator);
	p->initiator = NULL;
	padhello_stop_calling(p);
}

void peer_say_goodbye(struct peer *p, usec now)
{
	if (p->active && stream_send(p->active->stream, CONTROL_CLOSE, VIEW(NULL, 0)) == OK)
		(void)session_tick(p->active, now);
}

void peer_reset(struct peer *p)
{
	peer_say_goodbye(p, p->engine->now);
	peer_stop_calling(p);
	peer_drop_session(p, p->active);
	peer_drop_session(p, p->pending[0]);
	peer_drop_session(p, p->pending[1]);
	peer_drop_session(p, p->old);
}

/* What the peer asks for when nothing is configured here. */
usec peer_keepalive(const struct peer *p)
{
	return p->keepalive || !p->accepted ? p->keepalive : p->accepted->keepalive_s * USEC_PER_SEC;
}

static usec tick_initiator(struct peer *p, usec now)
{
	struct call call = {.lane = engine_control_lane(p->engine), .to = &p->calling};
	struct hs_output out = {.send = send_handshake, .context = &call};
	usec deadline = initiator_poll(p->initiator, now, &out);
	enum initiator_state state = initiator_state(p->initiator);
	if (state == INITIATOR_WAITS_RESP || state == INITIATOR_WAITS_ACCEPT)
		return deadline;
	if (state == INITIATOR_REJECTED) {
		const struct reject_reason *reason = initiator_reason(p->initiator);
		memcpy(p->rejected, reason->text, sizeof p->rejected);
		p->backoff = p->backoff ? earlier(2 * p->backoff, BACKOFF_MAX) : BACKOFF_FIRST;
		p->retry_at = now + p->backoff + rng_below(&p->engine->rng, USEC_PER_SEC);
		p->engine->counts.rejected++;
		peer_notice(p, NOTICE_REJECTED, "%s refused us: %s", p->name, reason->text);
	}
	p->attempts++;
	peer_stop_calling(p);
	peer_drop_session(p, p->pending[1]);
	return state == INITIATOR_REJECTED ? p->retry_at : now;
}

/* Is a handshake to be begun? */
static bool needs_handshake(struct peer *p, usec now)
{
	if (!p->initiates || p->initiator || padhello_is_calling(p) || p->pending[1] || !padlink_can_begin(p))
		return false;
	bool has_handshake = p->protection != PROTECTION_OTP;
	usec unanswered = atomic_load(&p->unanswered_since);
	if (p->active) {
		usec age = since(p->active->made_at, now);
		bool reauthenticate =
			has_handshake && p->active->is_initiator && age >= p->engine->config.reauthenticate;
		return reauthenticate || (unanswered && since(unanswered, now) >= UNANSWERED_MAX);
	}
	return p->must_connect || peer_keepalive(p) || peer_has_staged(p);
}

/* ---- what is sent by the clock ---- */

void peer_send_probe(struct peer *p, const uint8_t nonce[PROBE_LEN], uint8_t flags, size_t plain, usec now)
{
	uint8_t frame[FRAME_HEADER_LEN + PROBE_LEN];
	struct writer w = writer_of(frame, sizeof frame);
	frame_write(&w, FRAME_PROBE, flags, VIEW(nonce, PROBE_LEN));
	if (p->active)
		session_send(p->active, NULL, VIEW(frame, w.at), plain, now);
}

static usec tick_proof(struct peer *p, usec now)
{
	struct route *route = atomic_load(&p->route);
	if (!p->active || !route || atomic_load(&route->is_proven))
		return USEC_NEVER;
	if (now >= p->proof_due) {
		peer_send_probe(p, p->proof, 0, 0, now);
		p->proof_due = now + p->proof_interval;
		p->proof_interval = earlier(2 * p->proof_interval, PROOF_MAX);
	}
	return p->proof_due;
}

static usec tick_path(struct peer *p, usec now)
{
	const struct route *route = atomic_load(&p->route);
	if (!route || !atomic_load(&route->is_proven))
		return USEC_NEVER; /* the little that may go there is not for large probes */
	usec unanswered = atomic_load(&p->unanswered_since);
	bool busy = atomic_load(&p->sent_large);
	bool silent = busy && unanswered && since(unanswered, now) >= SILENT_AFTER;
	uint32_t before = p->path.found, size;
	enum path_state state = p->path.state;
	const struct engine_host *host = &p->engine->config.host;
	if (state == PATH_FOUND && now >= p->path.raise_at) /* the interface may take more by now */
		path_ceiling(&p->path, path_plain_of_mtu(host->interface_mtu(host->context, &route->to.remote)), now);
	while (path_poll(&p->path, now, busy, silent, &p->engine->rng, &size)) {
		peer_send_probe(p, p->path.nonce, 0, size, now);
		atomic_store(&p->sent_large, false);
	}
	if (before != p->path.found || state != p->path.state)
		peer_publish_path(p);
	return path_deadline(&p->path);
}

static void tick_keepalive(struct peer *p, usec now)
{
	usec sent = atomic_load(&p->last_send), owed = atomic_load(&p->owed_since), keepalive = peer_keepalive(p);
	if (owed && since(owed, now) >= PASSIVE_KEEPALIVE) {
		session_send(p->active, NULL, VIEW(NULL, 0), 0, now);
	} else if (keepalive && since(sent, now) >= keepalive) {
		uint8_t nonce[PROBE_LEN]; /* a probe: its echo tells that the peer is there */
		rng_fill(&p->engine->rng, nonce, sizeof nonce);
		peer_send_probe(p, nonce, 0, 0, now);
		usec none = 0;
		atomic_compare_exchange_strong(&p->unanswered_since, &none, now);
	}
}

/*
 * What we sent goes unanswered, or packets came and have stopped: perhaps our address has changed (or a NAT's mapping),
 * and the peer sends to the old one; a probe tells it the new one. Perhaps the peer only has nothing to say; then the
 * probe's echo is the answer.
 */
static void tick_silence(struct peer *p, usec now)
{
	usec unanswered = atomic_load(&p->unanswered_since), packet = atomic_load(&p->last_receive_packet);
	bool is_unanswered = unanswered && since(unanswered, now) >= SILENT_AFTER;
	bool has_stopped = !unanswered && packet > p->asked_at && since(packet, now) >= SILENT_AFTER;
	if (!p->initiates || !(is_unanswered || has_stopped) || since(p->asked_at, now) < ASK_EVERY)
		return;
	p->asked_at = now;
	uint8_t nonce[PROBE_LEN];
	rng_fill(&p->engine->rng, nonce, sizeof nonce);
	peer_send_probe(p, nonce, 0, 0, now);
	usec none = 0;
	atomic_compare_exchange_strong(&p->unanswered_since, &none, now);
}

static usec tick_active(struct peer *p, usec now)
{
	struct session *s = p->active;
	if (!keys_may_send(s->current, now)) {
		peer_drop_session(p, s); /* idle for so long that its keys are too old */
		return now;
	}
	tick_keepalive(p, now);
	tick_silence(p, now);
	usec deadline = earlier(tick_proof(p, now), tick_path(p, now));
	return earlier(deadline, now + LOOK_EVERY);
}

static usec tick_session(struct peer *p, struct session *s, usec now)
{
	if (!s)
		return USEC_NEVER;
	bool is_gone = false;
	if (s == p->old)
		is_gone = s->is_lapsing ? !keys_may_send(s->current, now) : now >= s->previous_until;
	else if (s == p->pending[0])
		is_gone = since(s->made_at, now) >= PENDING_MAX;
	if (is_gone) {
		peer_drop_session(p, s);
		return now;
	}
	if (s == p->pending[0] && keys_is_heard(s->current))
		peer_confirm(p, s, now);
	usec deadline = session_tick(s, now);
	if (s == p->old || s == p->pending[0])
		deadline = earlier(deadline, now + LOOK_EVERY);
	return deadline;
}

void peer_tick(struct peer *p, usec now)
{
	timers_set(&p->engine->timers, &p->timer, USEC_NEVER);
	usec deadline = USEC_NEVER;
	if (p->initiator)
		deadline = earlier(deadline, tick_initiator(p, now));
	if (needs_handshake(p, now)) {
		if (now >= p->retry_at)
			begin_handshake(p, now);
		deadline = earlier(deadline, p->initiator ? tick_initiator(p, now) : p->retry_at);
	}
	if (padhello_is_calling(p))
		deadline = earlier(deadline, padhello_tick_call(p, now));
	if (p->pad)
		deadline = earlier(deadline, padlink_tick(p, now));
	if (is_crossed(p, now))
		uncross(p, now);
	deadline = earlier(deadline, tick_session(p, p->pending[0], now));
	deadline = earlier(deadline, tick_session(p, p->pending[1], now));
	deadline = earlier(deadline, tick_session(p, p->old, now));
	deadline = earlier(deadline, tick_session(p, p->active, now));
	if (p->active)
		deadline = earlier(deadline, tick_active(p, now));
	/* Something on the way may have woken it for at once: other peers get their turn first. */
	if (p->timer.place && p->timer.due < deadline)
		deadline = p->timer.due;
	timers_set(&p->engine->timers, &p->timer, deadline > now ? deadline : now + USEC_PER_MS);
}
