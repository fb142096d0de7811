/* The marks of a key file: whatever crashes, tears and fails, no byte is sent with twice, and a clean end loses none.
 */
#include "otp_end.h"

#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define FRAME 1500

static uint8_t file[4 * MIB];

static int set_up(void **state)
{
	(void)state;
	struct seeded seed = {1};
	seeded_bytes(&seed, file, sizeof file);
	return 0;
}

/* An end, and each byte that it has ever sent with. */
struct witness {
	struct otp_end end;
	struct seeded seed;
	bool *was_used;
	uint64_t used, crashes;
};

static void witness_init(struct witness *w, uint64_t size, enum pad_role role, uint64_t number)
{
	*w = (struct witness){.seed = {number}, .was_used = calloc(size, 1)};
	otp_end_init(&w->end, file, size, role, &w->seed);
	otp_end_start(&w->end);
}

static void witness_done(struct witness *w)
{
	otp_end_done(&w->end);
	free(w->was_used);
}

/* Seals one, and checks its bytes: of its own parity, inside the file, never used before. ERR_AGAIN, ERR_FULL. */
static enum err witness_send(struct witness *w, size_t len)
{
	uint8_t frame[OTP_FRAME_MAX], datagram[OTP_DATAGRAM_MAX];
	size_t n;
	enum err err = otp_end_seal(&w->end, len, frame, datagram, &n);
	if (err != OK)
		return err;
	assert_int_equal(n, len + OTP_OVERHEAD);
	const uint64_t offset = otp_offset_of(datagram, n);
	assert_int_equal(offset % 2, otptunnel_parity(w->end.options.role));
	for (size_t i = 0; i < len + MD5_LEN; i++) {
		assert_true(offset + 2 * i < w->end.disk.size);
		assert_false(w->was_used[offset + 2 * i]);
		w->was_used[offset + 2 * i] = true;
		if (i < len)
			assert_int_equal(datagram[i], frame[i] ^ file[offset + 2 * i]);
	}
	w->used += len + MD5_LEN;
	return OK;
}

/* The next life, after a clean end or a crash; a start may crash, too. */
static void witness_restart(struct witness *w)
{
	struct fault fault;
	otp_end_stop(&w->end);
	for (;;) {
		if (w->end.disk.is_dead) {
			w->crashes++;
			disk_revive(&w->end.disk);
		}
		if (otp_end_try(&w->end, &fault) == OK)
			return;
		if (!w->end.disk.is_dead && w->end.disk.failing == 0)
			fail_msg("%s", fault.text);
		w->end.disk.failing = 0;
	}
}

/* ---- never twice ---- */

static void test_a_clean_end_loses_no_byte(void **state)
{
	(void)state;
	for (enum pad_role role = PAD_OTP_CLIENT; role <= PAD_OTP_SERVER; role++) {
		struct witness w;
		witness_init(&w, MIB, role, 2);
		for (int i = 0; i < 300; i++) {
			assert_err(witness_send(&w, 14 + seeded_below(&w.seed, FRAME)), OK);
			if (seeded_chance(&w.seed, 20)) {
				otp_end_stop(&w.end);
				assert_int_equal(otp_end_ledger(&w.end).sent, otptunnel_offset(role, w.used));
				otp_end_start(&w.end);
			}
		}
		for (uint64_t i = 0; i < w.used; i++)
			assert_true(w.was_used[otptunnel_offset(role, i)]);
		witness_done(&w);
	}
}

static void test_a_kill_goes_on_behind_what_was_reserved(void **state)
{
	(void)state;
	struct witness w;
	witness_init(&w, 4 * MIB, PAD_OTP_CLIENT, 3);
	uint64_t lives = 0;
	while (witness_send(&w, FRAME) == OK) {
		const uint64_t reserved = otp_end_ledger(&w.end).sent;
		struct otp_pad_status status;
		otp_end_kill(&w.end);
		otp_pad_status(w.end.pad, &status);
		assert_int_equal(status.next, reserved);
		lives++;
	}
	assert_true(lives > 10); /* each has cost a stretch, and no more */
	witness_done(&w);
}

