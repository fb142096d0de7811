#include "pair.h"

#include <string.h>

static struct identity *identities[4];

static const struct identity *identity_at(size_t i, enum sig_alg alg)
{
	if (!identities[i]) {
		uint8_t seed[SIG_SEED_LEN] = {(uint8_t)(i + 1)};
		assert_int_equal(identity_generate(&identities[i], alg, seed), OK);
	}
	return identities[i];
}

const struct identity *pair_alice(enum sig_alg alg)
{
	return identity_at((size_t)alg - 1, alg);
}
const struct identity *pair_bob(enum sig_alg alg)
{
	return identity_at((size_t)alg + 1, alg);
}

void pair_free_identities(void)
{
	for (size_t i = 0; i < sizeof identities / sizeof *identities; i++)
		identity_free(identities[i]);
	memset(identities, 0, sizeof identities);
}

/* xorshift64: enough to tell draws apart. */
static void fill(void *context, uint8_t *out, size_t n)
{
	uint64_t *s = context;
	for (size_t i = 0; i < n; i++) {
		*s ^= *s << 13;
		*s ^= *s >> 7;
		*s ^= *s << 17;
		out[i] = (uint8_t)(*s >> 32);
	}
}

static struct responder_verdict authorise(void *context, const struct sig_public *key, const uint8_t key_id[KEY_ID_LEN])
{
	struct pair *p = context;
	assert_memory_equal(key_id, identity_key_id(p->initiator_config.identity), KEY_ID_LEN);
	assert_int_equal(key->alg, p->alice_alg);
	p->asked++;
	return p->verdict;
}

static uint32_t new_index(void *context)
{
	struct pair *p = context;
	return p->next_index++;
}

static void established(void *context, const struct hs_result *result, const struct addr *proven)
{
	struct pair *p = context;
	p->established++;
	p->session = *result;
	p->proven = *proven;
}

static enum err take_pad(void *context, uint8_t secret[static PAD_SECRET_LEN], uint8_t pad_ref[static PAD_REF_LEN])
{
	struct pair *p = context;
	if (p->take_fails != OK)
		return p->take_fails;
	assert_true(p->taken + PAD_SECRET_LEN <= PAIR_PAD_LEN);
	memset(pad_ref, 0x77, PAD_ID_LEN);
	le64_put(pad_ref + PAD_ID_LEN, p->taken);
	memcpy(secret, p->alices_pad + p->taken, PAD_SECRET_LEN);
	p->taken += PAD_SECRET_LEN;
	return OK;
}

static enum err find_pad(void *context, const uint8_t key_id[static KEY_ID_LEN],
	const uint8_t pad_ref[static PAD_REF_LEN], uint8_t secret[static PAD_SECRET_LEN])
{
	struct pair *p = context;
	const uint64_t at = le64_get(pad_ref + PAD_ID_LEN);
	p->looked++;
	assert_memory_equal(key_id, identity_key_id(p->initiator_config.identity), KEY_ID_LEN);
	if (p->find_fails != OK)
		return p->find_fails;
	assert_int_equal(pad_ref[0], 0x77);
	assert_true(at + PAD_SECRET_LEN <= PAIR_PAD_LEN);
	if (at < p->admitted)
		return ERR_REPLAY;
	memcpy(secret, p->bobs_pad + at, PAD_SECRET_LEN);
	return OK;
}

static enum err admit(void *context, const uint8_t key_id[static KEY_ID_LEN], const struct responder_claim *claim,
	struct reject_reason *reason)
{
	struct pair *p = context;
	p->asked_to_admit++;
	assert_memory_equal(key_id, identity_key_id(p->initiator_config.identity), KEY_ID_LEN);
	p->claim = *claim;
	if (claim->request.len > 0)
		memcpy(p->request, claim->request.data, claim->request.len);
	if (p->admit_fails != OK) {
		*reason = p->verdict.reason;
		return p->admit_fails;
	}
	if (claim->pad_ref)
		p->admitted = le64_get(claim->pad_ref + PAD_ID_LEN) + PAD_SECRET_LEN;
	return OK;
}

