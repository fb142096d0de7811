/* What an attacker on the path can make of the messages: damage, cut, rewrite, replay, flood. */
#include "pair.h"

/* What a test can see of an end that must not have changed. */
struct trace {
	uint64_t seed;
	uint32_t pending, established, asked;
	enum initiator_state state;
	size_t bytes;
};

static struct trace trace_of(const struct pair *p)
{
	return (struct trace){p->seed, responder_pending(p->responder), p->established, p->asked,
		initiator_state(p->initiator), p->to_bob.bytes + p->to_alice.bytes};
}

static void assert_dropped(const struct pair *p, const struct trace *before, enum err e)
{
	const struct trace after = trace_of(p);
	assert_true(e == ERR_FORMAT || e == ERR_AUTH || e == ERR_NOT_FOUND || e == ERR_STATE);
	assert_true(after.seed == before->seed && after.pending == before->pending && after.state == before->state);
	assert_true(after.established == before->established && after.asked == before->asked);
	assert_true(after.bytes == before->bytes);
}

static enum err give(struct pair *p, bool to_bob, const uint8_t *data, size_t len)
{
	return to_bob ? pair_to_bob(p, data, len) : pair_to_alice(p, data, len);
}

/* Every truncation, one byte too many, and every byte changed, of every datagram in a box. mac2 is left alone: without
 * load nobody looks at it. */
static void damage_all(struct pair *p, bool to_bob)
{
	struct box box = to_bob ? p->to_bob : p->to_alice;
	const struct trace before = trace_of(p);
	for (size_t n = 0; n < box.count; n++) {
		uint8_t *data = box.data[n], longer[HS_DATAGRAM_MAX + 1] = {0};
		size_t len = box.len[n];
		memcpy(longer, data, len);
		assert_dropped(p, &before, give(p, to_bob, longer, len + 1));
		for (size_t cut = 0; cut < len; cut++)
			assert_dropped(p, &before, give(p, to_bob, data, cut));
		for (size_t at = 0; at < len - HS_MAC_LEN; at++) {
			data[at] ^= (uint8_t)(1U << (at % 8));
			assert_dropped(p, &before, give(p, to_bob, data, len));
			data[at] ^= (uint8_t)(1U << (at % 8));
		}
	}
}

static void damage_changes_nothing(enum sig_alg alg)
{
	struct pair p = pair_config(alg, alg), control = p;
	pair_start(&control);
	pair_complete(&control);
	pair_start(&p);
	pair_poll(&p);
	damage_all(&p, true);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	damage_all(&p, false);
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	damage_all(&p, true);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	pair_assert_established(&p);
	/* Not a bit is different from an undisturbed run. */
	assert_memory_equal(p.session.h6, control.session.h6, HASH_LEN);
	pair_done(&p);
	pair_done(&control);
}

static void damaged_datagrams_change_nothing(void **state)
{
	(void)state;
	damage_changes_nothing(SIG_ML_DSA_65);
	damage_changes_nothing(SIG_ML_DSA_87);
}

static void damaged_reject_changes_nothing(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.verdict.authorised = false;
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	uint8_t key[MAC1_KEY_LEN];
	resp_key(&init, key);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), ERR_AUTH);
	damage_all(&p, false);
	/* An observer can compute mac1, but not what is sealed. */
	const struct trace before = trace_of(&p);
	struct box reject = p.to_alice;
	for (size_t at = HS_HEADER_LEN; at < reject.len[0] - 2 * HS_MAC_LEN; at++) {
		reject.data[0][at] ^= 1;
		remac(reject.data[0], reject.len[0], key);
		assert_dropped(&p, &before, pair_to_alice(&p, reject.data[0], reject.len[0]));
		reject.data[0][at] ^= 1;
	}
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_REJECTED);
	pair_done(&p);
}

/* Gives a whole message to alice with one byte of one datagram changed and mac1 made anew. */
static enum err forge_resp(struct pair *p, struct box resp, const uint8_t key[static MAC1_KEY_LEN], size_t n, size_t at)
{
	enum err e = ERR_AGAIN;
	resp.data[n][at] ^= 0x10;
	remac(resp.data[n], resp.len[n], key);
	for (size_t i = 0; i < resp.count; i++)
		e = pair_to_alice(p, resp.data[i], resp.len[i]);
	return e;
}

