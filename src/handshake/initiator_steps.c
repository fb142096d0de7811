#include "handshake/initiator_steps.h"

#include "handshake/schedule.h"

static enum err make_keys(struct init_state *state, struct init_message *m, uint8_t seed[static KEM_SEED_LEN],
	uint8_t epk[static DH_LEN], uint8_t ek[static KEM_PUBLIC_LEN])
{
	enum err e = dh_public(epk, state->dh_private);
	if (e == OK)
		e = kem_generate(&state->kem, ek, seed);
	m->epk = epk;
	m->ek = ek;
	return e;
}

/* h1, and the mac1 keys: all that follows from the finished message. */
static enum err derive_from_init(struct init_state *state, const struct initiator_config *config)
{
	struct view message = VIEW_ARRAY(state->message);
	uint8_t h0[HASH_LEN], hash[HASH_LEN];
	enum err e = schedule_h0(h0, config->responder_key_id);
	if (e == OK)
		e = schedule_h1(state->h1, h0, config->local_index, message);
	if (e == OK)
		e = mac1_key(state->mac1_init, VIEW_ARRAY(config->responder_key_id));
	if (e == OK)
		e = HASH_SHA384(hash, message);
	if (e == OK)
		e = mac1_key(state->mac1_resp, VIEW_ARRAY(hash));
	return e;
}

enum err init_make(struct init_state *state, const struct initiator_config *config, const struct rng *rng)
{
	uint8_t seed[KEM_SEED_LEN], nonce[INIT_NONCE_LEN], epk[DH_LEN], ek[KEM_PUBLIC_LEN];
	*state = (struct init_state){0};
	rng_fill(rng, state->dh_private, sizeof state->dh_private);
	rng_fill(rng, seed, sizeof seed);
	rng_fill(rng, nonce, sizeof nonce);

	struct init_message m = {.nonce = nonce, .suites = config->suites};
	enum err e = make_keys(state, &m, seed, epk, ek);
	if (e == OK) {
		init_build(state->message, &m);
		e = derive_from_init(state, config);
	}
	if (e != OK)
		init_state_wipe(state);
	secret_wipe(seed, sizeof seed);
	return e;
}

void init_state_wipe(struct init_state *state)
{
	kem_free(state->kem);
	secret_wipe(state, sizeof *state);
}

/* The secrets of one finish_make, wiped as one. */
struct work {
	uint8_t kem_secret[KEM_SECRET_LEN], dh_secret[DH_LEN];
	uint8_t prk[HASH_LEN], t[HASH_LEN], k_fi[HASH_LEN];
	uint8_t pad_secret[PAD_SECRET_LEN], pad_ref[PAD_REF_LEN];
	uint8_t request[REQUEST_MAX];
	struct hs_keys keys;
	struct hs_session_keys session;
	uint8_t entropy[SIG_ENTROPY_LEN];
	uint8_t h2[HASH_LEN], h4[HASH_LEN], h5[HASH_LEN], h6[HASH_LEN];
	uint8_t box[HS_MESSAGE_MAX]; /* Resp's, opened */
	uint8_t sig[SIG_MAX], fin[HASH_LEN];
};

/* h2, PRK, the keys from it, and Resp's box opened into w->box. */
static enum err open_resp(
	struct work *w, struct view *ret_plain, const struct init_state *init, const struct hs_message *resp)
{
	struct reader r = reader_of(resp->bytes.data, resp->bytes.len);
	const uint8_t *epk_r = reader_take(&r, DH_LEN);
	const uint8_t *ct = reader_take(&r, KEM_CIPHERTEXT_LEN);
	size_t sealed_len = reader_left(&r);
	const uint8_t *sealed = reader_take(&r, sealed_len);
	if (!epk_r || !ct || !sealed || sealed_len < AEAD_TAG_LEN || sealed_len > sizeof w->box)
		return ERR_FORMAT;
	memcpy(w->box, sealed, sealed_len);
	*ret_plain = VIEW(w->box, sealed_len - AEAD_TAG_LEN);

	enum err e = schedule_h2(w->h2, init->h1, resp->sender, epk_r, ct);
	if (e == OK)
		e = dh_derive(w->dh_secret, init->dh_private, epk_r); /* aborts on an all-zero result */
	if (e == OK)
		e = kem_decapsulate(w->kem_secret, init->kem, ct);
	if (e == OK)
		e = schedule_prk(w->prk, w->h2, w->kem_secret, w->dh_secret);
	if (e == OK)
		e = schedule_keys(&w->keys, w->prk);
	if (e == OK)
		e = aead_open_once(w->keys.k_hr, VIEW_ARRAY(w->h2), w->box, ret_plain->len);
	return e;
}

static bool is_one_suite_of(uint8_t suite, uint32_t offer)
{
	return suite != 0 && (suite & (suite - 1)) == 0 && (suite & offer & CIPHER_ALL) == suite;
}

/* pub_R is the pinned key, sig_R and fin_R are good: gives h4. */
static enum err check_responder(struct work *w, const struct resp_box *box, const uint8_t pinned[static KEY_ID_LEN])
{
	uint8_t key_id[KEY_ID_LEN], h3[HASH_LEN];
	enum err e = key_id_compute(key_id, &box->key);
	if (e == OK && !secret_equal(key_id, pinned, KEY_ID_LEN))
		e = ERR_AUTH;
	if (e == OK)
		e = schedule_h3(h3, w->h2, box->suite, &box->key);
	if (e == OK)
		e = sig_verify(&box->key, CONTEXT_RESPONDER, VIEW_ARRAY(h3), box->sig);
	if (e == OK)
		e = schedule_fin(w->fin, w->keys.k_fr, h3, box->sig);
	if (e == OK && !secret_equal(w->fin, box->fin, HASH_LEN))
		e = ERR_AUTH;
	if (e == OK)
		e = schedule_next(w->h4, h3, box->sig, w->fin);
	return e;
}