struct pair pair_config(enum sig_alg alice, enum sig_alg bob)
{
	struct pair p = {.seed = 0x9e3779b97f4a7c15,
		.alice_alg = alice,
		.bob_alg = bob,
		.now = 1000 * USEC_PER_SEC,
		.source = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 40000},
		.verdict = {.authorised = true},
		.next_index = 0x11223344,
		.initiator_config = {.identity = pair_alice(alice), .suites = CIPHER_ALL, .local_index = 0xaabbccdd},
		.responder_config = {.identity = pair_bob(bob),
			.suites = CIPHER_ALL,
			.max_pending = 8,
			.rate = 100,
			.authorise = authorise,
			.new_index = new_index,
			.admit = admit,
			.established = established}};
	memcpy(p.initiator_config.responder_key_id, identity_key_id(pair_bob(bob)), KEY_ID_LEN);
	return p;
}

void pair_with_pad(struct pair *p)
{
	for (size_t i = 0; i < PAIR_PAD_LEN; i++)
		p->alices_pad[i] = p->bobs_pad[i] = (uint8_t)(i * 7 + i / 256 + 1);
	p->initiator_config.take_pad = take_pad;
	p->responder_config.find_pad = find_pad;
	p->verdict.requires_pad = true;
}

void pair_new_initiator(struct pair *p)
{
	initiator_free(p->initiator);
	p->initiator = NULL;
	assert_int_equal(initiator_new(&p->initiator, &p->initiator_config, &p->rng, p->now), OK);
}

void pair_start(struct pair *p)
{
	p->rng = (struct rng){.fill = fill, .context = &p->seed};
	p->initiator_config.context = p->responder_config.context = p;
	assert_int_equal(responder_new(&p->responder, &p->responder_config, &p->rng, p->now), OK);
	pair_new_initiator(p);
}

void pair_done(struct pair *p)
{
	initiator_free(p->initiator);
	responder_free(p->responder);
}

static void collect(void *context, const uint8_t *data, size_t len)
{
	struct box *b = context;
	b->bytes += len;
	assert_true(len >= HS_DATAGRAM_MIN && len <= HS_DATAGRAM_MAX);
	if (b->count == BOX_MAX)
		return;
	memcpy(b->data[b->count], data, len);
	b->len[b->count++] = len;
}

struct hs_output box_output(struct box *box)
{
	return (struct hs_output){.send = collect, .context = box};
}
void box_clear(struct box *box)
{
	box->count = 0;
}

usec pair_poll(struct pair *p)
{
	const struct hs_output out = box_output(&p->to_bob);
	return initiator_poll(p->initiator, p->now, &out);
}

enum err pair_to_bob_from(struct pair *p, const struct addr *source, const uint8_t *data, size_t len)
{
	const struct hs_output out = box_output(&p->to_alice);
	return responder_input(p->responder, source, data, len, p->under_load, p->now, &out);
}

enum err pair_to_bob(struct pair *p, const uint8_t *data, size_t len)
{
	return pair_to_bob_from(p, &p->source, data, len);
}

enum err pair_to_alice(struct pair *p, const uint8_t *data, size_t len)
{
	return initiator_input(p->initiator, data, len, p->now);
}

enum err pair_deliver_to_bob(struct pair *p)
{
	struct box box = p->to_bob;
	enum err e = ERR_AGAIN;
	box_clear(&p->to_bob);
	for (size_t i = 0; i < box.count; i++)
		e = pair_to_bob(p, box.data[i], box.len[i]);
	return e;
}

enum err pair_deliver_to_alice(struct pair *p)
{
	struct box box = p->to_alice;
	enum err e = ERR_AGAIN;
	box_clear(&p->to_alice);
	for (size_t i = 0; i < box.count; i++)
		e = pair_to_alice(p, box.data[i], box.len[i]);
	return e;
}

void pair_deliver_both(struct pair *p)
{
	enum err e = pair_deliver_to_bob(p);
	e = pair_deliver_to_alice(p);
	(void)e;
}

