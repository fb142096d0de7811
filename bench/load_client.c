#include "load_client.h"

#include "crypto/kdf.h"
#include "transport/padding.h"
#include "wire/frame.h"

#include <string.h>

/* As in src/engine/upkeep.c. */
#define UNANSWERED_MAX (5 * USEC_PER_SEC)
#define SILENT_AFTER (1500 * USEC_PER_MS) /* then a probe each second */
#define LOOK_EVERY USEC_PER_SEC
#define REJECTED_PAUSE (5 * USEC_PER_SEC)
#define PLAIN_MAX (PATH_MTU_MIN - OUTER_OVERHEAD_V6 - DATA_OVERHEAD)

enum err client_identity(struct identity **ret, uint32_t number)
{
	uint8_t seed[HASH_SHA256_LEN], text[4];
	le32_put(text, number);
	enum err err = HASH_SHA256(seed, VIEW_TEXT("jorm bench load"), VIEW_ARRAY(text));
	return err == OK ? identity_generate(ret, SIG_ML_DSA_65, seed) : err;
}

enum err client_init(struct client *c, const struct client_config *config, uint32_t number, usec begin_at)
{
	*c = (struct client){.config = config, .number = number, .begin_at = begin_at, .due = begin_at};
	return client_identity(&c->identity, number);
}

static void end_attempt(struct client *c)
{
	initiator_free(c->initiator);
	c->initiator = NULL;
}

static void end_session(struct client *c)
{
	keys_free(c->keys);
	stream_free(c->stream);
	c->keys = NULL;
	c->stream = NULL;
	c->unanswered_since = 0;
}

void client_done(struct client *c)
{
	end_attempt(c);
	end_session(c);
	identity_free(c->identity);
}

static void lose_session(struct client *c, usec now)
{
	bool was_up = c->is_up;
	end_session(c);
	c->is_up = false;
	c->calls_since = 0;
	c->begin_at = c->due = now;
	if (was_up)
		c->config->down(c->config->context, c->number);
}

/* ---- the session ---- */

static void send_frames(struct client *c, const uint8_t *frames, size_t len, usec now)
{
	uint8_t datagram[PLAIN_MAX + DATA_OVERHEAD] = {0};
	size_t plain = padding_size(PADDING_BUCKETS, len, PLAIN_MAX, 0);
	memcpy(datagram + DATA_HEADER_LEN, frames, len);
	if (keys_seal(c->keys, 0, datagram, plain, keys_take_counters(c->keys, 1)) != OK)
		return;
	c->last_send = now;
	c->config->send(c->config->context, c->number, datagram, plain + DATA_OVERHEAD);
}

static void send_probe(struct client *c, const uint8_t *nonce, uint8_t flags, usec now)
{
	uint8_t frame[FRAME_HEADER_LEN + PROBE_LEN];
	struct writer w = writer_of(frame, sizeof frame);
	frame_write(&w, FRAME_PROBE, flags, VIEW(nonce, PROBE_LEN));
	send_frames(c, frame, w.at, now);
}

static void send_stream(struct client *c, usec now)
{
	uint8_t frames[PLAIN_MAX];
	struct writer w = writer_of(frames, sizeof frames);
	while (stream_poll(c->stream, now, &w)) {
		send_frames(c, frames, w.at, now);
		w = writer_of(frames, sizeof frames);
	}
}

static void accepted(struct client *c, usec now)
{
	if (c->is_up)
		return;
	c->is_up = true;
	end_attempt(c);
	c->config->up(c->config->context, c->number, now - c->calls_since);
}

/* false: the session has ended. */
static bool take_control(struct client *c, const struct frame *frame, usec now)
{
	uint8_t type;
	struct view message;
	if (stream_input(c->stream, VIEW(frame->body, frame->len), &type, &message) == OK) {
		if (type == CONTROL_CLOSE) {
			lose_session(c, now);
			return false;
		}
		if (type == CONTROL_ACCEPT)
			accepted(c, now);
	}
	send_stream(c, now);
	return true;
}