/* T, k_fi, h5, sig_I, fin_I, h6, and the session's keys. m borrows from w. */
static enum err prove_initiator(
	struct work *w, struct finish_message *m, const struct initiator_config *config, const struct rng *rng)
{
	rng_fill(rng, w->entropy, sizeof w->entropy);
	m->sig = VIEW(w->sig, sig_len(m->key.alg));
	m->fin = w->fin;

	enum err e = schedule_t(w->t, w->keys.s, config->psk, config->take_pad ? w->pad_secret : NULL);
	if (e == OK)
		e = schedule_k_fi(w->k_fi, w->t);
	if (e == OK)
		e = schedule_h5(w->h5, w->h4, &m->key, m->psk_ref, m->pad_ref, m->tlvs);
	if (e == OK)
		e = identity_sign(config->identity, w->sig, CONTEXT_INITIATOR, VIEW_ARRAY(w->h5), w->entropy);
	if (e == OK)
		e = schedule_fin(w->fin, w->k_fi, w->h5, m->sig);
	if (e == OK)
		e = schedule_next(w->h6, w->h5, m->sig, w->fin);
	if (e == OK)
		e = schedule_session(&w->session, w->t, w->h6);
	return e;
}

static enum err seal_finish(struct finish_state *state, const struct work *w, const struct finish_message *m)
{
	state->message_len = finish_len(m->key.alg, m->tlvs.len);
	size_t plain_len = state->message_len - AEAD_TAG_LEN;
	struct writer out = writer_of(state->message, plain_len);
	finish_build(&out, m);
	if (out.failed)
		return ERR_ARGUMENT;
	enum err e = aead_seal_once(w->keys.k_hi, VIEW_ARRAY(w->h4), state->message, plain_len);
	if (e == OK)
		e = schedule_reject_aad(state->reject_aad, w->h4, VIEW(state->message, state->message_len));
	return e;
}

static void fill_result(struct hs_result *result, const struct work *w, const struct resp_box *box,
	const struct initiator_config *config, uint32_t sender_r)
{
	*result = (struct hs_result){
		.is_initiator = true,
		.local_index = config->local_index,
		.remote_index = sender_r,
		.suite = (enum cipher)box->suite,
		.peer_alg = box->key.alg,
		.has_psk = config->psk != NULL,
		.has_pad = config->take_pad != NULL,
	};
	memcpy(result->peer_key_id, config->responder_key_id, KEY_ID_LEN);
	memcpy(result->k_i2r, w->session.k_i2r, sizeof result->k_i2r);
	memcpy(result->k_r2i, w->session.k_r2i, sizeof result->k_r2i);
	memcpy(result->rekey_0, w->session.rekey_0, sizeof result->rekey_0);
	memcpy(result->h6, w->h6, sizeof result->h6);
}

static enum err make_finish(struct finish_state *state, struct work *w, const struct init_state *init,
	const struct initiator_config *config, const struct hs_message *resp, const struct rng *rng)
{
	struct view plain;
	struct resp_box box;
	enum err e = open_resp(w, &plain, init, resp);
	if (e == OK)
		e = resp_box_parse(&box, plain);
	if (e == OK && !is_one_suite_of(box.suite, config->suites))
		e = ERR_FORMAT;
	if (e == OK)
		e = check_responder(w, &box, config->responder_key_id);

	uint8_t psk_ref[PSK_REF_LEN];
	struct finish_message m = {.key = *identity_public(config->identity), .tlvs = config->request};
	m.psk_ref = psk_ref;
	m.pad_ref = w->pad_ref;
	memset(w->pad_ref, 0, sizeof w->pad_ref);
	if (e == OK)
		e = schedule_psk_ref(psk_ref, config->psk);
	if (e == OK && config->take_pad)
		e = config->take_pad(config->context, w->pad_secret, w->pad_ref);
	if (e == OK && config->write_request) {
		struct writer request = writer_of(w->request, sizeof w->request);
		config->write_request(config->context, &request);
		m.tlvs = VIEW(w->request, request.at);
		e = request.failed ? ERR_ARGUMENT : OK;
	}
	if (e == OK)
		e = prove_initiator(w, &m, config, rng);
	if (e == OK)
		e = seal_finish(state, w, &m);
	if (e != OK)
		return e;
	state->sender_r = resp->sender;
	memcpy(state->k_m3, w->keys.k_m3, sizeof state->k_m3);
	memcpy(state->k_rj, w->keys.k_rj, sizeof state->k_rj);
	fill_result(&state->result, w, &box, config, resp->sender);
	return OK;
}

enum err finish_make(struct finish_state *state, const struct init_state *init, const struct initiator_config *config,
	const struct hs_message *resp, const struct rng *rng)
{
	struct work w;
	*state = (struct finish_state){0};
	enum err e = make_finish(state, &w, init, config, resp, rng);
	if (e != OK)
		finish_state_wipe(state);
	secret_wipe(&w, sizeof w);
	return e;
}

void finish_state_wipe(struct finish_state *state)
{
	secret_wipe(state, sizeof *state);
}

enum err reject_open(struct reject_reason *ret, const struct finish_state *state, struct view message)
{
	uint8_t text[REASON_MAX + AEAD_TAG_LEN];
	if (message.len < AEAD_TAG_LEN || message.len > sizeof text)
		return ERR_FORMAT;
	memcpy(text, message.data, message.len);
	size_t len = message.len - AEAD_TAG_LEN;
	enum err e = aead_open_once(state->k_rj, VIEW_ARRAY(state->reject_aad), text, len);
	return e == OK ? reason_parse(ret, VIEW(text, len)) : e;
}