void pair_until_resp(struct pair *p)
{
	pair_poll(p);
	assert_int_equal(p->to_bob.count, HS_INIT_FRAGMENTS);
	assert_int_equal(pair_deliver_to_bob(p), OK);
	assert_int_not_equal(p->to_alice.count, 0);
}

void pair_until_finish(struct pair *p)
{
	pair_until_resp(p);
	assert_int_equal(pair_deliver_to_alice(p), OK);
	assert_int_equal(initiator_state(p->initiator), INITIATOR_WAITS_ACCEPT);
	pair_poll(p);
	assert_int_not_equal(p->to_bob.count, 0);
}

void pair_complete(struct pair *p)
{
	pair_until_finish(p);
	assert_int_equal(pair_deliver_to_bob(p), OK);
	pair_assert_established(p);
}

void pair_settle(struct pair *p)
{
	for (int i = 0; i < 100 && p->established == 0 && initiator_state(p->initiator) < INITIATOR_REJECTED; i++) {
		usec next = pair_poll(p);
		pair_deliver_both(p);
		usec due = pair_poll(p);
		if (p->to_bob.count == 0)
			p->now = due < next ? due : next;
	}
}

void pair_assert_established(const struct pair *p)
{
	const struct hs_result *a = initiator_result(p->initiator), *b = &p->session;
	assert_int_equal(p->established, 1);
	assert_non_null(a);
	assert_true(a->is_initiator && !b->is_initiator);
	assert_int_equal(a->local_index, b->remote_index);
	assert_int_equal(a->remote_index, b->local_index);
	assert_int_equal(a->suite, b->suite);
	assert_int_equal(a->peer_alg, p->bob_alg);
	assert_int_equal(b->peer_alg, p->alice_alg);
	assert_memory_equal(a->peer_key_id, identity_key_id(p->responder_config.identity), KEY_ID_LEN);
	assert_memory_equal(b->peer_key_id, identity_key_id(p->initiator_config.identity), KEY_ID_LEN);
	assert_int_equal(a->has_psk, b->has_psk);
	assert_int_equal(a->has_pad, b->has_pad);
	assert_int_equal(b->has_pad, p->verdict.requires_pad);
	assert_memory_equal(a->k_i2r, b->k_i2r, sizeof a->k_i2r);
	assert_memory_equal(a->k_r2i, b->k_r2i, sizeof a->k_r2i);
	assert_memory_not_equal(a->k_i2r, a->k_r2i, sizeof a->k_i2r);
	assert_memory_equal(a->rekey_0, b->rekey_0, sizeof a->rekey_0);
	assert_memory_equal(a->h6, b->h6, sizeof a->h6);
	assert_int_equal(b->request_len, p->initiator_config.request.len);
	if (b->request_len > 0)
		assert_memory_equal(b->request, p->initiator_config.request.data, b->request_len);
}

void remac(uint8_t *data, size_t len, const uint8_t key[static MAC1_KEY_LEN])
{
	uint8_t mac[HASH_SHA256_LEN];
	size_t before = len - 2 * HS_MAC_LEN;
	assert_int_equal(HMAC_SHA256(mac, VIEW(key, MAC1_KEY_LEN), VIEW(data, before)), OK);
	memcpy(data + before, mac, HS_MAC_LEN);
}

void init_key(const struct pair *p, uint8_t key[static MAC1_KEY_LEN])
{
	assert_int_equal(mac1_key(key, VIEW(p->initiator_config.responder_key_id, KEY_ID_LEN)), OK);
}

void resp_key(const struct box *init, uint8_t key[static MAC1_KEY_LEN])
{
	uint8_t hash[HASH_LEN];
	assert_true(init->count >= HS_INIT_FRAGMENTS);
	assert_int_equal(HASH_SHA384(hash, VIEW(init->data[0] + HS_HEADER_LEN, HS_BODY_MAX),
				 VIEW(init->data[1] + HS_HEADER_LEN, HS_BODY_MAX),
				 VIEW(init->data[2] + HS_HEADER_LEN, HS_BODY_MAX)),
		OK);
	assert_int_equal(mac1_key(key, VIEW_ARRAY(hash)), OK);
}
