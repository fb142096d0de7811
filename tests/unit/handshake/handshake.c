/* Both ends together: what succeeds, what is refused and why, and a network that loses, repeats and
 * reorders. */
#include "pair.h"

static const uint8_t some_psk[PSK_LEN] = "a pre-shared key of 32 bytes ...";
static const uint8_t other_psk[PSK_LEN] = "another pre-shared key of 32 ...";

static void succeeds(enum sig_alg alice, enum sig_alg bob, enum cipher suite, const uint8_t *psk)
{
	static const uint8_t request[] = {1, 3, 0, 'a', 'b', 'c'};
	struct pair p = pair_config(alice, bob);
	p.initiator_config.suites = suite == CIPHER_AES_256_GCM ? CIPHER_ALL : CIPHER_CHACHA20_POLY1305;
	p.responder_config.prefer_aes = true;
	p.initiator_config.request = VIEW_ARRAY(request);
	p.initiator_config.psk = p.verdict.psk = psk;
	pair_start(&p);
	pair_complete(&p);
	assert_int_equal(p.session.suite, suite);
	assert_int_equal(p.session.has_psk, psk != NULL);
	assert_true(addr_equal(&p.proven, &p.source));
	assert_int_equal(responder_pending(p.responder), 0);
	pair_done(&p);
}

static void all_combinations_succeed(void **state)
{
	(void)state;
	static const enum cipher suites[] = {CIPHER_CHACHA20_POLY1305, CIPHER_AES_256_GCM};
	static const uint8_t *const psks[] = {NULL, some_psk};
	for (int i = 0; i < 16; i++)
		succeeds(i & 1 ? SIG_ML_DSA_87 : SIG_ML_DSA_65, i & 2 ? SIG_ML_DSA_87 : SIG_ML_DSA_65,
			suites[(i >> 2) & 1], psks[i >> 3]);
}

static void largest_request_arrives(void **state)
{
	(void)state;
	static uint8_t request[1024];
	memset(request, 0x5a, sizeof request);
	struct pair p = pair_config(SIG_ML_DSA_87, SIG_ML_DSA_87);
	p.initiator_config.request = VIEW_ARRAY(request);
	pair_start(&p);
	pair_complete(&p);
	pair_done(&p);
}

/* Which suite the responder takes of what both have. */
static void suite_is_one_of_the_offer(void **state)
{
	(void)state;
	const struct {
		uint32_t offered, accepted;
		bool prefer_aes;
		uint32_t chosen;
	} cases[] = {
		{3, 3, true, CIPHER_AES_256_GCM},
		{3, 3, false, CIPHER_CHACHA20_POLY1305},
		{1, 3, true, CIPHER_CHACHA20_POLY1305},
		{3, 1, true, CIPHER_CHACHA20_POLY1305},
		{3, 2, false, CIPHER_AES_256_GCM},
		{1, 2, true, 0},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
		p.initiator_config.suites = cases[i].offered;
		p.responder_config.suites = cases[i].accepted;
		p.responder_config.prefer_aes = cases[i].prefer_aes;
		pair_start(&p);
		if (cases[i].chosen != 0) {
			pair_complete(&p);
			assert_int_equal(p.session.suite, cases[i].chosen);
		} else {
			pair_poll(&p);
			assert_int_equal(pair_deliver_to_bob(&p), ERR_FORMAT);
			assert_int_equal(p.to_alice.count, 0);
			assert_int_equal(responder_pending(p.responder), 0);
		}
		pair_done(&p);
	}
}

static void refused(struct pair *p, enum reject_code code, const char *text)
{
	pair_start(p);
	pair_until_finish(p);
	assert_int_equal(pair_deliver_to_bob(p), ERR_AUTH);
	assert_int_equal(p->established, 0);
	assert_int_equal(p->to_alice.count, 1);
	assert_int_equal(pair_deliver_to_alice(p), OK);
	assert_int_equal(initiator_state(p->initiator), INITIATOR_REJECTED);
	assert_int_equal(initiator_reason(p->initiator)->code, code);
	assert_string_equal(initiator_reason(p->initiator)->text, text);
	assert_null(initiator_result(p->initiator));
	assert_int_equal(pair_poll(p), USEC_NEVER);
	assert_int_equal(p->to_bob.count, 0);
	pair_done(p);
}

