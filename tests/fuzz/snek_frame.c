/*
 * The receiver of snek's data frames. The input is a list of things that come: datagrams as they are; plaintexts, which
 * are sealed here, since no fuzzer finds a tag, and cut into fragments; the last datagram again, with another sequence
 * number; frames of our own; time. Whatever it was, a good packet is delivered afterwards.
 */
#include "fuzz.h"

#include "compat/snek_receiver.h"

#define TEXT_MAX 4096

struct session {
	struct snek_sender *own;
	struct snek_receiver *receiver;
	struct aead *peer;
	uint64_t random, delivered, allowed; /* allowed: packets that may be delivered at most */
	usec now;
	uint8_t last[SNEK_DATAGRAM_MAX];
	size_t last_len;
};

static const uint8_t key[AEAD_KEY_LEN] = {42};

static void deliver(void *context, const uint8_t *packet, size_t len)
{
	struct session *s = context;
	volatile uint8_t sum = 0;
	for (size_t i = 0; i < len; i++)
		sum = (uint8_t)(sum + packet[i]);
	MUST(len > 0 && len <= SNEK_PACKET_MAX && (packet[0] >> 4 == 4 || packet[0] >> 4 == 6));
	s->delivered++;
	MUST(s->delivered <= s->allowed);
}

static void flush(void *context)
{
	(void)context;
}

static void give(struct session *s, struct view datagram)
{
	const struct snek_output out = {.deliver = deliver, .flush = flush, .context = s};
	uint8_t *copy = fuzz_copy(datagram);
	snek_receive(s->receiver, copy, datagram.len, s->now, &out);
	free(copy);
	if (datagram.len <= sizeof s->last) {
		memmove(s->last, datagram.data, datagram.len);
		s->last_len = datagram.len;
	}
}

/* In 1 to 4 fragments, from the front or from behind. */
static void give_sealed(struct session *s, struct view text, unsigned int pieces, bool backwards)
{
	static uint8_t sealed[TEXT_MAX + AEAD_TAG_LEN], datagram[SNEK_FRAGMENT_HEADER_LEN + sizeof sealed];
	struct snek_frame frame = {.seq = s->random >> 48, .id = pieces, .count = (uint16_t)pieces};
	fuzz_random(&s->random, frame.nonce, sizeof frame.nonce);
	if (text.len > 0)
		memcpy(sealed, text.data, text.len);
	MUST(aead_seal(s->peer, frame.nonce, NULL, 0, sealed, text.len) == OK);
	const size_t total = text.len + AEAD_TAG_LEN, each = total / pieces;
	frame.is_fragment = pieces > 1;
	s->allowed++;
	for (unsigned int i = 0; i < pieces; i++) {
		frame.index = (uint16_t)(backwards ? pieces - 1 - i : i);
		const size_t from = frame.index * each;
		frame.chunk_len = frame.index == pieces - 1 ? total - from : each;
		const size_t header_len = snek_frame_build(datagram, &frame);
		memcpy(datagram + header_len, sealed + from, frame.chunk_len);
		give(s, VIEW(datagram, header_len + frame.chunk_len));
	}
}

static void give_own(struct session *s, size_t len)
{
	uint8_t packet[SNEK_PACKET_MAX] = {0x45}, room[SNEK_DATAGRAMS_MAX][SNEK_ROOM];
	struct snek_datagram out[SNEK_DATAGRAMS_MAX] = {{.data = room[0]}, {.data = room[1]}};
	size_t n;
	if (snek_seal(s->own, packet, len, out, &n) != OK)
		return;
	const uint64_t before = s->delivered;
	for (size_t i = 0; i < n; i++)
		give(s, VIEW(out[i].data, out[i].len));
	MUST(s->delivered == before);
}

static void next_thing(struct session *s, struct reader *r)
{
	const uint8_t kind = reader_u8(r);
	switch (kind % 5) {
	case 0:
		give(s, fuzz_take(r, reader_u16(r)));
		break;
	case 1:
		give_sealed(s, fuzz_take(r, reader_u16(r) % TEXT_MAX), 1 + kind / 5 % 4, kind & 0x80);
		break;
	case 2:
		if (s->last_len >= 9)
			le64_put(s->last + 1, reader_u64(r));
		give(s, VIEW(s->last, s->last_len));
		break;
	case 3:
		s->now += reader_u32(r);
		snek_receiver_release(s->receiver);
		break;
	default:
		give_own(s, reader_u16(r) % 2000);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct session s = {.random = 1, .now = 1};
	const struct rng rng = {fuzz_random, &s.random};
	static const uint8_t good[] = {0, 0, 0, 4, 0x45, 1, 2, 3};
	struct reader r = reader_of(data, len);
	MUST(snek_sender_new(&s.own, key, &rng) == OK && snek_receiver_new(&s.receiver, key, s.own) == OK);
	MUST(aead_new(&s.peer, CIPHER_CHACHA20_POLY1305, AEAD_SEAL, key) == OK);
	while (reader_left(&r) > 0)
		next_thing(&s, &r);
	/* Its sequence number is as any other: more of them than a window takes to come back. */
	uint64_t before = s.delivered;
	for (int i = 0; i < 33; i++) {
		before = s.delivered;
		give_sealed(&s, VIEW(good, sizeof good), 2, false);
	}
	MUST(s.delivered == before + 1);
	aead_free(s.peer);
	snek_receiver_free(s.receiver);
	snek_sender_free(s.own);
	return 0;
}
