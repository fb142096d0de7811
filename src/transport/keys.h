/*
 * The keys of one epoch of a session, and the sealing and opening of its Data datagrams
 * (docs/protocol.md, "Data" and "Sessions"). Made by the handshake or a rekey, used by every lane
 * (worker) at once: counters are atomic, the replay window has a lock of a few instructions, and the
 * AEAD contexts are shared by all lanes, or, where they cannot be, each lane has its own, made at its
 * first packet. Idle keys are small: the replay window's ring, too, is made when counters need it.
 *
 * It hides the key bytes and contexts. The owner frees it after a grace period, when no lane can
 * hold it any more; free wipes.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "crypto/aead.h"
#include "transport/protection.h"
#include "wire/wire.h"

#include <stdatomic.h>
#include <stdbool.h>

#define KEYS_COUNTER_MAX (UINT64_C(1) << 32) /* rekey at the latest here ... */
#define KEYS_COUNTER_END (UINT64_C(1) << 33) /* ... and never send from here on */
#define KEYS_FORGERIES_MAX (UINT64_C(1) << 36)
/* Datagrams' first positions in a pad are never nearer: divided by it, they stand for counters. */
#define KEYS_PAD_STEP 32
#define KEYS_LIFETIME (180 * USEC_PER_SEC)

struct keys;
struct pad;

struct keys_config {
	uint32_t local_index, remote_index;
	enum cipher cipher;
	uint64_t rank; /* orders all epochs of a peer: later ones are higher */
	usec born;
	uint32_t n_lanes;
	const uint8_t *key_send, *key_receive; /* AEAD_KEY_LEN bytes each, copied; NULL for PROTECTION_OTP */
	enum protection protection;
	struct pad *pad;    /* borrowed; NULL for PROTECTION_PQ */
	uint64_t pad_floor; /* PROTECTION_OTP: the peer's positions below are refused */
	void *owner;        /* the peer, for keys_owner */
};

enum err keys_new(struct keys **ret, const struct keys_config *config);
void keys_free(struct keys *keys); /* wipes; NULL is fine */

uint32_t keys_local_index(const struct keys *keys);
uint64_t keys_rank(const struct keys *keys);
usec keys_born(const struct keys *keys);
enum cipher keys_cipher(const struct keys *keys);
void *keys_owner(const struct keys *keys);
enum protection keys_protection(const struct keys *keys);
struct pad *keys_pad(const struct keys *keys);
uint64_t keys_pad_floor(const struct keys *keys);
uint32_t keys_remote_index(const struct keys *keys);
/* Bytes between a datagram's header and its frames. */
size_t keys_prefix(const struct keys *keys);

/* Whether lanes may send under these keys at `now`: not retired, not too old, counters left. A pad's do not age. */
bool keys_may_send(const struct keys *keys, usec now);
/* From now on only packet frames are accepted under them, and nothing is sent. */
void keys_retire(struct keys *keys);
bool keys_is_retired(const struct keys *keys);
/* Wipes what sends. Only after keys_retire and a grace period: no lane may be sealing. */
void keys_wipe_sending(struct keys *keys);
uint64_t keys_sent(const struct keys *keys);      /* datagrams sealed */
uint64_t keys_forgeries(const struct keys *keys); /* datagrams that failed to open */
/* Has anything authentic arrived under them? */
bool keys_is_heard(const struct keys *keys);
/* One above the highest counter that has arrived. */
uint64_t keys_received(struct keys *keys);

/* An authentic datagram's counter, or what stands for one: marked as seen. ERR_REPLAY, ERR_NOMEM. */
enum err keys_accept(struct keys *keys, uint64_t counter, bool *is_newest);

/* Reserves n consecutive counters; returns the first. */
uint64_t keys_take_counters(struct keys *keys, uint32_t n);

/* keys_seal and keys_open know nothing of pads: transport/sealing.h is above them. */

/*
 * Seals one datagram in place: datagram[16 .. 16 + plain_len) holds frames and padding; header and
 * tag are written around it (DATA_OVERHEAD + plain_len bytes in all). `counter` is from
 * keys_take_counters, used once. ERR_STATE (retired), ERR_CRYPTO, ERR_NOMEM (first packet of a lane).
 */
enum err keys_seal(struct keys *keys, uint32_t lane, uint8_t *datagram, size_t plain_len, uint64_t counter);

/*
 * Opens one datagram in place; on OK *plain is its plaintext and *counter its counter, marked as
 * seen; *is_newest: no higher counter has been seen. ERR_FORMAT, ERR_AUTH, ERR_REPLAY (authentic, but seen before),
 * ERR_CRYPTO, ERR_NOMEM.
 */
enum err keys_open(struct keys *keys, uint32_t lane, uint8_t *datagram, size_t len, struct view *plain,
	uint64_t *counter, bool *is_newest);