static void forged_resps_do_not_stop_the_true_one(void **state)
{
	(void)state;
	/* epk_R, ct, the box, its tag */
	static const size_t places[][2] = {{0, 16}, {0, 47}, {0, 48}, {1, 431}, {1, 432}, {3, 500}, {5, 900}};
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	uint8_t key[MAC1_KEY_LEN];
	pair_start(&p);
	pair_poll(&p);
	resp_key(&p.to_bob, key);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	const struct trace before = trace_of(&p);
	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		assert_dropped(&p, &before, forge_resp(&p, p.to_alice, key, places[i][0], places[i][1]));
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	pair_assert_established(&p);
	pair_done(&p);
}

static void only_eight_resps_are_tried(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	uint8_t key[MAC1_KEY_LEN];
	pair_start(&p);
	pair_poll(&p);
	resp_key(&p.to_bob, key);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	for (size_t i = 0; i < 8; i++)
		assert_int_equal(forge_resp(&p, p.to_alice, key, 2, 100 + i), ERR_AUTH);
	assert_int_equal(pair_to_alice(&p, p.to_alice.data[0], p.to_alice.len[0]), ERR_FULL);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_WAITS_RESP);
	/* The next attempt is another Init, of which the forger knows nothing yet. */
	p.now += 30 * USEC_PER_SEC;
	assert_int_equal(pair_poll(&p), USEC_NEVER);
	box_clear(&p.to_bob);
	box_clear(&p.to_alice);
	p.initiator_config.local_index++;
	pair_new_initiator(&p);
	pair_complete(&p);
	pair_done(&p);
}

/* Fragments of many bogus Resps: four buffers, and the true one still gets one. */
static void bogus_fragments_do_not_keep_resp_out(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	uint8_t key[MAC1_KEY_LEN], bogus[HS_DATAGRAM_MAX];
	pair_start(&p);
	pair_poll(&p);
	resp_key(&p.to_bob, key);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	memcpy(bogus, p.to_alice.data[0], sizeof bogus);
	for (uint8_t i = 1; i <= 20; i++) {
		bogus[4] = i; /* sender */
		remac(bogus, sizeof bogus, key);
		assert_int_equal(pair_to_alice(&p, bogus, sizeof bogus), ERR_AGAIN);
	}
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_done(&p);
}

/* Finding 1: the indices are bound to the keys. */
static void rewritten_indices_are_noticed(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	uint8_t for_init[MAC1_KEY_LEN], for_resp[MAC1_KEY_LEN];
	pair_start(&p);
	pair_poll(&p);
	init_key(&p, for_init);
	resp_key(&p.to_bob, for_resp);
	for (size_t i = 0; i < p.to_bob.count; i++) {
		le32_put(p.to_bob.data[i] + 4, 0x01020304); /* sender_I as the attacker likes it */
		remac(p.to_bob.data[i], p.to_bob.len[i], for_init);
	}
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	for (size_t i = 0; i < p.to_alice.count; i++) {
		le32_put(p.to_alice.data[i] + 8, p.initiator_config.local_index);
		remac(p.to_alice.data[i], p.to_alice.len[i], for_resp);
	}
	assert_int_equal(pair_deliver_to_alice(&p), ERR_AUTH);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_WAITS_RESP);

	/* sender_R likewise: the true Resp under another index. */
	p.now += USEC_PER_SEC;
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	for (size_t i = 0; i < p.to_alice.count; i++) {
		le32_put(p.to_alice.data[i] + 4, 0x01020304);
		remac(p.to_alice.data[i], p.to_alice.len[i], for_resp);
	}
	assert_int_equal(pair_deliver_to_alice(&p), ERR_AUTH);

	p.now += 2 * USEC_PER_SEC;
	pair_settle(&p);
	pair_assert_established(&p);
	pair_done(&p);
}

static void replays_change_nothing(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	struct box resp = p.to_alice;
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	struct box finish = p.to_bob;
	struct hs_result mine = *initiator_result(p.initiator);
	assert_int_equal(pair_deliver_to_bob(&p), OK);

	p.to_bob = finish;
	assert_int_equal(pair_deliver_to_bob(&p), ERR_NOT_FOUND);
	p.to_alice = resp;
	assert_int_equal(pair_deliver_to_alice(&p), ERR_STATE);
	p.to_bob = init; /* bounded work, another Resp, of which alice wants nothing */
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	assert_memory_not_equal(p.to_alice.data[0], resp.data[0], resp.len[0]);
	assert_int_equal(pair_deliver_to_alice(&p), ERR_STATE);
	p.to_bob = finish; /* the old Finish does not fit the new state */
	assert_int_equal(pair_deliver_to_bob(&p), ERR_NOT_FOUND);

	assert_int_equal(p.established, 1);
	assert_int_equal(p.asked, 1);
	assert_memory_equal(&mine, initiator_result(p.initiator), sizeof mine);
	pair_done(&p);
}

