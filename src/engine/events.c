/* What lanes hand to the control thread: handshake datagrams, control frames, probes, changes. */
#include "engine/padhello.h"
#include "engine/private.h"

/* ---- handshakes ---- */

/* The datagrams of one message leave in one send: all but the last have one size. */
static void flush_answer(struct engine *e)
{
	struct lane *lane = engine_control_lane(e);
	if (e->answer_len &&
		lane->io.send(lane->io.context, &e->answer_to, e->answer, e->answer_len, e->answer_segment) != OK)
		lane_drop(lane, DROP_SEND);
	e->answer_len = 0;
}

static void send_answer(void *context, const uint8_t *data, size_t len)
{
	struct engine *e = context;
	if (data[0] == MSG_COOKIE)
		e->counts.cookies++;
	bool is_last = e->answer_len % (e->answer_len ? e->answer_segment : 1) != 0; /* a shorter one came */
	if (e->answer_len && (is_last || len > e->answer_segment || e->answer_len + len > sizeof e->answer))
		flush_answer(e);
	if (e->answer_len == 0)
		e->answer_segment = len;
	memcpy(e->answer + e->answer_len, data, len);
	e->answer_len += len;
}

void engine_count_refusal(struct engine *e, enum err err)
{
	struct lane *lane = engine_control_lane(e);
	if (err == ERR_FORMAT)
		lane_drop(lane, DROP_HANDSHAKE_FORMAT);
	else if (err == ERR_AUTH || err == ERR_CRYPTO)
		lane_drop(lane, DROP_HANDSHAKE_AUTH);
	else if (err == ERR_FULL)
		lane_drop(lane, DROP_HANDSHAKE_LIMIT);
	else if (err == ERR_NOMEM)
		lane_drop(lane, DROP_MEMORY);
	else if (err == ERR_NOT_FOUND || err == ERR_STATE)
		lane_drop(lane, DROP_HANDSHAKE_UNKNOWN);
	/* the rest: accepted, or a fragment or repeat; nothing is lost */
}

static void to_initiator(struct engine *e, const struct event *event, usec now)
{
	/* Resp and Reject: receiver at 8; Cookie: at 4. */
	uint32_t receiver = le32_get(event->data + (event->data[0] == MSG_COOKIE ? 4 : 8));
	for (uint32_t i = 0; i < e->n_callers; i++) {
		if (e->callers[i].index != receiver)
			continue;
		struct peer *p = e->callers[i].peer;
		bool is_welcome = event->data[0] == MSG_PAD_WELCOME;
		if (is_welcome != padhello_is_calling(p))
			break;
		if (is_welcome) {
			padhello_on_welcome(p, event, now);
			return;
		}
		bool waited = initiator_state(p->initiator) == INITIATOR_WAITS_RESP;
		enum err err = initiator_input(p->initiator, event->data, event->len, now);
		engine_count_refusal(e, err);
		if (err == OK && waited && initiator_state(p->initiator) == INITIATOR_WAITS_ACCEPT)
			peer_finish_initiated(p, &event->from, now);
		peer_wake(p, now);
		return;
	}
	lane_drop(engine_control_lane(e), DROP_HANDSHAKE_UNKNOWN);
}

static void on_handshake(struct engine *e, const struct event *event, bool under_load, usec now)
{
	uint8_t type = event->data[0];
	if (type == MSG_PAD_HELLO) {
		padhello_on_hello(e, event, now);
		return;
	}
	if (type != MSG_INIT && type != MSG_FINISH) {
		to_initiator(e, event, now);
		return;
	}
	if (!e->responder) {
		lane_drop(engine_control_lane(e), DROP_HANDSHAKE_UNKNOWN);
		return;
	}
	struct hs_output out = {.send = send_answer, .context = e};
	e->answer_to = event->from;
	enum err err =
		responder_input(e->responder, &event->from.remote, event->data, event->len, under_load, now, &out);
	flush_answer(e);
	engine_count_refusal(e, err);
}

/* ---- frames ---- */

static struct session *session_of(struct peer *p, const struct keys *keys)
{
	struct session *all[] = {p->active, p->pending[0], p->pending[1], p->old};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] && (all[i]->current == keys || all[i]->next == keys || all[i]->previous == keys))
			return all[i];
	return NULL;
}

/* Something came under these keys: sessions and epochs that waited for it are confirmed. */
static void on_heard(struct peer *p, struct session *s, const struct keys *keys, usec now)
{
	session_heard(s, keys, now);
	if (s == p->pending[0])
		peer_confirm(p, s, now);
}

static void on_control(struct peer *p, struct session *s, const struct event *event, usec now)
{
	uint8_t type;
	struct view message;
	peer_wake(p, now);
	enum err err = stream_input(s->stream, VIEW(event->data, event->len), &type, &message);
	if (err != OK) {
		if (err != ERR_AGAIN)
			lane_drop(engine_control_lane(p->engine), DROP_BAD_FRAME);
		return;
	}
	err = session_message(s, type, message, now);
	if (err == OK)
		return;
	if (type == CONTROL_CLOSE)
		peer_notice(p, NOTICE_CLOSED, "%s closed the session", p->name);
	else
		peer_notice(
			p, NOTICE_LOST, "session with %s ends: a control message failed (%s)", p->name, err_text(err));
	peer_drop_session(p, s);
}

