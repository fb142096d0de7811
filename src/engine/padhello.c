/* Sessions that begin with a hello, made with a slot of the pad (docs/protocol.md, "One-time pads"). */
#include "engine/padhello.h"
#include "engine/grace.h"
#include "engine/padlink.h"
#include "handshake/hello.h"

#include <stdio.h>
#include <stdlib.h>

#define REPEAT_FIRST (500 * USEC_PER_MS)
#define REPEAT_MAX (5 * USEC_PER_SEC)
#define ACCEPT_MAX (10 * USEC_PER_SEC) /* after PadWelcome: then a new hello */
#define HINT_AFTER (15 * USEC_PER_SEC) /* unanswered: then the reasons are named */
#define HELLO_LIFE                                                                                                     \
	(15 * USEC_PER_SEC)    /* of the first hello; twice as long each time, so that few slots are used ...          \
				*/
#define HELLO_LIFE_DOUBLINGS 8 /* ... up to about an hour */
#define TRIES_RATE 200000U     /* comparisons of hellos with slots a second, a quarter of a microsecond each */
#define TRIES_OF_READ 64       /* what a slot that is not in memory costs */
#define REFUSED_WAIT (30 * USEC_PER_SEC)
#define MEMORY_WAIT USEC_PER_SEC

/* ---- the initiator ---- */

bool padhello_is_calling(const struct peer *p)
{
	return p->padlink && p->padlink->call;
}

void padhello_stop_calling(struct peer *p)
{
	if (!padhello_is_calling(p))
		return;
	secret_wipe(p->padlink->call, sizeof *p->padlink->call);
	free(p->padlink->call);
	p->padlink->call = NULL;
}

static struct hello_marks marks_on_wire(const struct pad_marks *m, enum hello_status status, const uint8_t *random)
{
	struct hello_marks ret = {.sent = m->sent,
		.received = m->received,
		.boundary = m->boundary,
		.status = (uint8_t)status,
		.max_zero_run = m->max_zero_run};
	memcpy(ret.random, random, sizeof ret.random);
	return ret;
}

static struct pad_marks marks_from_wire(const struct hello_marks *m)
{
	return (struct pad_marks){
		.sent = m->sent, .received = m->received, .boundary = m->boundary, .max_zero_run = m->max_zero_run};
}

/* Why no slot can be had. */
static void say_no_slot(struct peer *p, enum err why)
{
	if (why == ERR_FULL)
		peer_notice(p, NOTICE_PAD,
			"%s: all slots for hellos of the pad have been used: no session can begin; make a new pad",
			p->name);
	else if (why == ERR_IO)
		peer_notice(p, NOTICE_PAD, "%s: the pad or its ledger cannot be read or written: no session can begin",
			p->name);
}

/* The slot, recorded as used, and the hello made with it. ERR_FULL, ERR_STATE, ERR_IO, ERR_CRYPTO. */
static enum err make_hello(struct peer *p, struct pad_call *call)
{
	struct engine *e = p->engine;
	struct hello hello = {.sender = call->index};
	struct pad_marks marks = pad_marks(p->pad, true);
	call->seen = pad_seen(p->pad);
	rng_fill(&e->rng, call->random, sizeof call->random);
	hello.marks = marks_on_wire(&marks, HELLO_OK, call->random);
	enum err err = pad_use_slot(p->pad, &hello.slot, call->slot);
	if (err == OK)
		err = hello_build(engine_control_lane(e)->sealing.mac, call->slot, &hello, call->bytes);
	return err;
}

bool padhello_call(struct peer *p, usec now)
{
	struct engine *e = p->engine;
	struct pad_call *call = calloc(1, sizeof *call);
	if (!call) {
		lane_drop(engine_control_lane(e), DROP_MEMORY);
		p->retry_at = now + MEMORY_WAIT;
		return false;
	}
	/* What the marks say must stay true until they arrive: nothing is sent meanwhile. */
	peer_drop_session(p, p->active);
	peer_drop_session(p, p->old);
	grace_wait();
	unsigned int doublings =
		p->padlink->unanswered < HELLO_LIFE_DOUBLINGS ? p->padlink->unanswered : HELLO_LIFE_DOUBLINGS;
	*call = (struct pad_call){.index = index_pick(e->index, &e->rng),
		.began_at = now,
		.due = now,
		.interval = REPEAT_FIRST,
		.ends_at = now + (HELLO_LIFE << doublings)};
	enum err err = make_hello(p, call);
	if (err != OK) {
		say_no_slot(p, err);
		secret_wipe(call, sizeof *call);
		free(call);
		p->retry_at = now + REFUSED_WAIT;
		return false;
	}
	p->padlink->call = call;
	peer_start_calling(p, call->index);
	return true;
}

