/* Peers that hold the right keys and still send what the protocol forbids: sealed contents changed one byte at a time,
 * and whole messages made wrong. */
#include "pair.h"

#include "handshake/initiator_steps.h"
#include "handshake/responder_steps.h"

struct run {
	struct pair pair; /* for its configurations and randomness */
	struct init_state init;
	struct resp_state resp;
	struct finish_state finish;
	struct box unused;
	uint8_t h2[HASH_LEN];
};

static uint8_t h0[HASH_LEN];

static struct hs_message resp_message(const struct run *r)
{
	return (struct hs_message){
		.type = MSG_RESP, .sender = r->resp.sender_r, .bytes = VIEW(r->resp.message.data, r->resp.message.len)};
}

static void run_start(struct run *r, enum sig_alg alg)
{
	r->pair = pair_config(alg, alg);
	pair_start(&r->pair);
	const struct initiator_config *i = &r->pair.initiator_config;
	assert_int_equal(schedule_h0(h0, i->responder_key_id), OK);
	assert_int_equal(init_make(&r->init, i, &r->pair.rng), OK);
	r->resp = (struct resp_state){.sender_i = i->local_index, .sender_r = 77};
	assert_int_equal(
		resp_make(&r->resp, &r->pair.responder_config, h0, VIEW_ARRAY(r->init.message), &r->pair.rng), OK);
	const uint8_t *message = r->resp.message.data;
	assert_int_equal(schedule_h2(r->h2, r->init.h1, 77, message, message + DH_LEN), OK);
	const struct hs_message resp = resp_message(r);
	assert_int_equal(finish_make(&r->finish, &r->init, i, &resp, &r->pair.rng), OK);
}

static void run_done(struct run *r)
{
	init_state_wipe(&r->init);
	resp_state_wipe(&r->resp);
	finish_state_wipe(&r->finish);
	pair_done(&r->pair);
}

/* finish_check of a Finish with this plaintext. */
static enum err check_finish(struct run *r, const uint8_t *plain, size_t len, bool *ret_rejected)
{
	uint8_t sealed[HS_MESSAGE_MAX];
	struct hs_result result;
	struct hs_bytes reject;
	memcpy(sealed, plain, len);
	assert_int_equal(aead_seal_once(r->resp.keys.k_hi, VIEW_ARRAY(r->resp.h4), sealed, len), OK);
	enum err e =
		finish_check(&result, &reject, &r->resp, &r->pair.responder_config, VIEW(sealed, len + AEAD_TAG_LEN));
	*ret_rejected = reject.len > 0;
	hs_bytes_free(&reject);
	if (e != OK)
		assert_true(secret_is_zero(&result, sizeof result));
	return e;
}

/* finish_make of a Resp whose box has this plaintext. */
static enum err check_resp(struct run *r, const uint8_t *plain, size_t len)
{
	uint8_t message[HS_MESSAGE_MAX];
	struct finish_state finish;
	memcpy(message, r->resp.message.data, RESP_HEAD_LEN);
	memcpy(message + RESP_HEAD_LEN, plain, len);
	assert_int_equal(aead_seal_once(r->resp.keys.k_hr, VIEW_ARRAY(r->h2), message + RESP_HEAD_LEN, len), OK);
	const struct hs_message m = {
		.type = MSG_RESP, .sender = 77, .bytes = VIEW(message, RESP_HEAD_LEN + len + AEAD_TAG_LEN)};
	enum err e = finish_make(&finish, &r->init, &r->pair.initiator_config, &m, &r->pair.rng);
	if (e != OK)
		assert_true(secret_is_zero(&finish, sizeof finish));
	finish_state_wipe(&finish);
	return e;
}

static size_t opened(uint8_t *out, const uint8_t *key, struct view aad, const uint8_t *sealed, size_t len)
{
	memcpy(out, sealed, len);
	assert_int_equal(aead_open_once(key, aad, out, len - AEAD_TAG_LEN), OK);
	return len - AEAD_TAG_LEN;
}

