/*
 * A key file in use by one end of OTPTunnel: what masks its frames, what opens the peer's, and the ledger behind both.
 *
 * Never twice: a byte is used for a frame only when the ledger has it on disk as used; a restart goes on behind that. A
 * byte of the peer's is accepted once. After a crash the peer's bytes of the last seconds may be accepted a second
 * time, since what was received is recorded every OTP_RECORD_EVERY only: ahead of time it cannot be known.
 *
 * What no bookkeeping can mend: there is no authentication (compat/otp_frame.h), a peer of the older kind begins at its
 * first byte with every start, and bytes that an older program used of the file before are not known here.
 *
 * Threads: otp_pad_seal by one, otp_pad_open by another, otp_pad_serve by a third, each alone; only the last waits for
 * a disk, but for a datagram's key bytes that are not in memory, which otp_pad_open reads. The counters by any.
 */
#pragma once

#include "base/clock.h"
#include "compat/otp_frame.h"
#include "pad/medium.h"
#include "pad/otptunnel.h"

#include <stdatomic.h>
#include <stdbool.h>

#define OTP_WINDOW ((uint64_t)4 << 20)       /* positions behind the highest accepted in which a datagram may be late */
#define OTP_RESTART_SPAN ((uint64_t)1 << 16) /* positions at a file's beginning that tell of a restart */
#define OTP_FETCHES 256   /* datagrams whose key bytes are looked up in the file before more are refused ... */
#define OTP_FETCH_RATE 64 /* ... and how many of them a second; what is accepted does not count */
#define OTP_RECORD_EVERY (2 * USEC_PER_SEC)

struct otp_pad;

struct otp_pad_options {
	enum pad_role role;    /* PAD_OTP_CLIENT or PAD_OTP_SERVER */
	bool restarts_at_zero; /* sends from the first byte on, whatever has been used; the ledger's mark never goes
				  down */
	bool peer_restarts;    /* a peer that begins again at its first byte is believed */
	uint64_t first;        /* nothing below this offset is sent with */
};

struct otp_counters {
	_Atomic uint64_t sealed, opened;
	/* dropped on the way out */
	_Atomic uint64_t odd;     /* frames shorter or longer than the protocol's */
	_Atomic uint64_t unready; /* faster than the disk, or the ledger cannot be written */
	_Atomic uint64_t used_up; /* there was no pad left for it */
	/* dropped on the way in */
	_Atomic uint64_t malformed; /* too short or too long */
	_Atomic uint64_t reflected; /* with our own bytes: sent back, or both ends have one role */
	_Atomic uint64_t outside;   /* bytes behind the file's end: another file? */
	_Atomic uint64_t forged;    /* does not open: changed, another file, or a stranger's */
	_Atomic uint64_t replayed;  /* bytes that have been accepted, or are too far behind */
	_Atomic uint64_t restarted; /* authentic, but from a peer that began again and was not believed */
	_Atomic uint64_t unread;    /* not looked up: strangers name places too often, or the file cannot be read */
};

/*
 * From a medium whose file has `size` bytes and whose ledger's copies are `copies`; `id` is otptunnel_id. Reserves and
 * reads the first bytes, so packets can go at once. Faults name `name`, and the remedy: ERR_FORMAT (too short, ledger
 * damaged or of another file), ERR_TOO_BIG, ERR_STATE (the ledger says the other role, or `first` lies outside), ERR_IO
 * (the ledger cannot be written, the file not read), ERR_CRYPTO (no MD5), ERR_NOMEM.
 */
enum err otp_pad_new(struct otp_pad **ret, const struct pad_medium *medium, uint64_t size,
	const uint8_t id[static PAD_ID_LEN], const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN],
	const struct otp_pad_options *options, const char *name, struct fault *fault);
/* Records exactly how far it was used; wipes. NULL is fine. */
void otp_pad_free(struct otp_pad *p);

/* The ledger knows of no use of this file: what an older program used of it is not known. */
bool otp_pad_is_first_use(const struct otp_pad *p);

/*
 * A frame to a datagram of at most len + OTP_OVERHEAD bytes at `out`. ERR_ARGUMENT: the frame is shorter or longer than
 * the protocol's; ERR_AGAIN: nothing is ready; ERR_FULL: used up, from now on; ERR_CRYPTO. All mean: drop it; it has
 * been counted.
 */
enum err otp_pad_seal(struct otp_pad *p, const uint8_t *frame, size_t len, uint8_t *out, size_t *ret_len);

/*
 * A datagram's frame, in place at its beginning. *ret_is_new: no frame with key bytes further on has been accepted, so
 * it tells where the peer is. Errors mean: drop it; it has been counted. ERR_FORMAT, ERR_AUTH, ERR_REPLAY, ERR_AGAIN
 * (not looked up), ERR_CRYPTO.
 */
enum err otp_pad_open(
	struct otp_pad *p, usec now, uint8_t *datagram, size_t len, size_t *ret_frame_len, bool *ret_is_new);

/* Reserves, reads ahead and records what is due. To be called when the medium's `wake` was, and once a second. */
void otp_pad_serve(struct otp_pad *p, usec now);

struct otp_pad_status {
	uint64_t next, received; /* offsets: of the next frame to send; behind the highest accepted */
	uint64_t left;           /* bytes that can still be sent with */
	bool is_used_up;
	char fault[160]; /* why the disk keeps us from going on; empty: it does not */
};
void otp_pad_status(struct otp_pad *p, struct otp_pad_status *ret);
const struct otp_counters *otp_pad_counters(const struct otp_pad *p);