static void take_data(struct client *c, uint8_t *data, size_t len, usec now)
{
	struct view plain;
	uint64_t counter;
	bool is_newest;
	if (!c->keys || len < DATA_OVERHEAD || le32_get(data + 4) != keys_local_index(c->keys) ||
		keys_open(c->keys, 0, data, len, &plain, &counter, &is_newest) != OK)
		return;
	c->unanswered_since = 0;
	struct reader r = reader_of(plain.data, plain.len);
	struct frame frame;
	while (frame_next(&r, &frame) == OK) {
		if (frame.kind == FRAME_CONTROL && !take_control(c, &frame, now))
			return;
		if (frame.kind == FRAME_PROBE && frame.len == PROBE_LEN && !(frame.flags & FRAME_FLAG_ECHO))
			send_probe(c, frame.body, FRAME_FLAG_ECHO, now);
	}
}

/* ---- the handshake ---- */

/* Finish is built: who begins may send, and expects Accept under these keys. */
static void begin_session(struct client *c, usec now)
{
	const struct hs_result *result = initiator_result(c->initiator);
	const struct keys_config config = {
		.local_index = result->local_index,
		.remote_index = result->remote_index,
		.cipher = result->suite,
		.born = now,
		.n_lanes = 1,
		.key_send = result->k_i2r,
		.key_receive = result->k_r2i,
	};
	end_session(c);
	if (keys_new(&c->keys, &config) != OK || stream_new(&c->stream) != OK)
		end_session(c);
}

static void take_handshake(struct client *c, const uint8_t *data, size_t len, usec now)
{
	if (!c->initiator || initiator_input(c->initiator, data, len, now) != OK)
		return;
	if (initiator_state(c->initiator) == INITIATOR_WAITS_ACCEPT && !c->keys)
		begin_session(c, now);
	c->due = now;
}

void client_input(struct client *c, uint8_t *data, size_t len, usec now)
{
	if (len > 0 && data[0] == MSG_DATA)
		take_data(c, data, len, now);
	else
		take_handshake(c, data, len, now);
}

static void begin_attempt(struct client *c, usec now)
{
	struct initiator_config config = {
		.identity = c->identity, .suites = c->config->suites, .local_index = rng_u32(&c->config->rng)};
	memcpy(config.responder_key_id, c->config->server_key_id, KEY_ID_LEN);
	if (!c->calls_since)
		c->calls_since = now;
	if (initiator_new(&c->initiator, &config, &c->config->rng, now) != OK)
		c->initiator = NULL;
}

static void send_handshake(void *context, const uint8_t *data, size_t len)
{
	const struct client *c = context;
	c->config->send(c->config->context, c->number, data, len);
}

static usec tick_attempt(struct client *c, usec now)
{
	const struct hs_output out = {.send = send_handshake, .context = c};
	usec next = initiator_poll(c->initiator, now, &out);
	enum initiator_state state = initiator_state(c->initiator);
	if (state == INITIATOR_WAITS_RESP || state == INITIATOR_WAITS_ACCEPT)
		return next;
	c->rejected += state == INITIATOR_REJECTED;
	c->expired += state == INITIATOR_EXPIRED;
	c->begin_at = state == INITIATOR_REJECTED ? now + REJECTED_PAUSE : now;
	end_attempt(c);
	end_session(c);
	return c->begin_at;
}

static usec tick_session(struct client *c, usec now)
{
	const bool is_silent = c->unanswered_since && now - c->unanswered_since >= SILENT_AFTER;
	if (c->unanswered_since && now - c->unanswered_since >= UNANSWERED_MAX) {
		lose_session(c, now);
		return now;
	}
	if (now - c->last_send >= (is_silent ? LOOK_EVERY : c->config->keepalive)) {
		uint8_t nonce[PROBE_LEN];
		rng_fill(&c->config->rng, nonce, sizeof nonce);
		send_probe(c, nonce, 0, now);
		if (!c->unanswered_since)
			c->unanswered_since = now;
	}
	send_stream(c, now);
	usec next = stream_deadline(c->stream);
	return next < now + LOOK_EVERY ? next : now + LOOK_EVERY;
}

void client_tick(struct client *c, usec now)
{
	c->due = USEC_NEVER;
	if (c->is_up)
		c->due = tick_session(c, now);
	if (!c->is_up && !c->initiator && now >= c->begin_at)
		begin_attempt(c, now);
	if (c->initiator)
		c->due = tick_attempt(c, now);
	else if (!c->is_up)
		c->due = c->begin_at > now ? c->begin_at : now + USEC_PER_MS;
}