static void test_random_lives_use_no_byte_twice(void **state)
{
	(void)state;
	uint64_t crashes = 0, used = 0;
	for (uint64_t number = 0; number < 30; number++) {
		struct witness w;
		witness_init(&w, MIB + number * 100001, number % 2 ? PAD_OTP_CLIENT : PAD_OTP_SERVER, number);
		usec now = 0;
		for (int i = 0; i < 3000; i++) {
			now += seeded_below(&w.seed, (uint32_t)USEC_PER_SEC);
			if (seeded_chance(&w.seed, 30))
				otp_pad_serve(w.end.pad, now);
			else if (seeded_chance(&w.seed, 1))
				w.end.disk.failing = seeded_below(&w.seed, 60);
			else if (seeded_chance(&w.seed, 2)) {
				w.end.disk.crash_at = w.end.disk.operations + seeded_below(&w.seed, 4);
				w.end.disk.crash = (enum crash)seeded_below(&w.seed, 3);
			} else
				(void)!witness_send(&w, 14 + seeded_below(&w.seed, 600));
			if (w.end.disk.is_dead || seeded_below(&w.seed, 300) == 0)
				witness_restart(&w);
		}
		crashes += w.crashes;
		used += w.used;
		witness_done(&w);
	}
	/* Otherwise it has shown nothing. */
	assert_true(crashes > 100);
	assert_true(used > 4 * MIB);
}

/* A short life, always the same: two starts, traffic over several stretches, a clean end. */
static void script(struct witness *w)
{
	for (int life = 0; life < 2; life++) {
		for (uint64_t i = 0; i < 60; i++) {
			(void)!witness_send(w, FRAME);
			if (i % 10 == 0)
				otp_pad_serve(w->end.pad, i * USEC_PER_SEC);
		}
		witness_restart(w);
	}
}

static void test_a_crash_at_each_operation_uses_no_byte_twice(void **state)
{
	(void)state;
	uint64_t crashes = 0;
	for (enum crash how = CRASH_BEFORE; how <= CRASH_AFTER; how++) {
		bool was_reached = true;
		for (uint64_t at = 0; was_reached; at++) {
			struct witness w;
			witness_init(&w, MIB, PAD_OTP_SERVER, at);
			w.end.disk.crash_at = w.end.disk.operations + at;
			w.end.disk.crash = how;
			script(&w);
			was_reached = w.crashes > 0;
			crashes += w.crashes;
			const uint64_t before = w.used;
			script(&w);
			assert_true(w.used > before); /* it goes on */
			witness_done(&w);
		}
	}
	assert_true(crashes > 100);
}

static void test_a_crash_of_the_first_record_is_no_use(void **state)
{
	(void)state;
	struct seeded seed = {6};
	int failed = 0;
	for (int i = 0; i < 30; i++) {
		struct otp_end e;
		struct fault fault;
		otp_end_init(&e, file, MIB, PAD_OTP_CLIENT, &seed);
		e.disk.crash_at = (uint64_t)(i % 10);
		e.disk.crash = (enum crash)(i / 10);
		enum err err = otp_end_try(&e, &fault);
		failed += err != OK;
		otp_end_stop(&e);
		disk_revive(&e.disk);
		if (otp_end_try(&e, &fault) != OK) {
			/* All that was ever written was torn: who looks cannot know that it was the first. */
			assert_int_equal(fault.code, ERR_FORMAT);
			assert_int_equal(e.disk.crash, CRASH_TORN);
		}
		otp_end_done(&e);
	}
	assert_true(failed >= 6);
}

/* ---- where it begins ---- */

static void test_restarting_at_zero_never_lowers_the_mark(void **state)
{
	(void)state;
	struct witness w;
	witness_init(&w, MIB, PAD_OTP_SERVER, 7);
	for (int i = 0; i < 100; i++)
		assert_err(witness_send(&w, 1000), OK);
	otp_end_stop(&w.end);
	const uint64_t mark = otp_end_ledger(&w.end).sent;
	assert_int_equal(mark, 2 * 100 * 1016 + 1);

	/* A few frames from the beginning, as often as one likes, with a clean end or without. */
	w.end.options.restarts_at_zero = true;
	for (int life = 0; life < 4; life++) {
		uint8_t frame[1000], datagram[1100];
		size_t n;
		otp_end_start(&w.end);
		for (uint64_t i = 0; i < 10; i++) {
			assert_err(otp_end_seal(&w.end, sizeof frame, frame, datagram, &n), OK);
			assert_int_equal(otp_offset_of(datagram, n), 1 + 2 * i * 1016);
		}
		if (life % 2) {
			otp_end_kill(&w.end);
			otp_pad_serve(w.end.pad, USEC_PER_SEC);
		}
		otp_end_stop(&w.end);
		assert_int_equal(otp_end_ledger(&w.end).sent, mark);
	}
	w.end.options.restarts_at_zero = false;
	otp_end_start(&w.end);
	assert_err(witness_send(&w, 1000), OK); /* bytes that were not used before */
	otp_end_stop(&w.end);

	/* Further than ever before: the mark goes with it. */
	w.end.options.restarts_at_zero = true;
	otp_end_start(&w.end);
	uint8_t frame[1000], datagram[1100];
	size_t n;
	for (uint64_t i = 0; i < 150; i++)
		assert_err(otp_end_seal(&w.end, sizeof frame, frame, datagram, &n), OK);
	assert_true(otp_end_ledger(&w.end).sent >= 2 * 150 * 1016 + 1);
	otp_end_stop(&w.end);
	assert_int_equal(otp_end_ledger(&w.end).sent, 2 * 150 * 1016 + 1);
	witness_done(&w);
}

