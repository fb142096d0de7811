/*
 * Pads beside key exchanges (docs/protocol.md, "One-time pads"): secrets that go into them (`pq` with a pad), and the
 * marks of a link whose frames are masked inside the AEAD (`pq+otp`), which travel in the request and in Accept.
 */
#include "engine/padkeys.h"
#include "engine/padlink.h"
#include "wire/request.h"

/* ---- secrets ---- */

/* pad_ref = pad id || offset */
static enum err take_secret(void *context, uint8_t secret[static PAD_SECRET_LEN], uint8_t pad_ref[static PAD_REF_LEN])
{
	struct peer *p = context;
	uint64_t offset = 0;
	enum err err = pad_take_secret(p->pad, secret, &offset);
	memcpy(pad_ref, pad_id(p->pad), PAD_ID_LEN);
	le64_put(pad_ref + PAD_ID_LEN, offset);
	return err;
}

static enum err find_secret(
	void *context, const uint8_t pad_ref[static PAD_REF_LEN], uint8_t secret[static PAD_SECRET_LEN])
{
	struct peer *p = context;
	if (memcmp(pad_ref, pad_id(p->pad), PAD_ID_LEN) != 0)
		return ERR_NOT_FOUND;
	return pad_find_secret(p->pad, le64_get(pad_ref + PAD_ID_LEN), secret);
}

static enum err use_secret(
	void *context, const uint8_t pad_ref[static PAD_REF_LEN], uint8_t secret[static PAD_SECRET_LEN])
{
	struct peer *p = context;
	enum err err = find_secret(p, pad_ref, secret);
	return err == OK ? pad_accept_secret(p->pad, le64_get(pad_ref + PAD_ID_LEN)) : err;
}

bool padkeys_has_secret(const struct peer *p)
{
	return p->pad && p->protection == PROTECTION_PQ;
}

struct rekey_pad padkeys_rekey(struct peer *p)
{
	return (struct rekey_pad){.take = take_secret, .find = use_secret, .context = p};
}

enum err padkeys_find(void *context, const uint8_t key_id[static KEY_ID_LEN], const uint8_t pad_ref[static PAD_REF_LEN],
	uint8_t secret[static PAD_SECRET_LEN])
{
	struct peer *p = engine_find_key_id(context, key_id);
	return p && padkeys_has_secret(p) ? find_secret(p, pad_ref, secret) : ERR_STATE;
}

/* ---- marks ---- */

static struct padmarks marks_of(struct peer *p, bool holds)
{
	struct pad_marks m = pad_marks(p->pad, holds);
	struct padmarks ret = {
		.sent = m.sent, .received = m.received, .boundary = m.boundary, .max_zero_run = m.max_zero_run};
	memcpy(ret.pad_id, pad_id(p->pad), PAD_ID_LEN);
	return ret;
}

static void write_request(void *context, struct writer *w)
{
	struct peer *p = context;
	struct request request = {.has_pad_marks = true, .pad_marks = marks_of(p, true)};
	p->padlink->seen_at_finish = pad_seen(p->pad);
	request_write(w, &request);
}

void padkeys_configure(struct peer *p, struct initiator_config *config)
{
	config->context = p;
	if (padkeys_has_secret(p))
		config->take_pad = take_secret;
	if (p->protection == PROTECTION_PQ_OTP)
		config->write_request = write_request;
}

void padkeys_tell(struct peer *p, struct accept *accept)
{
	accept->has_pad_marks = p->protection == PROTECTION_PQ_OTP;
	if (accept->has_pad_marks)
		accept->pad_marks = marks_of(p, false);
}

/* What was seen of the peer's walk at some moment before `when`. */
static uint64_t seen_before(const struct padlink *link, usec when)
{
	uint64_t seen = 0;
	for (uint32_t i = 0; i < PADLINK_SAMPLES; i++)
		if (link->samples[i].at <= when && link->samples[i].seen > seen)
			seen = link->samples[i].seen;
	return seen;
}

