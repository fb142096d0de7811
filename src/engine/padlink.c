/*
 * What a peer's pad asks of the control thread besides sessions (docs/protocol.md, "One-time pads"): credit, warnings,
 * and the end of a link whose pad is used up. Sealing and opening is the lanes' business (transport/sealing.h).
 */
#include "engine/padhello.h"
#include "engine/padlink.h"
#include "wire/control.h"

#include <stdlib.h>

#define LOOK_EVERY USEC_PER_SEC
#define LOOK_SOON (50 * USEC_PER_MS)
#define SHORT ((uint64_t)64 << 20)
#define FEW_SLOTS 32

enum err padlink_new(struct peer *p)
{
	p->padlink = calloc(1, sizeof *p->padlink);
	if (!p->padlink)
		return ERR_NOMEM;
	p->padlink->samples[0].seen = pad_seen(p->pad); /* at time 0: at whatever time, at least that */
	p->padlink->next_sample = 1;
	return OK;
}

static void sample(struct padlink *link, const struct pad *pad, usec now)
{
	uint32_t last = (link->next_sample + PADLINK_SAMPLES - 1) % PADLINK_SAMPLES;
	if (now - link->samples[last].at < LOOK_EVERY)
		return;
	link->samples[link->next_sample].at = now;
	link->samples[link->next_sample].seen = pad_seen(pad);
	link->next_sample = (link->next_sample + 1) % PADLINK_SAMPLES;
}

void padlink_free(struct peer *p)
{
	if (!p->padlink)
		return;
	padhello_stop_calling(p);
	secret_wipe(p->padlink, sizeof *p->padlink);
	free(p->padlink);
	p->padlink = NULL;
}

bool padlink_can_begin(const struct peer *p)
{
	struct pad_status status;
	if (!p->pad)
		return p->protection == PROTECTION_PQ;
	pad_status(p->pad, &status);
	return status.state != PAD_USED_UP && status.state != PAD_IS_OLD;
}

/* ---- credit ---- */

static void give_credit(struct peer *p)
{
	uint64_t from, to;
	uint8_t body[16];
	if (!p->active || p->protection == PROTECTION_PQ || stream_has(p->active->stream, CONTROL_PAD_CREDIT) ||
		pad_give(p->pad, &from, &to) != OK)
		return;
	struct writer w = writer_of(body, sizeof body);
	writer_u64(&w, from);
	writer_u64(&w, to);
	if (stream_send(p->active->stream, CONTROL_PAD_CREDIT, VIEW_ARRAY(body)) != OK)
		lane_drop(engine_control_lane(p->engine), DROP_MEMORY); /* lost, until the ends connect again */
	peer_wake(p, 0);
}

void padlink_credit(struct peer *p, struct view body)
{
	struct reader r = reader_of(body.data, body.len);
	uint64_t from = reader_u64(&r), to = reader_u64(&r);
	enum err err = p->pad && reader_done(&r) ? pad_credit(p->pad, from, to) : ERR_FORMAT;
	if (err != OK && err != ERR_AGAIN)
		lane_drop(engine_control_lane(p->engine), DROP_BAD_FRAME);
}

/* ---- warnings ---- */

/* Of what is left of our share, with what the peer could still give: the lowest that has been reached. */
static unsigned int percent_reached(const struct pad_status *s)
{
	static const unsigned int steps[] = {1, 5, 10, 20};
	uint64_t whole = s->sent + s->left + s->received + s->peer_left, left = s->left + s->peer_left;
	for (size_t i = 0; whole && i < sizeof steps / sizeof *steps; i++)
		if (left < whole / 100 * steps[i])
			return steps[i];
	return 0;
}

static void warn(struct peer *p, const struct pad_status *s)
{
	struct padlink *link = p->padlink;
	unsigned int percent = percent_reached(s);
	if (percent && (!link->warned_percent || percent < link->warned_percent)) {
		link->warned_percent = percent;
		peer_notice(p, NOTICE_PAD, "%s: less than %u %% of the pad is left: make a new one in time", p->name,
			percent);
	}
	if (p->protection == PROTECTION_OTP && s->slots_left < FEW_SLOTS && !link->has_warned_slots) {
		link->has_warned_slots = true;
		peer_notice(p, NOTICE_PAD, "%s: the pad is good for %u sessions more: make a new one in time", p->name,
			s->slots_left);
	}
	if (s->state == link->state)
		return;
	link->state = s->state;
	if (s->state == PAD_USED_UP)
		peer_notice(p, NOTICE_PAD,
			"%s: the pad is used up: the link has stopped, and needs a new pad at both ends", p->name);
	else if (s->state == PAD_FAILED)
		peer_notice(p, NOTICE_PAD, "%s: the pad: %s", p->name, s->fault);
}

usec padlink_tick(struct peer *p, usec now)
{
	struct padlink *link = p->padlink;
	struct pad_status status;
	if (now < link->look_at)
		return link->look_at;
	sample(link, p->pad, now);
	give_credit(p);
	pad_status(p->pad, &status);
	/* A peer that runs short must not wait for long. */
	bool is_short = status.peer_left < SHORT && status.peer_left != link->peer_left;
	link->peer_left = status.peer_left;
	link->look_at = now + (is_short ? LOOK_SOON : p->active ? LOOK_EVERY : 10 * LOOK_EVERY);
	warn(p, &status);
	if (status.state == PAD_USED_UP && p->active && p->protection != PROTECTION_PQ) {
		peer_say_goodbye(p, now);
		peer_drop_session(p, p->active);
	}
	return link->look_at;
}
