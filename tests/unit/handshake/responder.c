/* The responder's bounds: memory, work, bytes to strangers, time; cookies under load. */
#include "pair.h"

static struct addr address(uint32_t n)
{
	struct addr a = {.ip = {0x20, 0x01, 0x0d, 0xb8}, .port = 40000};
	be32_put(a.ip + 4, n); /* another /64 each */
	return a;
}

/* All of `box` from an address, as if another initiator had sent it. */
static enum err deliver_from(struct pair *p, const struct box *box, const struct addr *source)
{
	enum err e = ERR_AGAIN;
	for (size_t i = 0; i < box->count; i++)
		e = pair_to_bob_from(p, source, box->data[i], box->len[i]);
	return e;
}

static void bad_configurations_are_refused(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	const struct rng rng = rng_system();
	struct responder *r = NULL;
	struct responder_config c = p.responder_config;
	c.max_pending = 0;
	assert_int_equal(responder_new(&r, &c, &rng, 0), ERR_ARGUMENT);
	c.max_pending = 65537;
	assert_int_equal(responder_new(&r, &c, &rng, 0), ERR_ARGUMENT);
	c = p.responder_config;
	c.rate = 0;
	assert_int_equal(responder_new(&r, &c, &rng, 0), ERR_ARGUMENT);
	c = p.responder_config;
	c.suites = 4;
	assert_int_equal(responder_new(&r, &c, &rng, 0), ERR_ARGUMENT);
	assert_null(r);
	responder_free(NULL);
}

static void pending_states_are_bounded(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	for (uint32_t i = 0; i < 50; i++) {
		struct addr a = address(i);
		/* Every other one is only begun: buffers count too. */
		enum err e = i % 2 ? pair_to_bob_from(&p, &a, init.data[0], init.len[0]) : deliver_from(&p, &init, &a);
		assert_int_equal(e, i % 2 ? ERR_AGAIN : OK);
		assert_int_equal(responder_pending(p.responder), i < 8 ? i + 1 : 8);
		box_clear(&p.to_alice);
	}
	pair_done(&p);
}

/* Which state gives way is random: after as many newcomers as there are places some old ones are still there. */
static void eviction_is_random(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	for (uint32_t i = 0; i < 16; i++) {
		struct addr a = address(i);
		assert_int_equal(pair_to_bob_from(&p, &a, init.data[0], init.len[0]), ERR_AGAIN);
	}
	uint32_t old = 0;
	for (uint32_t i = 0; i < 8; i++) {
		struct addr a = address(i);
		/* Known, it completes; evicted, it is begun anew, which needs more. */
		if (pair_to_bob_from(&p, &a, init.data[1], init.len[1]) == ERR_AGAIN &&
			pair_to_bob_from(&p, &a, init.data[2], init.len[2]) == OK)
			old++;
	}
	assert_in_range(old, 1, 7);
	pair_done(&p);
}

static void states_expire_after_ten_seconds(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_until_finish(&p);
	assert_int_equal(responder_pending(p.responder), 1);
	p.now += 10 * USEC_PER_SEC - 1;
	responder_tick(p.responder, p.now);
	assert_int_equal(responder_pending(p.responder), 1);
	p.now += 1;
	/* Also without a tick. */
	struct box finish = p.to_bob;
	assert_int_equal(pair_to_bob(&p, finish.data[0], finish.len[0]), ERR_NOT_FOUND);
	assert_int_equal(responder_pending(p.responder), 0);
	pair_done(&p);

	p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	assert_int_equal(pair_to_bob(&p, p.to_bob.data[0], p.to_bob.len[0]), ERR_AGAIN);
	p.now += 10 * USEC_PER_SEC;
	responder_tick(p.responder, p.now);
	assert_int_equal(responder_pending(p.responder), 0);
	pair_done(&p);
}

static void finish_in_the_last_moment_counts(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_until_finish(&p);
	p.now += 10 * USEC_PER_SEC - 1;
	responder_tick(p.responder, p.now);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	assert_int_equal(p.established, 1);
	pair_done(&p);
}

