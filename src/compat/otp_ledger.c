/* The marks of a key file on disk: reserved before use, exact at a clean end. */
#include "compat/otp_private.h"

#include "base/secret.h"

#include <inttypes.h>
#include <string.h>

/* In positions. Reserved at least: little of the share, since a crash loses it. */
#define STRETCH_PARTS 1024
#define STRETCH_MIN ((uint64_t)64 << 10)
#define STRETCH_MIN_MOST ((uint64_t)4 << 20)
#define STRETCH_MAX ((uint64_t)64 << 20) /* and at once no more than that, or: */
#define STRETCH_SHARE 8                  /* this part of the share */
#define STRETCH_SOON USEC_PER_SEC        /* used up as quickly as that: reserve twice as much */
#define STRETCH_LATE (30 * USEC_PER_SEC) /* as slowly: half */

static uint64_t shortest_stretch(const struct otp_pad *p)
{
	return otp_earlier(otp_later(p->share / STRETCH_PARTS, STRETCH_MIN), STRETCH_MIN_MOST);
}

static uint64_t longest_stretch(const struct otp_pad *p)
{
	return otp_earlier(otp_later(p->share / STRETCH_SHARE, STRETCH_MIN), STRETCH_MAX);
}

/* ---- reading ---- */

static enum err check(const struct otp_pad *p, const uint8_t id[PAD_ID_LEN], struct fault *fault)
{
	const struct ledger *l = &p->ledger;
	if (memcmp(l->pad_id, id, PAD_ID_LEN) != 0 || l->pad_size != p->size)
		return fault_set(fault, ERR_FORMAT,
			"%s: its ledger is of a key file of %" PRIu64
			" bytes with another beginning: give the file back its content, or use a fresh one",
			p->name, l->pad_size);
	if (l->role != p->options.role)
		return fault_set(fault, ERR_STATE,
			"%s: this end has used it as the %s, and as the %s it would use the bytes that the other end "
			"has used: %s -S, or use a fresh file",
			p->name, l->role == PAD_OTP_SERVER ? "server" : "client",
			l->role == PAD_OTP_SERVER ? "client" : "server",
			l->role == PAD_OTP_SERVER ? "start it with" : "leave out");
	return OK;
}

static bool is_damaged(const uint8_t copy[LEDGER_RECORD_LEN])
{
	struct ledger ledger;
	return ledger_decode(&ledger, copy) != OK && !secret_is_zero(copy, LEDGER_RECORD_LEN);
}

/* A copy that was torn when it was written reserved nothing; damaged later, it may have been the newer one. Then no
 * more than one stretch was used that the other knows nothing of. */
static void pass_over_damage(struct otp_pad *p)
{
	const enum pad_role role = p->options.role;
	const uint64_t used = otp_position(role, p->ledger.sent);
	p->ledger.sent = otptunnel_offset(role, otp_earlier(used + longest_stretch(p), p->share));
}

enum err otp_ledger_load(struct otp_pad *p, const uint8_t id[static PAD_ID_LEN],
	const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], struct fault *fault)
{
	enum err err = ledger_choose(&p->ledger, copies);
	if (err == ERR_CRYPTO)
		return fault_set(fault, err, "%s: its ledger cannot be checked: %s", p->name, err_text(err));
	if (err == ERR_FORMAT)
		return fault_set(fault, ERR_FORMAT,
			"%s: its ledger is damaged, so nobody knows how much of the file has been used: use a fresh "
			"one",
			p->name);
	if (err == OK) {
		p->is_first_use = !otptunnel_ledger_is_used(&p->ledger);
		err = check(p, id, fault);
		if (err == OK && (is_damaged(copies[0]) || is_damaged(copies[1])))
			pass_over_damage(p);
		return err;
	}
	p->is_first_use = true;
	p->ledger = (struct ledger){.pad_size = p->size,
		.role = p->options.role,
		.sent = otptunnel_offset(p->options.role, 0),
		.received = otptunnel_offset(otptunnel_role_other(p->options.role), 0)};
	memcpy(p->ledger.pad_id, id, PAD_ID_LEN);
	return OK;
}

