/* The inside of a key file in use, shared by the files of compat/otp_pad.h. */
#pragma once

#include "compat/otp_key.h"
#include "compat/otp_pad.h"
#include "compat/otp_window.h"

#include <pthread.h>

/* In positions, each of which is two bytes of the file. */
#define OTP_SEND_ROOM ((size_t)8 << 20) /* 64 ms at 1 Gbit/s */
#define OTP_RECEIVE_ROOM ((size_t)8 << 20)
#define OTP_BEHIND ((uint64_t)1 << 20) /* kept for frames that come late */

struct otp_pad {
	struct pad_medium medium;
	struct otp_pad_options options;
	char name[160];
	uint64_t size, share, peer_share;
	bool is_first_use;
	struct otp_counters counters;

	/* Who sends. */
	struct md5 *send_md5;
	struct otp_key *send_key;
	_Atomic uint64_t next;      /* our next byte */
	_Atomic uint64_t allowed;   /* ours below are on disk as used */
	_Atomic uint64_t wake_send; /* the feeder is woken there; UINT64_MAX: it has been */
	_Atomic bool is_used_up;
	uint8_t send_bytes[OTP_KEY_MAX];

	/* Who receives. */
	struct md5 *receive_md5;
	struct otp_key *receive_key;
	struct otp_window *window;
	_Atomic uint64_t received;     /* behind the highest of the peer's that was accepted */
	_Atomic uint64_t wake_receive; /* as above */
	uint32_t fetches;              /* that are still allowed */
	usec fetched_at;
	uint8_t receive_bytes[OTP_KEY_MAX];

	/* Who serves. */
	struct ledger ledger; /* as it is on disk */
	uint64_t sent_before; /* the ledger's mark at the start */
	uint64_t stretch;
	usec reserved_at, recorded_at, failed_at;
	pthread_mutex_t lock; /* of: */
	char fault[160];
};

static inline void otp_count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static inline uint64_t otp_earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t otp_later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The position whose offset this is. */
static inline uint64_t otp_position(enum pad_role role, uint64_t offset)
{
	return (offset - otptunnel_parity(role)) / 2;
}

/* Wakes who serves, at most once until it has looked. */
static inline void otp_wake(struct otp_pad *p, _Atomic uint64_t *mark)
{
	if (atomic_exchange_explicit(mark, UINT64_MAX, memory_order_relaxed) != UINT64_MAX)
		p->medium.wake(p->medium.context);
}

/* ---- the ledger (otp_ledger.c), of who serves ---- */

/* What is on disk, or a new record for a file that was never used here. Faults as otp_pad_new's. */
enum err otp_ledger_load(struct otp_pad *p, const uint8_t id[static PAD_ID_LEN],
	const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], struct fault *fault);
/* Where this start begins, the first bytes reserved, and proof that the ledger can be written. Faults as above. */
enum err otp_ledger_begin(struct otp_pad *p, struct fault *fault);
/* More of our bytes are on disk as used before they are, if it is time. ERR_IO. */
enum err otp_ledger_reserve(struct otp_pad *p, usec now);
/* How far the peer has been seen, if it is time. ERR_IO. */
enum err otp_ledger_record_received(struct otp_pad *p, usec now);
/* The marks exactly as things are. ERR_IO. */
enum err otp_ledger_settle(struct otp_pad *p);
