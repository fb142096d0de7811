/* What the user of otptunnel has to hear while it runs: once when it begins, and at most once a minute while it lasts.
 */
#pragma once

#include "compat/otp_link.h"

enum otp_notice {
	OTP_NOTICE_RESTARTED,
	OTP_NOTICE_REFLECTED,
	OTP_NOTICE_OUTSIDE,
	OTP_NOTICE_FORGED,
	OTP_NOTICE_FOREIGN,
	OTP_NOTICE_UNREADY,
	OTP_NOTICES
};

/* Starts as zeros. */
struct otp_notices {
	struct addr peer;
	bool is_low, is_used_up;
	char fault[160];
	struct {
		uint64_t told; /* of the counter */
		usec told_at;  /* 0: never */
	} items[OTP_NOTICES];
};

/* Looks at a link that runs, and logs what is new. */
void otp_notices_tell(struct otp_notices *n, struct otp_link *link, usec now);
