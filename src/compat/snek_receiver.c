#include "compat/snek_receiver.h"

#include "base/bytes.h"
#include "compat/snek_reassembly.h"
#include "compat/snek_replay.h"

#include <stdlib.h>

struct snek_receiver {
	struct aead *aead;
	const struct snek_sender *own;
	struct snek_replay *replay;
	struct snek_reassembly *reassembly;
	struct snek_counters counters;
};

enum err snek_receiver_new(
	struct snek_receiver **ret, const uint8_t key[static AEAD_KEY_LEN], const struct snek_sender *own)
{
	*ret = NULL;
	struct snek_receiver *r = calloc(1, sizeof *r);
	if (!r)
		return ERR_NOMEM;
	r->own = own;
	enum err err = aead_new(&r->aead, CIPHER_CHACHA20_POLY1305, AEAD_OPEN, key);
	if (err == OK)
		err = snek_replay_new(&r->replay);
	if (err == OK)
		err = snek_reassembly_new(&r->reassembly, &r->counters);
	if (err == OK)
		*ret = r;
	else
		snek_receiver_free(r);
	return err;
}

void snek_receiver_free(struct snek_receiver *receiver)
{
	if (!receiver)
		return;
	aead_free(receiver->aead);
	snek_replay_free(receiver->replay);
	snek_reassembly_free(receiver->reassembly);
	free(receiver);
}

void snek_receiver_release(struct snek_receiver *receiver)
{
	snek_reassembly_release(receiver->reassembly);
}

bool snek_receiver_peer_counts(const struct snek_receiver *receiver)
{
	return snek_replay_peer_counts(receiver->replay);
}

const struct snek_counters *snek_receiver_counters(const struct snek_receiver *receiver)
{
	return &receiver->counters;
}

/* The inner packet of a plaintext. Where its length says more than there is, the rest is taken, as the older program
 * does. Length 0: there is none. */
static struct view inner_packet(const uint8_t *text, size_t len)
{
	struct reader r = reader_of(text, len);
	const uint8_t *prefix = reader_take(&r, SNEK_LENGTH_LEN);
	const uint32_t said = prefix ? be32_get(prefix) : 0; /* negative ones are too long, too */
	if (said > SNEK_PACKET_MAX || said == 0 || reader_left(&r) == 0)
		return VIEW(NULL, 0);
	const size_t n = said < reader_left(&r) ? said : reader_left(&r);
	const uint8_t *packet = reader_take(&r, n);
	const uint8_t version = packet[0] >> 4;
	return version == 4 || version == 6 ? VIEW(packet, n) : VIEW(NULL, 0);
}

/* A whole ciphertext with its tag. */
static void open_packet(struct snek_receiver *receiver, const struct snek_frame *frame, const struct snek_whole *sealed,
	const struct snek_output *out)
{
	struct snek_counters *counters = &receiver->counters;
	if (sealed->len < AEAD_TAG_LEN ||
		aead_open(receiver->aead, frame->nonce, NULL, 0, sealed->data, sealed->len - AEAD_TAG_LEN) != OK) {
		snek_count(&counters->forged);
		return;
	}
	if (snek_replay_accept(receiver->replay, frame->nonce, frame->seq) != OK) {
		snek_count(&counters->replayed);
		return;
	}
	const struct view packet = inner_packet(sealed->data, sealed->len - AEAD_TAG_LEN);
	if (packet.len == 0) {
		snek_count(&counters->not_ip);
		return;
	}
	snek_count(&counters->delivered);
	out->deliver(out->context, packet.data, packet.len);
}

static void take_frame(
	struct snek_receiver *receiver, const struct snek_frame *frame, usec now, const struct snek_output *out)
{
	struct snek_whole whole = {.data = frame->chunk, .len = frame->chunk_len};
	enum err err = OK;
	if (snek_sender_is_own(receiver->own, frame->nonce)) {
		snek_count(&receiver->counters.reflected);
		return;
	}
	if (snek_replay_is_seen(receiver->replay, frame->nonce)) {
		snek_count(&receiver->counters.replayed);
		return;
	}
	if (frame->is_fragment) {
		err = snek_reassembly_add(receiver->reassembly, frame, now, &whole);
		if (err == ERR_FULL) {
			out->flush(out->context);
			snek_reassembly_release(receiver->reassembly);
			err = snek_reassembly_add(receiver->reassembly, frame, now, &whole);
		}
	}
	if (err == OK)
		open_packet(receiver, frame, &whole, out);
	else if (err != ERR_AGAIN)
		snek_count(&receiver->counters.malformed);
}

void snek_receive(
	struct snek_receiver *receiver, uint8_t *datagram, size_t len, usec now, const struct snek_output *out)
{
	if (len == 0 || len > SNEK_DATAGRAM_MAX) {
		snek_count(&receiver->counters.malformed);
		return;
	}
	for (size_t at = 0, frame_len; at < len; at += frame_len) {
		struct snek_frame frame;
		if (snek_frame_parse(&frame, &frame_len, &datagram[at], len - at) != OK) {
			snek_count(&receiver->counters.malformed);
			return;
		}
		take_frame(receiver, &frame, now, out);
	}
}
