#include "transport/stream.h"

#include "base/secret.h"
#include "wire/frame.h"

#include <stdlib.h>

#define RESEND_FIRST (250 * USEC_PER_MS)
#define RESEND_MAX (4 * USEC_PER_SEC)

struct outgoing {
	uint8_t *body;
	size_t len;
	uint8_t type, part, parts;
	bool is_dropped; /* only the part on its way still counts */
};

struct stream {
	struct outgoing queue[STREAM_QUEUE_MAX]; /* [0] is on its way, if in_flight */
	size_t queued;
	bool in_flight, owes_ack;
	uint16_t out_id, in_id; /* of the part on its way; of the last part received in order */
	usec due, interval;

	uint8_t *message; /* incoming, message_len bytes; NULL: none, or empty */
	size_t message_len;
	uint8_t in_type, in_part, in_parts; /* in_parts 0: no message begun */
};

enum err stream_new(struct stream **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? OK : ERR_NOMEM;
}

static void outgoing_free(struct outgoing *o)
{
	if (o->body) {
		secret_wipe(o->body, o->len);
		free(o->body);
	}
	*o = (struct outgoing){0};
}

/* Thousands of idle streams must not keep what was once said over them. */
static void message_drop(struct stream *s)
{
	if (s->message) {
		secret_wipe(s->message, s->message_len);
		free(s->message);
	}
	s->message = NULL;
	s->message_len = 0;
	s->in_parts = 0;
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->queued; i++)
		outgoing_free(&s->queue[i]);
	message_drop(s);
	free(s);
}

enum err stream_send(struct stream *s, enum control_type type, struct view body)
{
	if (body.len > CONTROL_MESSAGE_MAX)
		return ERR_TOO_BIG;
	if (s->queued == STREAM_QUEUE_MAX)
		return ERR_FULL;
	struct outgoing o = {.type = (uint8_t)type, .len = body.len};
	o.parts = (uint8_t)((body.len + STREAM_PART_MAX - 1) / STREAM_PART_MAX);
	if (o.parts == 0)
		o.parts = 1;
	if (body.len) {
		o.body = malloc(body.len);
		if (!o.body)
			return ERR_NOMEM;
		memcpy(o.body, body.data, body.len);
	}
	s->queue[s->queued++] = o;
	return OK;
}

static void queue_remove(struct stream *s, size_t at)
{
	outgoing_free(&s->queue[at]);
	s->queued--;
	for (size_t i = at; i < s->queued; i++)
		s->queue[i] = s->queue[i + 1];
	s->queue[s->queued] = (struct outgoing){0};
}

void stream_drop(struct stream *s, enum control_type type)
{
	for (size_t i = s->queued; i-- > 0;) {
		if (s->queue[i].type != type)
			continue;
		if (i == 0 && s->in_flight)
			s->queue[0].is_dropped = true;
		else
			queue_remove(s, i);
	}
}

void stream_confirm(struct stream *s, enum control_type type)
{
	if (s->in_flight && s->queue[0].type == type) {
		s->in_flight = false;
		queue_remove(s, 0);
	}
}

bool stream_has(const struct stream *s, enum control_type type)
{
	for (size_t i = 0; i < s->queued; i++)
		if (s->queue[i].type == type && !s->queue[i].is_dropped)
			return true;
	return false;
}

static uint16_t id_after(uint16_t id)
{
	return id == UINT16_MAX ? 1 : (uint16_t)(id + 1);
}

static void write_part(struct stream *s, struct writer *w)
{
	const struct outgoing *o = &s->queue[0];
	size_t from = (size_t)o->part * STREAM_PART_MAX;
	size_t len = o->len - from < STREAM_PART_MAX ? o->len - from : STREAM_PART_MAX;
	struct control_part part = {.id = s->out_id,
		.ack = s->in_id,
		.type = o->type,
		.part = o->part,
		.parts = o->parts,
		.body = VIEW(o->body ? o->body + from : NULL, len)};
	frame_put_header(writer_room(w, FRAME_HEADER_LEN), FRAME_CONTROL, 0, CONTROL_HEADER_LEN + len);
	control_write(w, &part);
}