static void on_probe(struct peer *p, const struct event *event, usec now)
{
	if (event->len != PROBE_LEN)
		return;
	if (!(event->flags & FRAME_FLAG_ECHO)) {
		peer_send_probe(p, event->data, FRAME_FLAG_ECHO, 0, now);
		return;
	}
	struct route *route = atomic_load(&p->route);
	if (route && !atomic_load(&route->is_proven) && memcmp(event->data, p->proof, PROBE_LEN) == 0 &&
		addr_equal(&route->to.remote, &event->from.remote))
		atomic_store(&route->is_proven, true);
	enum path_state before = p->path.state;
	if (path_echo(&p->path, event->data, now) || before != p->path.state) {
		peer_publish_path(p);
		peer_notice(p, NOTICE_PATH, "%s: the path takes %u bytes", p->name,
			route ? path_mtu_of_plain(p->path.found, addr_is_v4(route->to.remote.ip)) : 0);
	}
	peer_wake(p, now);
}

static void on_moved(
	struct peer *p, const struct session *s, const struct keys *keys, const struct event *event, usec now)
{
	atomic_store(&p->is_moving, false);
	uint64_t rank = keys_rank(keys);
	if (s == p->old)
		return; /* lapsing: the other end uses the active one, too */
	if (rank < p->moved_rank || (rank == p->moved_rank && event->counter < p->moved_counter))
		return; /* something newer came from elsewhere */
	struct route *route = atomic_load(&p->route);
	if (route && addr_equal(&route->to.remote, &event->from.remote))
		return;
	p->moved_rank = rank;
	p->moved_counter = event->counter;
	peer_set_route(p, &event->from, false, now);
	route = atomic_load(&p->route);
	atomic_fetch_add(&route->received, event->len);
	char where[ADDR_TEXT_LEN];
	peer_notice(p, NOTICE_MOVED, "%s is now at %s", p->name, addr_format(&event->from.remote, where));
}

static void on_too_big(struct peer *p, usec now)
{
	const struct engine_host *host = &p->engine->config.host;
	struct route *route = atomic_load(&p->route);
	if (!route)
		return;
	uint32_t ceiling = path_plain_of_mtu(host->interface_mtu(host->context, &route->to.remote));
	if (path_refused(&p->path, ceiling, now))
		peer_publish_path(p);
	peer_wake(p, now);
}

/* Once a session: of one that is confirmed by this very event, lanes may tell again. */
static void on_layer(struct peer *p, const struct session *s)
{
	if (p->layer_told == s->rank)
		return;
	p->layer_told = s->rank;
	bool is_layer2 = p->engine->bridge;
	peer_notice(p, NOTICE_LAYER, "%s sends %s, but this tunnel carries %s: write the same Layer at both ends",
		p->name, is_layer2 ? "IP packets" : "Ethernet frames", is_layer2 ? "Ethernet frames" : "IP packets");
}

static void on_wanted(struct peer *p, usec now)
{
	atomic_store(&p->is_wanted, false);
	if (!p->initiates && !p->active && !p->pending[0]) {
		/* Nobody to call: what waits would only go stale. */
		struct staged *list = peer_unstage(p);
		for (struct staged *s = list; s; s = s->next)
			lane_drop(engine_control_lane(p->engine), DROP_NO_SESSION);
		staged_free(list);
	}
	peer_wake(p, now);
}

void engine_event(struct engine *e, const struct event *event, bool under_load, usec now)
{
	e->now = now;
	if (event->kind == EVENT_HANDSHAKE) {
		on_handshake(e, event, under_load, now);
		return;
	}
	struct peer *p = engine_peer(e, event->peer);
	if (!p)
		return;
	if (event->kind == EVENT_WANTED || event->kind == EVENT_TOO_BIG) {
		event->kind == EVENT_WANTED ? on_wanted(p, now) : on_too_big(p, now);
		return;
	}
	struct keys *keys = index_find_owned(e->index, event->index);
	struct session *s = keys && keys_owner(keys) == p ? session_of(p, keys) : NULL;
	if (!s || keys_is_retired(keys)) {
		if (event->kind == EVENT_MOVED)
			atomic_store(&p->is_moving, false);
		return;
	}
	on_heard(p, s, keys, now);
	if (event->kind == EVENT_LAYER)
		on_layer(p, s);
	else if (event->kind == EVENT_CONTROL)
		on_control(p, s, event, now);
	else if (event->kind == EVENT_PROBE)
		on_probe(p, event, now);
	else if (event->kind == EVENT_MOVED)
		on_moved(p, s, keys, event, now);
	else
		peer_wake(p, now);
}
