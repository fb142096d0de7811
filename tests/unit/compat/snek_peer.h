/*
 * For tests: the older program's side of a session, written from its formats and not from our code, so that it can
 * send what ours never would; and a receiver to send it to, which keeps what it delivers.
 */
#pragma once

#include "hex.h"
#include "seeded.h"
#include "snek_case.h"

#include "base/bytes.h"
#include "compat/snek_receiver.h"

#include <stdlib.h>

#define HEARD_MAX 512
#define SEALED_MAX 9000

struct snek_peer {
	struct snek_sender *own; /* of the receiver's side */
	struct snek_receiver *receiver;
	struct aead *aead; /* the peer's */
	struct seeded random;
	usec now;
	unsigned flushes;
	unsigned n_heard; /* since heard_nothing */
	size_t heard_len[HEARD_MAX];
	uint8_t heard[HEARD_MAX][SNEK_PACKET_MAX];
	const uint8_t *last; /* where the last one was delivered */
};

static void peer_hears(void *context, const uint8_t *packet, size_t len)
{
	struct snek_peer *p = context;
	assert_true(p->n_heard < HEARD_MAX && len > 0 && len <= SNEK_PACKET_MAX);
	memcpy(p->heard[p->n_heard], packet, len);
	p->heard_len[p->n_heard++] = len;
	p->last = packet;
}

static void peer_flushes(void *context)
{
	((struct snek_peer *)context)->flushes++;
}

static inline struct snek_peer *peer_new(void)
{
	struct snek_peer *p = calloc(1, sizeof *p);
	assert_non_null(p);
	HEX(key, SNEK_CASE_DATA_KEY);
	p->now = 1000;
	p->random.state = 5;
	const struct rng rng = seeded_rng(&p->random);
	assert_int_equal(snek_sender_new(&p->own, key, &rng), OK);
	assert_int_equal(snek_receiver_new(&p->receiver, key, p->own), OK);
	assert_int_equal(aead_new(&p->aead, CIPHER_CHACHA20_POLY1305, AEAD_SEAL, key), OK);
	return p;
}

static inline void peer_free(struct snek_peer *p)
{
	snek_receiver_free(p->receiver);
	snek_sender_free(p->own);
	aead_free(p->aead);
	free(p);
}

/* In memory of exactly its length, so that the address sanitiser sees every byte beside it. */
static inline void peer_gives(struct snek_peer *p, const uint8_t *datagram, size_t len)
{
	const struct snek_output out = {.deliver = peer_hears, .flush = peer_flushes, .context = p};
	uint8_t *copy = malloc(len ? len : 1);
	assert_non_null(copy);
	if (len > 0)
		memcpy(copy, datagram, len);
	snek_receive(p->receiver, copy, len, p->now, &out);
	free(copy);
}

/* The packet of the vectors: 45 00, its length, and bytes that count up from that. */
static inline void case_packet(uint8_t *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(len + i - 4);
	out[0] = 0x45;
	if (len >= 4) {
		out[1] = 0;
		be16_put(out + 2, (uint16_t)len);
	}
}

/* A plaintext: the length that is said, the packet, and padding that counts up, `len` bytes in all. */
static inline size_t peer_plaintext(uint8_t *out, uint32_t said, size_t packet_len, size_t len)
{
	be32_put(out, said);
	case_packet(out + 4, packet_len);
	for (size_t i = 4 + packet_len; i < len; i++)
		out[i] = (uint8_t)(i - 4 - packet_len);
	return len;
}

/* As the older program does it: drawn. */
static inline void peer_nonce(struct snek_peer *p, uint8_t out[static AEAD_NONCE_LEN])
{
	seeded_bytes(&p->random, out, AEAD_NONCE_LEN);
}

/* In place, with room for the tag; the length with it. */
static inline size_t peer_seals(
	struct snek_peer *p, const uint8_t nonce[static AEAD_NONCE_LEN], uint8_t *text, size_t len)
{
	assert_int_equal(aead_seal(p->aead, nonce, NULL, 0, text, len), OK);
	return len + AEAD_TAG_LEN;
}

