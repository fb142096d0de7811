#include "compat/snek_sender.h"

#include "base/bytes.h"

#include <stdatomic.h>
#include <stdlib.h>

struct snek_sender {
	struct aead *aead;
	uint64_t first_high;   /* the first 8 bytes of the session's first nonce */
	_Atomic uint64_t high; /* ... of the next one */
	uint32_t low;          /* its last 4 bytes */
	uint32_t fragment_id;
	uint64_t seq;
	atomic_bool cuts_evenly;
};

enum err snek_sender_new(struct snek_sender **ret, const uint8_t key[static AEAD_KEY_LEN], const struct rng *rng)
{
	*ret = NULL;
	struct snek_sender *s = calloc(1, sizeof *s);
	if (!s)
		return ERR_NOMEM;
	const enum err err = aead_new(&s->aead, CIPHER_CHACHA20_POLY1305, AEAD_SEAL, key);
	if (err != OK) {
		free(s);
		return err;
	}
	uint8_t nonce[AEAD_NONCE_LEN];
	rng_fill(rng, nonce, sizeof nonce);
	s->first_high = le64_get(nonce);
	s->low = le32_get(nonce + sizeof s->first_high);
	s->fragment_id = rng_u32(rng);
	atomic_init(&s->high, s->first_high);
	*ret = s;
	return OK;
}

void snek_sender_free(struct snek_sender *sender)
{
	if (!sender)
		return;
	aead_free(sender->aead);
	free(sender);
}

bool snek_sender_is_own(const struct snek_sender *sender, const uint8_t nonce[static AEAD_NONCE_LEN])
{
	const uint64_t last = atomic_load_explicit(&sender->high, memory_order_acquire);
	/* Counted from the first one, since they may wrap. */
	return le64_get(nonce) - sender->first_high <= last - sender->first_high;
}

void snek_sender_cut_evenly(struct snek_sender *sender)
{
	atomic_store_explicit(&sender->cuts_evenly, true, memory_order_relaxed);
}

static void next_nonce(struct snek_sender *s, uint8_t out[static AEAD_NONCE_LEN])
{
	const uint64_t high = atomic_load_explicit(&s->high, memory_order_relaxed);
	le64_put(out, high);
	le32_put(out + sizeof high, s->low);
	if (++s->low == 0)
		atomic_store_explicit(&s->high, high + 1, memory_order_release);
}

/* The older program chooses the bucket without counting the length in front, which may then stand out of it. */
static size_t plaintext_length(size_t packet_len)
{
	static const size_t buckets[] = {64, 256, 512, SNEK_PACKET_MAX};
	size_t i = 0;
	while (buckets[i] < packet_len)
		i++;
	const size_t least = SNEK_LENGTH_LEN + packet_len;
	return buckets[i] > least ? buckets[i] : least;
}

/* The header in front of the chunk that is at its place in the datagram already. */
static void finish(struct snek_sender *s, struct snek_frame *frame, size_t chunk_len, struct snek_datagram *datagram)
{
	frame->seq = s->seq++;
	frame->chunk_len = chunk_len;
	datagram->len = snek_frame_build(datagram->data, frame) + chunk_len;
}

enum err snek_seal(struct snek_sender *sender, const uint8_t *packet, size_t len,
	struct snek_datagram out[static SNEK_DATAGRAMS_MAX], size_t *ret_n)
{
	*ret_n = 0;
	if (len == 0 || len > SNEK_PACKET_MAX)
		return len ? ERR_TOO_BIG : ERR_ARGUMENT;
	const size_t text_len = plaintext_length(len), total = text_len + AEAD_TAG_LEN;
	struct snek_frame frame = {.is_fragment = total > SNEK_CHUNK_MAX, .count = 2, .total = (uint32_t)total};
	uint8_t *text = out[0].data + (frame.is_fragment ? SNEK_FRAGMENT_HEADER_LEN : SNEK_HEADER_LEN);
	be32_put(text, (uint32_t)len);
	memcpy(text + SNEK_LENGTH_LEN, packet, len);
	memset(text + SNEK_LENGTH_LEN + len, 0, text_len - SNEK_LENGTH_LEN - len);
	next_nonce(sender, frame.nonce);
	const enum err err = aead_seal(sender->aead, frame.nonce, NULL, 0, text, text_len);
	if (err != OK)
		return err;
	if (!frame.is_fragment) {
		finish(sender, &frame, total, &out[0]);
		*ret_n = 1;
		return OK;
	}
	/* Counted too: the older program never forgets a packet whose fragments did not all arrive, and finds it by its
	 * id alone. */
	frame.id = sender->fragment_id++;
	const bool evenly = atomic_load_explicit(&sender->cuts_evenly, memory_order_relaxed);
	const size_t first = evenly ? (total + 1) / 2 : SNEK_CHUNK_MAX;
	finish(sender, &frame, first, &out[0]);
	frame.index = 1;
	memcpy(out[1].data + SNEK_FRAGMENT_HEADER_LEN, text + first, total - first);
	finish(sender, &frame, total - first, &out[1]);
	*ret_n = 2;
	return OK;
}