static size_t open_finish(struct run *r, uint8_t *plain)
{
	return opened(plain, r->resp.keys.k_hi, VIEW_ARRAY(r->resp.h4), r->finish.message, r->finish.message_len);
}

static size_t open_resp(struct run *r, uint8_t *plain)
{
	return opened(plain, r->resp.keys.k_hr, VIEW_ARRAY(r->h2), r->resp.message.data + RESP_HEAD_LEN,
		r->resp.message.len - RESP_HEAD_LEN);
}

static void every_part_of_finish_is_checked(void **state)
{
	(void)state;
	struct run r;
	uint8_t plain[HS_MESSAGE_MAX];
	bool rejected;
	run_start(&r, SIG_ML_DSA_65);
	size_t len = open_finish(&r, plain);
	const size_t end = 1 + SIG_65_PUBLIC_LEN + SIG_65_LEN + HASH_LEN + PSK_REF_LEN + PAD_REF_LEN + 2;
	for (size_t at = 0; at < len; at += at < 16 || at > end - 100 ? 1 : 61) {
		plain[at] ^= 0x80;
		enum err e = check_finish(&r, plain, len, &rejected);
		assert_true(e == ERR_AUTH || e == ERR_FORMAT);
		assert_false(rejected); /* no word to someone who has not proved who he is */
		plain[at] ^= 0x80;
	}
	assert_int_equal(r.pair.asked, HASH_LEN); /* for fin_I alone, which stands behind a good signature */
	run_done(&r);
}

static void unpadded_or_overpadded_finish_is_refused(void **state)
{
	(void)state;
	struct run r;
	uint8_t plain[HS_MESSAGE_MAX] = {0};
	bool rejected;
	run_start(&r, SIG_ML_DSA_65);
	size_t len = open_finish(&r, plain);
	assert_int_equal(check_finish(&r, plain, len, &rejected), OK);
	memset(plain + len, 0, sizeof plain - len);
	assert_int_equal(check_finish(&r, plain, len + HS_BODY_MAX, &rejected), ERR_FORMAT);
	assert_int_equal(check_finish(&r, plain, len - 1, &rejected), ERR_FORMAT);
	assert_int_equal(check_finish(&r, plain, 0, &rejected), ERR_FORMAT);
	run_done(&r);
}

static void every_part_of_resp_is_checked(void **state)
{
	(void)state;
	struct run r;
	uint8_t plain[HS_MESSAGE_MAX];
	run_start(&r, SIG_ML_DSA_65);
	size_t len = open_resp(&r, plain);
	for (size_t at = 0; at < len; at += at < 16 || at > len - 50 ? 1 : 61) {
		plain[at] ^= 0x80;
		enum err e = check_resp(&r, plain, len);
		assert_true(e == ERR_AUTH || e == ERR_FORMAT);
		plain[at] ^= 0x80;
	}
	plain[len] = 0;
	assert_int_equal(check_resp(&r, plain, len + 1), ERR_FORMAT);
	assert_int_equal(check_resp(&r, plain, len - 1), ERR_FORMAT);
	assert_int_equal(check_resp(&r, plain, 0), ERR_FORMAT);
	assert_int_equal(check_resp(&r, plain, len), OK);
	run_done(&r);
}

/* Each suite value but the one bit that was chosen and signed. */
static void suite_must_be_one_offered_bit(void **state)
{
	(void)state;
	struct run r;
	uint8_t plain[HS_MESSAGE_MAX];
	run_start(&r, SIG_ML_DSA_65);
	size_t len = open_resp(&r, plain);
	for (unsigned suite = 0; suite < 256; suite++) {
		plain[0] = (uint8_t)suite;
		enum err e = check_resp(&r, plain, len);
		if (suite == CIPHER_CHACHA20_POLY1305)
			assert_int_equal(e, OK);
		else /* AES-256-GCM was offered too, but it is not what sig_R signs */
			assert_int_equal(e, suite == CIPHER_AES_256_GCM ? ERR_AUTH : ERR_FORMAT);
	}
	run_done(&r);
}

