/* What the two ends of a pad agree on: marks, slots for hellos, secrets for key exchanges, and who owns what. */
#include "pad/private.h"

#include "base/secret.h"

#include <string.h>

/* ---- marks ---- */

struct pad_marks pad_marks(struct pad *p, bool holds)
{
	pthread_mutex_lock(&p->lock);
	p->credit_waits |= holds;
	struct pad_marks marks = {.sent = supply_next(p->send),
		.received = atomic_load(&p->received),
		.boundary = p->ledger.boundary,
		.max_zero_run = p->options.max_zero_run};
	pthread_mutex_unlock(&p->lock);
	return marks;
}

uint64_t pad_seen(const struct pad *p)
{
	return atomic_load(&p->received);
}

static enum pad_verdict we_are_old(struct pad *p, uint64_t peer_saw)
{
	struct ledger next = p->ledger;
	next.peer_saw = peer_saw;
	atomic_store(&p->is_stopped, true);
	(void)!pad_record(p, &next); /* if that cannot be written, the peer shows it again next time */
	return PAD_WE_ARE_OLD;
}

/*
 * Credit that was given and never arrived belongs to nobody: the responder takes it, and tells so in its own marks,
 * which come second. Nobody gives while marks are under way. The initiator's boundary is never below the responder's,
 * unless one of them has forgotten something.
 */
static enum pad_verdict agree_on_boundary(struct pad *p, uint64_t boundary)
{
	struct ledger next = p->ledger;
	if (boundary > p->layout.n_blocks)
		return PAD_PEER_IS_OLD;
	if (boundary == next.boundary)
		return PAD_AGREED;
	if (p->options.role == PAD_INITIATOR || boundary < next.boundary)
		return PAD_PEER_IS_OLD;
	next.boundary = boundary;
	if (pad_record(p, &next) != OK)
		return PAD_FAULT;
	atomic_store(&p->share, pad_share(&p->layout, p->options.role, boundary));
	return PAD_AGREED;
}

static enum pad_verdict agree(struct pad *p, const struct pad_marks *marks, uint64_t seen)
{
	if (marks->max_zero_run != p->options.max_zero_run)
		return PAD_DIFFERENT;
	if (marks->received > p->ledger.sent)
		return we_are_old(p, marks->received);
	if (p->ledger.peer_saw > p->ledger.sent)
		return PAD_WE_ARE_OLD;
	if (marks->sent < seen || marks->sent > p->layout.n_blocks * PAD_BLOCK)
		return PAD_PEER_IS_OLD;
	return agree_on_boundary(p, marks->boundary);
}

enum pad_verdict pad_agree(struct pad *p, const struct pad_marks *marks, uint64_t seen)
{
	pthread_mutex_lock(&p->lock);
	enum pad_verdict verdict = agree(p, marks, seen);
	if (verdict == PAD_AGREED) {
		p->credit_waits = false;
		pthread_mutex_unlock(&p->lock);
		pad_received(p, marks->sent);
		p->medium.wake(p->medium.context);
		return verdict;
	}
	pthread_mutex_unlock(&p->lock);
	return verdict;
}

/* ---- slots ---- */

static enum err use_slot(struct pad *p, uint32_t *ret_slot, uint8_t ret_bytes[static PAD_SLOT_LEN])
{
	struct ledger next = p->ledger;
	uint32_t slot = next.hello;
	if (next.peer_saw > next.sent)
		return ERR_STATE;
	if (slot >= p->layout.n_slots)
		return ERR_FULL;
	next.hello = slot + 1;
	enum err err = p->medium.read(p->medium.context, pad_slot_offset(slot), ret_bytes, PAD_SLOT_LEN);
	if (err == OK)
		err = pad_record(p, &next);
	if (err != OK) {
		secret_wipe(ret_bytes, PAD_SLOT_LEN);
		return err;
	}
	*ret_slot = slot;
	return OK;
}

/* Slots that will not be used any more; what fails here is tried by nobody again, as the ledger keeps them from use. */
static void burn_slots(struct pad *p, uint32_t from, uint32_t to)
{
	if (p->options.burns && p->medium.burn)
		(void)!p->medium.burn(p->medium.context, pad_slot_offset(from), (uint64_t)(to - from) * PAD_SLOT_LEN);
}

enum err pad_use_slot(struct pad *p, uint32_t *ret_slot, uint8_t ret_bytes[static PAD_SLOT_LEN])
{
	pthread_mutex_lock(&p->lock);
	enum err err = use_slot(p, ret_slot, ret_bytes);
	if (err == OK)
		burn_slots(p, *ret_slot, *ret_slot + 1);
	pthread_mutex_unlock(&p->lock);
	return err;
}

const uint8_t *pad_look_at_slot(const struct pad *p, uint32_t slot)
{
	if (slot < p->slots_from || slot - p->slots_from >= p->n_slots)
		return NULL;
	return p->slots + (size_t)(slot - p->slots_from) * PAD_SLOT_LEN;
}

enum err pad_read_old_slot(const struct pad *p, uint32_t slot, uint8_t ret_bytes[static PAD_SLOT_LEN])
{
	if (slot >= p->layout.n_slots || slot >= p->slots_from)
		return ERR_NOT_FOUND;
	enum err err = p->medium.read(p->medium.context, pad_slot_offset(slot), ret_bytes, PAD_SLOT_LEN);
	/* Burned: zeros would be a key that anybody knows. */
	return err == OK && secret_is_zero(ret_bytes, PAD_SLOT_LEN) ? ERR_NOT_FOUND : err;
}

