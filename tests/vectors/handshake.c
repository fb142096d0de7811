/*
 * Both roles of the handshake against jorm4.json, which an independent program made from
 * docs/protocol.md: every message, datagram, intermediate value and key, byte for byte.
 *
 * Randomness is scripted: draws of 4 bytes (jitter, choices) are zeros, all others must ask for
 * exactly the next value of the script, in the order that initiator_steps.h and responder_steps.h
 * document.
 */
/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "handshake/cookie.h"
#include "handshake/initiator.h"
#include "handshake/message.h"
#include "handshake/responder.h"
#include "handshake/schedule.h"
#include "reference.h"

#include <stdio.h>

#define DATAGRAMS_MAX 32

static json_t *vectors;

struct script {
	struct blob values[8];
	size_t count, at;
};

struct outbox {
	uint8_t data[DATAGRAMS_MAX][HS_DATAGRAM_MAX];
	size_t len[DATAGRAMS_MAX];
	size_t count;
};

/* The responder's owner. */
struct owner {
	json_t *vector;
	bool refuses;
	struct blob psk;
	uint32_t established;
	struct hs_result result;
};

#define ASSERT_ARRAY(array, object, name) assert_bytes(array, sizeof(array), object, name)

static void script_add(struct script *s, json_t *object, const char *first, const char *second)
{
	struct blob *value = &s->values[s->count++];
	*value = bytes(object, first);
	if (!second)
		return;
	struct blob rest = bytes(object, second);
	memcpy(value->data + value->len, rest.data, rest.len);
	value->len += rest.len;
}

static void script_fill(void *context, uint8_t *out, size_t n)
{
	struct script *s = context;
	memset(out, 0, n);
	if (n == sizeof(uint32_t) || s->count == 0)
		return;
	assert_true(s->at < s->count);
	assert_int_equal(n, s->values[s->at].len);
	memcpy(out, s->values[s->at++].data, n);
}

static void collect(void *context, const uint8_t *data, size_t len)
{
	struct outbox *out = context;
	assert_true(out->count < DATAGRAMS_MAX && len <= HS_DATAGRAM_MAX);
	memcpy(out->data[out->count], data, len);
	out->len[out->count++] = len;
}

/* The vector leaves bodies out: they are in the message. */
static void assert_datagrams(const struct outbox *out, json_t *expected)
{
	assert_int_equal(out->count, json_array_size(expected));
	for (size_t i = 0; i < out->count; i++) {
		json_t *d = json_array_get(expected, i);
		const uint8_t *data = out->data[i];
		size_t len = out->len[i];
		uint8_t hash[HASH_SHA256_LEN];
		assert_int_equal(len, number(d, "length"));
		assert_bytes(data, HS_HEADER_LEN, d, "header");
		assert_bytes(data + len - 32, HS_MAC_LEN, d, "mac1");
		assert_bytes(data + len - 16, HS_MAC_LEN, d, "mac2");
		assert_int_equal(HASH_SHA256(hash, VIEW(data, len)), OK);
		ASSERT_ARRAY(hash, d, "sha256");
	}
}

static void assert_message(const struct outbox *out, json_t *expected)
{
	struct blob message = {0};
	for (size_t i = 0; i < out->count; i++) {
		struct hs_datagram d;
		assert_int_equal(hs_parse(&d, out->data[i], out->len[i]), OK);
		memcpy(message.data + message.len, d.body.data, d.body.len);
		message.len += d.body.len;
	}
	assert_bytes(message.data, message.len, expected, "message");
	assert_datagrams(out, field(expected, "datagrams"));
}

static void assert_result(const struct hs_result *r, bool is_initiator, json_t *vector)
{
	json_t *in = field(vector, "inputs"), *mid = field(vector, "intermediate");
	assert_int_equal(r->is_initiator, is_initiator);
	assert_int_equal(r->local_index, number(in, is_initiator ? "sender_I" : "sender_R"));
	assert_int_equal(r->remote_index, number(in, is_initiator ? "sender_R" : "sender_I"));
	assert_int_equal(r->suite, number(in, "suite"));
	assert_int_equal(r->has_psk, bytes(in, "psk").len > 0);
	assert_int_equal(r->has_pad, bytes(in, "pad_secret").len > 0);
	ASSERT_ARRAY(r->peer_key_id, mid, is_initiator ? "key_id_R" : "key_id_I");
	ASSERT_ARRAY(r->k_i2r, mid, "k_i2r");
	ASSERT_ARRAY(r->k_r2i, mid, "k_r2i");
	ASSERT_ARRAY(r->rekey_0, mid, "rekey_0");
	ASSERT_ARRAY(r->h6, mid, "h6");
	if (!is_initiator)
		assert_bytes(r->request, r->request_len, in, "tlvs");
}

