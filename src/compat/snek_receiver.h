/*
 * The receiving half of a snek session: datagrams to inner packets. It takes all that the older program takes, frame
 * by frame - flags, padding and fragments as odd as they come - and whatever else it is given is counted and dropped:
 * nothing ends it. Datagrams are not one stream, as they are for the older program, so what is wrong with one of
 * them is over with it.
 *
 * What it cannot do, because the protocol's bytes do not allow it: the header is not authenticated, so whoever
 * sits on the path can spoil a packet by forging a fragment of it, and, if the peer is the older program, replay one
 * that was received long ago, under another sequence number (snek_replay.h says how long). Both ways share one key, so
 * nothing but the nonce tells our own frames from the peer's. There is no rekeying, and no proof of who holds the
 * key at the server's end. jorm's own protocol has none of these gaps.
 *
 * One thread receives; counters may be read by others.
 */
#pragma once

#include "base/clock.h"
#include "compat/snek_counters.h"
#include "compat/snek_sender.h"

struct snek_receiver;

struct snek_output {
	/* An inner packet: `len` is 1 to SNEK_PACKET_MAX, its first nibble 4 or 6, and nothing else is known of it. It
	 * stays until its datagram's buffer is used again, or, if it came in fragments, until
	 * snek_receiver_release or the next `flush`, whichever is first. */
	void (*deliver)(void *context, const uint8_t *packet, size_t len);
	/* There is no room for another reassembled packet: when this returns, none that was delivered is looked at any
	 * more. */
	void (*flush)(void *context);
	void *context;
};

/* `own`: the same session's sender, borrowed as long as this lives. The key is copied. ERR_NOMEM, ERR_CRYPTO. About
 * 9 MiB, most of which is touched only as it is needed. */
enum err snek_receiver_new(
	struct snek_receiver **ret, const uint8_t key[static AEAD_KEY_LEN], const struct snek_sender *own);
void snek_receiver_free(struct snek_receiver *receiver); /* wipes; NULL is fine */

/* A datagram as it came, of any length, which is written to: opened in place. `now` never goes back. */
void snek_receive(
	struct snek_receiver *receiver, uint8_t *datagram, size_t len, usec now, const struct snek_output *out);

/* None of the packets that were delivered is looked at any more. */
void snek_receiver_release(struct snek_receiver *receiver);

/* Has the peer shown that it counts its nonces, so that it is jorm? By authentic packets. From the receiving thread. */
bool snek_receiver_peer_counts(const struct snek_receiver *receiver);

const struct snek_counters *snek_receiver_counters(const struct snek_receiver *receiver);
