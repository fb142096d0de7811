/* Replays: of a peer that draws its nonces, as the older program does, and of one that counts them, as jorm does. */
#include "seeded.h"

#include "base/bytes.h"
#include "compat/snek_replay.h"

/* The n-th packet of a peer. */
static void drawn(uint64_t n, uint8_t out[static AEAD_NONCE_LEN])
{
	struct seeded seed = {n * 977};
	seeded_bytes(&seed, out, AEAD_NONCE_LEN);
}

static void counted(uint64_t first_high, uint32_t first_low, uint64_t n, uint8_t out[static AEAD_NONCE_LEN])
{
	const uint64_t low = first_low + n;
	le64_put(out, first_high + (low >> 32));
	le32_put(out + 8, (uint32_t)low);
}

static enum err accept_drawn(struct snek_replay *r, uint64_t n, uint64_t seq)
{
	uint8_t nonce[AEAD_NONCE_LEN];
	drawn(n, nonce);
	const bool seen = snek_replay_is_seen(r, nonce);
	const enum err err = snek_replay_accept(r, nonce, seq);
	assert_true(!seen || err == ERR_REPLAY);
	return err;
}

static struct snek_replay *begin(void)
{
	struct snek_replay *r;
	assert_int_equal(snek_replay_new(&r), OK);
	return r;
}

/* ---- drawn nonces ---- */

/* Whatever came once, in any order within the window, and however long ago. */
static void test_a_frame_sent_again_as_it_was_is_always_found(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	struct seeded seed = {1};
	static bool came[1 << 20];
	uint64_t top = 0, found = 0, late = 0;
	while (top < sizeof came - 64) {
		uint64_t n = top + seeded_below(&seed, 3);
		if (seeded_chance(&seed, 20)) {
			const uint64_t back = top < SNEK_REPLAY_WINDOW ? top : SNEK_REPLAY_WINDOW;
			n = top - seeded_below(&seed, (uint32_t)back + 1);
		}
		if (seeded_chance(&seed, 30))
			n = seeded_below(&seed, (uint32_t)top + 1);
		const bool is_behind = n + SNEK_REPLAY_WINDOW < top;
		const enum err err = accept_drawn(r, n, n);
		assert_int_equal(err, came[n] || is_behind ? ERR_REPLAY : OK);
		found += came[n];
		late += !came[n] && !is_behind && n + 1 < top;
		came[n] = came[n] || err == OK;
		if (n >= top && err == OK)
			top = n + 1;
	}
	assert_true(found > 100000 && late > 1000);
	snek_replay_free(r);
}

static void test_another_sequence_number_does_not_hide_it_while_it_is_remembered(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	for (uint64_t n = 0; n < SNEK_HISTORY; n++)
		assert_int_equal(accept_drawn(r, n, n), OK);
	for (uint64_t n = 0; n < SNEK_HISTORY; n += 97)
		assert_int_equal(accept_drawn(r, n, SNEK_HISTORY + n), ERR_REPLAY);
	/* And what the header admits: afterwards it does. */
	assert_int_equal(accept_drawn(r, SNEK_HISTORY, SNEK_HISTORY), OK);
	assert_int_equal(accept_drawn(r, 0, 0), ERR_REPLAY);
	assert_int_equal(accept_drawn(r, 0, SNEK_HISTORY + 1), OK);
	snek_replay_free(r);
}

static void test_repeated_sequence_numbers_are_as_good_as_others(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	for (uint64_t n = 0; n < 1000; n++)
		assert_int_equal(accept_drawn(r, n, 7), OK);
	for (uint64_t n = 0; n < 1000; n++)
		assert_int_equal(accept_drawn(r, n, 7), ERR_REPLAY);
	snek_replay_free(r);
}