static enum pad_verdict judge(struct peer *p, const struct padmarks *m, uint64_t seen)
{
	struct pad_marks marks = {
		.sent = m->sent, .received = m->received, .boundary = m->boundary, .max_zero_run = m->max_zero_run};
	return pad_agree(p->pad, &marks, seen);
}

/* For who is told, and for our own log. */
static const char *reason_of(enum pad_verdict verdict)
{
	switch (verdict) {
	case PAD_WE_ARE_OLD:
		return "this end's state of the pad is an old copy (restored from a backup or a snapshot): here, jorm "
		       "pad advance";
	case PAD_PEER_IS_OLD:
		return "the other end's state of the pad is an old copy (restored from a backup or a snapshot): there, "
		       "jorm pad advance";
	case PAD_DIFFERENT:
		return "MaxZeroRun is not the same at both ends";
	case PAD_FAULT:
		return "the ledger of the pad cannot be written here";
	case PAD_AGREED:
		break;
	}
	return NULL;
}

static enum err refuse(struct peer *p, struct reject_reason *ret, const char *why, const char *told)
{
	*ret = (struct reject_reason){.code = REJECT_PAD};
	(void)snprintf(ret->text, sizeof ret->text, "%s", told);
	peer_notice(p, NOTICE_REFUSED, "%s is refused: %s", p->name, why);
	return ERR_STATE;
}

static enum err admit_masked(struct peer *p, const struct responder_claim *claim, struct reject_reason *reason)
{
	struct request request;
	if (request_parse(&request, claim->request) != OK || !request.has_pad_marks)
		return refuse(p, reason, "it does not mask its frames with the pad: Protection = pq+otp there, too",
			"frames have to be masked with a one-time pad: Protection = pq+otp");
	if (memcmp(request.pad_marks.pad_id, pad_id(p->pad), PAD_ID_LEN) != 0)
		return refuse(p, reason, "it has another pad", "the one-time pad is another one here");
	/* While there is a session, what the peer sent in it after it made its marks may be here before them. */
	bool has_session = p->active || p->old || p->pending[0] || p->pending[1];
	uint64_t seen = has_session ? seen_before(p->padlink, claim->answered_at) : pad_seen(p->pad);
	enum pad_verdict verdict = judge(p, &request.pad_marks, seen);
	if (verdict == PAD_AGREED)
		return OK;
	/* Told from the other side. */
	const char *told = verdict == PAD_PEER_IS_OLD  ? reason_of(PAD_WE_ARE_OLD)
			   : verdict == PAD_WE_ARE_OLD ? reason_of(PAD_PEER_IS_OLD)
						       : reason_of(verdict);
	return refuse(p, reason, reason_of(verdict), told);
}

enum err padkeys_admit(struct peer *p, const struct responder_claim *claim, struct reject_reason *reason)
{
	struct request request;
	if (p->protection == PROTECTION_PQ_OTP)
		return admit_masked(p, claim, reason);
	if (request_parse(&request, claim->request) == OK && request.has_pad_marks)
		return refuse(p, reason, "it masks its frames with a pad, and here Protection is pq",
			"frames are not masked with a pad here: Protection = pq");
	if (claim->pad_ref && pad_accept_secret(p->pad, le64_get(claim->pad_ref + PAD_ID_LEN)) != OK)
		return refuse(p, reason, "the ledger of its pad cannot be written",
			"the pad cannot be used here: the log says why");
	return OK;
}

enum err padkeys_take_accept(struct peer *p, const struct accept *accept)
{
	if (p->protection != PROTECTION_PQ_OTP)
		return OK;
	const char *why = "it says nothing of the pad";
	enum pad_verdict verdict = PAD_DIFFERENT;
	if (accept->has_pad_marks && memcmp(accept->pad_marks.pad_id, pad_id(p->pad), PAD_ID_LEN) == 0) {
		verdict = judge(p, &accept->pad_marks, p->padlink->seen_at_finish);
		why = reason_of(verdict);
	}
	if (verdict == PAD_AGREED)
		return OK;
	peer_notice(p, NOTICE_PAD, "no session with %s: %s", p->name, why);
	return ERR_STATE;
}
