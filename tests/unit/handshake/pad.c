/* A pad that guards the key exchange: both ends have the same secret of it, or there is no session; the responder
 * records nothing of it for whoever has not proven to have it. */
#include "pair.h"

static const uint8_t psk[PSK_LEN] = "a pre-shared key of 32 bytes ...";

static struct pair padded(void)
{
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_with_pad(&p);
	return p;
}

static void the_same_pad_gives_a_session(void **state)
{
	(void)state;
	static const uint8_t request[] = {1, 2, 0, 'h', 'i'};
	for (int with_psk = 0; with_psk < 2; with_psk++) {
		struct pair p = padded();
		p.initiator_config.request = VIEW_ARRAY(request);
		p.initiator_config.psk = p.verdict.psk = with_psk ? psk : NULL;
		pair_start(&p);
		pair_complete(&p);
		assert_true(p.session.has_pad);
		assert_int_equal(p.taken, PAD_SECRET_LEN);
		assert_int_equal(p.admitted, p.taken);
		assert_int_equal(p.asked_to_admit, 1);
		assert_non_null(p.claim.pad_ref);
		assert_int_equal(p.claim.request.len, sizeof request);
		assert_memory_equal(p.request, request, sizeof request);
		pair_done(&p);
	}
}

static void without_a_pad_none_is_asked_for(void **state)
{
	(void)state;
	struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(&p);
	pair_complete(&p);
	assert_false(p.session.has_pad);
	assert_int_equal(p.looked, 0);
	assert_int_equal(p.asked_to_admit, 1);
	assert_null(p.claim.pad_ref);
	pair_done(&p);
}

/* The keys are another's where one byte of the pad is. */
static void the_pad_is_part_of_the_keys(void **state)
{
	(void)state;
	struct pair p = padded(), q = padded();
	q.alices_pad[17] = q.bobs_pad[17] ^= 1;
	pair_start(&p);
	pair_start(&q);
	pair_complete(&p);
	pair_complete(&q);
	assert_memory_equal(p.session.peer_key_id, q.session.peer_key_id, KEY_ID_LEN);
	assert_memory_not_equal(p.session.k_i2r, q.session.k_i2r, AEAD_KEY_LEN);
	assert_memory_not_equal(p.session.k_r2i, q.session.k_r2i, AEAD_KEY_LEN);
	assert_memory_not_equal(p.session.rekey_0, q.session.rekey_0, HASH_LEN);
	pair_done(&p);
	pair_done(&q);
}

static void refused(struct pair *p, enum reject_code code, const char *text)
{
	pair_start(p);
	pair_until_finish(p);
	assert_int_equal(pair_deliver_to_bob(p), ERR_AUTH);
	assert_int_equal(p->established, 0);
	assert_int_equal(p->admitted, 0);
	assert_int_equal(pair_deliver_to_alice(p), OK);
	assert_int_equal(initiator_state(p->initiator), INITIATOR_REJECTED);
	assert_int_equal(initiator_reason(p->initiator)->code, code);
	assert_string_equal(initiator_reason(p->initiator)->text, text);
	assert_null(initiator_result(p->initiator));
	pair_done(p);
}

static void never_less_than_is_configured(void **state)
{
	(void)state;
	struct pair p = padded();
	p.initiator_config.take_pad = NULL;
	refused(&p, REJECT_PAD, "a one-time pad is required");
	assert_int_equal(p.looked, 0);
	p = padded();
	p.verdict.requires_pad = false;
	refused(&p, REJECT_PAD, "no one-time pad is configured for this peer here");
	assert_int_equal(p.looked, 0);
}

/* One byte of the secret is another: whoever signed does not have this pad, and is told. */
static void another_pads_bytes_are_refused(void **state)
{
	(void)state;
	for (size_t at = 0; at < PAD_SECRET_LEN; at += 21) {
		struct pair p = padded();
		p.bobs_pad[at] ^= 0x80;
		refused(&p, REJECT_PAD, "the bytes of the one-time pad are not the same at both ends");
		assert_int_equal(p.looked, 1);
		assert_int_equal(p.asked_to_admit, 0);
	}
	struct pair p = padded();
	p.bobs_pad[PAD_SECRET_LEN] ^= 1; /* behind it */
	pair_start(&p);
	pair_complete(&p);
	pair_done(&p);
}

