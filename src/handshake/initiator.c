#include "handshake/initiator.h"

#include "handshake/cookie.h"
#include "handshake/initiator_steps.h"
#include "handshake/reassembly.h"

#include <stdlib.h>

#define FIRST_REPEAT (500 * USEC_PER_MS)
#define RESP_DEADLINE (30 * USEC_PER_SEC)
#define ACCEPT_DEADLINE (10 * USEC_PER_SEC)
#define RESP_BUFFERS 4
#define RESP_TRIES 8
#define COOKIE_TRIES 2
#define MAC1S_MAX (HS_INIT_FRAGMENTS + HS_FRAGMENTS_MAX)

struct resp_buffer {
	uint32_t sender;
	struct reassembly in;
};

struct initiator {
	struct rng rng;
	struct initiator_config config; /* its request points to the copy below */
	uint8_t request[REQUEST_MAX];
	enum initiator_state state;

	struct init_state init;      /* until Finish is built: the ephemeral keys */
	struct finish_state *finish; /* from then on */
	struct resp_buffer resps[RESP_BUFFERS];
	uint32_t resps_tried;
	struct reject_reason reason;

	usec next_send, deadline, interval;
	bool early;   /* a cookie has brought the next repeat forward */
	bool hurried; /* that has happened since the last regular one */

	bool has_cookie;
	uint8_t cookie[COOKIE_LEN];
	uint32_t cookie_tries;                /* sent with this cookie and not answered */
	uint8_t mac1s[MAC1S_MAX][HS_MAC_LEN]; /* of every datagram sent: Init's, then Finish's */
	uint8_t init_sent, finish_sent;       /* how many of each */
};

static bool config_ok(const struct initiator_config *config)
{
	return (config->suites & CIPHER_CHACHA20_POLY1305) && !(config->suites & ~CIPHER_ALL) &&
	       config->request.len <= REQUEST_MAX &&
	       memcmp(config->responder_key_id, identity_key_id(config->identity), KEY_ID_LEN) != 0;
}

enum err initiator_new(struct initiator **ret, const struct initiator_config *config, const struct rng *rng, usec now)
{
	if (!config_ok(config))
		return ERR_ARGUMENT;
	struct initiator *in = calloc(1, sizeof *in);
	if (!in)
		return ERR_NOMEM;
	in->rng = *rng;
	in->config = *config;
	if (config->request.len > 0)
		memcpy(in->request, config->request.data, config->request.len);
	in->config.request = VIEW(in->request, config->request.len);
	in->next_send = now;
	in->interval = FIRST_REPEAT;
	in->deadline = now + RESP_DEADLINE;

	enum err e = init_make(&in->init, &in->config, rng);
	if (e != OK) {
		initiator_free(in);
		return e;
	}
	*ret = in;
	return OK;
}

static void wipe_resps(struct initiator *in)
{
	for (size_t i = 0; i < RESP_BUFFERS; i++)
		reassembly_reset(&in->resps[i].in);
}

static void wipe_finish(struct initiator *in)
{
	if (in->finish)
		finish_state_wipe(in->finish);
	free(in->finish);
	in->finish = NULL;
}

/* Nothing more will come of this attempt: no secret of it is kept. */
static void end(struct initiator *in, enum initiator_state state)
{
	in->state = state;
	wipe_resps(in);
	init_state_wipe(&in->init);
	wipe_finish(in);
}

void initiator_free(struct initiator *initiator)
{
	if (!initiator)
		return;
	end(initiator, INITIATOR_EXPIRED);
	secret_wipe(initiator, sizeof *initiator);
	free(initiator);
}

static bool is_over(const struct initiator *in)
{
	return in->state == INITIATOR_EXPIRED || in->state == INITIATOR_REJECTED;
}

static void expire(struct initiator *in, usec now)
{
	if (!is_over(in) && now >= in->deadline)
		end(in, INITIATOR_EXPIRED);
}

