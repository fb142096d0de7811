/* For tests: one end of OTPTunnel over a disk in memory (tests/unit/pad/disk.h), which outlives its lives. */
#pragma once

#include "disk.h"

#include "compat/otp_pad.h"

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

struct otp_end {
	struct disk disk;
	uint8_t id[PAD_ID_LEN];
	struct otp_pad_options options;
	struct otp_pad *pad; /* NULL: it does not run */
};

/* A file of these bytes, of which nothing has been used. Does not start. */
void otp_end_init(struct otp_end *e, const uint8_t *file, uint64_t size, enum pad_role role, struct seeded *seed);
void otp_end_done(struct otp_end *e);

/* The next life. */
enum err otp_end_try(struct otp_end *e, struct fault *fault);
void otp_end_start(struct otp_end *e);
/* A clean end; the disk may be dead. */
void otp_end_stop(struct otp_end *e);
/* The process is gone at once, and starts again. */
void otp_end_kill(struct otp_end *e);

/* Refused with this code and these words. */
void otp_end_refused(struct otp_end *e, enum err code, const char *words);

/* What its ledger says on disk. */
struct ledger otp_end_ledger(const struct otp_end *e);

/* A frame of `len` random bytes, sealed; ERR_AGAIN is tried again after serving. */
enum err otp_end_seal(struct otp_end *e, size_t len, uint8_t *frame, uint8_t *datagram, size_t *ret_len);
/* From a copy of it. */
enum err otp_end_open(
	struct otp_end *e, usec now, const uint8_t *datagram, size_t len, uint8_t *frame, size_t *ret_len);

uint64_t otp_offset_of(const uint8_t *datagram, size_t len);