static void hint(struct peer *p, struct pad_call *call, usec now)
{
	if (call->has_hinted || now - call->began_at < HINT_AFTER)
		return;
	call->has_hinted = true;
	peer_notice(p, NOTICE_PAD,
		"%s does not answer: it cannot be reached, has another pad, or this end's state is an old copy "
		"(restored from a "
		"backup?): the other end's log says which; for the last, jorm pad advance",
		p->name);
}

/* Accept may overtake the welcome on its way to this thread, and comes again only on a path that is proven: until it
 * is here, the responder hears that we are. */
static usec await_accept(struct peer *p, struct pad_call *call, usec now)
{
	if (!p->pending[1] || now - call->welcomed_at >= ACCEPT_MAX) {
		p->attempts++;
		peer_stop_calling(p);
		peer_drop_session(p, p->pending[1]);
		return now;
	}
	if (now >= call->due) {
		session_send(p->pending[1], NULL, VIEW(NULL, 0), 0, now);
		call->due = now + REPEAT_FIRST;
	}
	return call->due;
}

usec padhello_tick_call(struct peer *p, usec now)
{
	struct pad_call *call = p->padlink->call;
	if (call->welcomed_at)
		return await_accept(p, call, now);
	hint(p, call, now);
	if (now >= call->ends_at) {
		p->padlink->unanswered++;
		peer_stop_calling(p);
		return now;
	}
	if (now >= call->due) {
		(void)peer_pick_address(p); /* there was one: if there is none now, the last is tried again */
		p->attempts++;
		struct lane *lane = engine_control_lane(p->engine);
		if (lane->io.send(lane->io.context, &p->calling, call->bytes, sizeof call->bytes, sizeof call->bytes) !=
			OK)
			lane_drop(lane, DROP_SEND);
		call->due = now + call->interval + rng_below(&p->engine->rng, (uint32_t)(call->interval / 4));
		call->interval = call->interval < REPEAT_MAX / 2 ? 2 * call->interval : REPEAT_MAX;
	}
	return call->due;
}

static void refused(struct peer *p, const char *why, usec now)
{
	(void)snprintf(p->rejected, sizeof p->rejected, "%s", why);
	p->engine->counts.rejected++;
	peer_notice(p, NOTICE_REJECTED, "%s refused us: %s", p->name, why);
	peer_stop_calling(p);
	p->retry_at = now + REFUSED_WAIT;
}

static void say_we_are_old(struct peer *p)
{
	peer_notice(p, NOTICE_PAD,
		"%s has seen more of our pad than we know of: this end's state is an old copy (restored from a backup "
		"or a snapshot); "
		"nothing is sent, so that no pad is used twice: take the tunnel down, jorm pad advance FILE, and up "
		"again",
		p->name);
}

