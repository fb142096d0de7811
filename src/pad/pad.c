#include "pad/private.h"

#include "base/secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRETCH_FIRST PAD_BLOCK

/* ---- the walks in the file ---- */

/* Consecutive positions lie together up to the end of a block (going up: everywhere, but that costs nothing). */
static size_t in_block(uint64_t position, uint64_t left)
{
	uint64_t n = PAD_BLOCK - position % PAD_BLOCK;
	return (size_t)(n < left ? n : left);
}

enum err pad_read_walk(const struct pad *p, enum pad_role role, uint64_t position, uint8_t *out, size_t len)
{
	while (len) {
		size_t n = in_block(position, len);
		enum err err = p->medium.read(p->medium.context, pad_offset(&p->layout, role, position), out, n);
		if (err != OK)
			return err;
		position += n;
		out += n;
		len -= n;
	}
	return OK;
}

enum err pad_burn_walk(const struct pad *p, enum pad_role role, uint64_t from, uint64_t to)
{
	while (from < to) {
		size_t n = in_block(from, to - from);
		enum err err = p->medium.burn(p->medium.context, pad_offset(&p->layout, role, from), n);
		if (err != OK)
			return err;
		from += n;
	}
	return OK;
}

/* ---- the ledger ---- */

enum err pad_record(struct pad *p, struct ledger *next)
{
	uint8_t record[LEDGER_RECORD_LEN];
	uint64_t received = atomic_load(&p->received);
	if (received > next->received)
		next->received = received;
	next->sequence = p->ledger.sequence + 1;
	enum err err = ledger_encode(record, next);
	/* After a failure the same copy is tried again: the other one is known to be good. */
	if (err == OK)
		err = p->medium.write_record(p->medium.context, (unsigned int)(next->sequence % LEDGER_COPIES), record);
	if (err != OK) {
		(void)snprintf(p->fault, sizeof p->fault,
			"its ledger cannot be written: see that the disk of StateDirectory is neither full nor "
			"read-only");
		return err;
	}
	p->ledger = *next;
	p->fault[0] = '\0';
	return OK;
}

enum err pad_settle_marks(struct pad *p)
{
	struct ledger next = p->ledger;
	uint64_t used = supply_next(p->send);
	if (used == next.sent && atomic_load(&p->received) == next.received)
		return OK;
	next.sent = used;
	return pad_record(p, &next);
}

enum err pad_load_slots(struct pad *p, uint32_t from)
{
	uint32_t n = p->layout.n_slots - from < PAD_HELLO_WINDOW ? p->layout.n_slots - from : PAD_HELLO_WINDOW;
	p->n_slots = 0;
	enum err err =
		n == 0 ? OK
		       : p->medium.read(p->medium.context, pad_slot_offset(from), p->slots, (size_t)n * PAD_SLOT_LEN);
	if (err != OK)
		return err;
	p->slots_from = from;
	p->n_slots = n;
	return OK;
}

/* ---- life ---- */

static enum err check_ledger(const struct pad *p, const uint8_t id[PAD_ID_LEN], struct fault *fault)
{
	const struct ledger *l = &p->ledger;
	if (memcmp(l->pad_id, id, PAD_ID_LEN) != 0 || l->pad_size != p->layout.size)
		return fault_set(fault, ERR_FORMAT,
			"%s: its ledger is of a pad of %" PRIu64
			" bytes with another beginning: was the file changed? Give it back its "
			"content, or use a new pad",
			p->name, l->pad_size);
	if (l->role != p->options.role)
		return fault_set(fault, ERR_STATE,
			"%s: this end has used it as the %s, and now %s an Endpoint: both ends would use the same "
			"bytes; use a new pad",
			p->name, l->role == PAD_INITIATOR ? "one with an Endpoint" : "one without an Endpoint",
			l->role == PAD_INITIATOR ? "has not" : "has");
	return OK;
}

/* What is on disk, or a new record for a pad that was never used here. */
static enum err load_ledger(struct pad *p, const uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN], struct fault *fault)
{
	uint8_t id[PAD_ID_LEN];
	if (p->medium.read(p->medium.context, 0, id, sizeof id) != OK)
		return fault_set(fault, ERR_IO, "%s: cannot be read", p->name);
	enum err err = ledger_choose(&p->ledger, copies);
	if (err == OK)
		return check_ledger(p, id, fault);
	if (err != ERR_NOT_FOUND)
		return fault_set(fault, ERR_FORMAT,
			"%s: its ledger is damaged, so nobody knows how much of the pad has been used: use a new pad",
			p->name);
	p->ledger = (struct ledger){
		.pad_size = p->layout.size, .role = p->options.role, .boundary = pad_middle(&p->layout)};
	memcpy(p->ledger.pad_id, id, sizeof id);
	return OK;
}

static bool is_damaged(const uint8_t record[LEDGER_RECORD_LEN])
{
	struct ledger ledger;
	return ledger_decode(&ledger, record) != OK && !secret_is_zero(record, LEDGER_RECORD_LEN);
}

