/*
 * The key bytes of one end in memory: of every second byte of the key file, a stretch around where they are used, which
 * a feeder reads ahead and wipes behind. Places are positions: these bytes counted from 0 (pad/otptunnel.h).
 *
 * Threads: otp_key_load by one, the feeder, which alone waits for a disk; otp_key_get by any, and a lock is held no
 * longer than a copy takes; otp_key_read by any, and it reads the file.
 */
#pragma once

#include "pad/medium.h"
#include "pad/otptunnel.h"

#include <stdbool.h>

#define OTP_KEY_READ_MAX 4096 /* bytes of one otp_key_read */

struct otp_key;

/* Nothing in memory yet; room for about `room` bytes. `medium`: borrowed, a file of `size` bytes. ERR_NOMEM. */
enum err otp_key_new(
	struct otp_key **ret, const struct pad_medium *medium, enum pad_role role, uint64_t size, size_t room);
void otp_key_free(struct otp_key *k); /* wipes; NULL is fine */

uint64_t otp_key_share(const struct otp_key *k); /* how many bytes there are */
size_t otp_key_room(const struct otp_key *k);    /* of them fit in memory */

/* Copies `len` bytes, if all of them are in memory. */
bool otp_key_get(struct otp_key *k, uint64_t position, uint8_t *out, size_t len);
/* The same from the file, `len` at most OTP_KEY_READ_MAX, all of them within the share. ERR_IO. */
enum err otp_key_read(const struct otp_key *k, uint64_t position, uint8_t *out, size_t len);

/* Has the bytes from..to in memory, as far as they fit and are there; what is below `from` is wiped. ERR_IO: as far as
 * they could be read. */
enum err otp_key_load(struct otp_key *k, uint64_t from, uint64_t to);