/* What an authentic PadWelcome says. OK: a session may begin. */
static enum err judge_welcome(struct peer *p, const struct hello *welcome, struct pad_call *call, usec now)
{
	static const char *const reasons[] = {
		[HELLO_YOU_ARE_OLD] = "this end's state of the pad is an old copy (restored from a backup?): take the "
				      "tunnel down, jorm pad "
				      "advance FILE, and up again",
		[HELLO_I_AM_OLD] =
			"its state of the pad is an old copy (restored from a backup?): there, jorm pad advance",
		[HELLO_DIFFERENT] = "MaxZeroRun is another there: it must be the same at both ends",
		[HELLO_NO_ADDRESS] = "no address is left: the server's admin must enlarge its Pool",
		[HELLO_CONFIG] = "the other end cannot take us: its log says why",
	};
	struct pad_marks marks = marks_from_wire(&welcome->marks);
	enum pad_verdict verdict = pad_agree(p->pad, &marks, call->seen);
	if (verdict == PAD_WE_ARE_OLD)
		say_we_are_old(p);
	uint8_t status = welcome->marks.status;
	if (status == HELLO_OK && verdict == PAD_AGREED)
		return OK;
	if (status == HELLO_OK)
		status = verdict == PAD_WE_ARE_OLD    ? HELLO_YOU_ARE_OLD
			 : verdict == PAD_PEER_IS_OLD ? HELLO_I_AM_OLD
			 : verdict == PAD_DIFFERENT   ? HELLO_DIFFERENT
						      : HELLO_CONFIG;
	refused(p, status < sizeof reasons / sizeof *reasons ? reasons[status] : reasons[HELLO_CONFIG], now);
	return ERR_STATE;
}

void padhello_on_welcome(struct peer *p, const struct event *event, usec now)
{
	struct engine *e = p->engine;
	struct pad_call *call = p->padlink->call;
	struct hello welcome;
	struct session *s;
	if (call->welcomed_at)
		return; /* a repeat */
	enum err err = welcome_open(engine_control_lane(e)->sealing.mac, call->slot, event->data, event->len, &welcome);
	/* One that was made for another hello is of a time that this end has forgotten. */
	if (err == OK && !secret_equal(welcome.marks.random, call->random, sizeof call->random))
		err = ERR_AUTH;
	engine_count_refusal(e, err);
	if (err != OK || judge_welcome(p, &welcome, call, now) != OK)
		return;
	struct session_ends ends = {.is_initiator = true,
		.local_index = call->index,
		.remote_index = welcome.sender,
		.floor = welcome.marks.sent};
	if (session_new_pad(&s, p, &ends, now) != OK) {
		lane_drop(engine_control_lane(e), DROP_MEMORY);
		return;
	}
	call->welcomed_at = call->due = now;
	p->padlink->unanswered = 0;
	p->pending[1] = s;
	bool is_proven = addr_equal(&event->from.remote, &p->calling.remote);
	if (is_proven)
		p->calling = event->from;
	peer_set_route(p, &p->calling, is_proven, now);
	p->moved_rank = s->rank;
	p->moved_counter = 0;
	peer_wake(p, now);
}

/* ---- the responder ---- */

/* Of what comparing hellos with slots may cost, in comparisons. False: there is no more for the moment. */
static bool take_tries(struct engine *e, uint32_t n, usec now)
{
	if (now - e->pad_tries_at >= USEC_PER_SEC / 10) {
		e->pad_tries = TRIES_RATE / 10;
		e->pad_tries_at = now;
	}
	if (e->pad_tries < n) {
		e->pad_tries = 0;
		return false;
	}
	e->pad_tries -= n;
	return true;
}

static bool answers_hellos(const struct peer *p)
{
	return p && p->protection == PROTECTION_OTP && p->pad && !p->initiates;
}

static void send_to(struct engine *e, const struct endpoint *to, const uint8_t *data, size_t len)
{
	struct lane *lane = engine_control_lane(e);
	if (lane->io.send(lane->io.context, to, data, len, len) != OK)
		lane_drop(lane, DROP_SEND);
}

/* A welcome without a session. */
static void refuse_hello(struct peer *p, const uint8_t slot[PAD_SLOT_LEN], const struct hello *hello,
	enum hello_status status, const struct endpoint *to)
{
	struct engine *e = p->engine;
	struct pad_marks marks = pad_marks(p->pad, false);
	struct hello welcome = {.receiver = hello->sender,
		.slot = hello->slot,
		.marks = marks_on_wire(&marks, status, hello->marks.random)};
	if (welcome_build(engine_control_lane(e)->sealing.mac, slot, &welcome, p->padlink->welcome) == OK) {
		p->padlink->has_answered = true;
		send_to(e, to, p->padlink->welcome, PAD_WELCOME_LEN);
	}
	e->counts.refused++;
}

