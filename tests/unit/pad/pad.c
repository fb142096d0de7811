/*
 * A pad in use: whatever crashes, fails, is lost, repeated, restored or tried by strangers, no byte is given out twice
 * (the checker is link.c's), all of it can be used, and what is given is what the peer finds.
 */
#include "link.h"

#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define MIB ((uint64_t)1 << 20)

/* ---- never twice ---- */

static void test_random_lives_use_no_byte_twice(void **state)
{
	(void)state;
	struct link sum = {0};
	for (uint64_t seed = 0; seed < 24; seed++) {
		struct link l;
		link_init(&l, seed, MIB + seed % 7 * (MIB / 3 + 1), seed % 2);
		l.has_sessions = seed % 6 != 5;
		l.talker = (uint32_t)(seed % 3 * 50);
		for (int i = 0; i < 2500; i++)
			link_step(&l);
		sum.taken += l.taken;
		sum.found += l.found;
		sum.credits += l.credits;
		sum.crashes += l.crashes;
		sum.sessions_made += l.sessions_made;
		sum.secrets += l.secrets;
		sum.full += l.full;
		sum.lives += l.lives;
		assert_int_equal(l.refusals, 0); /* nobody is old: crashes forget nothing */
		link_done(&l);
	}
	/* Otherwise it has shown nothing. */
	print_message(
		"%llu bytes, %llu datagrams found, %llu credits, %llu sessions, %llu secrets, %u lives, %llu crashes\n",
		(unsigned long long)sum.taken, (unsigned long long)sum.found, (unsigned long long)sum.credits,
		(unsigned long long)sum.sessions_made, (unsigned long long)sum.secrets, sum.lives,
		(unsigned long long)sum.crashes);
	assert_true(sum.taken > 4 * MIB);
	assert_true(sum.found > 500);
	assert_true(sum.credits > 5);
	assert_true(sum.crashes > 50);
	assert_true(sum.sessions_made > 100);
	assert_true(sum.secrets > 100);
	assert_true(sum.lives > 300);
}

/* What two ends do in a short life, always the same: a session, traffic, chores, secrets, credit, an end. */
static void script(struct link *l)
{
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < 2; i++)
			link_serve(l, &l->ends[i], 6 * USEC_PER_SEC);
		link_call(l);
		(void)link_restart_dead(l, &l->ends[1]);
		link_deliver_all(l);
		for (int k = 0; k < 6; k++) {
			struct end *e = &l->ends[k % 2 && round ? 0 : 1]; /* one talks more than the other */
			link_take(l, e, 15000, false);
			link_take_secret(l, e);
			link_deliver_all(l);
			link_serve(l, &l->ends[k % 2], USEC_PER_SEC / 2);
		}
		for (size_t i = 0; i < 2; i++) {
			link_give(l, &l->ends[i]);
			(void)link_restart_dead(l, &l->ends[i]);
		}
		link_deliver_all(l);
		link_restart(l, &l->ends[round], false);
	}
}

static void test_a_crash_at_each_operation_uses_no_byte_twice(void **state)
{
	(void)state;
	uint64_t crashes = 0;
	for (size_t which = 0; which < 2; which++)
		for (enum crash how = CRASH_BEFORE; how <= CRASH_AFTER; how++) {
			bool was_reached = true;
			for (uint64_t at = 0; was_reached; at++) {
				struct link l;
				link_init(&l, at, MIB, at % 2);
				struct disk *d = &l.ends[which].disk;
				d->crash_at = d->operations + at;
				d->crash = how;
				script(&l);
				was_reached = l.crashes > 0;
				crashes += l.crashes;
				script(&l);
				assert_true(l.taken > 100000); /* it goes on */
				assert_int_equal(l.refusals, 0);
				link_done(&l);
			}
		}
	assert_true(crashes > 100);
}

static void test_a_crash_of_the_first_record_is_no_use(void **state)
{
	(void)state;
	struct seeded seed = {6};
	uint8_t *bytes = malloc(MIB);
	seeded_bytes(&seed, bytes, MIB);
	const struct pad_options options = {.role = PAD_RESPONDER};
	int refused = 0, fresh = 0;
	for (int i = 0; i < 60; i++) {
		struct disk d;
		struct pad *p = NULL;
		struct fault fault;
		disk_init(&d, bytes, MIB, &seed);
		const struct pad_medium medium = disk_medium(&d);
		d.crash_at = (uint64_t)(i % 3);
		d.crash = (enum crash)(i / 3 % 3);
		assert_err(pad_new(&p, &medium, MIB, d.copies, &options, "pad", &fault), ERR_IO);
		assert_null(p);
		disk_revive(&d);
		enum err err = pad_new(&p, &medium, MIB, d.copies, &options, "pad", &fault);
		assert_true(err == OK || err == ERR_FORMAT); /* torn: left to a person */
		refused += err == ERR_FORMAT;
		fresh += err == OK;
		if (err == ERR_FORMAT)
			assert_non_null(strstr(fault.text, "use a new pad"));
		pad_free(p);
		disk_done(&d);
	}
	free(bytes);
	assert_true(refused > 0 && fresh > 0);
}