/* The record as this start finds it, and proof that it can be written. */
static enum err begin_ledger(struct pad *p, bool has_damage, struct fault *fault)
{
	struct ledger next = p->ledger;
	uint64_t share = pad_share(&p->layout, p->options.role, next.boundary);
	if (p->options.first > share)
		return fault_set(fault, ERR_STATE,
			"%s: PadOffset = %" PRIu64 " lies behind the end of this end's part, which has %" PRIu64
			" bytes",
			p->name, p->options.first, share);
	/* Torn when it was written, it reserved nothing; damaged later, it may have been the newer one. Then no more
	 * than one stretch was used that the other knows nothing of. */
	if (has_damage)
		next.sent = next.sent + pad_stretch_max(share) < share ? next.sent + pad_stretch_max(share) : share;
	if (next.sent < p->options.first)
		next.sent = p->options.first;
	if (pad_record(p, &next) != OK)
		return fault_set(fault, ERR_IO, "%s: %s", p->name, p->fault);
	atomic_store(&p->share, share);
	atomic_store(&p->received, p->ledger.received);
	atomic_store(&p->is_stopped, p->ledger.peer_saw > p->ledger.sent);
	return OK;
}

static enum err begin_supplies(struct pad *p, struct fault *fault)
{
	enum err err = supply_new(&p->send, PAD_SEND_RING, p->ledger.sent);
	if (err == OK)
		err = supply_new(&p->receive, PAD_RECEIVE_RING, p->ledger.received);
	if (err != OK)
		return fault_set(fault, err, "%s: out of memory", p->name);
	p->send_pace.used = p->ledger.sent;
	p->receive_pace.used = p->ledger.received;
	if (p->options.role == PAD_RESPONDER && pad_load_slots(p, p->ledger.hello) != OK)
		return fault_set(fault, ERR_IO, "%s: cannot be read", p->name);
	return OK;
}

enum err pad_new(struct pad **ret, const struct pad_medium *medium, uint64_t size,
	const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], const struct pad_options *options,
	const char *name, struct fault *fault)
{
	struct pad_layout layout;
	enum err err = pad_layout_of(&layout, size);
	if (err == ERR_FORMAT)
		return fault_set(
			fault, err, "%s: a pad of %" PRIu64 " bytes is too short: it needs 1 MiB at least", name, size);
	if (err != OK)
		return fault_set(fault, err, "%s: larger than a pad can be", name);
	struct pad *p = calloc(1, sizeof *p);
	if (!p)
		return fault_set(fault, ERR_NOMEM, "%s: out of memory", name);
	*p = (struct pad){.medium = *medium, .layout = layout, .options = *options, .stretch = STRETCH_FIRST};
	(void)snprintf(p->name, sizeof p->name, "%s", name);
	pthread_mutex_init(&p->lock, NULL);
	atomic_store(&p->fetches, PAD_FETCHES);
	err = load_ledger(p, copies, fault);
	if (err == OK)
		err = begin_ledger(p, is_damaged(copies[0]) || is_damaged(copies[1]), fault);
	if (err == OK)
		err = begin_supplies(p, fault);
	if (err != OK) {
		supply_free(p->send); /* not pad_free: there is nothing to record */
		supply_free(p->receive);
		free(p);
		return err;
	}
	*ret = p;
	return OK;
}

void pad_free(struct pad *p)
{
	if (!p)
		return;
	enum err err = pad_settle_marks(p);
	if (err == OK && p->options.burns && p->medium.burn) {
		struct ledger next = p->ledger;
		if (pad_burn_walk(p, p->options.role, next.burned_sent, next.sent) == OK)
			next.burned_sent = next.sent;
		if (pad_burn_walk(p, pad_role_other(p->options.role), next.burned_received, next.received) == OK)
			next.burned_received = next.received;
		err = pad_record(p, &next);
	}
	(void)err; /* what is on disk says that more has been used: nothing is lost but that */
	supply_free(p->send);
	supply_free(p->receive);
	pthread_mutex_destroy(&p->lock);
	secret_wipe(p, sizeof *p);
	free(p);
}

const uint8_t *pad_id(const struct pad *p)
{
	return p->ledger.pad_id;
}
enum pad_role pad_role(const struct pad *p)
{
	return p->options.role;
}
uint8_t pad_max_zero_run(const struct pad *p)
{
	return p->options.max_zero_run;
}

/* ---- lanes ---- */

void pad_wake(struct pad *p, _Atomic uint64_t *mark)
{
	if (atomic_exchange_explicit(mark, UINT64_MAX, memory_order_relaxed) != UINT64_MAX)
		p->medium.wake(p->medium.context);
}

enum err pad_take(struct pad *p, size_t len, bool is_control, struct pad_stretch *ret)
{
	if (atomic_load_explicit(&p->is_stopped, memory_order_relaxed))
		return ERR_FULL;
	uint64_t end = atomic_load_explicit(&p->share, memory_order_acquire);
	enum err err = supply_take(
		p->send, len, is_control || end < PAD_SPARE ? end : end - PAD_SPARE, &ret->position, &ret->bytes);
	if (err == ERR_FULL) {
		atomic_store_explicit(&p->short_of, len, memory_order_relaxed);
		err = ERR_AGAIN; /* the peer may have some to give */
	}
	if (err != OK) {
		pad_wake(p, &p->wake_send);
		return err;
	}
	ret->offset = pad_offset(&p->layout, p->options.role, ret->position);
	if (ret->position >= atomic_load_explicit(&p->wake_send, memory_order_relaxed))
		pad_wake(p, &p->wake_send);
	return OK;
}