static void what_cannot_be_found_is_refused_and_told(void **state)
{
	(void)state;
	static const struct {
		enum err err;
		const char *text;
	} cases[] = {
		{ERR_NOT_FOUND, "the one-time pad is another one here"},
		{ERR_REPLAY,
			"this place of the one-time pad was passed before: the initiator's ledger is old; see jorm "
			"pad advance"},
		{ERR_FORMAT, "there is no such place in the one-time pad here: its size differs"},
		{ERR_IO, "the one-time pad cannot be used here: the responder's log says why"},
		{ERR_NOMEM, "the one-time pad cannot be used here: the responder's log says why"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pair p = padded();
		p.find_fails = cases[i].err;
		refused(&p, REJECT_PAD, cases[i].text);
		assert_int_equal(p.asked_to_admit, 0);
	}
}

/* alice's ledger was restored from a backup: she takes again what bob has seen. */
static void a_place_is_good_for_one_session(void **state)
{
	(void)state;
	struct pair p = padded();
	pair_start(&p);
	pair_complete(&p);
	p.taken = 0;
	box_clear(&p.to_alice);
	box_clear(&p.to_bob);
	pair_new_initiator(&p);
	pair_until_finish(&p);
	assert_int_equal(pair_deliver_to_bob(&p), ERR_AUTH);
	assert_int_equal(p.established, 1);
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	assert_int_equal(initiator_reason(p.initiator)->code, REJECT_PAD);

	p.initiator_config.local_index++;
	p.taken = 5 * PAD_SECRET_LEN; /* advanced; places may be left out */
	pair_new_initiator(&p);
	pair_until_finish(&p);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	assert_int_equal(p.established, 2);
	assert_int_equal(p.admitted, 6 * PAD_SECRET_LEN);
	pair_done(&p);
}

/* Nobody but an authorised peer, with its PSK, makes the responder look into the pad. */
static void the_pad_is_looked_at_last(void **state)
{
	(void)state;
	struct pair p = padded();
	p.verdict = (struct responder_verdict){.requires_pad = true, .reason = {REJECT_UNAUTHORISED, "no"}};
	refused(&p, REJECT_UNAUTHORISED, "no");
	assert_int_equal(p.looked, 0);
	p = padded();
	p.verdict.psk = psk;
	refused(&p, REJECT_PSK, "a pre-shared key is required");
	assert_int_equal(p.looked, 0);
}

static void whoever_is_not_admitted_reads_why(void **state)
{
	(void)state;
	struct pair p = padded();
	p.admit_fails = ERR_FULL;
	p.verdict.reason = (struct reject_reason){REJECT_POOL, "no address left"};
	refused(&p, REJECT_POOL, "no address left");
	p = padded();
	p.admit_fails = ERR_IO; /* and no word of it */
	refused(&p, REJECT_CONFIG, "");
}

/* The pad has nothing left, or its ledger cannot be written: no Finish, and nothing less in its place. When it can be
 * again, a repeat of Resp leads on. */
static void without_a_secret_there_is_no_finish(void **state)
{
	(void)state;
	struct pair p = padded();
	p.take_fails = ERR_AGAIN;
	pair_start(&p);
	pair_until_resp(&p);
	const struct box resp = p.to_alice;
	assert_int_equal(pair_deliver_to_alice(&p), ERR_AGAIN);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_WAITS_RESP);
	p.take_fails = ERR_FULL;
	p.to_alice = resp;
	assert_int_equal(pair_deliver_to_alice(&p), ERR_FULL);
	assert_int_equal(initiator_state(p.initiator), INITIATOR_WAITS_RESP);
	assert_null(initiator_result(p.initiator));
	assert_int_equal(p.taken, 0);

	p.take_fails = OK;
	p.to_alice = resp;
	assert_int_equal(pair_deliver_to_alice(&p), OK);
	pair_poll(&p);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	pair_assert_established(&p);
	pair_done(&p);
}

/* Built once: repeats cost no pad. */
static void repeats_of_finish_take_no_more(void **state)
{
	(void)state;
	struct pair p = padded();
	pair_start(&p);
	pair_until_finish(&p);
	const struct box finish = p.to_bob;
	for (int i = 0; i < 3; i++) {
		box_clear(&p.to_bob);
		p.now = pair_poll(&p);
		pair_poll(&p);
		assert_int_equal(p.to_bob.count, finish.count);
		for (size_t n = 0; n < finish.count; n++)
			assert_memory_equal(p.to_bob.data[n], finish.data[n], finish.len[n]);
	}
	assert_int_equal(p.taken, PAD_SECRET_LEN);
	assert_int_equal(pair_deliver_to_bob(&p), OK);
	assert_int_equal(p.looked, 1);
	pair_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_pad_gives_a_session),
		cmocka_unit_test(without_a_pad_none_is_asked_for),
		cmocka_unit_test(the_pad_is_part_of_the_keys),
		cmocka_unit_test(never_less_than_is_configured),
		cmocka_unit_test(another_pads_bytes_are_refused),
		cmocka_unit_test(what_cannot_be_found_is_refused_and_told),
		cmocka_unit_test(a_place_is_good_for_one_session),
		cmocka_unit_test(the_pad_is_looked_at_last),
		cmocka_unit_test(whoever_is_not_admitted_reads_why),
		cmocka_unit_test(without_a_secret_there_is_no_finish),
		cmocka_unit_test(repeats_of_finish_take_no_more),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free_identities();
	return failed;
}