/* Never more than three times what came from the address, whatever is repeated. */
static void answers_are_bounded(enum sig_alg bob)
{
	struct pair p = pair_config(SIG_ML_DSA_65, bob);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	p.to_alice.bytes = 0;
	size_t received = 0, answers = 0, resp_count = 0;
	for (uint32_t i = 0; i < 300; i++) {
		/* The first 100 are one fragment, then all in turn. */
		size_t n = i < 100 ? 0 : i % 3;
		received += init.len[n];
		enum err e = pair_to_bob(&p, init.data[n], init.len[n]);
		assert_true(e == ERR_AGAIN || e == OK);
		assert_true(p.to_alice.bytes <= 3 * received);
		if (p.to_alice.count > 0) {
			assert_true(i >= 100);
			resp_count = p.to_alice.count;
			answers++;
			box_clear(&p.to_alice);
		}
	}
	assert_int_equal(resp_count, bob == SIG_ML_DSA_87 ? 8 : 6);
	assert_in_range(answers, 66, 67);           /* one for each whole Init */
	assert_int_equal(p.next_index, 0x11223345); /* which is one and the same Resp */
	pair_done(&p);
}

static void strangers_get_three_times_their_bytes_at_most(void **state)
{
	(void)state;
	answers_are_bounded(SIG_ML_DSA_65);
	answers_are_bounded(SIG_ML_DSA_87);
}

static void repeated_init_gets_the_same_bytes(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	struct box resp = p.to_alice;
	box_clear(&p.to_alice);
	for (int i = 0; i < 5; i++) /* one fragment is not enough, however often */
		assert_int_equal(pair_to_bob(&p, init.data[1], init.len[1]), ERR_AGAIN);
	assert_int_equal(p.to_alice.count, 0);
	assert_int_equal(pair_to_bob(&p, init.data[2], init.len[2]), ERR_AGAIN);
	assert_int_equal(pair_to_bob(&p, init.data[0], init.len[0]), ERR_AGAIN);
	assert_int_equal(p.to_alice.count, resp.count);
	assert_memory_equal(p.to_alice.data, resp.data, resp.count * HS_DATAGRAM_MAX);
	assert_int_equal(responder_pending(p.responder), 1);
	pair_done(&p);
}

static void sources_are_rate_limited(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.responder_config.rate = 2;
	pair_start(&p);
	for (int i = 0; i < 6; i++) {
		box_clear(&p.to_alice);
		box_clear(&p.to_bob);
		p.source.port++; /* the same host */
		pair_new_initiator(&p);
		pair_poll(&p);
		assert_int_equal(pair_deliver_to_bob(&p), i < 4 ? OK : ERR_FULL);
		assert_int_equal(p.to_alice.count > 0, i < 4);
	}
	p.source = address(1);
	box_clear(&p.to_bob);
	pair_new_initiator(&p);
	pair_complete(&p);
	pair_done(&p);
}

/* All under load: nothing is stored before a cookie has come back from its address. */
static void cookies_come_before_any_work(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.under_load = true;
	pair_start(&p);
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), ERR_AGAIN);
	assert_int_equal(responder_pending(p.responder), 0);
	assert_int_equal(p.next_index, 0x11223344);
	assert_int_equal(p.to_alice.count, 3);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(p.to_alice.len[i], 64);
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	struct box init = p.to_bob;
	assert_int_equal(init.count, 3);
	/* From elsewhere this cookie is nothing. */
	struct addr other = p.source;
	other.port++;
	assert_int_equal(deliver_from(&p, &init, &other), ERR_AGAIN);
	other = address(7);
	assert_int_equal(deliver_from(&p, &init, &other), ERR_AGAIN);
	assert_int_equal(responder_pending(p.responder), 0);
	box_clear(&p.to_alice);

	assert_int_equal(pair_deliver_to_bob(&p), OK);
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), OK); /* Finish carries mac2 too */
	pair_assert_established(&p);
	pair_done(&p);
}

/* Load that begins after Resp: Finish is asked for a cookie as well, and not stored before. */
static void finish_needs_a_cookie_too(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_until_finish(&p);
	p.under_load = true;
	assert_int_equal(pair_deliver_to_bob(&p), ERR_AGAIN);
	assert_int_equal(p.asked, 0);
	assert_int_equal(p.to_alice.count, 5);
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	pair_assert_established(&p);
	pair_done(&p);
}

