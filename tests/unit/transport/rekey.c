/*
 * The in-session rekey's computation: both ends get the same next epoch, whoever starts; whatever is
 * changed on the way makes them fail or differ, and never agree.
 */
#include "seeded.h"

#include "base/secret.h"
#include "transport/rekey.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

/* One secret of a pad, for starter and answerer. */
struct pad_end {
	uint8_t ref[PAD_REF_LEN], secret[PAD_SECRET_LEN];
	enum err fails;
	unsigned calls;
};

struct exchange {
	struct seeded seed;
	struct rng rng;
	struct epoch now, at_starter, at_answerer;
	struct rekey_start *start;
	struct rekey1_body one;
	struct rekey2_body two;
	struct pad_end starters_pad, answerers_pad;
	struct rekey_pad starter_pad, answerer_pad;
	bool starter_has_pad, answerer_has_pad;
};

static enum err take(void *context, uint8_t secret[static PAD_SECRET_LEN], uint8_t pad_ref[static PAD_REF_LEN])
{
	struct pad_end *p = context;
	p->calls++;
	memcpy(secret, p->secret, PAD_SECRET_LEN);
	memcpy(pad_ref, p->ref, PAD_REF_LEN);
	return p->fails;
}

static enum err find(void *context, const uint8_t pad_ref[static PAD_REF_LEN], uint8_t secret[static PAD_SECRET_LEN])
{
	struct pad_end *p = context;
	p->calls++;
	if (memcmp(pad_ref, p->ref, PAD_REF_LEN) != 0)
		return ERR_NOT_FOUND;
	memcpy(secret, p->secret, PAD_SECRET_LEN);
	return p->fails;
}

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

/* The same with a pad, of which both have the same. */
static struct exchange *begin_with_pad(uint64_t number)
{
	struct exchange *x = begin(number);
	rekey_abandon(x->start);
	x->starter_has_pad = x->answerer_has_pad = true;
	seeded_bytes(&x->seed, x->starters_pad.ref, PAD_REF_LEN);
	seeded_bytes(&x->seed, x->starters_pad.secret, PAD_SECRET_LEN);
	x->answerers_pad = x->starters_pad;
	x->starter_pad = (struct rekey_pad){.take = take, .find = find, .context = &x->starters_pad};
	x->answerer_pad = (struct rekey_pad){.take = take, .find = find, .context = &x->answerers_pad};
	assert_err(rekey_begin(&x->start, &x->one, 0xabcd0001, &x->starter_pad, &x->rng), OK);
	return x;
}

static void end(struct exchange *x)
{
	rekey_abandon(x->start);
	free(x);
}

static enum err answer(struct exchange *x)
{
	const struct rekey_pad *pad = x->answerer_has_pad ? &x->answerer_pad : NULL;
	return rekey_answer(&x->now, VIEW(&x->one, sizeof x->one), 0xabcd0002, pad, &x->rng, &x->two, &x->at_answerer);
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
		assert_err(
			rekey_answer(&x->now, VIEW(body, len), 1, NULL, &x->rng, &x->two, &x->at_answerer), ERR_FORMAT);
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

static void test_a_pad_is_part_of_the_keys(void **state)
{
	(void)state;
	struct exchange *x = begin_with_pad(7);
	assert_memory_equal(x->one.pad_ref, x->starters_pad.ref, PAD_REF_LEN);
	assert_err(answer(x), OK);
	assert_err(finish(x), OK);
	assert_memory_equal(&x->at_starter, &x->at_answerer, sizeof x->at_starter);
	assert_int_equal(x->starters_pad.calls, 1);
	assert_int_equal(x->answerers_pad.calls, 1);
	struct epoch right = x->at_starter;
	for (size_t at = 0; at < PAD_SECRET_LEN; at += 9) {
		x->answerers_pad.secret[at] ^= 1;
		assert_err(answer(x), OK); /* it cannot tell; that nothing opens shows it */
		assert_memory_not_equal(x->at_answerer.k_i2r, right.k_i2r, AEAD_KEY_LEN);
		assert_memory_not_equal(x->at_answerer.k_r2i, right.k_r2i, AEAD_KEY_LEN);
		assert_memory_not_equal(x->at_answerer.rekey, right.rekey, HASH_LEN);
		x->answerers_pad.secret[at] ^= 1;
	}
	end(x);
}

static void test_never_less_than_is_configured(void **state)
{
	(void)state;
	struct exchange *x = begin_with_pad(8);
	struct epoch untouched = x->at_answerer;
	x->answerer_has_pad = false;
	assert_err(answer(x), ERR_FORMAT); /* names a pad where there is none */
	x->answerer_has_pad = true;
	memset(x->one.pad_ref, 0, PAD_REF_LEN);
	assert_err(answer(x), ERR_FORMAT); /* names none where there is one */
	assert_int_equal(x->answerers_pad.calls, 0);
	x->one.pad_ref[PAD_REF_LEN - 1] = 1;
	assert_err(answer(x), ERR_NOT_FOUND);
	assert_memory_equal(&untouched, &x->at_answerer, sizeof untouched);
	assert_true(secret_is_zero(&x->two, sizeof x->two));
	end(x);
}

static void test_what_the_pad_cannot_give_ends_it(void **state)
{
	(void)state;
	struct exchange *x = begin_with_pad(9);
	x->answerers_pad.fails = ERR_REPLAY;
	assert_err(answer(x), ERR_REPLAY);
	assert_true(secret_is_zero(&x->two, sizeof x->two));
	x->answerers_pad.fails = OK;
	memset(x->one.epk, 0, sizeof x->one.epk); /* an all-zero X25519 result: nothing is recorded of the pad */
	x->answerers_pad.calls = 0;
	assert_err(answer(x), ERR_AUTH);
	assert_int_equal(x->answerers_pad.calls, 0);

	struct rekey_start *start = NULL;
	struct rekey1_body one = {0};
	x->starters_pad.fails = ERR_FULL;
	assert_err(rekey_begin(&start, &one, 1, &x->starter_pad, &x->rng), ERR_FULL);
	assert_null(start);
	assert_true(secret_is_zero(&one, sizeof one));
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
		cmocka_unit_test(test_a_pad_is_part_of_the_keys),
		cmocka_unit_test(test_never_less_than_is_configured),
		cmocka_unit_test(test_what_the_pad_cannot_give_ends_it),
	};
	rekey_abandon(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
