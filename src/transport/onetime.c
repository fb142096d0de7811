#include "transport/onetime.h"

#define FRAMES_AT (DATA_HEADER_LEN + ONETIME_PREFIX_LEN)
#define LENGTH_MASK_AT POLY1305_KEY_LEN /* in the pad */

/* Compilers make of it what the machine has; a loop of words they leave one at variable lengths. */
typedef uint64_t vector __attribute__((vector_size(32)));

static void xor_fast(uint8_t *restrict data, const uint8_t *restrict pad, size_t len)
{
	size_t at = 0;
	for (; len - at >= sizeof(vector); at += sizeof(vector)) {
		vector d, p;
		memcpy(&d, data + at, sizeof d);
		memcpy(&p, pad + at, sizeof p);
		d ^= p;
		memcpy(data + at, &d, sizeof d);
	}
	for (; at < len; at++)
		data[at] ^= pad[at];
}

/* A walk over pad bytes that leaves out the zeros beyond a run. */
struct walk {
	const uint8_t *pad;
	size_t at, end;
	unsigned zeros; /* used in a row so far */
	uint8_t max_zero_run;
};

static bool walk_next(struct walk *w, uint8_t *ret)
{
	while (w->at < w->end) {
		const uint8_t byte = w->pad[w->at++];
		if (byte == 0 && w->zeros == w->max_zero_run)
			continue;
		w->zeros = byte == 0 ? w->zeros + 1 : 0;
		*ret = byte;
		return true;
	}
	return false;
}

size_t onetime_span(const uint8_t *pad, size_t available, size_t len, uint8_t max_zero_run)
{
	if (max_zero_run == 0)
		return len <= available ? len : 0;
	struct walk w = {.pad = pad, .end = available, .max_zero_run = max_zero_run};
	uint8_t byte;
	for (size_t i = 0; i < len; i++)
		if (!walk_next(&w, &byte))
			return 0;
	return w.at;
}

void onetime_xor(uint8_t *data, size_t len, const uint8_t *pad, size_t span, uint8_t max_zero_run)
{
	if (span == len) { /* none is left out */
		xor_fast(data, pad, len);
		return;
	}
	struct walk w = {.pad = pad, .end = span, .max_zero_run = max_zero_run};
	uint8_t byte;
	for (size_t i = 0; i < len && walk_next(&w, &byte); i++)
		data[i] ^= byte;
}

enum err onetime_seal(struct poly1305 *mac, const struct onetime *o, uint8_t *datagram, size_t frames, size_t plain,
	const struct rng *noise)
{
	memset(datagram, 0, 4);
	datagram[0] = MSG_PAD_DATA;
	le32_put(datagram + 4, o->receiver);
	le64_put(datagram + 8, o->offset);
	le16_put(datagram + DATA_HEADER_LEN, (uint16_t)(frames ^ le16_get(o->pad + LENGTH_MASK_AT)));
	onetime_xor(datagram + FRAMES_AT, frames, o->pad + ONETIME_KEY_LEN, o->span, o->max_zero_run);
	const size_t body = DATA_HEADER_LEN + plain;
	if (body > FRAMES_AT + frames)
		rng_fill(noise, datagram + FRAMES_AT + frames, body - FRAMES_AT - frames);
	const enum err err = poly1305_tag(mac, o->pad, VIEW(datagram, body), datagram + body);
	if (err != OK)
		memset(datagram, 0, body + DATA_TAG_LEN);
	return err;
}

enum err onetime_check(struct poly1305 *mac, const uint8_t key[static ONETIME_KEY_LEN], const uint8_t *datagram,
	size_t len, size_t *ret_len)
{
	if (len < FRAMES_AT + DATA_TAG_LEN || datagram[0] != MSG_PAD_DATA || datagram[1] || datagram[2] || datagram[3])
		return ERR_FORMAT;
	const size_t body = len - DATA_TAG_LEN;
	const enum err err = poly1305_check(mac, key, VIEW(datagram, body), datagram + body);
	if (err != OK)
		return err;
	const uint16_t masked = le16_get(datagram + DATA_HEADER_LEN), mask = le16_get(key + LENGTH_MASK_AT);
	const uint16_t frames = (uint16_t)(masked ^ mask);
	if (frames > body - FRAMES_AT)
		return ERR_FORMAT;
	*ret_len = frames;
	return OK;
}
