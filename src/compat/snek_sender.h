/*
 * The sending half of a snek session: inner packets to datagrams, as the older program makes them.
 *
 * A packet is padded with zeros (within the AEAD) to a bucket of 64, 256, 512 or 1536 bytes, with its length in front,
 * and sealed; a ciphertext over 1536 bytes goes out as two datagrams. Two things differ, and are the same to an older
 * peer: its rare excess padding, an accident, is never made, and nonces are counted rather than drawn. A nonce
 * is a number that starts at random and goes up by one: its last 4 bytes count, its first 8 take the carry. So it
 * never repeats, whereas random ones under one key for both ways are safe for 2^32 packets at best; it marks the frames
 * that are ours, should somebody send them back; and a peer that is jorm too can tell replays by it (snek_replay.h).
 *
 * One thread seals; what says so may be called from another.
 */
#pragma once

#include "base/rng.h"
#include "compat/snek_frame.h"

#define SNEK_DATAGRAMS_MAX 2 /* of a packet */
/* In place, before its second chunk is cut off: what the largest packet needs. */
#define SNEK_ROOM (SNEK_FRAGMENT_HEADER_LEN + SNEK_LENGTH_LEN + SNEK_PACKET_MAX + AEAD_TAG_LEN)

struct snek_sender;

/* `data`: SNEK_ROOM bytes of the caller's. */
struct snek_datagram {
	uint8_t *data;
	size_t len;
};

/* Draws the first nonce, 12 bytes, and the first fragments' id, 4. The key is copied. ERR_NOMEM, ERR_CRYPTO. */
enum err snek_sender_new(struct snek_sender **ret, const uint8_t key[static AEAD_KEY_LEN], const struct rng *rng);
void snek_sender_free(struct snek_sender *sender); /* wipes; NULL is fine */

/* Fills out[0..*ret_n): 1 or 2 datagrams, to be sent in this order; each as the usual sizes are (at most 1573 bytes;
 * but see snek_sender_cut_evenly), well-formed whatever the packet holds, since one odd datagram ends an older peer's
 * reception for good. The packet may not lie in their room. ERR_ARGUMENT: an empty packet; ERR_TOO_BIG: over
 * SNEK_PACKET_MAX; ERR_CRYPTO: the library failed. On error *ret_n is 0. */
enum err snek_seal(struct snek_sender *sender, const uint8_t *packet, size_t len,
	struct snek_datagram out[static SNEK_DATAGRAMS_MAX], size_t *ret_n);

/*
 * From now on a ciphertext over SNEK_CHUNK_MAX is cut in two of one size in place of SNEK_CHUNK_MAX and the rest. The
 * older program takes that as well, but never sends it. For a peer that is jorm too: nothing has to be fragmented by IP
 * then, and the kernel sends and receives such datagrams many at a time. From any thread.
 */
void snek_sender_cut_evenly(struct snek_sender *sender);

/* Is the nonce one of this sender's? (By its first 8 bytes, which a peer's do not share, but for one in 2^64.) From any
 * thread. */
bool snek_sender_is_own(const struct snek_sender *sender, const uint8_t nonce[static AEAD_NONCE_LEN]);
