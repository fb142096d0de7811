/*
 * The in-session rekey's computation: both ends get the same next epoch, whoever starts; whatever is
 * changed on the way makes them fail or differ, and never agree.
 */
#include "seeded.h"

#include "base/secret.h"
#include "transport/rekey.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

struct exchange {
	struct seeded seed;
	struct rng rng;
	struct epoch now, at_starter, at_answerer;
	struct rekey_start *start;
	struct rekey1_body one;
	struct rekey2_body two;
};

static struct exchange *begin(uint64_t number)
{
	struct exchange *x = calloc(1, sizeof *x);
	assert_non_null(x);
	x->seed.state = number;
	x->rng = seeded_rng(&x->seed);
	seeded_bytes(&x->seed, &x->now, sizeof x->now);
	assert_err(rekey_begin(&x->start, &x->one, 0xabcd0001, NULL, &x->rng), OK);
	return x;
}

static void end(struct exchange *x)
{
	rekey_abandon(x->start);
	free(x);
}

static enum err answer(struct exchange *x)
{
	return rekey_answer(&x->now, VIEW(&x->one, sizeof x->one), 0xabcd0002, NULL, &x->rng, &x->two, &x->at_answerer);
}

static enum err finish(struct exchange *x)
{
	return rekey_finish(x->start, &x->now, VIEW(&x->two, sizeof x->two), &x->at_starter);
}

/* Not one of the values may agree: each is a function of the transcript. */
static void assert_differ(const struct epoch *a, const struct epoch *b)
{
	assert_memory_not_equal(a->r, b->r, sizeof a->r);
	assert_memory_not_equal(a->rekey, b->rekey, sizeof a->rekey);
	assert_memory_not_equal(a->k_i2r, b->k_i2r, sizeof a->k_i2r);
	assert_memory_not_equal(a->k_r2i, b->k_r2i, sizeof a->k_r2i);
}

static void test_both_ends_agree_epoch_after_epoch(void **state)
{
	(void)state;
	struct exchange *x = begin(1);
	struct epoch last = x->now;
	end(x);
	for (uint64_t n = 0; n < 10; n++) {
		x = begin(100 + n);
		x->now = last;
		assert_err(answer(x), OK);
		assert_int_equal(rekey1_index(VIEW(&x->one, sizeof x->one)), 0xabcd0001);
		assert_int_equal(rekey2_index(VIEW(&x->two, sizeof x->two)), 0xabcd0002);
		assert_err(finish(x), OK);
		assert_memory_equal(&x->at_starter, &x->at_answerer, sizeof x->at_starter);
		assert_differ(&x->now, &x->at_starter);
		assert_memory_not_equal(x->at_starter.k_i2r, x->at_starter.k_r2i, AEAD_KEY_LEN);
		last = x->at_starter;
		end(x);
	}
}

static void test_changes_to_rekey1_never_agree(void **state)
{
	(void)state;
	struct exchange *x = begin(2);
	uint8_t *one = (uint8_t *)&x->one;
	for (size_t at = 0; at < REKEY1_LEN; at += at >= 40 && at < 1560 ? 61 : 1) {
		one[at] ^= (uint8_t)(1U << at % 8);
		enum err err = answer(x);
		if (err == OK && finish(x) == OK)
			assert_differ(&x->at_starter, &x->at_answerer);
		if (at >= REKEY1_LEN - PAD_REF_LEN)
			assert_err(err, ERR_FORMAT); /* names a pad */
		one[at] ^= (uint8_t)(1U << at % 8);
	}
	assert_err(answer(x), OK);
	assert_err(finish(x), OK);
	assert_memory_equal(&x->at_starter, &x->at_answerer, sizeof x->at_starter);
	end(x);
}

static void test_changes_to_rekey2_never_agree(void **state)
{
	(void)state;
	struct exchange *x = begin(3);
	assert_err(answer(x), OK);
	uint8_t *two = (uint8_t *)&x->two;
	for (size_t at = 0; at < REKEY2_LEN; at += at >= 40 && at < 1590 ? 61 : 1) {
		two[at] ^= (uint8_t)(1U << at % 8);
		if (finish(x) == OK)
			assert_differ(&x->at_starter, &x->at_answerer);
		two[at] ^= (uint8_t)(1U << at % 8);
	}
	end(x);
}

static void test_another_past_never_agrees(void **state)
{
	(void)state;
	struct exchange *x = begin(4);
	assert_err(answer(x), OK);
	for (size_t at = 0; at < HASH_LEN; at += 7) {
		struct epoch other = x->now, next;
		other.rekey[at] ^= 1;
		assert_err(rekey_finish(x->start, &other, VIEW(&x->two, sizeof x->two), &next), OK);
		assert_memory_not_equal(next.k_i2r, x->at_answerer.k_i2r, AEAD_KEY_LEN);
		assert_memory_not_equal(next.rekey, x->at_answerer.rekey, HASH_LEN);
		other = x->now;
		other.r[at] ^= 1;
		assert_err(rekey_finish(x->start, &other, VIEW(&x->two, sizeof x->two), &next), OK);
		assert_differ(&next, &x->at_answerer);
	}
	end(x);
}

static void test_other_lengths_are_refused(void **state)
{
	(void)state;
	struct exchange *x = begin(5);
	struct epoch untouched = x->at_answerer;
	for (size_t len = 0; len <= REKEY1_LEN + 1; len++) {
		if (len == REKEY1_LEN)
			continue;
		uint8_t *body = calloc(1, len + 1);
		assert_err(rekey_answer(&x->now, VIEW(body, len), 1, NULL, &x->rng, &x->two, &x->at_answerer), ERR_FORMAT);
		assert_int_equal(rekey1_index(VIEW(body, len)), 0);
		if (len != REKEY2_LEN) {
			assert_err(rekey_finish(x->start, &x->now, VIEW(body, len), &x->at_answerer), ERR_FORMAT);
			assert_int_equal(rekey2_index(VIEW(body, len)), 0);
		}
		free(body);
	}
	assert_memory_equal(&untouched, &x->at_answerer, sizeof untouched);
	end(x);
}

static void test_bad_keys_end_it_and_leave_nothing(void **state)
{
	(void)state;
	struct exchange *x = begin(6);
	struct epoch untouched = x->at_answerer;
	struct rekey1_body whole = x->one;
	memset(x->one.epk, 0, sizeof x->one.epk); /* an all-zero X25519 result */
	assert_err(answer(x), ERR_AUTH);
	x->one = whole;
	memset(x->one.ek, 0xff, 384); /* coefficients above q: FIPS 203, section 7.2 */
	assert_err(answer(x), ERR_FORMAT);
	assert_true(secret_is_zero(&x->two, sizeof x->two));
	x->one = whole;
	assert_err(answer(x), OK);
	memset(x->two.epk, 0, sizeof x->two.epk);
	assert_err(finish(x), ERR_AUTH);
	assert_memory_equal(&untouched, &x->at_starter, sizeof untouched);
	end(x);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ends_agree_epoch_after_epoch),
		cmocka_unit_test(test_changes_to_rekey1_never_agree),
		cmocka_unit_test(test_changes_to_rekey2_never_agree),
		cmocka_unit_test(test_another_past_never_agrees),
		cmocka_unit_test(test_other_lengths_are_refused),
		cmocka_unit_test(test_bad_keys_end_it_and_leave_nothing),
	};
	rekey_abandon(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