enum err pad_read_far_slot(const struct pad *p, uint32_t slot, uint8_t ret_bytes[static PAD_SLOT_LEN])
{
	if (slot >= p->layout.n_slots || slot < p->slots_from + p->n_slots)
		return ERR_NOT_FOUND;
	return p->medium.read(p->medium.context, pad_slot_offset(slot), ret_bytes, PAD_SLOT_LEN);
}

enum err pad_accept_slot(struct pad *p, uint32_t slot)
{
	pthread_mutex_lock(&p->lock);
	struct ledger next = p->ledger;
	uint32_t before = next.hello;
	enum err err = slot < before ? ERR_REPLAY : OK;
	if (err == OK) {
		next.hello = slot + 1;
		err = pad_record(p, &next);
	}
	if (err == OK) {
		burn_slots(p, before, slot + 1);
		err = pad_load_slots(p, slot + 1);
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

/* ---- secrets for key exchanges ---- */

enum err pad_take_secret(struct pad *p, uint8_t ret[static PAD_SECRET_LEN], uint64_t *ret_offset)
{
	struct pad_stretch stretch;
	pthread_mutex_lock(&p->lock); /* the feeder clears memory under it: no read section is needed */
	enum err err = pad_take(p, PAD_SECRET_LEN, false, &stretch);
	if (err == OK) {
		memcpy(ret, stretch.bytes, PAD_SECRET_LEN);
		*ret_offset = stretch.offset;
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

/* Where a secret of the peer's is that has not been passed. Under the lock. */
static enum err place_secret(const struct pad *p, uint64_t offset, uint64_t *ret_position)
{
	if (!pad_position(&p->layout, pad_role_other(p->options.role), offset, ret_position) ||
		*ret_position + PAD_SECRET_LEN > p->layout.n_blocks * PAD_BLOCK - atomic_load(&p->share))
		return ERR_FORMAT;
	return *ret_position < atomic_load(&p->received) ? ERR_REPLAY : OK;
}

enum err pad_find_secret(struct pad *p, uint64_t offset, uint8_t ret[static PAD_SECRET_LEN])
{
	uint64_t position;
	pthread_mutex_lock(&p->lock);
	enum err err = place_secret(p, offset, &position);
	if (err == OK)
		err = pad_read_walk(p, pad_role_other(p->options.role), position, ret, PAD_SECRET_LEN);
	if (err != OK)
		secret_wipe(ret, PAD_SECRET_LEN);
	pthread_mutex_unlock(&p->lock);
	return err;
}

enum err pad_accept_secret(struct pad *p, uint64_t offset)
{
	uint64_t position;
	pthread_mutex_lock(&p->lock);
	enum err err = place_secret(p, offset, &position);
	if (err == OK) {
		struct ledger next = p->ledger;
		next.received = position + PAD_SECRET_LEN;
		err = pad_record(p, &next);
	}
	if (err == OK)
		pad_received(p, position + PAD_SECRET_LEN);
	pthread_mutex_unlock(&p->lock);
	return err;
}

/* ---- credit ---- */

/* Blocks to give: so many that both then have about the same; the last ones singly. */
static uint64_t blocks_to_give(const struct pad *p)
{
	uint64_t share = atomic_load(&p->share), whole = p->layout.n_blocks * PAD_BLOCK;
	uint64_t peer_share = whole - share, peer_used = atomic_load(&p->received);
	uint64_t left = share - supply_next(p->send), peer_left = peer_share > peer_used ? peer_share - peer_used : 0;
	uint64_t unreserved = (share - p->ledger.sent) / PAD_BLOCK;
	if (peer_left >= left / 2)
		return 0;
	uint64_t give = (left - peer_left) / 2 / PAD_BLOCK;
	if (give == 0 && peer_left < PAD_BLOCK / 4 && left >= PAD_BLOCK + PAD_BLOCK / 4)
		give = 1;
	return give < unreserved ? give : unreserved;
}

enum err pad_give(struct pad *p, uint64_t *ret_from, uint64_t *ret_to)
{
	pthread_mutex_lock(&p->lock);
	struct ledger next = p->ledger;
	uint64_t give = p->credit_waits ? 0 : blocks_to_give(p);
	*ret_from = next.boundary;
	next.boundary = p->options.role == PAD_RESPONDER ? next.boundary - give : next.boundary + give;
	*ret_to = next.boundary;
	enum err err = ERR_AGAIN;
	if (give) {
		/* Lanes take no more than what is reserved, and that stays ours: the share may shrink at once. */
		err = pad_record(p, &next);
		if (err == OK)
			atomic_store(&p->share, pad_share(&p->layout, p->options.role, next.boundary));
	}
	pthread_mutex_unlock(&p->lock);
	return err;
}

static enum err credit(struct pad *p, uint64_t from, uint64_t to)
{
	struct ledger next = p->ledger;
	bool is_gift = p->options.role == PAD_RESPONDER ? to > from && to <= p->layout.n_blocks : to < from;
	if (p->credit_waits)
		return ERR_AGAIN;
	if (!is_gift || from != next.boundary)
		return ERR_FORMAT;
	next.boundary = to;
	enum err err = pad_record(p, &next);
	if (err != OK)
		return err;
	atomic_store(&p->share, pad_share(&p->layout, p->options.role, to));
	p->starved_since = 0;
	if (p->is_used_up) {
		p->is_used_up = false;
		atomic_store(&p->is_stopped, false);
	}
	return OK;
}

enum err pad_credit(struct pad *p, uint64_t from, uint64_t to)
{
	pthread_mutex_lock(&p->lock);
	enum err err = credit(p, from, to);
	pthread_mutex_unlock(&p->lock);
	if (err == OK)
		p->medium.wake(p->medium.context);
	return err;
}