/* Who feeds the memory does not come to run as soon as it should: rather a system call than a packet lost. */
enum err pad_take_reading(struct pad *p, size_t len, bool is_control, uint8_t *buffer, struct pad_stretch *ret)
{
	enum err err = pad_take(p, len, is_control, ret);
	if (err != ERR_AGAIN)
		return err;
	uint64_t end = atomic_load_explicit(&p->share, memory_order_acquire);
	if (!is_control && end > PAD_SPARE)
		end -= PAD_SPARE;
	if (supply_take_unread(p->send, len, end, &ret->position) != OK)
		return ERR_AGAIN;
	ret->offset = pad_offset(&p->layout, p->options.role, ret->position);
	ret->bytes = buffer;
	return pad_read_walk(p, p->options.role, ret->position, buffer, len);
}

const uint8_t *pad_peek(const struct pad *p, size_t len, uint64_t *ret_position)
{
	*ret_position = supply_next(p->send);
	return supply_at(p->send, *ret_position, len);
}

enum err pad_find_at(struct pad *p, uint64_t position, size_t len, uint8_t *buffer, struct pad_stretch *ret)
{
	enum pad_role role = pad_role_other(p->options.role);
	/* Never our own: what we sent, sent back to us, would verify. */
	if (position + len > p->layout.n_blocks * PAD_BLOCK - atomic_load(&p->share))
		return ERR_FORMAT;
	*ret = (struct pad_stretch){.position = position,
		.offset = pad_offset(&p->layout, role, position),
		.bytes = supply_at(p->receive, position, len)};
	if (ret->bytes)
		return OK;
	enum err err = pad_read_walk(p, role, position, buffer, len);
	ret->bytes = buffer;
	return err;
}

enum err pad_find(struct pad *p, uint64_t offset, size_t len, uint8_t *buffer, struct pad_stretch *ret)
{
	uint64_t position;
	if (!pad_position(&p->layout, pad_role_other(p->options.role), offset, &position))
		return ERR_FORMAT;
	if (position + PAD_WINDOW < atomic_load_explicit(&p->received, memory_order_relaxed))
		return ERR_REPLAY;
	/* Who names places at random makes us read the disk: so often, and no more until one was right. */
	if (!supply_at(p->receive, position, len) &&
		atomic_fetch_sub_explicit(&p->fetches, 1, memory_order_relaxed) <= 0) {
		atomic_fetch_add_explicit(&p->fetches, 1, memory_order_relaxed);
		return ERR_AGAIN;
	}
	return pad_find_at(p, position, len, buffer, ret);
}

void pad_received(struct pad *p, uint64_t end)
{
	uint64_t before = atomic_load_explicit(&p->received, memory_order_relaxed);
	while (end > before && !atomic_compare_exchange_weak_explicit(
				       &p->received, &before, end, memory_order_release, memory_order_relaxed))
		;
	/* It came from the file, and was right. */
	if (end && !supply_at(p->receive, end - 1, 1))
		atomic_fetch_add_explicit(&p->fetches, 1, memory_order_relaxed);
	if (end >= atomic_load_explicit(&p->wake_receive, memory_order_relaxed))
		pad_wake(p, &p->wake_receive);
}

/* ---- status ---- */

static enum pad_state state_of(const struct pad *p, uint64_t left, uint64_t share)
{
	if (p->ledger.peer_saw > p->ledger.sent)
		return PAD_IS_OLD;
	if (p->fault[0])
		return PAD_FAILED;
	if (p->is_used_up)
		return PAD_USED_UP;
	return left < share / 10 ? PAD_LOW : PAD_READY;
}

void pad_status(struct pad *p, struct pad_status *ret)
{
	pthread_mutex_lock(&p->lock);
	const struct ledger *l = &p->ledger;
	uint64_t share = atomic_load(&p->share);
	*ret = (struct pad_status){
		.size = p->layout.size,
		.sent = supply_next(p->send),
		.received = atomic_load(&p->received),
		.burned = l->burned_sent + l->burned_received,
		.used_at_first = l->used_at_first,
		.first_s = l->first_s,
		.slots_left = p->layout.n_slots - l->hello,
	};
	memcpy(ret->id, l->pad_id, PAD_ID_LEN);
	memcpy(ret->fault, p->fault, sizeof ret->fault);
	uint64_t peer_share = p->layout.n_blocks * PAD_BLOCK - share;
	ret->left = share - ret->sent;
	ret->peer_left = peer_share > ret->received ? peer_share - ret->received : 0;
	ret->state = state_of(p, ret->left, share);
	pthread_mutex_unlock(&p->lock);
}
