#include "handshake/responder_steps.h"

#include <stdlib.h>

void hs_bytes_free(struct hs_bytes *bytes)
{
	if (bytes->data)
		secret_wipe(bytes->data, bytes->len);
	free(bytes->data);
	*bytes = (struct hs_bytes){0};
}

void resp_state_wipe(struct resp_state *state)
{
	hs_bytes_free(&state->message);
	secret_wipe(state, sizeof *state);
}

/* The secrets of one resp_make, wiped as one. */
struct resp_work {
	uint8_t dh_private[DH_LEN], kem_entropy[KEM_ENTROPY_LEN], sign_entropy[SIG_ENTROPY_LEN];
	uint8_t epk_r[DH_LEN], ct[KEM_CIPHERTEXT_LEN];
	uint8_t kem_secret[KEM_SECRET_LEN], dh_secret[DH_LEN], prk[HASH_LEN];
	uint8_t h2[HASH_LEN], sig[SIG_MAX], fin[HASH_LEN];
};

/* One bit of what both have; 0 when there is none. */
static enum cipher choose_suite(const struct responder_config *config, uint32_t offer)
{
	uint32_t common = offer & config->suites & CIPHER_ALL;
	bool aes = common & CIPHER_AES_256_GCM, chacha = common & CIPHER_CHACHA20_POLY1305;
	if (aes && (config->prefer_aes || !chacha))
		return CIPHER_AES_256_GCM;
	return chacha ? CIPHER_CHACHA20_POLY1305 : (enum cipher)0;
}

/* epk_R, ct, h1, h2, PRK and the keys from it. */
static enum err exchange(struct resp_state *state, struct resp_work *w, const uint8_t h0[static HASH_LEN],
	struct view init, const struct init_message *m)
{
	uint8_t h1[HASH_LEN];
	enum err e = dh_answer(w->epk_r, w->dh_secret, w->dh_private, m->epk); /* aborts on an all-zero result */
	if (e == OK)
		e = kem_encapsulate(w->ct, w->kem_secret, m->ek, w->kem_entropy); /* checks ek_I */
	if (e == OK)
		e = schedule_h1(h1, h0, state->sender_i, init);
	if (e == OK)
		e = schedule_h2(w->h2, h1, state->sender_r, w->epk_r, w->ct);
	if (e == OK)
		e = schedule_prk(w->prk, w->h2, w->kem_secret, w->dh_secret);
	if (e == OK)
		e = schedule_keys(&state->keys, w->prk);
	return e;
}

/* h3, sig_R, fin_R, h4. box borrows from w. */
static enum err prove_responder(
	struct resp_state *state, struct resp_work *w, struct resp_box *box, const struct identity *identity)
{
	uint8_t h3[HASH_LEN];
	box->suite = (uint8_t)state->suite;
	box->key = *identity_public(identity);
	box->sig = VIEW(w->sig, sig_len(box->key.alg));
	box->fin = w->fin;
	enum err e = schedule_h3(h3, w->h2, box->suite, &box->key);
	if (e == OK)
		e = identity_sign(identity, w->sig, CONTEXT_RESPONDER, VIEW_ARRAY(h3), w->sign_entropy);
	if (e == OK)
		e = schedule_fin(w->fin, state->keys.k_fr, h3, box->sig);
	if (e == OK)
		e = schedule_next(state->h4, h3, box->sig, w->fin);
	return e;
}

/* epk_R, ct, and the sealed box. */
static enum err seal_resp(struct resp_state *state, const struct resp_work *w, const struct resp_box *box)
{
	size_t len = resp_len(box->key.alg);
	uint8_t *message = malloc(len);
	if (!message)
		return ERR_NOMEM;
	state->message = (struct hs_bytes){.data = message, .len = len};
	struct writer out = writer_of(message, len - AEAD_TAG_LEN);
	writer_bytes(&out, w->epk_r, sizeof w->epk_r);
	writer_bytes(&out, w->ct, sizeof w->ct);
	resp_box_build(&out, box);
	return aead_seal_once(state->keys.k_hr, VIEW_ARRAY(w->h2), message + RESP_HEAD_LEN, resp_box_len(box->key.alg));
}

static enum err make_resp(struct resp_state *state, struct resp_work *w, const struct responder_config *config,
	const uint8_t h0[static HASH_LEN], struct view init)
{
	struct init_message m;
	struct resp_box box;
	uint8_t hash[HASH_LEN];
	enum err e = init_parse(&m, init);
	if (e != OK)
		return e;
	state->suite = choose_suite(config, m.suites);
	if (state->suite == 0)
		return ERR_FORMAT;
	e = exchange(state, w, h0, init, &m);
	if (e == OK)
		e = prove_responder(state, w, &box, config->identity);
	if (e == OK)
		e = HASH_SHA384(hash, init);
	if (e == OK)
		e = mac1_key(state->mac1_key, VIEW_ARRAY(hash));
	if (e == OK)
		e = seal_resp(state, w, &box);
	return e;
}