static void unauthorised_initiator_reads_why(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.verdict = (struct responder_verdict){.reason = {REJECT_UNAUTHORISED, "not in the list \xe2\x80\x93 ask"}};
	refused(&p, REJECT_UNAUTHORISED, "not in the list \xe2\x80\x93 ask");
	p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_87);
	p.verdict = (struct responder_verdict){.reason = {REJECT_POOL, ""}};
	refused(&p, REJECT_POOL, "");
	p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.verdict = (struct responder_verdict){.authorised = false};
	refused(&p, REJECT_UNAUTHORISED, "");
}

static void longest_reason_arrives(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	p.verdict = (struct responder_verdict){.reason = {.code = REJECT_CONFIG}};
	memset(p.verdict.reason.text, 'x', REJECT_TEXT_MAX);
	char text[REJECT_TEXT_MAX + 1];
	memcpy(text, p.verdict.reason.text, sizeof text);
	refused(&p, REJECT_CONFIG, text);
}

static void psk_must_be_the_configured_one(void **state)
{
	(void)state;
	const struct {
		const uint8_t *alice, *bob;
		const char *text;
	} cases[] = {
		{some_psk, other_psk, "the pre-shared key is another one here"},
		{NULL, some_psk, "a pre-shared key is required"},
		{some_psk, NULL, "no pre-shared key is configured for this peer here"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
		p.initiator_config.psk = cases[i].alice;
		p.verdict.psk = cases[i].bob;
		refused(&p, REJECT_PSK, cases[i].text);
	}
}

/* Whoever does not know the key ID gets no answer. */
static void wrong_key_id_gets_nothing(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	memcpy(p.initiator_config.responder_key_id, identity_key_id(pair_bob(SIG_ML_DSA_87)), KEY_ID_LEN);
	for (int loaded = 0; loaded < 2; loaded++) {
		p.under_load = loaded;
		pair_start(&p);
		pair_poll(&p);
		assert_int_equal(pair_deliver_to_bob(&p), ERR_AUTH);
		assert_int_equal(p.to_alice.count, 0);
		assert_int_equal(responder_pending(p.responder), 0);
		pair_done(&p);
		p.initiator = NULL;
	}
}

/* One fragment of one message is lost; its repeat fills the hole of the first. */
static void survives_loss_of(enum msg_type type, size_t lost)
{
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	if (type == MSG_INIT)
		pair_poll(&p);
	else if (type == MSG_RESP)
		pair_until_resp(&p);
	else
		pair_until_finish(&p);
	struct box *box = type == MSG_RESP ? &p.to_alice : &p.to_bob;
	assert_true(lost < box->count);
	/* Not removed but damaged: whoever gets it drops it. */
	box->data[lost][HS_HEADER_LEN] ^= 1;
	pair_settle(&p);
	pair_assert_established(&p);
	assert_true(p.now < 1002 * USEC_PER_SEC); /* one repeat was enough */
	pair_done(&p);
}

static void loss_of_any_fragment_is_survived(void **state)
{
	(void)state;
	for (size_t i = 0; i < 3; i++)
		survives_loss_of(MSG_INIT, i);
	for (size_t i = 0; i < 6; i++)
		survives_loss_of(MSG_RESP, i);
	for (size_t i = 0; i < 5; i++)
		survives_loss_of(MSG_FINISH, i);
}

/* Holes of the first sending are filled by the second, which loses the others. */
static void fragments_accumulate_over_repeats(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	struct box init = p.to_bob;
	assert_int_equal(pair_to_bob(&p, init.data[0], init.len[0]), ERR_AGAIN);
	box_clear(&p.to_bob);
	p.now += USEC_PER_SEC;
	pair_poll(&p);
	assert_int_equal(p.to_bob.count, 3);
	assert_memory_equal(p.to_bob.data, init.data, 3 * HS_DATAGRAM_MAX);
	assert_int_equal(pair_to_bob(&p, init.data[2], init.len[2]), ERR_AGAIN);
	assert_int_equal(pair_to_bob(&p, init.data[1], init.len[1]), OK);
	assert_int_equal(responder_pending(p.responder), 1);
	pair_done(&p);
}

/* Delivers a box backwards, each datagram twice. */
static void deliver_badly(struct pair *p, bool to_bob)
{
	struct box *from = to_bob ? &p->to_bob : &p->to_alice;
	struct box box = *from;
	box_clear(from);
	for (size_t i = box.count * 2; i-- > 0;) {
		const uint8_t *data = box.data[i / 2];
		size_t len = box.len[i / 2];
		enum err e = to_bob ? pair_to_bob(p, data, len) : pair_to_alice(p, data, len);
		assert_true(e == OK || e == ERR_AGAIN || (i == 0 && (e == ERR_STATE || e == ERR_NOT_FOUND)));
	}
}

static void duplicates_and_reordering_are_harmless(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_poll(&p);
	deliver_badly(&p, true);
	assert_int_equal(p.to_alice.count, 6); /* one Resp */
	deliver_badly(&p, false);
	pair_poll(&p);
	deliver_badly(&p, true);
	pair_assert_established(&p);
	pair_done(&p);
}

/* Damages a quarter of the datagrams on their way. */
static void lose_some(struct pair *p, struct box *box)
{
	for (size_t n = 0; n < box->count; n++)
		if (rng_below(&p->rng, 4) == 0)
			box->data[n][HS_HEADER_LEN] ^= 1;
}

/* A quarter of all datagrams is lost, for several seeds: it gets there, if need be with a new Init. */
static void heavy_loss_is_survived(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 8; seed++) {
		struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
		p.seed = seed * 0x9e3779b97f4a7c15;
		pair_start(&p);
		for (int i = 0; i < 300 && p.established == 0; i++) {
			if (initiator_state(p.initiator) == INITIATOR_EXPIRED) {
				p.initiator_config.local_index++;
				pair_new_initiator(&p);
			}
			usec next = pair_poll(&p);
			lose_some(&p, &p.to_bob);
			lose_some(&p, &p.to_alice);
			pair_deliver_both(&p);
			if (p.to_bob.count == 0 && p.to_alice.count == 0)
				p.now = pair_poll(&p) < next ? p.now : next;
			responder_tick(p.responder, p.now);
		}
		assert_int_equal(p.established, 1);
		pair_done(&p);
	}
}

