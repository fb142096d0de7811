#include "link.h"

#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define TAKE_MAX 20000

static struct end *other(struct link *l, const struct end *e)
{
	return e == &l->ends[0] ? &l->ends[1] : &l->ends[0];
}

/* ---- the checker ---- */

/* Bytes of the walk of `role` are what the pad held before anything was burned. */
static void check_bytes(struct link *l, enum pad_role role, uint64_t position, const uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != l->bytes[pad_offset(&l->layout, role, position + i)])
			fail_msg("position %llu of role %d is not what the pad holds",
				(unsigned long long)(position + i), (int)role);
}

static void check_given(
	struct link *l, const struct end *e, uint64_t position, uint64_t offset, const uint8_t *bytes, size_t len)
{
	assert_true(position + len <= l->layout.n_blocks * PAD_BLOCK);
	assert_int_equal(offset, pad_offset(&l->layout, e->role, position));
	check_bytes(l, e->role, position, bytes, len);
	for (size_t i = 0; i < len; i++) {
		uint8_t *used = &l->used[pad_offset(&l->layout, e->role, position + i)];
		if (*used)
			fail_msg("role %d: position %llu is given out twice", (int)e->role,
				(unsigned long long)(position + i));
		*used = 1;
	}
}

static void check_slot(struct link *l, uint32_t slot, const uint8_t bytes[PAD_SLOT_LEN])
{
	const uint64_t at = pad_slot_offset(slot);
	assert_true(slot < l->layout.n_slots);
	assert_memory_equal(bytes, l->bytes + at, PAD_SLOT_LEN);
	if (l->used[at])
		fail_msg("slot %u is used twice", slot);
	l->used[at] = 1;
}

/* ---- lives ---- */

static void start(struct link *l, struct end *e)
{
	const struct pad_options options = {.role = e->role, .burns = l->burns};
	const struct pad_medium medium = disk_medium(&e->disk);
	struct fault fault;
	disk_revive(&e->disk);
	if (pad_new(&e->pad, &medium, l->size, e->disk.copies, &options, "pad", &fault) != OK)
		fail_msg("%s", fault.text);
}

void link_restart(struct link *l, struct end *e, bool is_killed)
{
	e->disk.is_dead |= is_killed;
	pad_free(e->pad);
	e->pad = NULL;
	e->session = e->calling = 0;
	e->is_refused = false;
	l->lives++;
	start(l, e);
}

bool link_restart_dead(struct link *l, struct end *e)
{
	if (!e->disk.is_dead)
		return false;
	l->crashes++;
	link_restart(l, e, true);
	return true;
}

void link_init(struct link *l, uint64_t seed, uint64_t size, bool burns)
{
	*l = (struct link){.seed = {seed},
		.size = size,
		.bytes = malloc(size),
		.used = calloc(1, size),
		.now = USEC_PER_SEC,
		.burns = burns,
		.has_sessions = true,
		.talker = 50,
		.buffer = malloc(TAKE_MAX)};
	assert_err(pad_layout_of(&l->layout, size), OK);
	seeded_bytes(&l->seed, l->bytes, size);
	for (size_t i = 0; i < 2; i++) {
		l->ends[i].role = i ? PAD_INITIATOR : PAD_RESPONDER;
		disk_init(&l->ends[i].disk, l->bytes, size, &l->seed);
		start(l, &l->ends[i]);
	}
}

void link_done(struct link *l)
{
	for (size_t i = 0; i < 2; i++) {
		pad_free(l->ends[i].pad);
		disk_done(&l->ends[i].disk);
	}
	free(l->bytes);
	free(l->used);
	free(l->buffer);
}

/* ---- the network ---- */

static void post(struct link *l, struct end *to, const struct message *m)
{
	if (to->n_inbox == MESSAGES) /* lost */
		to->inbox[seeded_below(&l->seed, MESSAGES)] = *m;
	else
		to->inbox[to->n_inbox++] = *m;
}