enum err resp_make(struct resp_state *state, const struct responder_config *config, const uint8_t h0[static HASH_LEN],
	struct view init, const struct rng *rng)
{
	struct resp_work w;
	rng_fill(rng, w.dh_private, sizeof w.dh_private);
	rng_fill(rng, w.kem_entropy, sizeof w.kem_entropy);
	rng_fill(rng, w.sign_entropy, sizeof w.sign_entropy);
	enum err e = make_resp(state, &w, config, h0, init);
	if (e != OK)
		resp_state_wipe(state);
	secret_wipe(&w, sizeof w);
	return e;
}

/* The secrets of one finish_check, wiped as one. */
struct finish_work {
	uint8_t plain[HS_MESSAGE_MAX]; /* Finish, opened */
	uint8_t key_id[KEY_ID_LEN];
	uint8_t t[HASH_LEN], k_fi[HASH_LEN], fin[HASH_LEN], h5[HASH_LEN], h6[HASH_LEN];
	struct hs_session_keys session;
	uint8_t pad_secret[PAD_SECRET_LEN];
	struct finish_message m; /* borrows from plain */
	struct responder_verdict verdict;
};

/* AEAD, layout, and sig_I over h5; the key is not one's own. */
static enum err open_finish(struct finish_work *w, const struct resp_state *state,
	const struct responder_config *config, struct view finish)
{
	if (finish.len < AEAD_TAG_LEN || finish.len > sizeof w->plain)
		return ERR_FORMAT;
	size_t len = finish.len - AEAD_TAG_LEN;
	memcpy(w->plain, finish.data, finish.len);
	enum err e = aead_open_once(state->keys.k_hi, VIEW_ARRAY(state->h4), w->plain, len);
	if (e == OK)
		e = finish_parse(&w->m, VIEW(w->plain, len));
	if (e == OK)
		e = schedule_h5(w->h5, state->h4, &w->m.key, w->m.psk_ref, w->m.pad_ref, w->m.tlvs);
	if (e == OK)
		e = sig_verify(&w->m.key, CONTEXT_INITIATOR, VIEW_ARRAY(w->h5), w->m.sig);
	if (e == OK)
		e = key_id_compute(w->key_id, &w->m.key);
	if (e == OK && secret_equal(w->key_id, identity_key_id(config->identity), KEY_ID_LEN))
		e = ERR_AUTH;
	return e;
}

static void refuse(struct reject_reason *ret, enum reject_code code, const char *text)
{
	*ret = (struct reject_reason){.code = code};
	memcpy(ret->text, text, strlen(text) + 1); /* all of ours are short */
}

/* Exactly the PSK that is configured. */
static enum err judge_psk(const struct finish_work *w, struct reject_reason *ret_refused)
{
	uint8_t psk_ref[PSK_REF_LEN];
	enum err e = schedule_psk_ref(psk_ref, w->verdict.psk);
	if (e != OK || secret_equal(psk_ref, w->m.psk_ref, PSK_REF_LEN))
		return e;
	if (!w->verdict.psk)
		refuse(ret_refused, REJECT_PSK, "no pre-shared key is configured for this peer here");
	else if (secret_is_zero(w->m.psk_ref, PSK_REF_LEN))
		refuse(ret_refused, REJECT_PSK, "a pre-shared key is required");
	else
		refuse(ret_refused, REJECT_PSK, "the pre-shared key is another one here");
	return OK;
}

static const char *pad_error_text(enum err e)
{
	if (e == ERR_NOT_FOUND)
		return "the one-time pad is another one here";
	if (e == ERR_REPLAY)
		return "this place of the one-time pad was passed before: the initiator's ledger is old; "
		       "see jorm pad advance";
	if (e == ERR_FORMAT)
		return "there is no such place in the one-time pad here: its size differs";
	return "the one-time pad cannot be used here: the responder's log says why";
}

/* A secret of the pad exactly where one is configured: fetched, not recorded. */
static void judge_pad(struct finish_work *w, struct reject_reason *ret_refused, const struct responder_config *config)
{
	bool is_named = !secret_is_zero(w->m.pad_ref, PAD_REF_LEN);
	if (!is_named && !w->verdict.requires_pad)
		return;
	if (!w->verdict.requires_pad) {
		refuse(ret_refused, REJECT_PAD, "no one-time pad is configured for this peer here");
		return;
	}
	if (!is_named) {
		refuse(ret_refused, REJECT_PAD, "a one-time pad is required");
		return;
	}
	enum err e = config->find_pad(config->context, w->key_id, w->m.pad_ref, w->pad_secret);
	if (e != OK)
		refuse(ret_refused, REJECT_PAD, pad_error_text(e));
}

/* Is the peer welcome, with exactly the PSK and pad that this end's configuration requires of it?
 * *ret_refused says why not (*ret_refused.code is 0 when it is). */