/* ---- writing ---- */

/* The next record, with our first `used` bytes used; `ledger` becomes what it says only when it is on disk. */
static enum err record(struct otp_pad *p, uint64_t used)
{
	uint8_t bytes[LEDGER_RECORD_LEN];
	const enum pad_role role = p->options.role, peer = otptunnel_role_other(role);
	struct ledger next = p->ledger;
	next.sent = otptunnel_offset(role, used);
	next.received = otp_later(next.received, otptunnel_offset(peer, atomic_load(&p->received)));
	next.sequence++;
	enum err err = ledger_encode(bytes, &next);
	/* After a failure the same copy is tried again: the other one is known to be good. */
	if (err == OK)
		err = p->medium.write_record(p->medium.context, (unsigned int)(next.sequence % LEDGER_COPIES), bytes);
	if (err == OK)
		p->ledger = next;
	return err;
}

enum err otp_ledger_reserve(struct otp_pad *p, usec now)
{
	const uint64_t next = atomic_load(&p->next), allowed = atomic_load(&p->allowed);
	if (allowed >= p->share || (allowed > next && allowed - next > p->stretch / 2))
		return OK;
	const usec since = now - p->reserved_at;
	if (p->reserved_at && since < STRETCH_SOON)
		p->stretch = otp_earlier(2 * p->stretch, longest_stretch(p));
	else if (since > STRETCH_LATE)
		p->stretch = otp_later(p->stretch / 2, shortest_stretch(p));
	const uint64_t end = otp_later(allowed, otp_earlier(next + p->stretch, p->share));
	enum err err = record(p, end);
	if (err != OK)
		return err;
	p->reserved_at = p->recorded_at = now;
	atomic_store_explicit(&p->allowed, end, memory_order_release);
	return OK;
}

enum err otp_ledger_begin(struct otp_pad *p, struct fault *fault)
{
	const enum pad_role role = p->options.role;
	const uint64_t used = otp_position(role, p->ledger.sent);
	const uint64_t first = (p->options.first + 1 - otptunnel_parity(role)) / 2;
	if (p->options.first > p->size || first > p->share)
		return fault_set(fault, ERR_STATE,
			"%s: --start-at %" PRIu64 " lies behind the end of the file, which has %" PRIu64 " bytes",
			p->name, p->options.first, p->size);
	p->sent_before = used;
	p->stretch = shortest_stretch(p);
	atomic_store(&p->next, p->options.restarts_at_zero ? 0 : otp_later(used, first));
	atomic_store(&p->allowed, used);
	atomic_store(&p->is_used_up, p->share - atomic_load(&p->next) < OTP_FRAME_MIN + MD5_LEN);
	/* Also when nothing is to be reserved: what cannot be written must show now. */
	enum err err = record(p, used);
	if (err == OK)
		err = otp_ledger_reserve(p, 0);
	return err == OK ? OK
			 : fault_set(fault, err,
				   "%s: its ledger cannot be written: see that the disk of --state is neither full nor "
				   "read-only",
				   p->name);
}

enum err otp_ledger_record_received(struct otp_pad *p, usec now)
{
	const enum pad_role peer = otptunnel_role_other(p->options.role);
	if (otptunnel_offset(peer, atomic_load(&p->received)) <= p->ledger.received ||
		now - p->recorded_at < OTP_RECORD_EVERY)
		return OK;
	p->recorded_at = now;
	return record(p, otp_position(p->options.role, p->ledger.sent));
}

enum err otp_ledger_settle(struct otp_pad *p)
{
	/* What is left of a file that is used up is too little to be begun again with every start. */
	const uint64_t used = atomic_load(&p->is_used_up) ? p->share : atomic_load(&p->next);
	return record(p, otp_later(p->sent_before, used));
}