/* A frame that holds a whole ciphertext. Returns its length. */
static inline size_t peer_frame(uint8_t *out, uint8_t flags, uint64_t seq, const uint8_t *nonce, struct view sealed)
{
	out[0] = flags;
	le64_put(out + 1, seq);
	le32_put(out + 9, (uint32_t)sealed.len);
	memcpy(out + 13, nonce, AEAD_NONCE_LEN);
	memcpy(out + 25, sealed.data, sealed.len);
	return 25 + sealed.len;
}

struct part {
	uint64_t seq;
	uint32_t total, id;
	uint16_t index, count;
};

static inline size_t peer_part(
	uint8_t *out, const struct part *part, const uint8_t *nonce, const uint8_t *chunk, size_t len)
{
	out[0] = 3;
	le64_put(out + 1, part->seq);
	le32_put(out + 9, (uint32_t)len);
	le32_put(out + 13, part->total);
	le32_put(out + 17, part->id);
	le16_put(out + 21, part->index);
	le16_put(out + 23, part->count);
	memcpy(out + 25, nonce, AEAD_NONCE_LEN);
	memcpy(out + 37, chunk, len);
	return 37 + len;
}

/* A datagram with a packet of n <= 1536 bytes, as a frame without padding, and a drawn nonce. */
static inline size_t peer_datagram(struct snek_peer *p, uint8_t out[static SNEK_DATAGRAM_MAX], uint64_t seq, size_t n)
{
	uint8_t nonce[AEAD_NONCE_LEN], text[SNEK_DATAGRAM_MAX];
	peer_nonce(p, nonce);
	const size_t len = peer_seals(p, nonce, text, peer_plaintext(text, (uint32_t)n, n, 4 + n));
	return peer_frame(out, 1, seq, nonce, VIEW(text, len));
}

/* A packet of n > 512 bytes, in two datagrams, as the older program cuts it; lengths in len. */
static inline void peer_halves(
	struct snek_peer *p, uint8_t out[static 2][SNEK_DATAGRAM_MAX], size_t len[static 2], uint64_t seq, size_t n)
{
	uint8_t nonce[AEAD_NONCE_LEN], text[SNEK_DATAGRAM_MAX];
	peer_nonce(p, nonce);
	const size_t plain = n + 4 > 1536 ? n + 4 : 1536;
	const size_t total = peer_seals(p, nonce, text, peer_plaintext(text, (uint32_t)n, n, plain));
	struct part part = {.seq = seq, .total = (uint32_t)total, .id = (uint32_t)seq, .count = 2};
	len[0] = peer_part(out[0], &part, nonce, text, 1536);
	part.seq++;
	part.index = 1;
	len[1] = peer_part(out[1], &part, nonce, text + 1536, total - 1536);
}

/* What was delivered last is that packet; it is the only one since this was last asked. */
static inline void assert_heard(struct snek_peer *p, size_t len)
{
	uint8_t expected[SNEK_PACKET_MAX];
	case_packet(expected, len);
	assert_int_equal(p->n_heard, 1);
	assert_int_equal(p->heard_len[0], len);
	assert_memory_equal(p->heard[0], expected, len);
	p->n_heard = 0;
}

static inline const struct snek_counters *counters(const struct snek_peer *p)
{
	return snek_receiver_counters(p->receiver);
}

/* The sum of all reasons for a drop. */
static inline uint64_t peer_drops(const struct snek_peer *p)
{
	const struct snek_counters *c = counters(p);
	return c->forged + c->malformed + c->replayed + c->reflected + c->not_ip + c->expired + c->evicted;
}

/* The session goes on: a good packet is delivered, whole and in fragments. */
static inline void assert_alive(struct snek_peer *p)
{
	static uint64_t seq = 1000;
	uint8_t datagrams[2][SNEK_DATAGRAM_MAX];
	size_t len[2];
	const uint64_t drops = peer_drops(p);
	peer_gives(p, datagrams[0], peer_datagram(p, datagrams[0], seq++, 100));
	assert_heard(p, 100);
	peer_halves(p, datagrams, len, seq, 700);
	peer_gives(p, datagrams[0], len[0]);
	peer_gives(p, datagrams[1], len[1]);
	seq += 2;
	assert_heard(p, 700);
	assert_int_equal(peer_drops(p), drops);
}