static struct identity *identity_of(json_t *inputs, const char *role)
{
	json_t *v = field(field(vectors, "identities"), json_string_value(field(inputs, role)));
	struct identity *id;
	struct blob priv = bytes(v, "priv");
	assert_int_equal(identity_import(&id, priv.data, priv.len), OK);
	assert_bytes(identity_key_id(id), KEY_ID_LEN, v, "key_id");
	return id;
}

static bool has_pad(json_t *vector)
{
	return bytes(field(vector, "inputs"), "pad_secret").len > 0;
}

static enum err take_pad(void *context, uint8_t secret[static PAD_SECRET_LEN], uint8_t pad_ref[static PAD_REF_LEN])
{
	struct blob s = bytes(context, "pad_secret"), ref = bytes(context, "pad_ref");
	memcpy(secret, s.data, PAD_SECRET_LEN);
	memcpy(pad_ref, ref.data, PAD_REF_LEN);
	return OK;
}

static enum err find_pad(void *context, const uint8_t key_id[static KEY_ID_LEN],
	const uint8_t pad_ref[static PAD_REF_LEN], uint8_t secret[static PAD_SECRET_LEN])
{
	struct owner *o = context;
	json_t *in = field(o->vector, "inputs");
	assert_bytes(key_id, KEY_ID_LEN, field(o->vector, "intermediate"), "key_id_I");
	assert_bytes(pad_ref, PAD_REF_LEN, in, "pad_ref");
	struct blob s = bytes(in, "pad_secret");
	memcpy(secret, s.data, PAD_SECRET_LEN);
	return OK;
}

static struct responder_verdict authorise(void *context, const struct sig_public *key, const uint8_t key_id[KEY_ID_LEN])
{
	struct owner *o = context;
	assert_bytes(key_id, KEY_ID_LEN, field(o->vector, "intermediate"), "key_id_I");
	struct responder_verdict v = {.authorised = !o->refuses,
		.psk = o->psk.len > 0 ? o->psk.data : NULL,
		.requires_pad = has_pad(o->vector)};
	if (o->refuses) {
		json_t *reject = field(o->vector, "reject");
		v.reason.code = (enum reject_code)number(reject, "code");
		struct blob text = bytes(reject, "text");
		assert_in_range(text.len, 1, REJECT_TEXT_MAX);
		memcpy(v.reason.text, text.data, text.len);
	}
	return v;
}

static uint32_t new_index(void *context)
{
	struct owner *o = context;
	return (uint32_t)number(field(o->vector, "inputs"), "sender_R");
}

static void established(void *context, const struct hs_result *result, const struct addr *source)
{
	struct owner *o = context;
	o->established++;
	o->result = *result;
}

static struct responder *new_responder(
	struct owner *owner, const struct identity *id, struct script *script, const struct rng *rng)
{
	json_t *in = field(owner->vector, "inputs");
	const struct responder_config config = {.identity = id,
		.suites = CIPHER_ALL,
		.prefer_aes = number(in, "suite") == CIPHER_AES_256_GCM,
		.max_pending = 16,
		.rate = 10,
		.authorise = authorise,
		.new_index = new_index,
		.find_pad = find_pad,
		.established = established,
		.context = owner};
	struct responder *r;
	assert_int_equal(responder_new(&r, &config, rng, 0), OK);
	script_add(script, in, "x25519_R", NULL);
	script_add(script, in, "kem_m", NULL);
	script_add(script, in, "rnd_R", NULL);
	owner->psk = bytes(in, "psk");
	return r;
}

