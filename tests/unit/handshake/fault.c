/*
 * Every call into src/crypto made to fail once, the first, the second ... until a handshake has no more of them: no end
 * is left in a state from which the repeats do not lead on, and nothing leaks (the sanitizers see that).
 *
 * The linker puts the functions below in place of crypto's (--wrap, see meson.build).
 */
#include "pair.h"

#include "crypto/dh.h"
#include "crypto/kem.h"

static uint32_t calls, failing; /* the call to fail, from 1; 0: none */

static bool fails(void *out, size_t len)
{
	if (++calls != failing)
		return false;
	if (out)
		memset(out, 0, len); /* as crypto's functions do */
	return true;
}

#define WRAP(name, out, len, parameters, arguments)                                                                    \
	enum err __real_##name parameters;                                                                             \
	enum err __wrap_##name parameters;                                                                             \
	enum err __wrap_##name parameters                                                                              \
	{                                                                                                              \
		return fails((out), (len)) ? ERR_CRYPTO : __real_##name arguments;                                     \
	}

/* clang-format off */
WRAP(hash_sha384, out, HASH_LEN, (uint8_t *out, const struct view *parts, size_t n), (out, parts, n))
WRAP(hash_sha256, out, 32, (uint8_t *out, const struct view *parts, size_t n), (out, parts, n))
WRAP(hmac_sha384, out, HASH_LEN, (uint8_t *out, struct view key, const struct view *parts, size_t n), (out, key, parts, n))
WRAP(hmac_sha256, out, 32, (uint8_t *out, struct view key, const struct view *parts, size_t n), (out, key, parts, n))
WRAP(hkdf_extract, prk, HASH_LEN, (uint8_t *prk, struct view salt, struct view ikm), (prk, salt, ikm))
WRAP(hkdf_expand, out, len, (uint8_t *out, size_t len, const uint8_t *prk, struct view info), (out, len, prk, info))
WRAP(hkdf_sha256, out, len, (uint8_t *out, size_t len, struct view salt, struct view ikm, struct view info),
	(out, len, salt, ikm, info))
WRAP(aead_seal_once, text, 0, (const uint8_t *key, struct view aad, uint8_t *text, size_t len), (key, aad, text, len))
WRAP(aead_open_once, text, len, (const uint8_t *key, struct view aad, uint8_t *text, size_t len), (key, aad, text, len))
WRAP(kem_generate, public_key, KEM_PUBLIC_LEN, (struct kem_key **ret, uint8_t *public_key, const uint8_t *seed),
	(ret, public_key, seed))
WRAP(kem_encapsulate, ct, KEM_CIPHERTEXT_LEN, (uint8_t *ct, uint8_t *secret, const uint8_t *key, const uint8_t *entropy),
	(ct, secret, key, entropy))
WRAP(kem_decapsulate, secret, KEM_SECRET_LEN, (uint8_t *secret, const struct kem_key *key, const uint8_t *ct),
	(secret, key, ct))
WRAP(dh_public, out, DH_LEN, (uint8_t *out, const uint8_t *key), (out, key))
WRAP(dh_derive, secret, DH_LEN, (uint8_t *secret, const uint8_t *key, const uint8_t *peer), (secret, key, peer))
WRAP(dh_answer, out, DH_LEN, (uint8_t *out, uint8_t *secret, const uint8_t *key, const uint8_t *peer),
	(out, secret, key, peer))
WRAP(identity_sign, sig, SIG_65_LEN, (const struct identity *id, uint8_t *sig, struct view context, struct view message,
	const uint8_t *entropy), (id, sig, context, message, entropy))
WRAP(sig_verify, NULL, 0, (const struct sig_public *key, struct view context, struct view message, struct view sig),
	(key, context, message, sig))
WRAP(key_id_compute, out, KEY_ID_LEN, (uint8_t *out, const struct sig_public *key), (out, key))
/* clang-format on */

/* As pair_start, but each end may fail the first time: then it is not there, and no worse. */
static void start(struct pair *p)
{
	p->initiator = NULL;
	p->responder = NULL;
	enum err e = responder_new(&p->responder, &p->responder_config, &p->rng, p->now);
	if (e != OK) {
		assert_int_equal(e, ERR_CRYPTO);
		assert_null(p->responder);
		assert_int_equal(responder_new(&p->responder, &p->responder_config, &p->rng, p->now), OK);
	}
	e = initiator_new(&p->initiator, &p->initiator_config, &p->rng, p->now);
	if (e != OK) {
		assert_int_equal(e, ERR_CRYPTO);
		assert_null(p->initiator);
		assert_int_equal(initiator_new(&p->initiator, &p->initiator_config, &p->rng, p->now), OK);
	}
}

/* Runs `ends_well` with the n-th call failing, for all n. */
static void fail_each(void (*ends_well)(struct pair *p), bool with_pad)
{
	static const uint8_t psk[PSK_LEN] = {1};
	uint32_t n = 0;
	do {
		failing = 0;
		struct pair p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
		p.initiator_config.psk = p.verdict.psk = psk;
		if (with_pad)
			pair_with_pad(&p);
		pair_start(&p); /* for its randomness */
		pair_done(&p);
		calls = 0;
		failing = ++n;
		start(&p);
		ends_well(&p);
		pair_done(&p);
	} while (calls >= failing);
	assert_true(n > 30);
	failing = 0;
}

static void is_established(struct pair *p)
{
	pair_settle(p);
	pair_assert_established(p);
}

static void each_failing_call_is_survived(void **state)
{
	(void)state;
	fail_each(is_established, false);
}

/* A secret of the pad that was taken for a Finish that then could not be built is not used again. */
static void is_established_with_pad(struct pair *p)
{
	is_established(p);
	assert_int_equal(p->admitted, p->taken);
	assert_in_range(p->taken, PAD_SECRET_LEN, 2 * PAD_SECRET_LEN);
}

static void each_failing_call_is_survived_with_a_pad(void **state)
{
	(void)state;
	fail_each(is_established_with_pad, true);
}

/* With cookies in between. */
static void is_established_under_load(struct pair *p)
{
	p->under_load = true;
	pair_settle(p);
	pair_assert_established(p);
}

static void each_failing_call_is_survived_under_load(void **state)
{
	(void)state;
	fail_each(is_established_under_load, false);
}

static void is_rejected(struct pair *p)
{
	p->verdict = (struct responder_verdict){.reason = {REJECT_UNAUTHORISED, "no"}};
	pair_settle(p);
	assert_int_equal(p->established, 0);
	assert_int_equal(initiator_state(p->initiator), INITIATOR_REJECTED);
	assert_string_equal(initiator_reason(p->initiator)->text, "no");
}

static void each_failing_call_before_a_reject_is_survived(void **state)
{
	(void)state;
	fail_each(is_rejected, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_failing_call_is_survived),
		cmocka_unit_test(each_failing_call_is_survived_with_a_pad),
		cmocka_unit_test(each_failing_call_is_survived_under_load),
		cmocka_unit_test(each_failing_call_before_a_reject_is_survived),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free_identities();
	return failed;
}