/* The old Finish, rewritten to the new state's index: another key. */
static void replayed_finish_fails_under_another_index(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	struct box finish = p.to_bob;
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	p.to_bob = init;
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	for (size_t i = 0; i < finish.count; i++) {
		le32_put(finish.data[i] + 8, p.next_index - 1);
		assert_int_equal(pair_to_bob(&p, finish.data[i], finish.len[i]), ERR_AUTH);
	}
	assert_int_equal(p.established, 1);
	pair_done(&p);
}

/* A repeat of a refused Finish gets the same Reject, also when the peer has become welcome since; it never installs. */
static void refused_finish_stays_refused(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.verdict.authorised = false;
	pair_start(&p);
	pair_until_finish(&p);
	struct box finish = p.to_bob;
	assert_int_equal(pair_deliver_to_bob(&p), ERR_AUTH);
	struct box reject = p.to_alice;
	assert_int_equal(reject.count, 1);
	p.verdict.authorised = true;
	for (int i = 0; i < 3; i++) {
		box_clear(&p.to_alice);
		p.to_bob = finish;
		assert_int_equal(pair_deliver_to_bob(&p), ERR_AGAIN);
		assert_int_equal(p.to_alice.count, 1);
		assert_int_equal(p.to_alice.len[0], reject.len[0]);
		assert_memory_equal(p.to_alice.data[0], reject.data[0], reject.len[0]);
	}
	assert_int_equal(p.asked, 1);
	assert_int_equal(p.established, 0);
	p.now += 10 * USEC_PER_SEC;
	p.to_bob = finish;
	assert_int_equal(pair_deliver_to_bob(&p), ERR_NOT_FOUND);
	assert_int_equal(responder_pending(p.responder), 0);
	pair_done(&p);
}

static void reject_is_believed_only_while_waiting_for_accept(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.verdict.authorised = false;
	pair_start(&p);
	pair_until_finish(&p);
	assert_int_equal(pair_deliver_to_bob(&p), ERR_AUTH);
	struct box reject = p.to_alice;
	p.now += 10 * USEC_PER_SEC;
	assert_int_equal(pair_to_alice(&p, reject.data[0], reject.len[0]), ERR_STATE);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_EXPIRED);
	pair_new_initiator(&p);
	assert_int_equal(pair_to_alice(&p, reject.data[0], reject.len[0]), ERR_STATE);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_WAITS_RESP);
	pair_done(&p);
}

/* Someone who knows the key ID puts another Init under alice's index and address: she gets through when it has expired
 * (and her Resp never fits it). */
static void forged_init_only_delays(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	uint8_t key[MAC1_KEY_LEN];
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	init_key(&p, key);
	init.data[0][HS_HEADER_LEN] ^= 1; /* the nonce */
	remac(init.data[0], init.len[0], key);
	for (size_t i = 0; i < init.count; i++)
		assert_int_equal(pair_to_bob(&p, init.data[i], init.len[i]), i < 2 ? ERR_AGAIN : OK);
	assert_int_equal(pair_deliver_to_alice(&p), ERR_AUTH); /* mac1 */
	assert_int_equal(pair_to_bob(&p, p.to_bob.data[0], p.to_bob.len[0]), ERR_AUTH);
	assert_int_equal(responder_pending(p.responder), 1);
	pair_settle(&p);
	pair_assert_established(&p);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(damaged_datagrams_change_nothing),
		cmocka_unit_test(damaged_reject_changes_nothing),
		cmocka_unit_test(forged_resps_do_not_stop_the_true_one),
		cmocka_unit_test(only_eight_resps_are_tried),
		cmocka_unit_test(bogus_fragments_do_not_keep_resp_out),
		cmocka_unit_test(rewritten_indices_are_noticed),
		cmocka_unit_test(replays_change_nothing),
		cmocka_unit_test(replayed_finish_fails_under_another_index),
		cmocka_unit_test(refused_finish_stays_refused),
		cmocka_unit_test(reject_is_believed_only_while_waiting_for_accept),
		cmocka_unit_test(forged_init_only_delays),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free_identities();
	return failed;
}