static enum err judge(struct finish_work *w, struct reject_reason *ret_refused, const struct responder_config *config)
{
	*ret_refused = (struct reject_reason){0};
	w->verdict = config->authorise(config->context, &w->m.key, w->key_id);
	if (!w->verdict.authorised) {
		*ret_refused = w->verdict.reason;
		if (ret_refused->code == 0)
			ret_refused->code = REJECT_UNAUTHORISED;
		return OK;
	}
	enum err e = judge_psk(w, ret_refused);
	if (e == OK && ret_refused->code == 0)
		judge_pad(w, ret_refused, config);
	return e;
}

/* T, fin_I, h6, and the session's keys. ERR_AUTH with *ret_refused filled: whoever signed has another pad. */
static enum err derive_session(struct finish_work *w, struct reject_reason *ret_refused, const struct resp_state *state)
{
	const uint8_t *pad_secret = w->verdict.requires_pad ? w->pad_secret : NULL;
	enum err e = schedule_t(w->t, state->keys.s, w->verdict.psk, pad_secret);
	if (e == OK)
		e = schedule_k_fi(w->k_fi, w->t);
	if (e == OK)
		e = schedule_fin(w->fin, w->k_fi, w->h5, w->m.sig);
	if (e == OK && !secret_equal(w->fin, w->m.fin, HASH_LEN)) {
		e = ERR_AUTH;
		if (pad_secret)
			refuse(ret_refused, REJECT_PAD, "the bytes of the one-time pad are not the same at both ends");
	}
	if (e == OK)
		e = schedule_next(w->h6, w->h5, w->m.sig, w->fin);
	if (e == OK)
		e = schedule_session(&w->session, w->t, w->h6);
	return e;
}

static void fill_result(struct hs_result *ret, const struct finish_work *w, const struct resp_state *state)
{
	*ret = (struct hs_result){
		.is_initiator = false,
		.local_index = state->sender_r,
		.remote_index = state->sender_i,
		.suite = state->suite,
		.peer_alg = w->m.key.alg,
		.has_psk = w->verdict.psk != NULL,
		.has_pad = w->verdict.requires_pad,
		.request_len = (uint16_t)w->m.tlvs.len,
	};
	memcpy(ret->peer_key_id, w->key_id, KEY_ID_LEN);
	memcpy(ret->k_i2r, w->session.k_i2r, sizeof ret->k_i2r);
	memcpy(ret->k_r2i, w->session.k_r2i, sizeof ret->k_r2i);
	memcpy(ret->rekey_0, w->session.rekey_0, sizeof ret->rekey_0);
	memcpy(ret->h6, w->h6, sizeof ret->h6);
	memcpy(ret->request, w->m.tlvs.data, w->m.tlvs.len); /* finish_parse: at most REQUEST_MAX */
}

static enum err make_reject(
	struct hs_bytes *reject, const struct resp_state *state, const struct reject_reason *reason, struct view finish)
{
	uint8_t aad[HASH_LEN];
	enum err e = schedule_reject_aad(aad, state->h4, finish);
	if (e != OK)
		return e;
	uint8_t *message = malloc(REASON_MAX + AEAD_TAG_LEN);
	if (!message)
		return ERR_NOMEM;
	size_t len = reason_build(message, reason);
	*reject = (struct hs_bytes){.data = message, .len = len + AEAD_TAG_LEN};
	e = aead_seal_once(state->keys.k_rj, VIEW_ARRAY(aad), message, len);
	if (e != OK)
		hs_bytes_free(reject);
	return e;
}

/* The owner's last word. */
static enum err admit(struct finish_work *w, struct reject_reason *ret_refused, const struct resp_state *state,
	const struct responder_config *config)
{
	const struct responder_claim claim = {
		.request = w->m.tlvs,
		.answered_at = state->made_at, .pad_ref = w->verdict.requires_pad ? w->m.pad_ref : NULL};
	enum err e = config->admit ? config->admit(config->context, w->key_id, &claim, ret_refused) : OK;
	if (e != OK && ret_refused->code == 0)
		ret_refused->code = REJECT_CONFIG;
	return e;
}

static enum err check_finish(struct finish_work *w, struct hs_bytes *reject, const struct resp_state *state,
	const struct responder_config *config, struct view finish)
{
	struct reject_reason refused = {0};
	enum err e = open_finish(w, state, config, finish);
	if (e == OK)
		e = judge(w, &refused, config);
	if (e == OK && refused.code == 0)
		e = derive_session(w, &refused, state);
	if (e == OK && refused.code == 0)
		e = admit(w, &refused, state, config);
	if (refused.code == 0)
		return e;
	e = make_reject(reject, state, &refused, finish);
	return e == OK ? ERR_AUTH : e;
}

enum err finish_check(struct hs_result *ret, struct hs_bytes *reject, const struct resp_state *state,
	const struct responder_config *config, struct view finish)
{
	struct finish_work w;
	*reject = (struct hs_bytes){0};
	enum err e = check_finish(&w, reject, state, config, finish);
	if (e == OK)
		fill_result(ret, &w, state);
	else
		*ret = (struct hs_result){0};
	secret_wipe(&w, sizeof w);
	return e;
}