/* Gives all of `in` to the responder; returns what came of the last datagram. */
static enum err deliver(struct responder *r, const struct outbox *in, struct outbox *answer)
{
	const struct addr source = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 51820};
	const struct hs_output out = {.send = collect, .context = answer};
	enum err e = ERR_AGAIN;
	answer->count = 0;
	for (size_t i = 0; i < in->count; i++) {
		assert_int_equal(e, ERR_AGAIN);
		e = responder_input(r, &source, in->data[i], in->len[i], false, 0, &out);
	}
	return e;
}

static void poll(struct initiator *i, struct outbox *sent, usec now)
{
	const struct hs_output out = {.send = collect, .context = sent};
	sent->count = 0;
	initiator_poll(i, now, &out);
}

/* A Cookie for the first Init: the repeated Init carries the reference's mac2. */
static void check_cookie(struct initiator *i, json_t *vector)
{
	json_t *expected = json_object_get(vector, "cookie");
	if (!expected)
		return;
	struct blob datagram = bytes(expected, "datagram"), mac1 = bytes(expected, "cause_mac1");
	struct blob key_id = bytes(field(vector, "intermediate"), "key_id_R");
	struct cookie_datagram c;
	uint8_t cookie[COOKIE_LEN], built[COOKIE_DATAGRAM_LEN];
	assert_int_equal(cookie_parse(&c, datagram.data, datagram.len), OK);
	ASSERT_ARRAY(c.salt, expected, "salt");
	assert_int_equal(cookie_open(cookie, &c, key_id.data, mac1.data), OK);
	ASSERT_ARRAY(cookie, expected, "cookie");

	memcpy(c.sealed, cookie, COOKIE_LEN);
	assert_int_equal(cookie_seal(built, &c, key_id.data, mac1.data), OK);
	ASSERT_ARRAY(built, expected, "datagram");

	struct outbox repeated;
	assert_int_equal(initiator_input(i, datagram.data, datagram.len, 1), OK);
	poll(i, &repeated, 1);
	assert_datagrams(&repeated, field(expected, "init_datagrams"));
}

static void check_reject(struct initiator *i, struct responder *r, struct owner *owner, const struct outbox *finish)
{
	json_t *expected = field(owner->vector, "reject");
	struct outbox reject;
	owner->refuses = true;
	assert_int_equal(deliver(r, finish, &reject), ERR_AUTH);
	assert_message(&reject, expected);
	assert_int_equal(owner->established, 0);
	assert_int_equal(initiator_input(i, reject.data[0], reject.len[0], 3), OK);
	assert_int_equal(initiator_state(i), INITIATOR_REJECTED);
	assert_int_equal(initiator_reason(i)->code, number(expected, "code"));
	const struct reject_reason *reason = initiator_reason(i);
	assert_bytes(reason->text, strnlen(reason->text, sizeof reason->text), expected, "text");
}

/* Both ends, fed with the reference's randomness. */
static void run(json_t *vector, bool refuses)
{
	json_t *in = field(vector, "inputs");
	struct owner owner = {.vector = vector};
	struct script for_i = {0}, for_r = {0};
	const struct rng rng_i = {script_fill, &for_i}, rng_r = {script_fill, &for_r};
	struct identity *id_i = identity_of(in, "initiator"), *id_r = identity_of(in, "responder");
	struct responder *r = new_responder(&owner, id_r, &for_r, &rng_r);

	script_add(&for_i, in, "x25519_I", NULL);
	script_add(&for_i, in, "kem_d", "kem_z");
	script_add(&for_i, in, "nonce", NULL);
	script_add(&for_i, in, "rnd_I", NULL);
	struct blob tlvs = bytes(in, "tlvs");
	struct initiator_config config = {.identity = id_i,
		.suites = (unsigned)number(in, "suites"),
		.psk = owner.psk.len > 0 ? owner.psk.data : NULL,
		.request = VIEW(tlvs.data, tlvs.len),
		.local_index = (unsigned)number(in, "sender_I"),
		.take_pad = has_pad(vector) ? take_pad : NULL,
		.context = in};
	memcpy(config.responder_key_id, identity_key_id(id_r), KEY_ID_LEN);
	struct initiator *i;
	assert_int_equal(initiator_new(&i, &config, &rng_i, 0), OK);

	struct outbox init, resp, finish, none;
	poll(i, &init, 0);
	assert_message(&init, field(vector, "init"));
	check_cookie(i, vector);
	assert_int_equal(deliver(r, &init, &resp), OK);
	assert_message(&resp, field(vector, "resp"));
	for (size_t n = 0; n < resp.count; n++)
		assert_int_equal(initiator_input(i, resp.data[n], resp.len[n], 2), n + 1 < resp.count ? ERR_AGAIN : OK);
	poll(i, &finish, 2);
	/* mac2 of a Finish after the Cookie is not in the vectors. */
	if (!json_object_get(vector, "cookie"))
		assert_message(&finish, field(vector, "finish"));
	assert_result(initiator_result(i), true, vector);
	if (refuses) {
		check_reject(i, r, &owner, &finish);
	} else {
		assert_int_equal(deliver(r, &finish, &none), OK);
		assert_int_equal(owner.established, 1);
		assert_int_equal(none.count, 0);
		assert_result(&owner.result, false, vector);
	}
	initiator_free(i);
	responder_free(r);
	identity_free(id_i);
	identity_free(id_r);
}

