/* What keeps a pad ahead of its use, away from packets: reserving, reading ahead, clearing behind, burning. */
#include "pad/private.h"

#include <stdio.h>

/* Reserved at least: little of the share, since a crash loses it. */
#define STRETCH_PARTS 1024
#define STRETCH_MIN PAD_BLOCK
#define STRETCH_MIN_MOST ((uint64_t)4 << 20)
#define STRETCH_SOON USEC_PER_SEC        /* used up as quickly as that: reserve twice as much */
#define STRETCH_LATE (30 * USEC_PER_SEC) /* as slowly: half */
#define AHEAD_MIN ((uint64_t)32 << 10)
#define AHEAD_BUSY ((uint64_t)1 << 20)  /* who had so much in memory gives it back when all is quiet */
#define PIECE ((size_t)256 << 10)       /* read at once: a multiple of a block */
#define LEAD ((uint64_t)128 << 10)      /* so far in front of lanes that do not wait */
#define GARBAGE_MIN ((uint64_t)1 << 20) /* settling waits for all lanes: not for less, while it is busy */
#define RECORD_EVERY (2 * USEC_PER_SEC) /* of what was received: each waits for the disk */
#define BURN_MIN ((uint64_t)1 << 20)
#define BURN_MAX ((uint64_t)4 << 20)
#define PAGE ((uint64_t)4096)
#define STARVED_MAX (10 * USEC_PER_SEC)
#define RETRY USEC_PER_SEC
#define IDLE (10 * USEC_PER_SEC)
#define RATE_WINDOW ((uint64_t)14 * 24 * 3600) /* seconds over which the rate is measured, at most */

/* ---- reserving ---- */

static uint64_t shortest_stretch(uint64_t share)
{
	uint64_t n = share / STRETCH_PARTS;
	return n < STRETCH_MIN ? STRETCH_MIN : n > STRETCH_MIN_MOST ? STRETCH_MIN_MOST : n;
}

/* More of our walk is on disk as used before it is. */
static void reserve(struct pad *p, usec now)
{
	uint64_t share = atomic_load(&p->share), next = supply_next(p->send), reserved = p->ledger.sent;
	uint64_t shortest = shortest_stretch(share), longest = pad_stretch_max(share);
	if (p->stretch < shortest)
		p->stretch = shortest;
	if (reserved < share && reserved - next <= p->stretch / 2 && (!p->fault[0] || now - p->failed_at >= RETRY)) {
		usec since = now - p->reserved_at;
		if (p->reserved_at && since < STRETCH_SOON)
			p->stretch = 2 * p->stretch < longest ? 2 * p->stretch : longest;
		else if (since > STRETCH_LATE && p->stretch / 2 >= shortest)
			p->stretch /= 2;
		struct ledger record = p->ledger;
		record.sent = next + p->stretch < share ? next + p->stretch : share;
		if (record.sent < reserved)
			record.sent = reserved;
		if (pad_record(p, &record) == OK) {
			p->reserved_at = now;
			p->recorded_at = now;
		} else {
			p->failed_at = now;
		}
	}
	supply_allow(p->send, p->ledger.sent);
}

/* ---- reading ahead, clearing behind ---- */

static void pace(struct pad_pace *pace, uint64_t used, uint64_t most)
{
	uint64_t moved = used - pace->used;
	pace->used = used;
	if (pace->ahead < AHEAD_MIN)
		pace->ahead = AHEAD_MIN;
	if (moved >= pace->ahead / 2 && pace->ahead < most)
		pace->ahead = 2 * pace->ahead < most ? 2 * pace->ahead : most;
	else if (moved < pace->ahead / 16 && pace->ahead > AHEAD_MIN)
		pace->ahead -= pace->ahead / 4;
	pace->was_busy |= pace->ahead >= AHEAD_BUSY;
}