/* ---- all of it ---- */

/* Connects and serves, so that both can send. */
static void connect_ends(struct link *l)
{
	for (size_t i = 0; i < 2; i++)
		link_serve(l, &l->ends[i], USEC_PER_SEC);
	link_call(l);
	link_deliver_all(l);
	assert_int_equal(l->ends[0].session, l->ends[1].session);
	assert_int_not_equal(l->ends[0].session, 0);
}

static uint64_t count_used(const struct link *l)
{
	uint64_t n = 0;
	for (uint64_t at = l->layout.traffic; at < l->size; at++)
		n += l->used[at];
	return n;
}

static void test_who_talks_alone_can_use_nearly_all(void **state)
{
	(void)state;
	for (size_t which = 0; which < 2; which++) {
		struct link l;
		struct pad_status status;
		link_init(&l, which, 3 * MIB, which);
		connect_ends(&l);
		struct end *talks = &l.ends[which], *listens = &l.ends[1 - which];
		for (int i = 0; i < 20000 && !l.full; i++) {
			link_take(&l, talks, 1400, false);
			link_give(&l, listens);
			link_deliver_all(&l);
			link_serve(&l, talks, USEC_PER_SEC / 10);
			link_serve(&l, listens, USEC_PER_SEC / 10);
		}
		assert_true(l.full > 0); /* it says so */
		assert_true(l.credits > 1);
		/* What is left is no block that could be given, and the control frames' spare. */
		assert_true(count_used(&l) > (l.layout.n_blocks - 3) * PAD_BLOCK);
		pad_status(talks->pad, &status);
		assert_int_equal(status.state, PAD_USED_UP);
		assert_int_equal(status.sent, l.used ? status.sent : 0);
		assert_true(status.left < 2048 + PAD_SPARE);
		/* And it stays so. */
		uint64_t before = count_used(&l);
		link_restart(&l, talks, false);
		connect_ends(&l);
		for (int i = 0; i < 100; i++) {
			link_take(&l, talks, 1400, false);
			link_serve(&l, talks, USEC_PER_SEC);
			link_deliver_all(&l);
		}
		assert_int_equal(count_used(&l), before);
		link_done(&l);
	}
}

static void test_an_end_that_is_ended_skips_nothing(void **state)
{
	(void)state;
	struct link l;
	link_init(&l, 8, MIB, false);
	connect_ends(&l);
	link_take(&l, &l.ends[0], 1000, false);
	assert_int_equal(l.taken, 1000);
	struct pad_marks before = pad_marks(l.ends[0].pad, false);
	assert_int_equal(before.sent, 1000);
	link_restart(&l, &l.ends[0], false);
	assert_int_equal(pad_marks(l.ends[0].pad, false).sent, 1000);
	link_restart(&l, &l.ends[0], true); /* nothing was reserved since */
	assert_int_equal(pad_marks(l.ends[0].pad, false).sent, 1000);
	connect_ends(&l);
	link_take(&l, &l.ends[0], 1000, false);
	link_restart(&l, &l.ends[0], true);
	assert_true(pad_marks(l.ends[0].pad, false).sent >= 2000);
	link_done(&l);
}

/* ---- restored from a backup ---- */

static void exchange(struct link *l, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		for (size_t k = 0; k < 2; k++) {
			link_take(l, &l->ends[k], 1400, false);
			link_deliver_all(l);
			link_serve(l, &l->ends[k], USEC_PER_SEC);
		}
	}
}

static void test_a_restored_end_is_refused(void **state)
{
	(void)state;
	for (size_t which = 0; which < 2; which++) {
		struct link l;
		struct pad_stretch stretch;
		uint8_t backup[LEDGER_COPIES][LEDGER_RECORD_LEN];
		link_init(&l, which, 2 * MIB, false);
		connect_ends(&l);
		exchange(&l, 5);
		struct end *old = &l.ends[which], *peer = &l.ends[1 - which];
		memcpy(backup, old->disk.copies, sizeof backup);
		exchange(&l, 200);
		uint64_t seen = pad_seen(peer->pad);
		link_restart(&l, old, true);
		pad_free(old->pad);
		memcpy(old->disk.copies, backup, sizeof backup);
		const struct pad_medium medium = disk_medium(&old->disk);
		const struct pad_options options = {.role = old->role};
		struct fault fault;
		disk_revive(&old->disk);
		assert_err(pad_new(&old->pad, &medium, l.size, old->disk.copies, &options, "pad", &fault), OK);
		(void)pad_serve(old->pad, l.now, 1);

		/* Its marks show it to the peer, and the peer's to it. */
		struct pad_marks old_marks = pad_marks(old->pad, false), marks = pad_marks(peer->pad, false);
		assert_true(old_marks.sent < seen);
		assert_err(pad_agree(peer->pad, &old_marks, pad_seen(peer->pad)), PAD_PEER_IS_OLD);
		assert_err(pad_agree(old->pad, &marks, pad_seen(old->pad)), PAD_WE_ARE_OLD);
		assert_err(pad_take(old->pad, 100, true, &stretch), ERR_FULL);
		uint8_t bytes[PAD_SLOT_LEN];
		uint32_t slot;
		uint64_t offset;
		assert_err(pad_use_slot(old->pad, &slot, bytes), ERR_STATE);
		assert_err(pad_take_secret(old->pad, bytes, &offset), ERR_FULL);
		/* It remembers, whatever the next peer says. */
		pad_free(old->pad);
		assert_err(pad_new(&old->pad, &medium, l.size, old->disk.copies, &options, "pad", &fault), OK);
		(void)pad_serve(old->pad, l.now, 1);
		assert_err(pad_take(old->pad, 100, true, &stretch), ERR_FULL);
		marks.received = 0;
		assert_err(pad_agree(old->pad, &marks, pad_seen(old->pad)), PAD_WE_ARE_OLD);
		struct pad_status status;
		pad_status(old->pad, &status);
		assert_int_equal(status.state, PAD_IS_OLD);
		pad_status(peer->pad, &status);
		assert_int_equal(status.state, PAD_READY);
		link_done(&l);
	}
}

