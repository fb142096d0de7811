/*
 * What pads know of otptunnel (src/compat), which uses a file of random bytes in another way: all of it, the client the
 * bytes at even offsets and the server those at odd ones, both from the beginning upwards. Its marks are kept in the
 * same ledgers (pad/ledger.h), so that a file that one of the two has used is refused to the other.
 *
 * In its ledgers `sent` is the offset behind the end's own bytes that may have been used, of their parity, and
 * `received` the same for the peer's that have been accepted; everything else is zero.
 */
#pragma once

#include "pad/ledger.h"

#define OTPTUNNEL_HEAD_LEN 64 /* the ID is made of; a file has as many at least */

/* Its ID there. The first bytes cannot be it, as they are of a native pad: they are key here, and the ID is the name of
 * a file. ERR_CRYPTO, then zeros. */
enum err otptunnel_id(uint8_t out[static PAD_ID_LEN], const uint8_t head[static OTPTUNNEL_HEAD_LEN]);

static inline enum pad_role otptunnel_role_other(enum pad_role role)
{
	return role == PAD_OTP_CLIENT ? PAD_OTP_SERVER : PAD_OTP_CLIENT;
}

/* Of the offsets that an end sends with. */
static inline uint64_t otptunnel_parity(enum pad_role role)
{
	return role == PAD_OTP_SERVER ? 1 : 0;
}

/* How many bytes of a file of `size` bytes are an end's own. */
static inline uint64_t otptunnel_share(enum pad_role role, uint64_t size)
{
	return (size + 1 - otptunnel_parity(role)) / 2;
}

/* The offset of an end's own byte number `position`, from 0. */
static inline uint64_t otptunnel_offset(enum pad_role role, uint64_t position)
{
	return 2 * position + otptunnel_parity(role);
}

/* Do the numbers of a ledger with one of its two roles fit the size and each other? */
bool otptunnel_ledger_is_consistent(const struct ledger *l);
/* Something of the file has been sent or accepted. */
bool otptunnel_ledger_is_used(const struct ledger *l);
/* From here on this end knows of no byte that has been used, by either. */
uint64_t otptunnel_unused_from(const struct ledger *l);