/* Sent in a session, at this place of the walk, if there is pad for it. */
static bool send_in_session(struct link *l, struct end *e, struct message *m, bool is_control)
{
	struct pad_stretch stretch;
	enum err err = seeded_chance(&l->seed, 50) ? pad_take(e->pad, m->len, is_control, &stretch)
						   : pad_take_reading(e->pad, m->len, is_control, l->buffer, &stretch);
	assert_true(err == OK || err == ERR_AGAIN || err == ERR_FULL || err == ERR_IO);
	l->full += err == ERR_FULL;
	if (err != OK)
		return false;
	check_given(l, e, stretch.position, stretch.offset, stretch.bytes, m->len);
	l->taken += m->len;
	m->session = e->session;
	m->position = stretch.position;
	m->offset = stretch.offset;
	post(l, other(l, e), m);
	return true;
}

void link_take(struct link *l, struct end *e, size_t len, bool is_control)
{
	struct message m = {.kind = DATA, .len = len};
	if (e->session)
		(void)send_in_session(l, e, &m, is_control);
}

void link_give(struct link *l, struct end *e)
{
	struct message m = {.kind = CREDIT, .len = 80};
	if (!e->session)
		return;
	enum err err = pad_give(e->pad, &m.from, &m.to);
	if (e->disk.is_dead || err != OK)
		return;
	assert_true(e->role == PAD_RESPONDER ? m.to < m.from : m.to > m.from);
	/* What cannot be sent at once is lost here. */
	(void)send_in_session(l, e, &m, true);
}

void link_call(struct link *l)
{
	struct end *e = &l->ends[1];
	uint8_t slot[PAD_SLOT_LEN];
	struct message m = {.kind = HELLO, .session = ++l->sessions};
	e->session = e->calling = 0;
	m.marks = pad_marks(e->pad, true);
	e->seen = pad_seen(e->pad);
	enum err err = pad_use_slot(e->pad, &m.slot, slot);
	if (e->disk.is_dead || err != OK)
		return;
	check_slot(l, m.slot, slot);
	l->slots++;
	e->calling = m.session;
	e->slot = m.slot;
	e->hello = m;
	post(l, other(l, e), &m);
}

/* ---- receiving ---- */

static void on_hello(struct link *l, struct end *e, const struct message *m)
{
	const uint8_t *slot = pad_look_at_slot(e->pad, m->slot);
	if (!slot)
		return;
	assert_memory_equal(slot, l->bytes + pad_slot_offset(m->slot), PAD_SLOT_LEN);
	enum err err = pad_accept_slot(e->pad, m->slot);
	if (e->disk.is_dead || err != OK)
		return;
	e->session = 0;
	enum pad_verdict verdict = pad_agree(e->pad, &m->marks, pad_seen(e->pad));
	if (e->disk.is_dead)
		return;
	if (verdict != PAD_AGREED) {
		l->refusals += verdict != PAD_FAULT;
		return;
	}
	struct message welcome = {.kind = WELCOME, .session = m->session, .marks = pad_marks(e->pad, false)};
	e->session = m->session;
	e->floor = m->marks.sent;
	post(l, other(l, e), &welcome);
}

static void on_welcome(struct link *l, struct end *e, const struct message *m)
{
	if (m->session != e->calling)
		return;
	enum pad_verdict verdict = pad_agree(e->pad, &m->marks, e->seen);
	if (e->disk.is_dead)
		return;
	e->calling = 0;
	if (verdict != PAD_AGREED) {
		l->refusals += verdict != PAD_FAULT;
		return;
	}
	e->session = m->session;
	e->floor = m->marks.sent;
	l->sessions_made++;
}

static void on_secret(struct link *l, struct end *e, const struct message *m)
{
	uint8_t secret[PAD_SECRET_LEN];
	enum err err = pad_find_secret(e->pad, m->offset, secret);
	if (!e->disk.is_dead && err == OK)
		check_bytes(l, other(l, e)->role, m->position, secret, sizeof secret);
}

static void on_data(struct link *l, struct end *e, const struct message *m)
{
	struct pad_stretch stretch;
	if (m->session != e->session || m->position < e->floor)
		return;
	enum err err = pad_find(e->pad, m->offset, m->len, l->buffer, &stretch);
	assert_true(err == OK || err == ERR_AGAIN || err == ERR_IO || err == ERR_REPLAY);
	if (e->disk.is_dead || err != OK)
		return;
	assert_int_equal(stretch.position, m->position);
	check_bytes(l, other(l, e)->role, m->position, stretch.bytes, m->len);
	l->found++;
	pad_received(e->pad, m->position + m->len);
	if (m->kind == CREDIT)
		l->credits += pad_credit(e->pad, m->from, m->to) == OK;
}