static void send_all(struct initiator *in, const struct hs_output *out)
{
	/* A cookie that does not help (forged, or its secret has been replaced) is not kept. */
	if (in->has_cookie && in->cookie_tries++ >= COOKIE_TRIES)
		in->has_cookie = false;
	const uint8_t *cookie = in->has_cookie ? in->cookie : NULL;
	struct hs_message m = {.sender = in->config.local_index};
	enum err e;
	if (in->state == INITIATOR_WAITS_RESP) {
		m.type = MSG_INIT;
		m.bytes = VIEW_ARRAY(in->init.message);
		in->init_sent = HS_INIT_FRAGMENTS;
		e = mac_send(&m, in->init.mac1_init, cookie, in->mac1s, out);
	} else {
		m.type = MSG_FINISH;
		m.receiver = in->finish->sender_r;
		m.bytes = VIEW(in->finish->message, in->finish->message_len);
		in->finish_sent = hs_fragments(m.bytes.len);
		e = mac_send(&m, in->finish->k_m3, cookie, in->mac1s + HS_INIT_FRAGMENTS, out);
	}
	(void)e; /* what was not sent now is lost like a datagram; the repeat makes up for it */
}

usec initiator_poll(struct initiator *initiator, usec now, const struct hs_output *out)
{
	struct initiator *in = initiator;
	expire(in, now);
	if (is_over(in))
		return USEC_NEVER;
	if (now >= in->next_send) {
		send_all(in, out);
		/* Up to a quarter more, so that many clients that lost a server do not stay in step. */
		in->next_send = now + in->interval + rng_below(&in->rng, (uint32_t)(in->interval / 4));
		if (!in->early) {
			in->interval *= 2;
			in->hurried = false;
		}
		in->early = false;
	}
	return in->next_send < in->deadline ? in->next_send : in->deadline;
}

/* The buffer of this (sender, message_len); else an empty one; else one at random gives way, so
 * that nobody can keep the true Resp out by coming first. */
static struct resp_buffer *resp_buffer_for(struct initiator *in, const struct hs_datagram *d)
{
	struct resp_buffer *empty = NULL;
	for (size_t i = 0; i < RESP_BUFFERS; i++) {
		struct resp_buffer *b = &in->resps[i];
		if (b->in.message && b->sender == d->sender && b->in.len == d->message_len)
			return b;
		if (!b->in.message && !empty)
			empty = b;
	}
	if (!empty) {
		empty = &in->resps[rng_below(&in->rng, RESP_BUFFERS)];
		reassembly_reset(&empty->in);
	}
	empty->sender = d->sender;
	return empty;
}

/* A whole Resp: checked and answered on the side, then taken over at once. */
static enum err take_resp(struct initiator *in, const struct resp_buffer *b, usec now)
{
	struct finish_state *finish = malloc(sizeof *finish);
	if (!finish)
		return ERR_NOMEM;
	struct hs_message resp = {.type = MSG_RESP, .sender = b->sender, .bytes = VIEW(b->in.message, b->in.len)};
	enum err e = finish_make(finish, &in->init, &in->config, &resp, &in->rng);
	if (e != OK) {
		free(finish);
		return e;
	}
	in->finish = finish;
	in->state = INITIATOR_WAITS_ACCEPT;
	in->next_send = now;
	in->interval = FIRST_REPEAT;
	in->deadline = now + ACCEPT_DEADLINE;
	in->early = in->hurried = false;
	in->cookie_tries = 0;
	/* The mac1 key of Reject is all that is still needed of the time before. */
	kem_free(in->init.kem);
	in->init.kem = NULL;
	secret_wipe(in->init.dh_private, sizeof in->init.dh_private);
	secret_wipe(in->init.h1, sizeof in->init.h1);
	return OK;
}