static void test_marks_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	struct link l;
	link_init(&l, 1, 2 * MIB, false);
	connect_ends(&l);
	exchange(&l, 20);
	for (size_t i = 0; i < 2; i++) {
		struct pad *p = l.ends[i].pad;
		const struct pad_marks good = pad_marks(l.ends[1 - i].pad, false);
		const uint64_t seen = pad_seen(p), walk = l.layout.n_blocks * PAD_BLOCK;
		struct pad_marks bad = good;
		bad.sent = seen - 1;
		assert_err(pad_agree(p, &bad, seen), PAD_PEER_IS_OLD);
		bad.sent = walk + 1;
		assert_err(pad_agree(p, &bad, seen), PAD_PEER_IS_OLD);
		bad = good;
		bad.max_zero_run = 3;
		assert_err(pad_agree(p, &bad, seen), PAD_DIFFERENT);
		bad = good;
		bad.boundary = l.layout.n_blocks + 1;
		assert_err(pad_agree(p, &bad, seen), PAD_PEER_IS_OLD);
		bad.boundary = i ? good.boundary + 1 : good.boundary - 1; /* given by nobody */
		assert_err(pad_agree(p, &bad, seen), PAD_PEER_IS_OLD);
		assert_err(pad_agree(p, &good, seen), PAD_AGREED);
	}
	link_done(&l);
}

/* ---- slots ---- */

static void test_a_slot_is_accepted_once_and_in_order(void **state)
{
	(void)state;
	struct link l;
	uint8_t bytes[PAD_SLOT_LEN];
	uint32_t slot;
	link_init(&l, 2, 9 * MIB, false);
	struct pad *initiator = l.ends[1].pad, *responder = l.ends[0].pad;
	assert_true(l.layout.n_slots > 2 * PAD_HELLO_WINDOW);
	assert_null(pad_look_at_slot(responder, PAD_HELLO_WINDOW));
	assert_null(pad_look_at_slot(responder, UINT32_MAX));
	for (uint32_t i = 0; i < 6; i++) {
		assert_err(pad_use_slot(initiator, &slot, bytes), OK);
		assert_int_equal(slot, i);
		assert_memory_equal(bytes, pad_look_at_slot(responder, slot), PAD_SLOT_LEN);
	}
	assert_err(pad_read_old_slot(responder, 4, bytes), ERR_NOT_FOUND);
	assert_err(pad_accept_slot(responder, 4), OK);
	assert_err(pad_accept_slot(responder, 4), ERR_REPLAY);
	assert_err(pad_accept_slot(responder, 3), ERR_REPLAY);
	assert_null(pad_look_at_slot(responder, 4));
	assert_err(pad_read_old_slot(responder, 4, bytes), OK);
	assert_memory_equal(bytes, l.bytes + pad_slot_offset(4), PAD_SLOT_LEN);
	assert_non_null(pad_look_at_slot(responder, 4 + PAD_HELLO_WINDOW));
	assert_null(pad_look_at_slot(responder, 5 + PAD_HELLO_WINDOW));
	assert_err(pad_read_far_slot(responder, 4 + PAD_HELLO_WINDOW, bytes), ERR_NOT_FOUND); /* not far */
	assert_err(pad_read_far_slot(responder, 4, bytes), ERR_NOT_FOUND);
	assert_err(pad_read_far_slot(responder, 5 + PAD_HELLO_WINDOW, bytes), OK);
	assert_memory_equal(bytes, l.bytes + pad_slot_offset(5 + PAD_HELLO_WINDOW), PAD_SLOT_LEN);
	assert_err(pad_read_far_slot(responder, l.layout.n_slots - 1, bytes), OK);
	assert_err(pad_read_far_slot(responder, l.layout.n_slots, bytes), ERR_NOT_FOUND);
	assert_err(pad_read_far_slot(responder, UINT32_MAX, bytes), ERR_NOT_FOUND);
	link_restart(&l, &l.ends[0], true);
	link_restart(&l, &l.ends[1], true);
	assert_null(pad_look_at_slot(l.ends[0].pad, 4));
	assert_err(pad_accept_slot(l.ends[0].pad, 4), ERR_REPLAY);
	assert_err(pad_use_slot(l.ends[1].pad, &slot, bytes), OK);
	assert_int_equal(slot, 6);
	/* One that cannot be recorded is not given, nor accepted. */
	l.ends[1].disk.failing = l.ends[0].disk.failing = 100;
	assert_err(pad_use_slot(l.ends[1].pad, &slot, bytes), ERR_IO);
	assert_int_equal(memcmp(bytes, l.bytes + pad_slot_offset(7), PAD_SLOT_LEN) != 0, 1);
	assert_err(pad_accept_slot(l.ends[0].pad, 9), ERR_IO);
	link_done(&l);
}

