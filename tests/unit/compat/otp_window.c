/* The window over the peer's key bytes against a naive set: no byte is accepted twice, and none that is new is refused
 * but for lying too far behind. */
#include "seeded.h"

#include "compat/otp_window.h"

#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

/* All that was ever accepted, below `n`. */
struct model {
	uint64_t size, start, next;
	bool *is_used;
	uint64_t n;
};

static struct model model_new(uint64_t size, uint64_t start, uint64_t n)
{
	return (struct model){.size = size, .start = start, .next = start, .is_used = calloc(n, 1), .n = n};
}

static uint64_t model_floor(const struct model *m)
{
	const uint64_t behind = m->next > m->size ? m->next - m->size : 0;
	return behind > m->start ? behind : m->start;
}

static bool model_accepts(const struct model *m, uint64_t from, size_t len)
{
	bool is_good = from >= model_floor(m);
	for (size_t i = 0; i < len; i++)
		is_good = is_good && !m->is_used[from + i];
	return is_good;
}

/* The same of both; then the mark and the floor. */
static void offer(struct otp_window *w, struct model *m, uint64_t from, size_t len)
{
	assert_true(from + len <= m->n);
	const bool is_good = model_accepts(m, from, len);
	assert_int_equal(otp_window_check(w, from, len) == OK, is_good);
	assert_int_equal(otp_window_accept(w, from, len) == OK, is_good);
	if (is_good) {
		memset(m->is_used + from, true, len);
		m->next = from + len > m->next ? from + len : m->next;
	}
	assert_err(otp_window_check(w, from, len), ERR_REPLAY);
	assert_int_equal(otp_window_next(w), m->next);
	assert_int_equal(otp_window_floor(w), model_floor(m));
}

/* All sequences of three ranges around the edges of words, in a window of two words. */
static void test_small_windows_exhaustively(void **state)
{
	(void)state;
	static const uint64_t places[] = {0, 1, 62, 63, 64, 65, 126, 127, 128, 130, 191, 192, 256, 300};
	static const size_t lens[] = {1, 2, 63, 64, 65, 128};
	enum { PLACES = sizeof places / sizeof *places, LENS = sizeof lens / sizeof *lens, RANGES = PLACES * LENS };
	struct otp_window *w;
	struct model m = model_new(128, 0, 512);
	assert_err(otp_window_new(&w, 128, 0), OK);
	for (int i = 0; i < RANGES; i++)
		for (int k = 0; k < RANGES; k++)
			for (int l = 0; l < RANGES; l++) {
				otp_window_restart(w, 0);
				memset(m.is_used, false, m.n);
				m.next = 0;
				offer(w, &m, places[i / LENS], lens[i % LENS]);
				offer(w, &m, places[k / LENS], lens[k % LENS]);
				offer(w, &m, places[l / LENS], lens[l % LENS]);
			}
	otp_window_free(w);
	free(m.is_used);
}

static void test_random_ranges_against_a_set(void **state)
{
	(void)state;
	for (uint64_t number = 0; number < 60; number++) {
		struct seeded seed = {number};
		const uint64_t size = 64 * (1 + seeded_below(&seed, 100)), start = seeded_below(&seed, 300);
		struct model m = model_new(size, start, 400000);
		struct otp_window *w;
		assert_err(otp_window_new(&w, size, start), OK);
		uint64_t at = start, accepted = 0;
		while (at < m.n - 40000) {
			const size_t len = 1 + seeded_below(&seed, size < 1500 ? 64 : 1500);
			uint64_t from = at;
			if (seeded_chance(&seed, 30)) /* late, or again */
				from -= seeded_below(&seed, (uint32_t)(from < 2 * size ? from + 1 : 2 * size));
			else if (seeded_chance(&seed, 2)) /* far ahead */
				from += seeded_below(&seed, 20000);
			else if (seeded_chance(&seed, 20)) /* losses */
				from += seeded_below(&seed, 100);
			offer(w, &m, from, len);
			at = m.next;
			accepted++;
		}
		assert_true(accepted > 50);
		otp_window_free(w);
		free(m.is_used);
	}
}

static void test_nothing_below_the_start_is_accepted(void **state)
{
	(void)state;
	struct otp_window *w;
	assert_err(otp_window_new(&w, 1024, 1000), OK);
	assert_err(otp_window_accept(w, 0, 10), ERR_REPLAY);
	assert_err(otp_window_accept(w, 999, 10), ERR_REPLAY);
	assert_int_equal(otp_window_next(w), 1000);
	assert_err(otp_window_accept(w, 1000, 10), OK);
	assert_int_equal(otp_window_next(w), 1010);
	/* Very far ahead: the middle of the file, whatever was between. */
	assert_err(otp_window_accept(w, (uint64_t)1 << 46, 10), OK);
	assert_err(otp_window_accept(w, 1010, 10), ERR_REPLAY);
	assert_err(otp_window_accept(w, ((uint64_t)1 << 46) - 1000, 10), OK);
	assert_err(otp_window_accept(w, ((uint64_t)1 << 46) - 1000, 10), ERR_REPLAY);
	otp_window_restart(w, 5);
	assert_err(otp_window_accept(w, 4, 10), ERR_REPLAY);
	assert_err(otp_window_accept(w, 5, 10), OK);
	assert_err(otp_window_accept(w, 1000, 10), OK);
	otp_window_free(w);
	otp_window_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_windows_exhaustively),
		cmocka_unit_test(test_random_ranges_against_a_set),
		cmocka_unit_test(test_nothing_below_the_start_is_accepted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