static void test_a_start_by_hand_leads_only_forward(void **state)
{
	(void)state;
	const struct {
		uint64_t first, client, server;
	} cases[] = {{0, 0, 1}, {1, 2, 1}, {2, 2, 3}, {1000, 1000, 1001}, {1001, 1002, 1001}, {500, 1002, 1001},
		{MIB - 100, MIB - 100, MIB - 99}, {MIB, MIB, MIB + 1}};
	for (enum pad_role role = PAD_OTP_CLIENT; role <= PAD_OTP_SERVER; role++) {
		struct otp_end e;
		struct seeded seed = {8};
		struct otp_pad_status status;
		otp_end_init(&e, file, MIB, role, &seed);
		for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
			e.options.first = cases[i].first;
			otp_end_start(&e);
			otp_pad_status(e.pad, &status);
			const uint64_t expected = role == PAD_OTP_CLIENT ? cases[i].client : cases[i].server;
			assert_int_equal(status.next, expected);
			otp_end_stop(&e);
			assert_int_equal(otp_end_ledger(&e).sent, expected); /* it is kept */
		}
		e.options.first = MIB + 1;
		otp_end_refused(&e, ERR_STATE, "--start-at 1048577 lies behind the end");
		e.options.first = UINT64_MAX;
		otp_end_refused(&e, ERR_STATE, "1048576 bytes");
		otp_end_done(&e);
	}
}

/* ---- what is refused ---- */

static void test_ledgers_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	struct otp_end e;
	struct seeded seed = {9};
	otp_end_init(&e, file, MIB, PAD_OTP_CLIENT, &seed);
	otp_end_start(&e);
	assert_true(otp_pad_is_first_use(e.pad));
	otp_end_stop(&e);
	otp_end_start(&e);
	assert_true(otp_pad_is_first_use(e.pad)); /* a start that came to nothing is none */
	uint8_t frame[60], datagram[100];
	size_t n;
	assert_err(otp_end_seal(&e, sizeof frame, frame, datagram, &n), OK);
	otp_end_stop(&e);
	otp_end_start(&e);
	assert_false(otp_pad_is_first_use(e.pad));
	otp_end_stop(&e);

	e.options.role = PAD_OTP_SERVER;
	otp_end_refused(&e, ERR_STATE, "used it as the client");
	e.options.role = PAD_OTP_CLIENT;
	e.id[3] ^= 1;
	otp_end_refused(&e, ERR_FORMAT, "another beginning");
	e.id[3] ^= 1;
	e.disk.size--;
	otp_end_refused(&e, ERR_FORMAT, "1048576 bytes");
	e.disk.size++;
	for (size_t i = 0; i < LEDGER_COPIES; i++)
		e.disk.copies[i][100] ^= 1;
	otp_end_refused(&e, ERR_FORMAT, "damaged");
	e.disk.failing = 100;
	memset(e.disk.copies, 0, sizeof e.disk.copies);
	otp_end_refused(&e, ERR_IO, "key: its ledger cannot be written");
	e.disk.failing = 0;
	e.disk.size = OTPTUNNEL_HEAD_LEN - 1;
	otp_end_refused(&e, ERR_FORMAT, "too short");
	e.disk.size = PAD_SIZE_MAX + 1;
	otp_end_refused(&e, ERR_TOO_BIG, "too long");
	e.disk.size = MIB;
	otp_end_done(&e);
}

/* Either copy may be the newer one. */
static void test_a_damaged_copy_skips_what_it_may_have_said(void **state)
{
	(void)state;
	for (size_t which = 0; which < LEDGER_COPIES; which++) {
		struct witness w;
		witness_init(&w, 4 * MIB, PAD_OTP_CLIENT, 10);
		for (int i = 0; i < 300; i++)
			assert_err(witness_send(&w, FRAME), OK);
		otp_end_stop(&w.end);
		w.end.disk.copies[which][20] ^= 0x80;
		otp_end_start(&w.end);
		assert_err(witness_send(&w, FRAME), OK);
		witness_done(&w);
	}
}

/* ---- while it runs ---- */