static void test_slots_come_to_an_end(void **state)
{
	(void)state;
	struct link l;
	uint8_t bytes[PAD_SLOT_LEN];
	uint32_t slot;
	link_init(&l, 2, MIB, true);
	for (uint32_t i = 0; i < l.layout.n_slots; i++) {
		assert_err(pad_use_slot(l.ends[1].pad, &slot, bytes), OK);
		assert_int_equal(slot, i);
		assert_memory_equal(bytes, l.bytes + pad_slot_offset(slot), PAD_SLOT_LEN);
		assert_non_null(pad_look_at_slot(l.ends[0].pad, slot));
		assert_err(pad_accept_slot(l.ends[0].pad, slot), OK);
	}
	assert_err(pad_use_slot(l.ends[1].pad, &slot, bytes), ERR_FULL);
	assert_null(pad_look_at_slot(l.ends[0].pad, l.layout.n_slots));
	assert_null(pad_look_at_slot(l.ends[0].pad, l.layout.n_slots - 1));
	struct pad_status status;
	pad_status(l.ends[1].pad, &status);
	assert_int_equal(status.slots_left, 0);
	link_done(&l);
}

/* ---- credit, secrets ---- */

static void test_credit_that_is_none_is_refused(void **state)
{
	(void)state;
	struct link l;
	link_init(&l, 3, 2 * MIB, false);
	connect_ends(&l);
	const uint64_t middle = pad_middle(&l.layout), all = l.layout.n_blocks;
	struct pad *responder = l.ends[0].pad, *initiator = l.ends[1].pad;
	assert_err(pad_credit(responder, middle, middle), ERR_FORMAT);
	assert_err(pad_credit(responder, middle, middle - 1), ERR_FORMAT); /* takes */
	assert_err(pad_credit(responder, middle - 1, middle + 1), ERR_FORMAT);
	assert_err(pad_credit(responder, middle, all + 1), ERR_FORMAT);
	assert_err(pad_credit(responder, middle, UINT64_MAX), ERR_FORMAT);
	assert_err(pad_credit(initiator, middle, middle + 1), ERR_FORMAT);
	assert_err(pad_credit(initiator, middle + 1, middle), ERR_FORMAT);
	assert_int_equal(pad_marks(responder, false).boundary, middle);
	/* Nor while marks are under way. */
	(void)pad_marks(initiator, true);
	uint64_t from, to;
	assert_err(pad_credit(initiator, middle, middle - 1), ERR_AGAIN);
	assert_err(pad_give(initiator, &from, &to), ERR_AGAIN);
	const struct pad_marks marks = pad_marks(responder, false);
	assert_err(pad_agree(initiator, &marks, pad_seen(initiator)), PAD_AGREED);
	/* Nor what cannot be recorded. */
	l.ends[1].disk.failing = 100;
	assert_err(pad_credit(initiator, middle, middle - 1), ERR_IO);
	l.ends[1].disk.failing = 0;
	assert_int_equal(pad_marks(initiator, false).boundary, middle);
	assert_err(pad_credit(initiator, middle, middle - 1), OK);
	assert_err(pad_credit(initiator, middle, middle - 1), ERR_FORMAT); /* a repeat */
	assert_int_equal(pad_marks(initiator, false).boundary, middle - 1);
	link_done(&l);
}