static void both_ends_match(void **state)
{
	(void)state;
	size_t n;
	json_t *vector;
	json_array_foreach(field(vectors, "handshakes"), n, vector)
	{
		run(vector, false);
	}
}

static void rejects_match(void **state)
{
	(void)state;
	size_t n, found = 0;
	json_t *vector;
	json_array_foreach(field(vectors, "handshakes"), n, vector)
	{
		if (!json_object_get(vector, "reject"))
			continue;
		run(vector, true);
		found++;
	}
	assert_int_not_equal(found, 0);
}

/* The values up to h4, each from the one before as the reference has it. */
static void check_exchange(json_t *in, json_t *mid, struct view init, struct view resp)
{
	uint8_t h[HASH_LEN];
	struct hs_keys keys;
	const uint8_t *epk_r = resp.data, *ct = epk_r + DH_LEN;
	assert_int_equal(schedule_h0(h, bytes(mid, "key_id_R").data), OK);
	ASSERT_ARRAY(h, mid, "h0");
	assert_int_equal(schedule_h1(h, bytes(mid, "h0").data, (uint32_t)number(in, "sender_I"), init), OK);
	ASSERT_ARRAY(h, mid, "h1");
	assert_int_equal(schedule_h2(h, bytes(mid, "h1").data, (uint32_t)number(in, "sender_R"), epk_r, ct), OK);
	ASSERT_ARRAY(h, mid, "h2");
	assert_int_equal(
		schedule_prk(h, bytes(mid, "h2").data, bytes(mid, "kem_secret").data, bytes(mid, "x25519_secret").data),
		OK);
	ASSERT_ARRAY(h, mid, "PRK");
	assert_int_equal(schedule_keys(&keys, h), OK);
	ASSERT_ARRAY(keys.k_hr, mid, "k_hr");
	ASSERT_ARRAY(keys.k_hi, mid, "k_hi");
	ASSERT_ARRAY(keys.k_m3, mid, "k_m3");
	ASSERT_ARRAY(keys.k_rj, mid, "k_rj");
	ASSERT_ARRAY(keys.k_fr, mid, "k_fr");
	ASSERT_ARRAY(keys.s, mid, "s");
}

static struct view open_with(struct blob *message, size_t from, json_t *mid, const char *key, const char *aad)
{
	struct blob k = bytes(mid, key), a = bytes(mid, aad);
	size_t len = message->len - from - AEAD_TAG_LEN;
	assert_int_equal(aead_open_once(k.data, VIEW(a.data, a.len), message->data + from, len), OK);
	return VIEW(message->data + from, len);
}

