#include "compat/otp_notices.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

#define EVERY (60 * USEC_PER_SEC)
#define LOW_PART 10 /* of our half of the key file */

/* Single datagrams are nothing to talk about: networks repeat and break some, and anybody can send one. */
static const struct {
	uint64_t at_least;
	const char *text;
} texts[OTP_NOTICES] = {
	[OTP_NOTICE_RESTARTED] = {3,
		"datagrams dropped: the peer sends with key bytes that it has used before. An older "
		"program begins again at the file's beginning with every start: give both ends a "
		"fresh file, or, if replays may be, start this end with --peer-restarts"},
	[OTP_NOTICE_REFLECTED] = {3,
		"datagrams dropped: they use this end's half of the key file. Were both ends started "
		"as server, or both as client (one of them needs -S), or does somebody send ours "
		"back?"},
	[OTP_NOTICE_OUTSIDE] = {3, "datagrams dropped: their offsets lie behind the key file's end. Does the other end "
				   "have a longer file?"},
	[OTP_NOTICE_FORGED] = {10, "datagrams dropped: they do not open. Has the other end the same key file?"},
	[OTP_NOTICE_FOREIGN] = {10, "datagrams dropped: they come from another address than -A. If the peer is there, "
				    "give that address, or leave -A out at the server"},
	[OTP_NOTICE_UNREADY] = {1000, "frames dropped: key bytes are used faster than the disk gives them or records "
				      "their use. Put the key file and --state on a faster one"},
};

static uint64_t counter_of(enum otp_notice notice, const struct otp_link *link)
{
	const struct otp_counters *c = otp_pad_counters(otp_link_pad(link));
	switch (notice) {
	case OTP_NOTICE_RESTARTED:
		return c->restarted;
	case OTP_NOTICE_REFLECTED:
		return c->reflected;
	case OTP_NOTICE_OUTSIDE:
		return c->outside;
	case OTP_NOTICE_FORGED:
		return c->forged;
	case OTP_NOTICE_FOREIGN:
		return otp_link_foreign(link);
	case OTP_NOTICE_UNREADY:
		return c->unready;
	case OTP_NOTICES:
		break;
	}
	return 0;
}

static void tell_drops(struct otp_notices *n, struct otp_link *link, usec now)
{
	for (int i = 0; i < OTP_NOTICES; i++) {
		const uint64_t counted = counter_of((enum otp_notice)i, link);
		const bool is_time = n->items[i].told_at == 0 || now - n->items[i].told_at >= EVERY;
		if (!is_time || counted - n->items[i].told < texts[i].at_least)
			continue;
		log_warning("%" PRIu64 " %s", counted - n->items[i].told, texts[i].text);
		n->items[i].told = counted;
		n->items[i].told_at = now;
	}
}

static void tell_peer(struct otp_notices *n, struct otp_link *link)
{
	struct addr peer;
	char text[ADDR_TEXT_LEN];
	if (!otp_link_peer(link, &peer) || addr_equal(&peer, &n->peer))
		return;
	log_info("the peer is at %s", addr_format(&peer, text));
	n->peer = peer;
}

static void tell_pad(struct otp_notices *n, struct otp_link *link)
{
	struct otp_pad_status status;
	otp_pad_status(otp_link_pad(link), &status);
	if (strcmp(status.fault, n->fault) != 0) {
		if (status.fault[0])
			log_error("the key file: %s; what is not recorded is not sent with", status.fault);
		else
			log_info("the key file and its ledger can be used again");
		memcpy(n->fault, status.fault, sizeof n->fault);
	}
	if (status.is_used_up && !n->is_used_up)
		log_error("this end's half of the key file is used up: nothing is sent any more, what the peer sends "
			  "still arrives; give both ends a fresh file");
	else if (status.left < otp_link_size(link) / 2 / LOW_PART && !n->is_low && !status.is_used_up)
		log_warning("%" PRIu64 " bytes are left of this end's half of the key file: give both ends a fresh one "
			    "soon",
			status.left);
	n->is_used_up |= status.is_used_up;
	n->is_low |= status.left < otp_link_size(link) / 2 / LOW_PART;
}

void otp_notices_tell(struct otp_notices *n, struct otp_link *link, usec now)
{
	tell_peer(n, link);
	tell_pad(n, link);
	tell_drops(n, link, now);
}
