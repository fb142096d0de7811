/* The initiator by itself: what it takes, when it sends, what it does with cookies. */
#include "pair.h"

#include "handshake/cookie.h"

static void bad_configurations_are_refused(void **state)
{
	(void)state;
	static const uint8_t request[1025];
	const struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	const struct rng rng = rng_system();
	struct initiator *i = NULL;
	struct initiator_config c = p.initiator_config;
	c.suites = CIPHER_AES_256_GCM; /* without the one that is always offered */
	assert_int_equal(initiator_new(&i, &c, &rng, 0), ERR_ARGUMENT);
	c.suites = 5; /* an unknown one */
	assert_int_equal(initiator_new(&i, &c, &rng, 0), ERR_ARGUMENT);
	c = p.initiator_config;
	c.request = VIEW_ARRAY(request);
	assert_int_equal(initiator_new(&i, &c, &rng, 0), ERR_ARGUMENT);
	c = p.initiator_config; /* its own key */
	memcpy(c.responder_key_id, identity_key_id(c.identity), KEY_ID_LEN);
	assert_int_equal(initiator_new(&i, &c, &rng, 0), ERR_ARGUMENT);
	assert_null(i);
	initiator_free(NULL);
}

/* Repeats until the deadline: each wait twice the last, up to a quarter more. */
static void assert_repeats(struct pair *p, usec start, usec deadline)
{
	usec wait = 500 * USEC_PER_MS;
	struct box first;
	p->now = start;
	for (bool more = false;; more = true) {
		box_clear(&p->to_bob);
		usec next = pair_poll(p);
		assert_int_not_equal(p->to_bob.count, 0);
		if (more)
			assert_memory_equal(p->to_bob.data, first.data, first.count * HS_DATAGRAM_MAX);
		first = p->to_bob;
		if (next == deadline)
			break;
		assert_in_range(next - p->now, wait, wait + wait / 4);
		box_clear(&p->to_bob);
		p->now = next - 1;
		assert_int_equal(pair_poll(p), next);
		assert_int_equal(p->to_bob.count, 0);
		p->now = next;
		wait *= 2;
	}
	box_clear(&p->to_bob);
	p->now = deadline - 1;
	assert_int_equal(pair_poll(p), deadline);
	p->now = deadline;
	assert_int_equal(pair_poll(p), USEC_NEVER);
	assert_int_equal(p->to_bob.count, 0);
	assert_int_equal(initiator_state(p->initiator), INITIATOR_EXPIRED);
	assert_null(initiator_result(p->initiator));
}

static void init_is_repeated_for_thirty_seconds(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	assert_int_equal(initiator_local_index(p.initiator), 0xaabbccdd);
	assert_null(initiator_result(p.initiator));
	assert_null(initiator_reason(p.initiator));
	assert_repeats(&p, p.now, p.now + 30 * USEC_PER_SEC);
	pair_done(&p);
}

static void finish_is_repeated_for_ten_seconds(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_until_resp(&p);
	p.now += 20 * USEC_PER_SEC;
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_WAITS_ACCEPT);
	assert_repeats(&p, p.now, p.now + 10 * USEC_PER_SEC);
	pair_done(&p);
}

static void resp_after_the_deadline_is_ignored(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_until_resp(&p);
	p.now += 30 * USEC_PER_SEC;
	assert_int_equal(pair_deliver_to_alice(&p), ERR_STATE);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_EXPIRED);
	pair_done(&p);
}

static void other_datagrams_are_refused(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	assert_int_equal(pair_to_alice(&p, init.data[0], init.len[0]), ERR_FORMAT);
	assert_int_equal(pair_to_alice(&p, NULL, 0), ERR_FORMAT);
	init.data[0][0] = MSG_FINISH;
	le32_put(init.data[0] + 8, 0xaabbccdd);
	assert_int_equal(pair_to_alice(&p, init.data[0], init.len[0]), ERR_FORMAT);
	init.data[0][0] = MSG_RESP; /* of a length that no Resp has */
	assert_int_equal(pair_to_alice(&p, init.data[0], init.len[0]), ERR_FORMAT);
	pair_done(&p);
}

