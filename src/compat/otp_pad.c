#include "compat/otp_private.h"

#include "base/secret.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY USEC_PER_SEC /* of what the disk refused */
#define WAKE_PART 4        /* who serves is woken when that part of what is ready has been used */

/* ---- life ---- */

static enum err begin_keys(struct otp_pad *p, struct fault *fault)
{
	const enum pad_role role = p->options.role, peer = otptunnel_role_other(role);
	const uint64_t seen = p->options.peer_restarts ? 0 : otp_position(peer, p->ledger.received);
	enum err err = md5_new(&p->send_md5);
	if (err == OK)
		err = md5_new(&p->receive_md5);
	if (err != OK)
		return fault_set(fault, err,
			"libcrypto has no MD5, which is in each of OTPTunnel's datagrams: switch its FIPS 140 mode "
			"off");
	err = otp_key_new(&p->send_key, &p->medium, role, p->size, OTP_SEND_ROOM);
	if (err == OK)
		err = otp_key_new(&p->receive_key, &p->medium, peer, p->size, OTP_RECEIVE_ROOM);
	if (err == OK)
		err = otp_window_new(&p->window, OTP_WINDOW, seen);
	atomic_store(&p->received, seen);
	return err == OK ? OK : fault_set(fault, err, "%s: out of memory", p->name);
}

static enum err begin(struct otp_pad *p, const uint8_t id[static PAD_ID_LEN],
	const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], struct fault *fault)
{
	enum err err = otp_ledger_load(p, id, copies, fault);
	if (err == OK)
		err = begin_keys(p, fault);
	if (err == OK)
		err = otp_ledger_begin(p, fault);
	if (err != OK)
		return err;
	otp_pad_serve(p, 0);
	return p->fault[0] ? fault_set(fault, ERR_IO, "%s: %s", p->name, p->fault) : OK;
}

static void free_parts(struct otp_pad *p)
{
	otp_key_free(p->send_key);
	otp_key_free(p->receive_key);
	otp_window_free(p->window);
	md5_free(p->send_md5);
	md5_free(p->receive_md5);
	(void)pthread_mutex_destroy(&p->lock);
	secret_wipe(p, sizeof *p);
	free(p);
}

enum err otp_pad_new(struct otp_pad **ret, const struct pad_medium *medium, uint64_t size,
	const uint8_t id[static PAD_ID_LEN], const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN],
	const struct otp_pad_options *options, const char *name, struct fault *fault)
{
	if (size < OTPTUNNEL_HEAD_LEN)
		return fault_set(fault, ERR_FORMAT,
			"%s: a key file of %" PRIu64 " bytes is too short: %d are the least", name, size,
			OTPTUNNEL_HEAD_LEN);
	if (size > PAD_SIZE_MAX)
		return fault_set(fault, ERR_TOO_BIG,
			"%s: a key file of %" PRIu64 " bytes is too long: %llu are the most", name, size,
			(unsigned long long)PAD_SIZE_MAX);
	struct otp_pad *p = calloc(1, sizeof *p);
	if (!p || pthread_mutex_init(&p->lock, NULL) != 0) {
		free(p);
		return fault_set(fault, ERR_NOMEM, "%s: out of memory", name);
	}
	p->medium = *medium;
	p->options = *options;
	p->size = size;
	p->share = otptunnel_share(options->role, size);
	p->peer_share = otptunnel_share(otptunnel_role_other(options->role), size);
	p->fetches = OTP_FETCHES;
	(void)snprintf(p->name, sizeof p->name, "%s", name);
	enum err err = begin(p, id, copies, fault);
	if (err == OK)
		*ret = p;
	else
		free_parts(p);
	return err;
}

void otp_pad_free(struct otp_pad *p)
{
	if (!p)
		return;
	/* If it fails, what is on disk says that more has been used: nothing is lost but that. */
	(void)!otp_ledger_settle(p);
	free_parts(p);
}

bool otp_pad_is_first_use(const struct otp_pad *p)
{
	return p->is_first_use;
}

/* ---- serving ---- */

static enum err feed_send(struct otp_pad *p)
{
	const uint64_t next = atomic_load(&p->next), end = next + otp_key_room(p->send_key);
	enum err err = otp_key_load(p->send_key, next, end);
	const uint64_t ready = otp_earlier(end, atomic_load(&p->allowed));
	/* What the disk refuses is not asked for with every packet. */
	const bool can_be_had = err == OK && !p->failed_at;
	atomic_store(&p->wake_send, ready > next ? next + (ready - next) / WAKE_PART : can_be_had ? next : UINT64_MAX);
	return err;
}

static enum err feed_receive(struct otp_pad *p)
{
	const uint64_t received = atomic_load(&p->received);
	const uint64_t from = received > OTP_BEHIND ? received - OTP_BEHIND : 0;
	enum err err = otp_key_load(p->receive_key, from, from + otp_key_room(p->receive_key));
	const uint64_t end = from + otp_key_room(p->receive_key);
	atomic_store(&p->wake_receive, end > received ? received + (end - received) / WAKE_PART : received);
	return err;
}

void otp_pad_serve(struct otp_pad *p, usec now)
{
	enum err reading = feed_send(p), recording = OK;
	if (!p->failed_at || now - p->failed_at >= RETRY) {
		recording = otp_ledger_reserve(p, now);
		if (recording == OK)
			recording = otp_ledger_record_received(p, now);
		p->failed_at = recording == OK ? 0 : now;
	} else {
		recording = ERR_IO;
	}
	if (reading == OK)
		reading = feed_send(p);
	if (reading == OK)
		reading = feed_receive(p);
	pthread_mutex_lock(&p->lock);
	(void)snprintf(p->fault, sizeof p->fault, "%s",
		recording != OK ? "its ledger cannot be written: see that the disk of --state is neither full nor "
				  "read-only"
		: reading != OK ? "the file cannot be read: was it cut short, or is its disk failing?"
				: "");
	pthread_mutex_unlock(&p->lock);
}

/* ---- status ---- */

void otp_pad_status(struct otp_pad *p, struct otp_pad_status *ret)
{
	const enum pad_role role = p->options.role;
	const uint64_t next = atomic_load(&p->next);
	*ret = (struct otp_pad_status){
		.next = otptunnel_offset(role, next),
		.received = otptunnel_offset(otptunnel_role_other(role), atomic_load(&p->received)),
		.left = p->share - next,
		.is_used_up = atomic_load(&p->is_used_up),
	};
	pthread_mutex_lock(&p->lock);
	memcpy(ret->fault, p->fault, sizeof ret->fault);
	pthread_mutex_unlock(&p->lock);
}

const struct otp_counters *otp_pad_counters(const struct otp_pad *p)
{
	return &p->counters;
}
