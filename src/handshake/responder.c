#include "handshake/responder.h"

#include "handshake/cookie.h"
#include "handshake/pending.h"
#include "handshake/ratelimit.h"

#include <stdlib.h>

#define PENDING_LIFETIME (10 * USEC_PER_SEC)
#define PENDING_MAX 65536
#define RATE_MAX 1000000
#define FINISH_TRIES 8
#define INDEX_TRIES 64
#define AMPLIFICATION 3

struct responder {
	struct responder_config config;
	struct rng rng;
	uint8_t h0[HASH_LEN];
	uint8_t mac1_init[MAC1_KEY_LEN];
	struct cookie_jar cookies;
	struct ratelimit rate;
	struct pending_table *pending;
};

/* One datagram on its way through. */
struct arrival {
	struct responder *responder;
	const struct addr *source;
	struct hs_datagram datagram;
	size_t len;
	bool under_load;
	usec now;
	const struct hs_output *out;
};

enum err responder_new(struct responder **ret, const struct responder_config *config, const struct rng *rng, usec now)
{
	if (config->max_pending == 0 || config->max_pending > PENDING_MAX || config->rate == 0 ||
		config->rate > RATE_MAX || !(config->suites & CIPHER_ALL))
		return ERR_ARGUMENT;
	struct responder *r = calloc(1, sizeof *r);
	if (!r)
		return ERR_NOMEM;
	const uint8_t *key_id = identity_key_id(config->identity);
	r->config = *config;
	r->rng = *rng;
	cookie_jar_init(&r->cookies, key_id, rng, now);
	ratelimit_init(&r->rate, config->rate, rng);
	enum err e = pending_table_new(&r->pending, config->max_pending, rng);
	if (e == OK)
		e = schedule_h0(r->h0, key_id);
	if (e == OK)
		e = mac1_key(r->mac1_init, VIEW(key_id, KEY_ID_LEN));
	if (e != OK) {
		responder_free(r);
		return e;
	}
	*ret = r;
	return OK;
}

void responder_free(struct responder *responder)
{
	if (!responder)
		return;
	pending_table_free(responder->pending);
	secret_wipe(responder, sizeof *responder);
	free(responder);
}

enum err responder_reconfigure(struct responder *responder, const struct responder_config *config, usec now)
{
	struct responder_config wanted = *config;
	struct responder *fresh;
	wanted.max_pending = responder->config.max_pending;
	enum err e = responder_new(&fresh, &wanted, &responder->rng, now);
	if (e != OK)
		return e;
	bool same = memcmp(identity_key_id(config->identity), identity_key_id(responder->config.identity),
			    KEY_ID_LEN) == 0;
	if (same) { /* what is under way goes on */
		responder->config = wanted;
		if (responder->rate.interval != fresh->rate.interval)
			responder->rate = fresh->rate;
	} else {
		struct responder old = *responder;
		*responder = *fresh;
		*fresh = old;
	}
	responder_free(fresh);
	return OK;
}

/* Under load a datagram without a valid mac2 gets a Cookie, and nothing else happens. */
static enum err ask_for_cookie(const struct arrival *a)
{
	if (!a->under_load)
		return OK;
	struct responder *r = a->responder;
	cookie_jar_rotate(&r->cookies, &r->rng, a->now);
	enum err e = cookie_jar_check(&r->cookies, a->source, &a->datagram);
	if (e != ERR_AUTH)
		return e;
	uint8_t answer[COOKIE_DATAGRAM_LEN];
	e = cookie_jar_answer(answer, &r->cookies, a->source, &a->datagram, &r->rng);
	if (e != OK)
		return e;
	a->out->send(a->out->context, answer, sizeof answer);
	return ERR_AGAIN;
}

/* Sends Resp. Goal 3: never more than three times what came from this address. */
static enum err send_resp(const struct arrival *a, struct pending *p)
{
	const struct hs_message m = {.type = MSG_RESP,
		.sender = p->resp.sender_r,
		.receiver = p->resp.sender_i,
		.bytes = VIEW(p->resp.message.data, p->resp.message.len)};
	size_t len = hs_wire_len(m.bytes.len);
	if (p->sent + len > AMPLIFICATION * p->received)
		return ERR_FULL;
	p->sent += len;
	return mac_send(&m, p->resp.mac1_key, NULL, NULL, a->out);
}

/* One datagram of at most 264 bytes for the last of several of HS_DATAGRAM_MAX: it needs no
 * counting, whatever address they came from. */
static enum err send_reject(const struct arrival *a, const struct pending *p)
{
	const struct hs_message m = {.type = MSG_REJECT,
		.sender = p->resp.sender_r,
		.receiver = p->resp.sender_i,
		.bytes = VIEW(p->reject.data, p->reject.len)};
	return mac_send(&m, p->resp.mac1_key, NULL, NULL, a->out);
}

/* Counts the fragments of an answered message that come again; true when all of them have. */
static bool all_again(struct pending *p, const struct hs_datagram *d)
{
	p->again |= (uint8_t)(1U << d->fragment);
	if (p->again != reassembly_all(d->fragments))
		return false;
	p->again = 0;
	return true;
}

static enum err init_again(const struct arrival *a, struct pending *p)
{
	const struct hs_datagram *d = &a->datagram;
	if (!secret_equal(d->mac1, p->init_mac1[d->fragment], HS_MAC_LEN))
		return ERR_AUTH; /* another Init under the same index: this one stays */
	p->received += a->len;
	if (!all_again(p, d) || p->resp.message.len == 0)
		return ERR_AGAIN;
	enum err e = send_resp(a, p);
	return e == OK ? ERR_AGAIN : e;
}