static void test_edges_of_the_window(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	const uint64_t top = 5000000;
	assert_int_equal(accept_drawn(r, 0, top - 1), OK);
	assert_int_equal(accept_drawn(r, 1, top - SNEK_REPLAY_WINDOW), OK);
	assert_int_equal(accept_drawn(r, 2, top - SNEK_REPLAY_WINDOW - 1), ERR_REPLAY);
	assert_int_equal(accept_drawn(r, 2, top + SNEK_REPLAY_JUMP), OK); /* moves it */
	assert_int_equal(accept_drawn(r, 3, top), ERR_REPLAY);
	snek_replay_free(r);
}

static void test_a_greater_jump_does_not_move_the_window(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	static const uint64_t far[] = {SNEK_REPLAY_JUMP + 2, UINT64_C(1) << 40, UINT64_MAX - 5000};
	uint64_t n = 0;
	for (uint64_t seq = 0; seq < 5000; seq++) {
		assert_int_equal(accept_drawn(r, n++, seq), OK);
		assert_int_equal(accept_drawn(r, n++, far[seq % 3] + seq), OK);
	}
	while (n-- > 0)
		assert_int_equal(accept_drawn(r, n, far[1]), ERR_REPLAY);
	snek_replay_free(r);
}

/* A false number just within the jump costs what was on its way, and not the session. */
static void test_the_window_comes_back(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	uint64_t n = 0, lost = 0;
	for (uint64_t seq = 0; seq < 100; seq++)
		assert_int_equal(accept_drawn(r, n++, seq), OK);
	assert_int_equal(accept_drawn(r, n++, 100 + SNEK_REPLAY_JUMP), OK);
	for (uint64_t seq = 101; seq < 1000; seq++)
		lost += accept_drawn(r, n++, seq) != OK;
	assert_int_equal(lost, SNEK_REPLAY_ASTRAY - 1);
	for (uint64_t i = 0; i < 101; i++)
		assert_int_equal(accept_drawn(r, i, 1000), ERR_REPLAY);
	snek_replay_free(r);
}

/* After more losses than a jump may be long: nothing is dropped, and soon the window is there too. */
static void test_the_window_follows_a_peer_that_was_away(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	const uint64_t far = UINT64_C(1) << 33;
	assert_int_equal(accept_drawn(r, 0, 0), OK);
	for (uint64_t n = 1; n <= SNEK_REPLAY_ASTRAY; n++)
		assert_int_equal(accept_drawn(r, n, far + n), OK);
	assert_int_equal(accept_drawn(r, 1000, 5), ERR_REPLAY);
	snek_replay_free(r);
}

/* While the peer speaks, old recordings do not bring the window back. */
static void test_old_recordings_among_genuine_frames(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	uint64_t n = 0;
	for (; n < 3 * SNEK_HISTORY; n++)
		assert_int_equal(accept_drawn(r, n, n), OK);
	for (uint64_t old = 0; old < 10000; old++) {
		assert_int_equal(accept_drawn(r, old, old), ERR_REPLAY);
		if (old % (SNEK_REPLAY_ASTRAY - 1) == 0) {
			assert_int_equal(accept_drawn(r, n, n), OK);
			n++;
		}
	}
	snek_replay_free(r);
}

/* ---- counted nonces ---- */