/* A Cookie of the test's own, for a datagram that alice sent. */
static enum err give_cookie(struct pair *p, const uint8_t *cause, uint8_t value, uint32_t receiver)
{
	uint8_t out[COOKIE_DATAGRAM_LEN];
	struct cookie_datagram c = {.receiver = receiver, .salt = {value}};
	memset(c.sealed, value, COOKIE_LEN);
	const uint8_t *mac1 = cause + HS_DATAGRAM_MAX - 2 * HS_MAC_LEN;
	assert_int_equal(cookie_seal(out, &c, p->initiator_config.responder_key_id, mac1), OK);
	return pair_to_alice(p, out, sizeof out);
}

/* What alice sent last carries mac2 from the cookie with this value; 0: zeros. */
static void assert_mac2(const struct pair *p, uint8_t value)
{
	uint8_t cookie[COOKIE_LEN];
	struct hs_datagram d;
	memset(cookie, value, sizeof cookie);
	for (size_t i = 0; i < p->to_bob.count; i++) {
		assert_int_equal(hs_parse(&d, p->to_bob.data[i], p->to_bob.len[i]), OK);
		if (value == 0)
			assert_true(secret_is_zero(d.mac2, HS_MAC_LEN));
		else
			assert_int_equal(mac2_check(cookie, &d), OK);
	}
}

static usec next_try(struct pair *p)
{
	box_clear(&p->to_bob);
	usec next = pair_poll(p);
	assert_int_equal(p->to_bob.count, 3);
	return next;
}

static void cookie_is_dropped_after_two_unanswered_tries(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	p.now = next_try(&p);
	assert_mac2(&p, 0);
	struct box init = p.to_bob;
	assert_int_equal(give_cookie(&p, init.data[2], 1, 0xaabbccdd), OK);
	p.now = next_try(&p);
	assert_mac2(&p, 1);
	p.now = next_try(&p);
	assert_mac2(&p, 1);
	p.now = next_try(&p);
	assert_mac2(&p, 0);
	pair_done(&p);
}

static void newer_cookie_replaces(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	assert_int_equal(give_cookie(&p, init.data[0], 1, 0xaabbccdd), OK);
	next_try(&p);
	assert_int_equal(give_cookie(&p, init.data[0], 2, 0xaabbccdd), OK);
	assert_int_equal(give_cookie(&p, init.data[1], 3, 0xaabbccdd), OK);
	/* Brought forward once, not again: however many cookies come, alice sends no more for them. */
	box_clear(&p.to_bob);
	p.now = pair_poll(&p);
	assert_int_equal(p.to_bob.count, 0);
	next_try(&p);
	assert_mac2(&p, 3);
	pair_done(&p);
}

static void forged_cookies_are_refused(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	/* Nothing sent yet, so nothing can have caused one. */
	static const uint8_t never_sent[HS_DATAGRAM_MAX];
	assert_int_equal(give_cookie(&p, never_sent, 1, 0xaabbccdd), ERR_AUTH);
	pair_poll(&p);
	struct box init = p.to_bob;
	assert_int_equal(give_cookie(&p, never_sent, 1, 0xaabbccdd), ERR_AUTH);
	assert_int_equal(give_cookie(&p, init.data[0], 1, 0xaabbccde), ERR_FORMAT);
	p.now += USEC_PER_SEC;
	next_try(&p);
	assert_mac2(&p, 0);
	p.now += 30 * USEC_PER_SEC;
	assert_int_equal(give_cookie(&p, init.data[0], 1, 0xaabbccdd), ERR_STATE);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(init_is_repeated_for_thirty_seconds),
		cmocka_unit_test(finish_is_repeated_for_ten_seconds),
		cmocka_unit_test(resp_after_the_deadline_is_ignored),
		cmocka_unit_test(other_datagrams_are_refused),
		cmocka_unit_test(cookie_is_dropped_after_two_unanswered_tries),
		cmocka_unit_test(newer_cookie_replaces),
		cmocka_unit_test(forged_cookies_are_refused),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free_identities();
	return failed;
}