bool stream_poll(struct stream *s, usec now, struct writer *w)
{
	if (!s->in_parts)
		message_drop(s);
	if (w->size - w->at < FRAME_HEADER_LEN + CONTROL_HEADER_LEN + STREAM_PART_MAX)
		return false;
	if (!s->in_flight && s->queued) {
		s->in_flight = true;
		s->out_id = id_after(s->out_id);
		s->interval = RESEND_FIRST;
		s->due = now;
	}
	if (s->in_flight && now >= s->due) {
		write_part(s, w);
		s->owes_ack = false;
		s->due = now + s->interval;
		s->interval = s->interval * 2 < RESEND_MAX ? s->interval * 2 : RESEND_MAX;
		return true;
	}
	if (s->owes_ack) {
		struct control_part ack = {.ack = s->in_id, .type = CONTROL_ACK, .parts = 1};
		frame_put_header(writer_room(w, FRAME_HEADER_LEN), FRAME_CONTROL, 0, CONTROL_HEADER_LEN);
		control_write(w, &ack);
		s->owes_ack = false;
		return true;
	}
	return false;
}

usec stream_deadline(const struct stream *s)
{
	if (s->owes_ack || (s->queued && !s->in_flight))
		return 0;
	return s->in_flight ? s->due : USEC_NEVER;
}

static void take_ack(struct stream *s, uint16_t ack)
{
	if (!s->in_flight || ack != s->out_id)
		return;
	struct outgoing *o = &s->queue[0];
	s->in_flight = false;
	o->part++;
	if (o->is_dropped || o->part == o->parts)
		queue_remove(s, 0);
}

/* Room for one more part of the message in hand, or for the first of the next. */
static enum err make_room(struct stream *s, const struct control_part *p)
{
	if (p->part == 0 || !s->in_parts)
		message_drop(s);
	size_t size = s->message_len + p->body.len;
	if (size == 0 || size > CONTROL_MESSAGE_MAX)
		return OK;
	uint8_t *larger = malloc(size);
	if (!larger)
		return ERR_NOMEM;
	if (s->message) {
		memcpy(larger, s->message, s->message_len);
		secret_wipe(s->message, s->message_len);
		free(s->message);
	}
	s->message = larger;
	return OK;
}

/* Adds a part that is next in order; true when its message is complete. */
static bool append_part(struct stream *s, const struct control_part *p)
{
	if (p->part == 0) {
		s->in_type = p->type;
		s->in_part = 0;
		s->in_parts = p->parts;
	}
	bool fits = s->in_parts && p->type == s->in_type && p->parts == s->in_parts && p->part == s->in_part &&
		    p->body.len <= CONTROL_MESSAGE_MAX - s->message_len;
	if (!fits) {
		message_drop(s); /* acknowledged, but its message is lost: its sender broke the rules */
		return false;
	}
	if (p->body.len)
		memcpy(s->message + s->message_len, p->body.data, p->body.len);
	s->message_len += p->body.len;
	s->in_part++;
	return s->in_part == s->in_parts;
}

enum err stream_input(struct stream *s, struct view body, uint8_t *type, struct view *message)
{
	struct control_part p;
	enum err err = control_parse(&p, body);
	if (err != OK)
		return err;
	take_ack(s, p.ack);
	if (p.type == CONTROL_ACK)
		return ERR_AGAIN;
	if (p.id != id_after(s->in_id)) {
		s->owes_ack = true; /* a repeat: our acknowledgement was lost */
		return ERR_AGAIN;
	}
	err = make_room(s, &p);
	if (err != OK)
		return err;
	s->in_id = p.id;
	s->owes_ack = true;
	if (!append_part(s, &p))
		return ERR_AGAIN;
	s->in_parts = 0;
	*type = s->in_type;
	*message = VIEW(s->message, s->message_len);
	return OK;
}