static enum hello_status status_of(enum pad_verdict verdict)
{
	switch (verdict) {
	case PAD_AGREED:
		return HELLO_OK;
	case PAD_WE_ARE_OLD:
		return HELLO_I_AM_OLD;
	case PAD_PEER_IS_OLD:
		return HELLO_YOU_ARE_OLD;
	case PAD_DIFFERENT:
		return HELLO_DIFFERENT;
	case PAD_FAULT:
		break;
	}
	return HELLO_CONFIG;
}

static void say_refused(struct peer *p, enum pad_verdict verdict)
{
	if (verdict == PAD_WE_ARE_OLD)
		say_we_are_old(p);
	else if (verdict == PAD_PEER_IS_OLD)
		peer_notice(p, NOTICE_REFUSED,
			"%s is refused: its state of the pad is an old copy (restored from a backup or a snapshot), "
			"and would use pad "
			"twice: there, jorm pad advance",
			p->name);
	else if (verdict == PAD_DIFFERENT)
		peer_notice(p, NOTICE_REFUSED,
			"%s is refused: its MaxZeroRun is another: it must be the same at both ends", p->name);
	else if (verdict == PAD_FAULT)
		peer_notice(p, NOTICE_PAD, "%s is refused: the ledger of its pad cannot be written", p->name);
}

/* Marks and address are in order? Else it is refused. */
static bool admit_hello(
	struct peer *p, const uint8_t slot[PAD_SLOT_LEN], const struct hello *hello, const struct endpoint *from)
{
	struct reject_reason reason;
	struct pad_marks marks = marks_from_wire(&hello->marks);
	enum pad_verdict verdict = pad_agree(p->pad, &marks, pad_seen(p->pad));
	if (verdict != PAD_AGREED) {
		say_refused(p, verdict);
		refuse_hello(p, slot, hello, status_of(verdict), from);
		return false;
	}
	if (handout_admit(p->engine, p->key_id, &reason) != OK) {
		refuse_hello(p, slot, hello, reason.code == REJECT_POOL ? HELLO_NO_ADDRESS : HELLO_CONFIG, from);
		return false;
	}
	return true;
}

/* An authentic hello that is new: what was before ends, and a session begins. */
static void answer_hello(struct peer *p, const uint8_t slot[PAD_SLOT_LEN], const struct hello *hello,
	const struct event *event, usec now)
{
	struct engine *e = p->engine;
	struct session *s;
	memcpy(p->padlink->hello, event->data, PAD_HELLO_LEN);
	p->padlink->has_answered = false;
	/* The peer has stopped sending; so do we, before our marks are made. */
	peer_drop_session(p, p->active);
	peer_drop_session(p, p->pending[0]);
	peer_drop_session(p, p->old);
	grace_wait();
	if (!admit_hello(p, slot, hello, &event->from))
		return;
	struct session_ends ends = {.local_index = index_pick(e->index, &e->rng),
		.remote_index = hello->sender,
		.floor = hello->marks.sent};
	struct pad_marks marks = pad_marks(p->pad, false);
	struct hello welcome = {.sender = ends.local_index,
		.receiver = hello->sender,
		.slot = hello->slot,
		.marks = marks_on_wire(&marks, HELLO_OK, hello->marks.random)};
	if (welcome_build(engine_control_lane(e)->sealing.mac, slot, &welcome, p->padlink->welcome) != OK ||
		session_new_pad(&s, p, &ends, now) != OK) {
		lane_drop(engine_control_lane(e), DROP_MEMORY);
		return;
	}
	p->padlink->has_answered = true;
	e->counts.answered++;
	p->pending[0] = s;
	p->moved_rank = s->rank;
	p->moved_counter = 0;
	peer_set_route(p, &event->from, false, now);
	struct route *route = atomic_load(&p->route);
	if (route) {
		atomic_fetch_add(&route->received, event->len);
		atomic_fetch_add(&route->sent, PAD_WELCOME_LEN);
	}
	send_to(e, &event->from, p->padlink->welcome, PAD_WELCOME_LEN);
	if (handout_send(s) != OK)
		lane_drop(engine_control_lane(e), DROP_MEMORY);
	peer_wake(p, 0);
}

/* A hello made with a slot that has been used: a replay, or the peer has forgotten that it used it. No answer is
 * possible: the slot's bytes for one have been used, too. */