static void clear_behind(struct pad *p, struct supply *s, uint64_t floor, bool is_idle)
{
	uint64_t loaded = supply_loaded(s);
	supply_discard(s, floor < loaded ? floor : loaded);
	if (supply_garbage(s) < (is_idle ? 1 : GARBAGE_MIN))
		return;
	p->medium.settle(p->medium.context);
	supply_recycle(s);
}

/* From the end of what is in memory up to `target`. False: the pad cannot be read. */
static bool read_ahead(struct pad *p, struct supply *s, enum pad_role role, uint64_t target)
{
	while (supply_loaded(s) < target) {
		uint64_t from = supply_loaded(s), wanted = target - from;
		size_t n;
		uint8_t *room = supply_room(s, wanted < PIECE ? (size_t)wanted : PIECE, &n);
		if (n == 0)
			return true;
		if (pad_read_walk(p, role, from, room, n) != OK) {
			(void)snprintf(p->fault, sizeof p->fault,
				"the file cannot be read: was it cut short, or is its disk failing?");
			return false;
		}
		supply_fill(s, n);
	}
	return true;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static bool feed_send(struct pad *p, bool *ret_moved)
{
	uint64_t next = supply_next(p->send), share = atomic_load(&p->share);
	*ret_moved |= next != p->send_pace.used;
	pace(&p->send_pace, next, PAD_SEND_RING - 2 * GARBAGE_MIN);
	if (next > supply_loaded(p->send)) { /* lanes have read for themselves */
		clear_behind(p, p->send, next, true);
		next = supply_next(p->send);
		supply_jump(p->send, earlier(next + LEAD, share > next ? share : next));
	}
	bool is_good = read_ahead(p, p->send, p->options.role, earlier(next + p->send_pace.ahead, share));
	clear_behind(p, p->send, next, !*ret_moved);
	/* Half of what is ready may be used before it is looked at again. */
	uint64_t ready = earlier(supply_loaded(p->send), p->ledger.sent);
	atomic_store(&p->wake_send, ready > next ? next + (ready - next) / 2 : next);
	return is_good;
}

static bool feed_receive(struct pad *p, bool *ret_moved)
{
	enum pad_role role = pad_role_other(p->options.role);
	uint64_t head = atomic_load(&p->received), share = pad_share(&p->layout, role, p->ledger.boundary);
	*ret_moved |= head != p->receive_pace.used;
	pace(&p->receive_pace, head, PAD_RECEIVE_RING - PAD_WINDOW - 2 * GARBAGE_MIN);
	if (head > supply_loaded(p->receive) + PAD_WINDOW) { /* it went on far ahead, after losses */
		clear_behind(p, p->receive, head, true);
		supply_jump(p->receive, head - PAD_WINDOW);
	}
	bool is_good = read_ahead(p, p->receive, role, earlier(head + p->receive_pace.ahead, share));
	clear_behind(p, p->receive, head > PAD_WINDOW ? head - PAD_WINDOW : 0, false);
	uint64_t loaded = supply_loaded(p->receive);
	atomic_store(&p->wake_receive, loaded > head ? head + (loaded - head) / 2 : head + AHEAD_MIN);
	return is_good;
}

/* Many links that are quiet must not hold what each needed while it was busy. */
static void rest(struct pad_pace *pace, struct supply *s)
{
	if (!pace->was_busy || pace->ahead >= AHEAD_BUSY)
		return;
	pace->was_busy = false;
	supply_release(s);
}

/* ---- burning ---- */

/* The next pages of a walk up to `end`; *mark follows. */
static bool burn(struct pad *p, enum pad_role role, uint64_t *mark, uint64_t end, bool is_idle)
{
	end -= end % PAGE;
	if (end < *mark + (is_idle ? PAGE : BURN_MIN))
		return false;
	if (end > *mark + BURN_MAX)
		end = *mark + BURN_MAX;
	p->medium.settle(p->medium.context); /* lanes that took it before may still be reading it from the file */
	if (pad_burn_walk(p, role, *mark, end) != OK) {
		(void)snprintf(p->fault, sizeof p->fault,
			"used pad cannot be burned: is its file or disk read-only, or the disk failing?");
		return false;
	}
	*mark = end;
	return true;
}

/* Only what the ledger has on disk as used, and what has been taken, which may end before the memory begins: burned
 * bytes must never be taken for key. */
static bool burn_used(struct pad *p, bool is_idle)
{
	if (!p->options.burns || !p->medium.burn)
		return false;
	struct ledger next = p->ledger;
	uint64_t sent = earlier(earlier(supply_floor(p->send), supply_next(p->send)), next.sent);
	uint64_t received = next.received > PAD_WINDOW ? next.received - PAD_WINDOW : 0;
	bool did = burn(p, p->options.role, &next.burned_sent, sent, is_idle);
	did |= burn(p, pad_role_other(p->options.role), &next.burned_received, received, is_idle);
	/* Not recorded at once: at worst it is burned once more. */
	p->ledger.burned_sent = next.burned_sent;
	p->ledger.burned_received = next.burned_received;
	return did;
}

/* ---- the rest ---- */

static void record_received(struct pad *p, usec now)
{
	if (atomic_load(&p->received) == p->ledger.received || now - p->recorded_at < RECORD_EVERY)
		return;
	struct ledger next = p->ledger;
	p->recorded_at = now;
	if (pad_record(p, &next) != OK)
		p->failed_at = now;
}

/* Since when the rate is measured. */
static void measure_rate(struct pad *p, uint64_t wall_s)
{
	struct ledger *l = &p->ledger; /* goes to disk with the next record */
	uint64_t used = supply_next(p->send) + atomic_load(&p->received);
	if (l->first_s == 0 || wall_s < l->first_s) {
		l->first_s = wall_s;
		l->used_at_first = used;
	} else if (wall_s - l->first_s > RATE_WINDOW) {
		l->used_at_first += (used - l->used_at_first) / 2;
		l->first_s += (wall_s - l->first_s) / 2;
	}
}

/* A share that is used up may grow by the peer's credit; not when the peer has none, or says nothing for long. */
static void look_for_the_end(struct pad *p, usec now)
{
	size_t wanted = atomic_exchange(&p->short_of, 0);
	if (wanted == 0 || p->is_used_up)
		return;
	uint64_t share = atomic_load(&p->share), whole = p->layout.n_blocks * PAD_BLOCK;
	uint64_t peer_used = atomic_load(&p->received), peer_share = whole - share;
	if (share - supply_next(p->send) >= PAD_SPARE + wanted)
		return; /* more has come meanwhile */
	if (!p->starved_since)
		p->starved_since = now;
	bool has_none = peer_used + PAD_BLOCK > peer_share;
	if (has_none || now - p->starved_since >= STARVED_MAX) {
		p->is_used_up = true;
		atomic_store(&p->is_stopped, true);
	}
}

usec pad_serve(struct pad *p, usec now, uint64_t wall_s)
{
	pthread_mutex_lock(&p->lock);
	bool moved = false;
	if (now - p->fetched_at >= USEC_PER_SEC) {
		int32_t fetches = atomic_load(&p->fetches);
		if (fetches < PAD_FETCHES)
			atomic_fetch_add(&p->fetches,
				fetches + PAD_FETCH_RATE > PAD_FETCHES ? PAD_FETCHES - fetches : PAD_FETCH_RATE);
		p->fetched_at = now;
	}
	measure_rate(p, wall_s);
	reserve(p, now);
	bool is_good = feed_send(p, &moved);
	is_good &= feed_receive(p, &moved);
	rest(&p->send_pace, p->send);
	rest(&p->receive_pace, p->receive);
	record_received(p, now);
	bool did_burn = burn_used(p, !moved);
	look_for_the_end(p, now);
	bool waits = p->starved_since || !is_good || p->fault[0] || p->ledger.received != atomic_load(&p->received);
	pthread_mutex_unlock(&p->lock);
	if (did_burn)
		return now;
	return now + (moved || waits ? RETRY : IDLE);
}