/* For any sequence numbers, from any beginning, also over a carry. */
static void test_counted_nonces_go_by_themselves(void **state)
{
	(void)state;
	static const struct {
		uint64_t high;
		uint32_t low;
	} firsts[] = {{0, 0}, {UINT64_MAX, 0xfffffe00}, {0x0123456789abcdef, 0xffffffff - 5000}, {77, 0x80000000}};
	static bool came[300000];
	uint8_t nonce[AEAD_NONCE_LEN];
	for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
		struct snek_replay *r = begin();
		struct seeded seed = {f};
		memset(came, 0, sizeof came);
		for (uint64_t i = 0, top = 0; top < sizeof came - 10; i++) {
			uint64_t n = top + seeded_below(&seed, 3);
			if (i > 10 && seeded_chance(&seed, 40))
				n = top - seeded_below(&seed, (uint32_t)(top < 9000 ? top : 9000) + 1);
			counted(firsts[f].high, firsts[f].low, n, nonce);
			const bool known = came[n] || n + 8192 < top;
			assert_int_equal(snek_replay_is_seen(r, nonce), known);
			assert_int_equal(snek_replay_accept(r, nonce, seeded_next(&seed)), known ? ERR_REPLAY : OK);
			came[n] = true;
			if (n >= top)
				top = n + 1;
		}
		counted(firsts[f].high, firsts[f].low, 3, nonce); /* long ago, with whatever number */
		assert_int_equal(snek_replay_accept(r, nonce, UINT64_C(1) << 40), ERR_REPLAY);
		snek_replay_free(r);
	}
}

static void test_the_first_counted_ones_may_be_overtaken(void **state)
{
	(void)state;
	struct snek_replay *r = begin();
	uint8_t nonce[AEAD_NONCE_LEN];
	static const uint64_t order[] = {20, 30, 0, 29, 1, 28, 2, 19};
	for (size_t i = 0; i < 8; i++) {
		counted(5, 0xfffffff0, order[i], nonce); /* 16 is the one after the carry */
		assert_int_equal(snek_replay_accept(r, nonce, 0), OK);
		assert_int_equal(snek_replay_peer_counts(r), i > 0);
		assert_int_equal(snek_replay_accept(r, nonce, 1), ERR_REPLAY); /* which shows nothing */
		assert_int_equal(snek_replay_peer_counts(r), i > 0);
	}
	for (size_t i = 0; i < 8; i++) {
		counted(5, 0xfffffff0, order[i], nonce);
		assert_int_equal(snek_replay_accept(r, nonce, i), ERR_REPLAY);
	}
	counted(9, 0, 0, nonce); /* far ahead, after great losses */
	assert_int_equal(snek_replay_accept(r, nonce, 0), OK);
	counted(5, 0, 0, nonce); /* behind the window */
	assert_int_equal(snek_replay_accept(r, nonce, 0), ERR_REPLAY);
	counted(1, 0, 0, nonce); /* no counter of this peer's */
	assert_int_equal(snek_replay_accept(r, nonce, 0), ERR_REPLAY);
	snek_replay_free(r);
}

/* Counters in other places or byte orders than ours are no more than different from each other. */
static void test_other_counters_are_taken_for_drawn(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 3; kind++) {
		struct snek_replay *r = begin();
		uint8_t nonce[AEAD_NONCE_LEN] = {0};
		for (uint32_t round = 0; round < 2; round++) {
			for (uint32_t n = 0; n < 100000; n++) {
				if (kind == 0)
					be32_put(nonce + 8, n);
				else if (kind == 1)
					le32_put(nonce, n);
				else
					be32_put(nonce, n);
				assert_int_equal(snek_replay_accept(r, nonce, n), round ? ERR_REPLAY : OK);
				assert_false(snek_replay_peer_counts(r));
			}
		}
		snek_replay_free(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_frame_sent_again_as_it_was_is_always_found),
		cmocka_unit_test(test_another_sequence_number_does_not_hide_it_while_it_is_remembered),
		cmocka_unit_test(test_repeated_sequence_numbers_are_as_good_as_others),
		cmocka_unit_test(test_edges_of_the_window),
		cmocka_unit_test(test_a_greater_jump_does_not_move_the_window),
		cmocka_unit_test(test_the_window_comes_back),
		cmocka_unit_test(test_the_window_follows_a_peer_that_was_away),
		cmocka_unit_test(test_old_recordings_among_genuine_frames),
		cmocka_unit_test(test_counted_nonces_go_by_themselves),
		cmocka_unit_test(test_the_first_counted_ones_may_be_overtaken),
		cmocka_unit_test(test_other_counters_are_taken_for_drawn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