/* Is a cookie of this age still taken? The secret is replaced every 120 s, by a tick or when it is needed. */
static bool is_taken(uint32_t age_seconds, bool ticks)
{
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.under_load = true;
	pair_start(&p);
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), ERR_AGAIN);
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	for (uint32_t i = 0; i < age_seconds; i++) {
		p.now += USEC_PER_SEC;
		if (ticks)
			responder_tick(p.responder, p.now);
	}
	assert_int_equal(pair_to_bob(&p, p.to_bob.data[0], p.to_bob.len[0]), ERR_AGAIN);
	bool taken = responder_pending(p.responder) == 1;
	pair_done(&p);
	return taken;
}

static void cookies_expire(void **state)
{
	(void)state;
	for (int ticks = 0; ticks < 2; ticks++) {
		assert_true(is_taken(119, ticks));
		assert_true(is_taken(120, ticks)); /* the secret before */
		assert_true(is_taken(239, ticks));
		assert_false(is_taken(240, ticks));
		assert_false(is_taken(1000, ticks));
	}
}

/* An Init whose mac1 is right and whose contents are not leaves nothing behind, and the true one is answered. */
static void invalid_init_leaves_nothing(void **state)
{
	(void)state;
	const struct {
		size_t at, n;
		uint8_t value;
		enum err outcome;
	} cases[] = {
		{32, 4, 0, ERR_FORMAT},     /* suites: none */
		{36, 32, 0, ERR_AUTH},      /* epk_I: of low order */
		{68, 600, 255, ERR_FORMAT}, /* ek_I: coefficients that are not below q */
		{1700, 1, 1, ERR_FORMAT},   /* padding */
		{3551, 1, 1, ERR_FORMAT},
	};
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	uint8_t key[MAC1_KEY_LEN];
	pair_start(&p);
	pair_poll(&p);
	init_key(&p, key);
	for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
		struct box bad = p.to_bob;
		for (size_t i = cases[c].at; i < cases[c].at + cases[c].n; i++)
			bad.data[i / HS_BODY_MAX][HS_HEADER_LEN + i % HS_BODY_MAX] = cases[c].value;
		for (size_t i = 0; i < bad.count; i++)
			remac(bad.data[i], bad.len[i], key);
		assert_int_equal(deliver_from(&p, &bad, &p.source), cases[c].outcome);
		assert_int_equal(responder_pending(p.responder), 0);
		assert_int_equal(p.to_alice.count, 0);
	}
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	pair_done(&p);
}

/* The owner's index is taken by another half-open handshake: asked again. */
static void indices_are_unique(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_until_resp(&p);
	p.next_index--; /* the same once more */
	p.source.port++;
	p.now += USEC_PER_SEC;
	box_clear(&p.to_alice);
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	assert_int_equal(le32_get(p.to_alice.data[0] + 4), 0x11223345);
	assert_int_equal(responder_pending(p.responder), 2);
	pair_done(&p);
}

/* A NAT has given alice another port meanwhile: her Finish counts from there. */
static void finish_may_come_from_another_address(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_until_finish(&p);
	struct addr answered = p.source;
	p.source.port++;
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	pair_assert_established(&p);
	assert_true(addr_equal(&p.proven, &answered)); /* the new one may be anybody's */
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_configurations_are_refused),
		cmocka_unit_test(pending_states_are_bounded),
		cmocka_unit_test(eviction_is_random),
		cmocka_unit_test(states_expire_after_ten_seconds),
		cmocka_unit_test(finish_in_the_last_moment_counts),
		cmocka_unit_test(strangers_get_three_times_their_bytes_at_most),
		cmocka_unit_test(repeated_init_gets_the_same_bytes),
		cmocka_unit_test(sources_are_rate_limited),
		cmocka_unit_test(cookies_come_before_any_work),
		cmocka_unit_test(finish_needs_a_cookie_too),
		cmocka_unit_test(cookies_expire),
		cmocka_unit_test(invalid_init_leaves_nothing),
		cmocka_unit_test(indices_are_unique),
		cmocka_unit_test(finish_may_come_from_another_address),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free_identities();
	return failed;
}