static void test_what_marks_say_of_the_boundary_stays_true(void **state)
{
	(void)state;
	struct link l;
	uint64_t from, to;
	link_init(&l, 3, 2 * MIB, false);
	connect_ends(&l);
	const uint64_t middle = pad_middle(&l.layout);
	for (size_t i = 0; i < 2; i++) {
		struct pad *p = l.ends[i].pad;
		pad_received(p, pad_share(&l.layout, l.ends[1 - i].role, middle) - 1000); /* the peer runs short */
		const struct pad_marks ours = pad_marks(p, true);
		assert_err(pad_give(p, &from, &to), ERR_AGAIN);
		struct pad_marks theirs = {.sent = pad_seen(p), .boundary = ours.boundary};
		assert_err(pad_agree(p, &theirs, pad_seen(p)), PAD_AGREED);
		/* Nor what cannot be recorded. */
		l.ends[i].disk.failing = 100;
		assert_err(pad_give(p, &from, &to), ERR_IO);
		assert_int_equal(pad_marks(p, false).boundary, middle);
		l.ends[i].disk.failing = 0;
		assert_err(pad_give(p, &from, &to), OK);
		assert_int_equal(from, middle);
		assert_true(i ? to > from : to < from);
		assert_int_equal(pad_marks(p, false).boundary, to);
		/* It is given for ever. */
		link_restart(&l, &l.ends[i], true);
		assert_int_equal(pad_marks(l.ends[i].pad, false).boundary, to);
		l.ends[i].session = 0;
	}
	link_done(&l);
}

static void test_a_secret_is_found_once(void **state)
{
	(void)state;
	struct link l;
	uint8_t ours[PAD_SECRET_LEN], theirs[PAD_SECRET_LEN];
	uint64_t first, second, seen;
	link_init(&l, 5, MIB, false);
	for (size_t i = 0; i < 2; i++)
		link_serve(&l, &l.ends[i], USEC_PER_SEC);
	struct pad *a = l.ends[0].pad, *b = l.ends[1].pad;
	assert_err(pad_take_secret(a, ours, &first), OK);
	assert_err(pad_find_secret(b, first, theirs), OK);
	assert_memory_equal(ours, theirs, sizeof ours);
	assert_err(pad_find_secret(b, first, theirs), OK); /* looking alone costs nothing */
	assert_err(pad_accept_secret(b, first), OK);
	assert_err(pad_find_secret(b, first, theirs), ERR_REPLAY);
	assert_err(pad_accept_secret(b, first), ERR_REPLAY);
	assert_err(pad_take_secret(a, ours, &second), OK);
	seen = pad_seen(b);
	assert_err(pad_find_secret(b, 0, theirs), ERR_FORMAT);
	assert_err(pad_find_secret(b, UINT64_MAX, theirs), ERR_FORMAT);
	assert_err(pad_find_secret(b, l.layout.traffic + l.layout.n_blocks * PAD_BLOCK - 1, theirs), ERR_FORMAT);
	l.ends[1].disk.failing = 100;
	assert_err(pad_find_secret(b, second, theirs), ERR_IO);
	assert_err(pad_accept_secret(b, second), ERR_IO);
	l.ends[1].disk.failing = 0;
	assert_int_equal(pad_seen(b), seen);
	link_restart(&l, &l.ends[1], true);
	assert_err(pad_find_secret(l.ends[1].pad, first, theirs), ERR_REPLAY); /* also by who comes after */
	assert_err(pad_find_secret(l.ends[1].pad, second, theirs), OK);
	assert_memory_equal(ours, theirs, sizeof ours);
	link_done(&l);
}

/* ---- strangers ---- */

static void test_places_named_by_strangers_are_bounded_work(void **state)
{
	(void)state;
	struct link l;
	struct pad_stretch stretch;
	uint8_t buffer[1500];
	link_init(&l, 7, 9 * MIB, false);
	connect_ends(&l);
	exchange(&l, 3);
	struct pad *p = l.ends[0].pad;
	const uint64_t seen = pad_seen(p), before = l.ends[0].disk.operations;
	assert_err(pad_find(p, 0, 100, buffer, &stretch), ERR_FORMAT);
	assert_err(pad_find(p, l.layout.traffic - 1, 100, buffer, &stretch), ERR_FORMAT);
	assert_err(pad_find(p, UINT64_MAX, 100, buffer, &stretch), ERR_FORMAT);
	assert_err(pad_find(p, pad_offset(&l.layout, PAD_INITIATOR, l.layout.n_blocks * PAD_BLOCK - 50), 100, buffer,
			   &stretch),
		ERR_FORMAT);
	int looked = 0;
	for (int i = 0; i < 100000; i++) {
		uint64_t offset = l.layout.traffic + seeded_next(&l.seed) % (l.layout.n_blocks * PAD_BLOCK);
		enum err err = pad_find(p, offset, sizeof buffer, buffer, &stretch);
		assert_true(err == OK || err == ERR_AGAIN || err == ERR_FORMAT);
		looked += err == OK;
	}
	assert_true(l.ends[0].disk.operations - before < 1000);
	assert_true(looked > 0);
	assert_int_equal(pad_seen(p), seen); /* nothing is spent */
	/* Who is right is not held up by them for long. */
	link_serve(&l, &l.ends[0], 2 * USEC_PER_SEC);
	assert_err(pad_find(p, pad_offset(&l.layout, PAD_INITIATOR, 4 * MIB), 100, buffer, &stretch), OK);
	link_done(&l);
}