static void deliver(struct link *l, struct end *e, const struct message *m)
{
	switch (m->kind) {
	case DATA:
	case CREDIT:
		if (e->session)
			on_data(l, e, m);
		break;
	case HELLO:
		on_hello(l, e, m);
		break;
	case WELCOME:
		on_welcome(l, e, m);
		break;
	case SECRET:
		on_secret(l, e, m);
		break;
	}
	(void)link_restart_dead(l, e);
}

static void deliver_one(struct link *l, struct end *e, size_t which, bool stays)
{
	if (which >= e->n_inbox)
		return;
	const struct message m = e->inbox[which];
	if (!stays) {
		e->n_inbox--;
		memmove(&e->inbox[which], &e->inbox[which + 1], (e->n_inbox - which) * sizeof m);
	}
	deliver(l, e, &m);
}

void link_deliver_first(struct link *l, struct end *e)
{
	deliver_one(l, e, 0, false);
}

void link_deliver_all(struct link *l)
{
	while (l->ends[0].n_inbox || l->ends[1].n_inbox)
		for (size_t i = 0; i < 2; i++)
			link_deliver_first(l, &l->ends[i]);
}

/* ---- chores, secrets, chance ---- */

void link_serve(struct link *l, struct end *e, usec later)
{
	l->now += later;
	(void)pad_serve(e->pad, l->now, 1789000000 + (uint64_t)(l->now / USEC_PER_SEC));
	(void)link_restart_dead(l, e);
}

void link_take_secret(struct link *l, struct end *e)
{
	uint8_t secret[PAD_SECRET_LEN];
	struct message m = {.kind = SECRET, .len = PAD_SECRET_LEN};
	if (pad_take_secret(e->pad, secret, &m.offset) != OK)
		return;
	assert_true(pad_position(&l->layout, e->role, m.offset, &m.position));
	check_given(l, e, m.position, m.offset, secret, sizeof secret);
	l->secrets++;
	post(l, other(l, e), &m);
}

static void trouble(struct link *l, struct end *e)
{
	switch (seeded_below(&l->seed, 5)) {
	case 0:
		e->disk.crash_at = e->disk.operations + seeded_below(&l->seed, 6);
		e->disk.crash = (enum crash)seeded_below(&l->seed, 3);
		break;
	case 1:
		e->disk.failing = 60;
		break;
	case 2:
		e->disk.failing = 0;
		break;
	case 3:
		link_restart(l, e, true);
		break;
	default:
		link_restart(l, e, false);
	}
}

void link_step(struct link *l)
{
	struct end *e = &l->ends[seeded_below(&l->seed, 2)];
	const uint32_t what = seeded_below(&l->seed, 100);
	if (what < 40) {
		e = &l->ends[seeded_chance(&l->seed, l->talker)];
		link_take(l, e, 1 + seeded_below(&l->seed, seeded_chance(&l->seed, 20) ? TAKE_MAX : 1600), what < 5);
	} else if (what < 65) {
		if (e->n_inbox)
			deliver_one(l, e,
				seeded_chance(&l->seed, 70) ? 0 : seeded_below(&l->seed, (uint32_t)e->n_inbox),
				seeded_chance(&l->seed, 10));
	} else if (what < 85) {
		link_serve(l, e, seeded_below(&l->seed, 10 * USEC_PER_SEC));
	} else if (what < 89) {
		link_give(l, e);
		(void)link_restart_dead(l, e);
	} else if (what < 91) {
		trouble(l, e);
	} else if (!l->has_sessions) {
		link_take_secret(l, e);
	} else if (!l->ends[1].session && !l->ends[1].calling) {
		link_call(l);
		(void)link_restart_dead(l, &l->ends[1]);
	} else if (l->ends[1].calling && what < 98) {
		post(l, &l->ends[0], &l->ends[1].hello); /* again */
	} else if (what == 99) {
		link_call(l);
		(void)link_restart_dead(l, &l->ends[1]);
	}
}