static enum err input_resp(struct initiator *in, const struct hs_datagram *d, usec now)
{
	if (in->state != INITIATOR_WAITS_RESP)
		return ERR_STATE;
	if (d->message_len != resp_len(SIG_ML_DSA_65) && d->message_len != resp_len(SIG_ML_DSA_87))
		return ERR_FORMAT;
	if (in->resps_tried >= RESP_TRIES)
		return ERR_FULL;
	enum err e = mac1_check(in->init.mac1_resp, d);
	if (e != OK)
		return e;
	struct resp_buffer *b = resp_buffer_for(in, d);
	e = reassembly_add(&b->in, d);
	if (e != OK)
		return e;
	in->resps_tried++;
	e = take_resp(in, b, now);
	if (e == OK)
		wipe_resps(in);
	else
		reassembly_reset(&b->in); /* a repeat of the true Resp fills it anew */
	return e;
}

static enum err input_reject(struct initiator *in, const struct hs_datagram *d)
{
	if (in->state != INITIATOR_WAITS_ACCEPT)
		return ERR_STATE;
	if (d->fragments != 1 || d->sender != in->finish->sender_r)
		return ERR_FORMAT;
	enum err e = mac1_check(in->init.mac1_resp, d);
	if (e == OK)
		e = reject_open(&in->reason, in->finish, d->body);
	if (e == OK)
		end(in, INITIATOR_REJECTED);
	return e;
}

static enum err input_cookie(struct initiator *in, const struct cookie_datagram *c, usec now)
{
	if (is_over(in))
		return ERR_STATE;
	if (c->receiver != in->config.local_index)
		return ERR_FORMAT;
	uint8_t cookie[COOKIE_LEN];
	enum err e = ERR_AUTH;
	for (uint8_t i = 0; e == ERR_AUTH && i < in->init_sent; i++)
		e = cookie_open(cookie, c, in->config.responder_key_id, in->mac1s[i]);
	for (uint8_t i = 0; e == ERR_AUTH && i < in->finish_sent; i++)
		e = cookie_open(cookie, c, in->config.responder_key_id, in->mac1s[HS_INIT_FRAGMENTS + i]);
	if (e != OK)
		return e;
	bool is_new = !in->has_cookie || !secret_equal(cookie, in->cookie, COOKIE_LEN);
	if (is_new) {
		memcpy(in->cookie, cookie, COOKIE_LEN);
		in->has_cookie = true;
		in->cookie_tries = 0;
	}
	/* Repeat at once, but only once a regular repeat: forged cookies must not make this end a
	 * source of traffic. */
	if (is_new && !in->hurried && now < in->next_send) {
		in->hurried = in->early = true;
		in->next_send = now;
	}
	secret_wipe(cookie, sizeof cookie);
	return OK;
}

enum err initiator_input(struct initiator *initiator, const uint8_t *data, size_t len, usec now)
{
	struct initiator *in = initiator;
	expire(in, now);
	struct cookie_datagram cookie;
	if (cookie_parse(&cookie, data, len) == OK)
		return input_cookie(in, &cookie, now);
	struct hs_datagram d;
	enum err e = hs_parse(&d, data, len);
	if (e != OK)
		return e;
	if (d.receiver != in->config.local_index)
		return ERR_FORMAT;
	if (d.type == MSG_RESP)
		return input_resp(in, &d, now);
	return d.type == MSG_REJECT ? input_reject(in, &d) : ERR_FORMAT;
}

enum initiator_state initiator_state(const struct initiator *initiator)
{
	return initiator->state;
}

const struct hs_result *initiator_result(const struct initiator *initiator)
{
	return initiator->state == INITIATOR_WAITS_ACCEPT ? &initiator->finish->result : NULL;
}

const struct reject_reason *initiator_reason(const struct initiator *initiator)
{
	return initiator->state == INITIATOR_REJECTED ? &initiator->reason : NULL;
}

uint32_t initiator_local_index(const struct initiator *initiator)
{
	return initiator->config.local_index;
}