/* What an end has sent, or may send, is never looked up as the peer's: sent back to it, it would verify. */
static void test_what_is_ours_is_not_the_peers(void **state)
{
	(void)state;
	struct link l;
	struct pad_stretch mine, found;
	uint8_t buffer[100];
	link_init(&l, 9, 3 * MIB, false);
	connect_ends(&l);
	for (size_t i = 0; i < 2; i++) {
		struct end *e = &l.ends[i];
		const uint64_t share = pad_share(&l.layout, e->role, pad_marks(e->pad, false).boundary);
		const uint64_t peers = l.layout.n_blocks * PAD_BLOCK - share;
		const enum pad_role peer = pad_role_other(e->role);
		link_serve(&l, e, USEC_PER_SEC);
		assert_err(pad_take(e->pad, sizeof buffer, false, &mine), OK);
		assert_err(pad_find(e->pad, mine.offset, 34, buffer, &found), ERR_FORMAT);
		assert_err(pad_find(e->pad, pad_offset(&l.layout, peer, peers - 34), 34, buffer, &found), OK);
		assert_err(pad_find(e->pad, pad_offset(&l.layout, peer, peers - 33), 34, buffer, &found), ERR_FORMAT);
		assert_err(pad_find(e->pad, pad_offset(&l.layout, peer, peers), 34, buffer, &found), ERR_FORMAT);
	}
	link_done(&l);
}

static void test_what_is_too_late_or_far_ahead_is_told(void **state)
{
	(void)state;
	struct link l;
	struct pad_stretch stretch;
	uint8_t buffer[4000];
	link_init(&l, 7, 12 * MIB, false);
	connect_ends(&l);
	struct pad *p = l.ends[0].pad;
	const uint64_t far = 5 * MIB + 1234;
	assert_err(pad_find(p, pad_offset(&l.layout, PAD_INITIATOR, far), 4000, buffer, &stretch), OK);
	assert_ptr_equal(stretch.bytes, buffer); /* from the file, across a block's end if need be */
	for (size_t i = 0; i < 4000; i++)
		assert_int_equal(buffer[i], l.bytes[pad_offset(&l.layout, PAD_INITIATOR, far + i)]);
	pad_received(p, far + 4000);
	link_serve(&l, &l.ends[0], USEC_PER_SEC); /* goes on from there */
	assert_err(pad_find(p, pad_offset(&l.layout, PAD_INITIATOR, far + 4000), 4000, buffer, &stretch), OK);
	assert_ptr_not_equal(stretch.bytes, buffer);
	uint64_t behind = far + 4000 - PAD_WINDOW;
	assert_err(pad_find(p, pad_offset(&l.layout, PAD_INITIATOR, behind), 10, buffer, &stretch), OK);
	assert_err(pad_find(p, pad_offset(&l.layout, PAD_INITIATOR, behind - 1), 10, buffer, &stretch), ERR_REPLAY);
	link_done(&l);
}

/* ---- opening ---- */

static void expect_refusal(struct link *l, const struct pad_options *options, uint64_t size, enum err code,
	const char *what, const char *remedy)
{
	struct pad *p = NULL;
	struct fault fault;
	struct disk *d = &l->ends[0].disk;
	const struct pad_medium medium = disk_medium(d);
	uint8_t before[LEDGER_COPIES][LEDGER_RECORD_LEN];
	memcpy(before, d->copies, sizeof before);
	assert_err(pad_new(&p, &medium, size, d->copies, options, "carol.pad", &fault), code);
	assert_null(p);
	if (!strstr(fault.text, "carol.pad") || !strstr(fault.text, what) || !strstr(fault.text, remedy))
		fail_msg("\"%s\" has not both \"%s\" and \"%s\"", fault.text, what, remedy);
	assert_memory_equal(before, d->copies, sizeof before);
}

static void test_what_does_not_fit_is_refused(void **state)
{
	(void)state;
	struct link l;
	link_init(&l, 9, 2 * MIB, false);
	struct disk *d = &l.ends[0].disk;
	const struct pad_options right = {.role = PAD_RESPONDER}, wrong = {.role = PAD_INITIATOR},
				 behind = {.role = PAD_RESPONDER, .first = 2 * MIB};
	expect_refusal(&l, &right, PAD_SIZE_MIN - 1, ERR_FORMAT, "too short", "1 MiB");
	expect_refusal(&l, &right, PAD_SIZE_MAX + 1, ERR_TOO_BIG, "larger than", "");
	expect_refusal(&l, &wrong, 2 * MIB, ERR_STATE, "Endpoint", "use a new pad");
	expect_refusal(&l, &behind, 2 * MIB, ERR_STATE, "PadOffset = 2097152", "");
	expect_refusal(&l, &right, 2 * MIB - 1, ERR_FORMAT, "ledger", "use a new pad");
	d->bytes[0] ^= 1;
	expect_refusal(&l, &right, 2 * MIB, ERR_FORMAT, "another beginning", "use a new pad");
	d->bytes[0] ^= 1;
	for (size_t i = 0; i < LEDGER_COPIES; i++)
		d->copies[i][20] ^= 1;
	expect_refusal(&l, &right, 2 * MIB, ERR_FORMAT, "damaged", "use a new pad");
	for (size_t i = 0; i < LEDGER_COPIES; i++)
		d->copies[i][20] ^= 1;
	d->failing = 100;
	struct pad *p = NULL;
	struct fault fault;
	const struct pad_medium medium = disk_medium(d);
	assert_err(pad_new(&p, &medium, 2 * MIB, d->copies, &right, "pad", &fault), ERR_IO);
	assert_null(p);
	d->failing = 0;
	assert_err(pad_new(&p, &medium, 2 * MIB, d->copies, &right, "pad", &fault), OK);
	pad_free(p);
	link_done(&l);
}

