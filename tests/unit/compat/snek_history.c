/* The history of nonces against the plainest model: of a known sequence of nonces, the last SNEK_HISTORY are there. */
#include "seeded.h"

#include "base/bytes.h"
#include "compat/snek_history.h"

/* The n-th nonce of a kind: drawn, or a counter in one of the places where somebody may keep one. */
static void nonce_of(unsigned kind, uint64_t n, uint8_t out[static AEAD_NONCE_LEN])
{
	struct seeded seed = {n};
	memset(out, 0, AEAD_NONCE_LEN);
	if (kind == 0)
		seeded_bytes(&seed, out, AEAD_NONCE_LEN);
	else if (kind == 1)
		le64_put(out, n);
	else if (kind == 2)
		le64_put(out + 4, n);
	else
		be32_put(out + 8, (uint32_t)n);
}

static void test_the_last_ones_are_known_and_no_others(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 4; kind++) {
		struct snek_history *history;
		struct seeded seed = {kind};
		uint8_t nonce[AEAD_NONCE_LEN];
		assert_int_equal(snek_history_new(&history), OK);
		for (uint64_t n = 0; n < 3 * SNEK_HISTORY; n++) {
			const uint64_t other = seeded_below(&seed, 4 * SNEK_HISTORY);
			nonce_of(kind, other, nonce);
			assert_int_equal(snek_history_has(history, nonce), other < n && n - other <= SNEK_HISTORY);
			nonce_of(kind, n, nonce);
			assert_int_equal(snek_history_add(history, nonce), OK);
		}
		snek_history_free(history);
	}
}

static void test_what_is_there_is_not_added(void **state)
{
	(void)state;
	struct snek_history *history;
	uint8_t nonce[AEAD_NONCE_LEN];
	assert_int_equal(snek_history_new(&history), OK);
	for (uint64_t n = 0; n < SNEK_HISTORY; n++) {
		nonce_of(0, n, nonce);
		assert_int_equal(snek_history_add(history, nonce), OK);
		assert_int_equal(snek_history_add(history, nonce), ERR_REPLAY);
	}
	nonce_of(0, 0, nonce); /* the oldest: nothing has pushed it out */
	assert_int_equal(snek_history_add(history, nonce), ERR_REPLAY);
	nonce_of(0, SNEK_HISTORY, nonce);
	assert_int_equal(snek_history_add(history, nonce), OK);
	nonce_of(0, 0, nonce);
	assert_int_equal(snek_history_add(history, nonce), OK);
	snek_history_free(history);
}

static void test_each_byte_of_a_nonce_counts(void **state)
{
	(void)state;
	struct snek_history *history;
	uint8_t nonce[AEAD_NONCE_LEN] = {0};
	assert_int_equal(snek_history_new(&history), OK);
	assert_int_equal(snek_history_add(history, nonce), OK);
	for (unsigned bit = 0; bit < 8 * AEAD_NONCE_LEN; bit++) {
		nonce[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_false(snek_history_has(history, nonce));
		assert_int_equal(snek_history_add(history, nonce), OK);
		nonce[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	snek_history_free(history);
	snek_history_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_ones_are_known_and_no_others),
		cmocka_unit_test(test_what_is_there_is_not_added),
		cmocka_unit_test(test_each_byte_of_a_nonce_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