static void test_a_ledger_that_cannot_be_written_stops_only_what_is_new(void **state)
{
	(void)state;
	struct witness w;
	struct otp_pad_status status;
	witness_init(&w, 4 * MIB, PAD_OTP_CLIENT, 11);
	w.end.disk.failing = 100;
	w.end.disk.spares_reads = true;
	uint64_t sent = 0;
	while (witness_send(&w, FRAME) == OK)
		sent++;
	assert_true(sent > 10); /* what had been reserved */
	assert_int_equal(otp_pad_counters(w.end.pad)->unready, 2);
	otp_pad_status(w.end.pad, &status);
	assert_non_null(strstr(status.fault, "neither full nor read-only"));
	assert_false(status.is_used_up);
	/* Whoever asks for more does not wake anybody with each packet. */
	const unsigned int wakes = w.end.disk.wakes;
	for (int i = 0; i < 100; i++)
		assert_err(
			otp_pad_seal(w.end.pad, file, FRAME, (uint8_t[OTP_DATAGRAM_MAX]){0}, &(size_t){0}), ERR_AGAIN);
	assert_true(w.end.disk.wakes - wakes <= 1);
	disk_revive(&w.end.disk);
	otp_pad_serve(w.end.pad, 100 * USEC_PER_SEC);
	otp_pad_status(w.end.pad, &status);
	assert_string_equal(status.fault, "");
	for (int i = 0; i < 500; i++)
		assert_err(witness_send(&w, FRAME), OK);
	witness_done(&w);
}

static void test_all_bytes_can_be_used_and_no_more(void **state)
{
	(void)state;
	for (uint64_t size = OTPTUNNEL_HEAD_LEN; size < 140; size++)
		for (enum pad_role role = PAD_OTP_CLIENT; role <= PAD_OTP_SERVER; role++) {
			struct witness w;
			struct otp_pad_status status;
			witness_init(&w, size, role, size);
			const uint64_t share = otptunnel_share(role, size);
			while (witness_send(&w, 14) == OK)
				;
			assert_true(share - w.used < 30);
			otp_pad_status(w.end.pad, &status);
			assert_true(status.is_used_up);
			assert_int_equal(status.left, share - w.used);
			otp_end_stop(&w.end);
			assert_int_equal(otp_end_ledger(&w.end).sent, otptunnel_offset(role, share));
			otp_end_start(&w.end);
			otp_pad_status(w.end.pad, &status);
			assert_true(status.is_used_up); /* before anything was to be sent */
			assert_err(witness_send(&w, 14), ERR_FULL);
			assert_int_equal(otp_pad_counters(w.end.pad)->used_up, 1);
			witness_done(&w);
		}
}

static void test_frames_that_would_kill_the_older_program_are_not_sent(void **state)
{
	(void)state;
	struct witness w;
	uint8_t out[OTP_DATAGRAM_MAX + 100];
	size_t n;
	witness_init(&w, MIB, PAD_OTP_CLIENT, 12);
	for (size_t len = 0; len < OTP_FRAME_MIN; len++)
		assert_err(otp_pad_seal(w.end.pad, file, len, out, &n), ERR_ARGUMENT);
	assert_err(otp_pad_seal(w.end.pad, file, OTP_FRAME_MAX + 1, out, &n), ERR_ARGUMENT);
	assert_int_equal(otp_pad_counters(w.end.pad)->odd, OTP_FRAME_MIN + 1);
	/* A frame that does not fit any more is the end, also for shorter ones: nothing would tell them apart. */
	while (witness_send(&w, FRAME) == OK)
		;
	assert_err(witness_send(&w, 14), ERR_FULL);
	otp_end_stop(&w.end);
	otp_end_start(&w.end);
	assert_err(witness_send(&w, 14), ERR_FULL);
	witness_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_clean_end_loses_no_byte),
		cmocka_unit_test(test_a_kill_goes_on_behind_what_was_reserved),
		cmocka_unit_test(test_random_lives_use_no_byte_twice),
		cmocka_unit_test(test_a_crash_at_each_operation_uses_no_byte_twice),
		cmocka_unit_test(test_a_crash_of_the_first_record_is_no_use),
		cmocka_unit_test(test_restarting_at_zero_never_lowers_the_mark),
		cmocka_unit_test(test_a_start_by_hand_leads_only_forward),
		cmocka_unit_test(test_ledgers_that_do_not_fit_are_refused),
		cmocka_unit_test(test_a_damaged_copy_skips_what_it_may_have_said),
		cmocka_unit_test(test_a_ledger_that_cannot_be_written_stops_only_what_is_new),
		cmocka_unit_test(test_all_bytes_can_be_used_and_no_more),
		cmocka_unit_test(test_frames_that_would_kill_the_older_program_are_not_sent),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