/* Whichever copy of the ledger goes bad between two lives: what was used in the first is not used in the second. */
static void test_a_damaged_copy_costs_a_stretch_and_no_byte_twice(void **state)
{
	(void)state;
	struct seeded seed = {14};
	uint8_t *bytes = malloc(16 * MIB);
	seeded_bytes(&seed, bytes, 16 * MIB);
	for (size_t bad = 0; bad < LEDGER_COPIES; bad++) {
		for (int lives = 1; lives < 4; lives++) {
			struct disk d;
			struct pad *p;
			struct fault fault;
			struct pad_stretch stretch;
			uint64_t end = 0;
			disk_init(&d, bytes, 16 * MIB, &seed);
			const struct pad_medium medium = disk_medium(&d);
			const struct pad_options options = {.role = PAD_RESPONDER};
			for (int life = 0; life <= lives; life++) {
				disk_revive(&d);
				assert_err(pad_new(&p, &medium, 16 * MIB, d.copies, &options, "pad", &fault), OK);
				for (usec now = 1; now < 40; now++) {
					(void)pad_serve(p, now * USEC_PER_MS, 1);
					if (pad_take(p, 20000, false, &stretch) != OK)
						continue;
					assert_true(stretch.position >= end);
					end = stretch.position + 20000;
				}
				uint8_t buffer[1000]; /* all that is reserved, which the older copy does not know of */
				while (pad_take_reading(p, sizeof buffer, false, buffer, &stretch) == OK)
					end = stretch.position + sizeof buffer;
				d.is_dead = true; /* killed */
				pad_free(p);
			}
			assert_true(end > 200000);
			d.copies[bad][100] ^= 0x10;
			disk_revive(&d);
			assert_err(pad_new(&p, &medium, 16 * MIB, d.copies, &options, "pad", &fault), OK);
			(void)pad_serve(p, USEC_PER_SEC, 1);
			assert_err(pad_take(p, 500, false, &stretch), OK);
			assert_true(stretch.position >= end);
			pad_free(p);
			disk_done(&d);
		}
	}
	free(bytes);
}

static void test_the_first_offset_is_kept(void **state)
{
	(void)state;
	struct seeded seed = {10};
	struct disk d;
	struct pad *p;
	struct fault fault;
	struct pad_stretch stretch;
	uint8_t *bytes = malloc(2 * MIB);
	seeded_bytes(&seed, bytes, 2 * MIB);
	disk_init(&d, bytes, 2 * MIB, &seed);
	const struct pad_medium medium = disk_medium(&d);
	const uint64_t firsts[] = {70000, 100, 80000};
	uint64_t next = 0;
	for (size_t i = 0; i < 3; i++) {
		const struct pad_options options = {.role = PAD_INITIATOR, .first = firsts[i]};
		assert_err(pad_new(&p, &medium, 2 * MIB, d.copies, &options, "pad", &fault), OK);
		(void)pad_serve(p, USEC_PER_SEC, 1);
		assert_err(pad_take(p, 500, false, &stretch), OK);
		assert_int_equal(stretch.position, next > firsts[i] ? next : firsts[i]); /* never back */
		next = stretch.position + 500;
		pad_free(p);
	}
	disk_done(&d);
	free(bytes);
}

static void test_a_ledger_that_cannot_be_written_stops_the_sending(void **state)
{
	(void)state;
	struct link l;
	struct pad_stretch stretch;
	struct pad_status status;
	link_init(&l, 12, 2 * MIB, false);
	connect_ends(&l);
	struct end *e = &l.ends[0];
	e->disk.failing = 100;
	e->disk.spares_reads = true;
	uint64_t got = 0;
	for (int i = 0; i < 500; i++) {
		enum err err = pad_take(e->pad, 1400, false, &stretch);
		assert_true(err == OK || err == ERR_AGAIN);
		got += err == OK;
		link_serve(&l, e, USEC_PER_SEC);
	}
	assert_true(got * 1400 <= PAD_BLOCK); /* what had been reserved */
	pad_status(e->pad, &status);
	assert_int_equal(status.state, PAD_FAILED);
	assert_non_null(strstr(status.fault, "ledger"));
	e->disk.failing = 0;
	link_serve(&l, e, 2 * USEC_PER_SEC);
	link_serve(&l, e, 2 * USEC_PER_SEC);
	assert_err(pad_take(e->pad, 1400, false, &stretch), OK);
	pad_status(e->pad, &status);
	assert_int_equal(status.state, PAD_READY);
	link_done(&l);
}