/* Two attempts with the same seed are the same, with another they share nothing. */
static void a_seed_makes_a_handshake(void **state)
{
	(void)state;
	struct hs_result results[3];
	for (size_t i = 0; i < 3; i++) {
		struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
		p.seed += i / 2;
		pair_start(&p);
		pair_complete(&p);
		results[i] = p.session;
		pair_done(&p);
	}
	assert_memory_equal(&results[0], &results[1], sizeof results[0]);
	assert_memory_not_equal(results[0].k_i2r, results[2].k_i2r, sizeof results[0].k_i2r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_combinations_succeed),
		cmocka_unit_test(largest_request_arrives),
		cmocka_unit_test(suite_is_one_of_the_offer),
		cmocka_unit_test(unauthorised_initiator_reads_why),
		cmocka_unit_test(longest_reason_arrives),
		cmocka_unit_test(psk_must_be_the_configured_one),
		cmocka_unit_test(wrong_key_id_gets_nothing),
		cmocka_unit_test(loss_of_any_fragment_is_survived),
		cmocka_unit_test(fragments_accumulate_over_repeats),
		cmocka_unit_test(duplicates_and_reordering_are_harmless),
		cmocka_unit_test(heavy_loss_is_survived),
		cmocka_unit_test(a_seed_makes_a_handshake),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free_identities();
	return failed;
}