/* An index that neither a session nor a half-open handshake has. */
static enum err choose_index(const struct arrival *a, uint32_t *ret)
{
	struct responder *r = a->responder;
	for (int i = 0; i < INDEX_TRIES; i++) {
		struct pending *p;
		uint32_t index = r->config.new_index(r->config.context);
		enum err e = pending_find_index(&p, r->pending, index, a->now);
		if (e == ERR_NOT_FOUND) {
			*ret = index;
			return OK;
		}
		if (e != OK)
			return e;
	}
	return ERR_FULL;
}

/* Init is whole. An Init that is not valid leaves nothing behind. */
static enum err answer_init(const struct arrival *a, struct pending *p)
{
	struct responder *r = a->responder;
	struct resp_state resp = {.sender_i = p->resp.sender_i, .made_at = a->now};
	enum err e = choose_index(a, &resp.sender_r);
	if (e == OK)
		e = resp_make(&resp, &r->config, r->h0, VIEW(p->in.message, p->in.len), &r->rng);
	if (e != OK) {
		pending_remove(r->pending, p);
		return e;
	}
	reassembly_reset(&p->in);
	p->expires = a->now + PENDING_LIFETIME;
	pending_answer(r->pending, p, &resp);
	return send_resp(a, p);
}

/* The state for a new Init: every one costs its source a token. */
static enum err begin(const struct arrival *a, struct pending **ret)
{
	struct responder *r = a->responder;
	enum err e = ratelimit_take(&r->rate, a->source, a->now);
	if (e != OK)
		return e;
	return pending_add(ret, r->pending, a->source, a->datagram.sender, a->now + PENDING_LIFETIME);
}

static enum err input_init(const struct arrival *a)
{
	struct responder *r = a->responder;
	const struct hs_datagram *d = &a->datagram;
	enum err e = mac1_check(r->mac1_init, d);
	if (e == OK)
		e = ask_for_cookie(a);
	if (e != OK)
		return e;

	struct pending *p;
	e = pending_find_source(&p, r->pending, a->source, d->sender, a->now);
	if (e == OK && p->stage != PENDING_COLLECTS)
		return init_again(a, p);
	if (e == ERR_NOT_FOUND)
		e = begin(a, &p);
	if (e != OK)
		return e;

	p->received += a->len;
	if (!(p->in.have & (1U << d->fragment)))
		memcpy(p->init_mac1[d->fragment], d->mac1, HS_MAC_LEN);
	e = reassembly_add(&p->in, d);
	if (e == ERR_NOMEM && !p->in.message)
		pending_remove(r->pending, p);
	return e == OK ? answer_init(a, p) : e;
}

/* Finish is whole. The first valid one consumes the state; one that is refused leaves its Reject;
 * one that is bad leaves the state as it was before its first fragment. */
static enum err take_finish(const struct arrival *a, struct pending *p)
{
	struct responder *r = a->responder;
	struct hs_result result;
	struct hs_bytes reject;
	if (p->finishes_tried++ >= FINISH_TRIES)
		return ERR_FULL;
	enum err e = finish_check(&result, &reject, &p->resp, &r->config, VIEW(p->in.message, p->in.len));
	if (e == OK) {
		struct addr proven = p->source;
		pending_remove(r->pending, p);
		r->config.established(r->config.context, &result, &proven);
		hs_result_wipe(&result);
		return OK;
	}
	reassembly_reset(&p->in);
	if (reject.len > 0) {
		p->reject = reject;
		p->stage = PENDING_REFUSED;
		p->again = 0;
		(void)send_reject(a, p); /* lost if it fails; a repeat fetches another */
	}
	return e;
}

static enum err input_finish(const struct arrival *a)
{
	struct responder *r = a->responder;
	const struct hs_datagram *d = &a->datagram;
	struct pending *p;
	enum err e = pending_find_index(&p, r->pending, d->receiver, a->now);
	if (e != OK)
		return e;
	if (d->sender != p->resp.sender_i || d->message_len % HS_BODY_MAX != 0)
		return ERR_FORMAT;
	/* k_m3: only the initiator that has opened our Resp can have made this. */
	e = mac1_check(p->resp.keys.k_m3, d);
	if (e == OK)
		e = ask_for_cookie(a);
	if (e != OK)
		return e;
	if (p->stage == PENDING_REFUSED) {
		if (all_again(p, d))
			e = send_reject(a, p);
		return e == OK ? ERR_AGAIN : e;
	}
	hs_bytes_free(&p->resp.message); /* it has arrived: nobody needs it again */
	e = reassembly_add(&p->in, d);
	return e == OK ? take_finish(a, p) : e;
}

enum err responder_input(struct responder *responder, const struct addr *source, const uint8_t *data, size_t len,
	bool under_load, usec now, const struct hs_output *out)
{
	struct arrival a = {
		.responder = responder,
		.source = source,
		.len = len,
		.under_load = under_load,
		.now = now,
		.out = out,
	};
	enum err e = hs_parse(&a.datagram, data, len);
	if (e != OK)
		return e;
	if (a.datagram.type == MSG_INIT)
		return input_init(&a);
	return a.datagram.type == MSG_FINISH ? input_finish(&a) : ERR_FORMAT;
}

void responder_tick(struct responder *responder, usec now)
{
	pending_expire(responder->pending, now);
	cookie_jar_rotate(&responder->cookies, &responder->rng, now);
}

uint32_t responder_pending(const struct responder *responder)
{
	return pending_count(responder->pending);
}