static void check_responder_proof(json_t *in, json_t *mid, struct blob *resp)
{
	uint8_t h[HASH_LEN];
	struct resp_box box;
	assert_int_equal(resp_box_parse(&box, open_with(resp, RESP_HEAD_LEN, mid, "k_hr", "h2")), OK);
	assert_int_equal(box.suite, number(in, "suite"));
	assert_int_equal(schedule_h3(h, bytes(mid, "h2").data, box.suite, &box.key), OK);
	ASSERT_ARRAY(h, mid, "h3");
	assert_int_equal(sig_verify(&box.key, CONTEXT_RESPONDER, VIEW_ARRAY(h), box.sig), OK);
	assert_int_equal(schedule_fin(h, bytes(mid, "k_fr").data, bytes(mid, "h3").data, box.sig), OK);
	ASSERT_ARRAY(h, mid, "fin_R");
	assert_memory_equal(h, box.fin, HASH_LEN);
	assert_int_equal(schedule_next(h, bytes(mid, "h3").data, box.sig, box.fin), OK);
	ASSERT_ARRAY(h, mid, "h4");
}

static void check_initiator_proof(json_t *in, json_t *mid, struct blob *finish)
{
	uint8_t h[HASH_LEN], t[HASH_LEN], ref[PSK_REF_LEN];
	struct hs_session_keys session;
	struct finish_message m;
	struct blob psk = bytes(in, "psk"), pad = bytes(in, "pad_secret");
	const uint8_t *psk_or_null = psk.len > 0 ? psk.data : NULL;
	assert_int_equal(schedule_t(t, bytes(mid, "s").data, psk_or_null, pad.len > 0 ? pad.data : NULL), OK);
	ASSERT_ARRAY(t, mid, "T");
	assert_int_equal(schedule_k_fi(h, t), OK);
	ASSERT_ARRAY(h, mid, "k_fi");
	assert_int_equal(schedule_psk_ref(ref, psk_or_null), OK);
	ASSERT_ARRAY(ref, mid, "psk_ref");

	assert_int_equal(finish_parse(&m, open_with(finish, 0, mid, "k_hi", "h4")), OK);
	assert_bytes(m.psk_ref, PSK_REF_LEN, mid, "psk_ref");
	assert_bytes(m.pad_ref, PAD_REF_LEN, in, "pad_ref");
	assert_bytes(m.tlvs.data, m.tlvs.len, in, "tlvs");
	assert_int_equal(schedule_h5(h, bytes(mid, "h4").data, &m.key, m.psk_ref, m.pad_ref, m.tlvs), OK);
	ASSERT_ARRAY(h, mid, "h5");
	assert_int_equal(sig_verify(&m.key, CONTEXT_INITIATOR, VIEW_ARRAY(h), m.sig), OK);
	assert_int_equal(schedule_fin(h, bytes(mid, "k_fi").data, bytes(mid, "h5").data, m.sig), OK);
	ASSERT_ARRAY(h, mid, "fin_I");
	assert_memory_equal(h, m.fin, HASH_LEN);
	assert_int_equal(schedule_next(h, bytes(mid, "h5").data, m.sig, m.fin), OK);
	ASSERT_ARRAY(h, mid, "h6");
	assert_int_equal(schedule_session(&session, t, h), OK);
	ASSERT_ARRAY(session.k_i2r, mid, "k_i2r");
	ASSERT_ARRAY(session.k_r2i, mid, "k_r2i");
	ASSERT_ARRAY(session.rekey_0, mid, "rekey_0");
}

static void every_step_matches(void **state)
{
	(void)state;
	size_t n;
	json_t *vector;
	json_array_foreach(field(vectors, "handshakes"), n, vector)
	{
		json_t *in = field(vector, "inputs"), *mid = field(vector, "intermediate");
		struct blob init = bytes(field(vector, "init"), "message"),
			    resp = bytes(field(vector, "resp"), "message");
		struct blob finish = bytes(field(vector, "finish"), "message");
		check_exchange(in, mid, VIEW(init.data, init.len), VIEW(resp.data, resp.len));
		check_responder_proof(in, mid, &resp);
		check_initiator_proof(in, mid, &finish);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_matches),
		cmocka_unit_test(both_ends_match),
		cmocka_unit_test(rejects_match),
	};
	json_error_t error;
	vectors = argc == 2 ? json_load_file(argv[1], 0, &error) : NULL;
	if (!vectors) {
		fprintf(stderr, "usage: %s jorm4.json (%s)\n", argv[0], argc == 2 ? error.text : "no file given");
		return 1;
	}
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	json_decref(vectors);
	return failed;
}