static void low_order_x25519_aborts(void **state)
{
	(void)state;
	struct run r;
	struct finish_state finish;
	run_start(&r, SIG_ML_DSA_65);
	memset(r.resp.message.data, 0, DH_LEN); /* epk_R */
	const struct hs_message m = resp_message(&r);
	assert_int_equal(finish_make(&finish, &r.init, &r.pair.initiator_config, &m, &r.pair.rng), ERR_AUTH);
	assert_true(secret_is_zero(&finish, sizeof finish));
	run_done(&r);
}

/* The initiator has the responder's own key: refused like a bad signature. */
static void own_key_is_refused(void **state)
{
	(void)state;
	struct run r;
	struct hs_result result;
	struct hs_bytes reject;
	run_start(&r, SIG_ML_DSA_65);
	struct initiator_config as_bob = r.pair.initiator_config;
	as_bob.identity = r.pair.responder_config.identity;
	const struct hs_message resp = resp_message(&r);
	finish_state_wipe(&r.finish);
	assert_int_equal(finish_make(&r.finish, &r.init, &as_bob, &resp, &r.pair.rng), OK);
	assert_int_equal(finish_check(&result, &reject, &r.resp, &r.pair.responder_config,
				 VIEW(r.finish.message, r.finish.message_len)),
		ERR_AUTH);
	assert_int_equal(reject.len, 0);
	assert_int_equal(r.pair.asked, 0);
	run_done(&r);
}

/* A pad reference where the responder has no pad for this peer: a Finish that is right in all else. */
static void pad_without_configuration_is_refused(void **state)
{
	(void)state;
	static const uint8_t pad_ref[PAD_REF_LEN] = {1}, psk_ref[PSK_REF_LEN], entropy[SIG_ENTROPY_LEN];
	struct run r;
	uint8_t plain[HS_MESSAGE_MAX], h5[HASH_LEN], sig[SIG_MAX], fin[HASH_LEN] = {0};
	bool rejected;
	run_start(&r, SIG_ML_DSA_65);
	const struct identity *alice = r.pair.initiator_config.identity;
	struct finish_message m = {.key = *identity_public(alice), .fin = fin, .psk_ref = psk_ref, .pad_ref = pad_ref};
	assert_int_equal(schedule_h5(h5, r.resp.h4, &m.key, psk_ref, pad_ref, m.tlvs), OK);
	assert_int_equal(identity_sign(alice, sig, CONTEXT_INITIATOR, VIEW_ARRAY(h5), entropy), OK);
	m.sig = VIEW(sig, SIG_65_LEN);
	struct writer w = writer_of(plain, finish_len(SIG_ML_DSA_65, 0) - AEAD_TAG_LEN);
	finish_build(&w, &m);
	assert_int_equal(check_finish(&r, plain, w.at, &rejected), ERR_AUTH);
	assert_true(rejected);
	run_done(&r);
}

/* Signing again gives another Finish under the same k_hi: why the initiator builds it once. */
static void signatures_are_hedged(void **state)
{
	(void)state;
	struct run r;
	struct finish_state again;
	run_start(&r, SIG_ML_DSA_65);
	const struct hs_message resp = resp_message(&r);
	assert_int_equal(finish_make(&again, &r.init, &r.pair.initiator_config, &resp, &r.pair.rng), OK);
	assert_memory_not_equal(again.message, r.finish.message, again.message_len);
	finish_state_wipe(&again);
	run_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_part_of_finish_is_checked),
		cmocka_unit_test(unpadded_or_overpadded_finish_is_refused),
		cmocka_unit_test(every_part_of_resp_is_checked),
		cmocka_unit_test(suite_must_be_one_offered_bit),
		cmocka_unit_test(low_order_x25519_aborts),
		cmocka_unit_test(own_key_is_refused),
		cmocka_unit_test(pad_without_configuration_is_refused),
		cmocka_unit_test(signatures_are_hedged),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free_identities();
	return failed;
}