static bool is_old_hello(struct peer *p, const struct hello *hello, const struct event *event, usec now)
{
	struct engine *e = p->engine;
	struct hello opened;
	uint8_t slot[PAD_SLOT_LEN];
	if (!take_tries(e, TRIES_OF_READ, now) || pad_read_old_slot(p->pad, hello->slot, slot) != OK)
		return false;
	bool is_it = hello_open(engine_control_lane(e)->sealing.mac, slot, event->data, event->len, &opened) == OK;
	secret_wipe(slot, sizeof slot);
	if (is_it && (!p->padlink->warned_old_at || now - p->padlink->warned_old_at > 60 * USEC_PER_SEC)) {
		p->padlink->warned_old_at = now;
		peer_notice(p, NOTICE_REFUSED,
			"a hello of %s names a slot that has been used: somebody replays it, or its state of the pad "
			"is an old copy "
			"(restored from a backup?): there, jorm pad advance",
			p->name);
	}
	return is_it;
}

static void repeat_answer(struct peer *p, const struct event *event)
{
	struct route *route = atomic_load(&p->route);
	if (route && addr_equal(&route->to.remote, &event->from.remote)) {
		atomic_fetch_add(&route->received, event->len);
		atomic_fetch_add(&route->sent, PAD_WELCOME_LEN);
	}
	send_to(p->engine, &event->from, p->padlink->welcome, PAD_WELCOME_LEN);
}

/* The slot that a hello names, if it may still be accepted: from memory, or from the file. */
static bool fetch_slot(struct peer *p, uint32_t number, usec now, uint8_t ret[static PAD_SLOT_LEN])
{
	const uint8_t *slot = pad_look_at_slot(p->pad, number);
	if (!slot)
		return take_tries(p->engine, TRIES_OF_READ, now) && pad_read_far_slot(p->pad, number, ret) == OK;
	memcpy(ret, slot, PAD_SLOT_LEN);
	return true;
}

static void take_hello(struct peer *p, const uint8_t slot[static PAD_SLOT_LEN], const struct hello *hello,
	const struct event *event, usec now)
{
	if (pad_accept_slot(p->pad, hello->slot) == OK)
		answer_hello(p, slot, hello, event, now);
	else
		peer_notice(p, NOTICE_PAD, "%s is refused: the ledger of its pad cannot be written", p->name);
}

/* Whose hello is it? False: not this peer's. */
static bool try_hello(struct peer *p, const struct hello *hello, const struct event *event, usec now)
{
	struct engine *e = p->engine;
	struct padlink *link = p->padlink;
	struct hello opened;
	uint8_t slot[PAD_SLOT_LEN];
	if (secret_equal(event->data, link->hello, PAD_HELLO_LEN)) {
		if (link->has_answered)
			repeat_answer(p, event);
		return true;
	}
	if (!take_tries(e, 1, now))
		return false;
	if (!fetch_slot(p, hello->slot, now, slot)) {
		bool is_old = is_old_hello(p, hello, event, now);
		if (is_old)
			lane_drop(engine_control_lane(e), DROP_REPLAY);
		return is_old;
	}
	bool is_it = hello_open(engine_control_lane(e)->sealing.mac, slot, event->data, event->len, &opened) == OK;
	if (is_it)
		take_hello(p, slot, &opened, event, now);
	secret_wipe(slot, sizeof slot);
	return is_it;
}

void padhello_on_hello(struct engine *e, const struct event *event, usec now)
{
	struct hello hello;
	enum err err = hello_parse(&hello, event->data, event->len);
	if (err != OK) {
		engine_count_refusal(e, err);
		return;
	}
	if (ratelimit_take(&e->hellos, &event->from.remote, now) != OK || !take_tries(e, 1, now)) {
		engine_count_refusal(e, ERR_FULL);
		return;
	}
	for (uint32_t i = 0; i < e->n_peers; i++) {
		if (answers_hellos(e->peers[i]) && try_hello(e->peers[i], &hello, event, now))
			return;
	}
	engine_count_refusal(e, e->pad_tries ? ERR_AUTH : ERR_FULL);
}