static void test_burning_takes_what_was_used_and_nothing_else(void **state)
{
	(void)state;
	struct link l;
	link_init(&l, 13, 2 * MIB, true);
	connect_ends(&l);
	exchange(&l, 100);
	link_restart(&l, &l.ends[0], false);
	link_restart(&l, &l.ends[1], false);
	for (size_t i = 0; i < 2; i++) {
		struct pad_status status;
		pad_status(l.ends[i].pad, &status);
		assert_true(status.burned >= 2 * 90 * 1400);
		const uint8_t *now = l.ends[i].disk.bytes;
		uint64_t same = 0, used = 0;
		for (uint64_t at = l.layout.traffic; at < l.size; at++) {
			used += l.used[at];
			same += l.used[at] && now[at] == l.bytes[at];
			if (!l.used[at] && now[at] != l.bytes[at])
				fail_msg("offset %llu was burned before it was used", (unsigned long long)at);
		}
		assert_true(same < used / 20); /* the last pages, and by chance */
		assert_memory_equal(now, l.bytes, PAD_IDENTITY_LEN);
		assert_int_not_equal(memcmp(now + 64, l.bytes + 64, PAD_SLOT_LEN), 0); /* the slot of its hello */
		assert_memory_equal(now + 64 + 256, l.bytes + 64 + 256, PAD_SLOT_LEN);
	}
	link_done(&l);
}

/* Lanes outrun the memory after a pause, and what they read for themselves is never burned before. */
static void test_lanes_that_outrun_the_memory_get_what_the_pad_holds(void **state)
{
	(void)state;
	struct link l;
	struct pad_stretch stretch;
	static uint8_t buffer[10000];
	link_init(&l, 14, 40 * MIB, true);
	connect_ends(&l);
	struct end *e = &l.ends[0];
	uint64_t read = 0, next = 0;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 60; i++) { /* haste: long stretches are reserved */
			link_take(&l, e, 15000, false);
			link_take(&l, e, 15000, false);
			link_serve(&l, e, USEC_PER_SEC / 100);
		}
		for (int i = 0; i < 40; i++) /* a pause: little is read ahead */
			link_serve(&l, e, 10 * USEC_PER_SEC);
		for (int i = 0; i < 300; i++) {
			enum err err = pad_take_reading(e->pad, sizeof buffer, false, buffer, &stretch);
			assert_true(err == OK || err == ERR_AGAIN);
			if (err == OK) {
				assert_true(stretch.position >= next);
				next = stretch.position + sizeof buffer;
				read += stretch.bytes == buffer;
				for (size_t k = 0; k < sizeof buffer; k++)
					if (stretch.bytes[k] != l.bytes[stretch.offset + k])
						fail_msg("round %d: position %llu is not what the pad holds", round,
							(unsigned long long)stretch.position + k);
			}
			if (i % 30 == 29)
				for (int k = 0; k < 3; k++)
					link_serve(&l, e, USEC_PER_SEC);
		}
	}
	assert_true(read > 10); /* otherwise it has shown nothing */
	link_done(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_lives_use_no_byte_twice),
		cmocka_unit_test(test_a_crash_at_each_operation_uses_no_byte_twice),
		cmocka_unit_test(test_a_crash_of_the_first_record_is_no_use),
		cmocka_unit_test(test_who_talks_alone_can_use_nearly_all),
		cmocka_unit_test(test_an_end_that_is_ended_skips_nothing),
		cmocka_unit_test(test_a_restored_end_is_refused),
		cmocka_unit_test(test_marks_that_do_not_fit_are_refused),
		cmocka_unit_test(test_a_slot_is_accepted_once_and_in_order),
		cmocka_unit_test(test_slots_come_to_an_end),
		cmocka_unit_test(test_credit_that_is_none_is_refused),
		cmocka_unit_test(test_what_marks_say_of_the_boundary_stays_true),
		cmocka_unit_test(test_a_secret_is_found_once),
		cmocka_unit_test(test_places_named_by_strangers_are_bounded_work),
		cmocka_unit_test(test_what_is_ours_is_not_the_peers),
		cmocka_unit_test(test_what_is_too_late_or_far_ahead_is_told),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
		cmocka_unit_test(test_a_damaged_copy_costs_a_stretch_and_no_byte_twice),
		cmocka_unit_test(test_the_first_offset_is_kept),
		cmocka_unit_test(test_a_ledger_that_cannot_be_written_stops_the_sending),
		cmocka_unit_test(test_lanes_that_outrun_the_memory_get_what_the_pad_holds),
		cmocka_unit_test(test_burning_takes_what_was_used_and_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
