#include "compat/snek_reassembly.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define BUFFERS (SNEK_REASSEMBLY_OPEN + SNEK_REASSEMBLY_WHOLE)

/* Pieces stand in the order in which they came, which is nearly always theirs. */
struct buffer {
	uint16_t at[SNEK_REASSEMBLY_PARTS], len[SNEK_REASSEMBLY_PARTS];
	uint8_t bytes[SNEK_REASSEMBLY_MAX];
};

struct open_packet {
	uint32_t id;
	uint8_t nonce[AEAD_NONCE_LEN];
	usec since;
	uint64_t have; /* bit i: fragment i is here */
	uint16_t count, n, len;
	bool in_order;
	struct buffer *buffer;
};
static_assert(SNEK_REASSEMBLY_PARTS <= 64, "have has a bit for each fragment");
static_assert(SNEK_REASSEMBLY_MAX <= UINT16_MAX, "positions fit");

/* Dense and in the order of age, so that the oldest are in front, and the search, from behind, is short. */
struct snek_reassembly {
	struct snek_counters *counters;
	size_t n_open, n_whole, n_free;
	struct open_packet open[SNEK_REASSEMBLY_OPEN];
	struct buffer *whole[SNEK_REASSEMBLY_WHOLE];
	struct buffer *free[BUFFERS];
	uint8_t sorted[SNEK_REASSEMBLY_MAX];
	struct buffer buffers[BUFFERS];
};

enum err snek_reassembly_new(struct snek_reassembly **ret, struct snek_counters *counters)
{
	struct snek_reassembly *r = *ret = calloc(1, sizeof *r);
	if (!r)
		return ERR_NOMEM;
	r->counters = counters;
	r->n_free = BUFFERS;
	for (size_t i = 0; i < BUFFERS; i++)
		r->free[i] = &r->buffers[i];
	return OK;
}

void snek_reassembly_free(struct snek_reassembly *r)
{
	free(r);
}

void snek_reassembly_release(struct snek_reassembly *r)
{
	while (r->n_whole > 0)
		r->free[r->n_free++] = r->whole[--r->n_whole];
}

static void close_packets(struct snek_reassembly *r, size_t from, size_t n)
{
	memmove(&r->open[from], &r->open[from + n], (r->n_open - from - n) * sizeof *r->open);
	r->n_open -= n;
}

static void give_up_oldest(struct snek_reassembly *r, size_t n, _Atomic uint64_t *counter)
{
	for (size_t i = 0; i < n; i++) {
		r->free[r->n_free++] = r->open[i].buffer;
		snek_count(counter);
	}
	close_packets(r, 0, n);
}

static void expire(struct snek_reassembly *r, usec now)
{
	size_t n = 0;
	while (n < r->n_open && now - r->open[n].since >= SNEK_REASSEMBLY_LIFETIME)
		n++;
	if (n > 0)
		give_up_oldest(r, n, &r->counters->expired);
}

/* NULL: none of it is here. */
static struct open_packet *find(struct snek_reassembly *r, const struct snek_frame *frame)
{
	for (size_t i = r->n_open; i-- > 0;) {
		struct open_packet *p = &r->open[i];
		if (p->id == frame->id && memcmp(p->nonce, frame->nonce, sizeof p->nonce) == 0)
			return p;
	}
	return NULL;
}

static struct open_packet *begin(struct snek_reassembly *r, const struct snek_frame *frame, usec now)
{
	if (r->n_open == SNEK_REASSEMBLY_OPEN)
		give_up_oldest(r, 1, &r->counters->evicted);
	struct open_packet *p = &r->open[r->n_open++];
	*p = (struct open_packet){.id = frame->id, .since = now, .count = frame->count, .in_order = true};
	memcpy(p->nonce, frame->nonce, sizeof p->nonce);
	p->buffer = r->free[--r->n_free];
	return p;
}

static void put(struct open_packet *p, const struct snek_frame *frame)
{
	struct buffer *b = p->buffer;
	b->at[frame->index] = p->len;
	b->len[frame->index] = (uint16_t)frame->chunk_len;
	memcpy(&b->bytes[p->len], frame->chunk, frame->chunk_len);
	p->in_order = p->in_order && frame->index == p->n;
	p->have |= UINT64_C(1) << frame->index;
	p->len = (uint16_t)(p->len + frame->chunk_len);
	p->n++;
}

static void sort(struct snek_reassembly *r, const struct open_packet *p)
{
	struct buffer *b = p->buffer;
	size_t len = 0;
	for (size_t i = 0; i < p->count; i++) {
		memcpy(&r->sorted[len], &b->bytes[b->at[i]], b->len[i]);
		len += b->len[i];
	}
	memcpy(b->bytes, r->sorted, len);
}

enum err snek_reassembly_add(
	struct snek_reassembly *r, const struct snek_frame *frame, usec now, struct snek_whole *ret)
{
	*ret = (struct snek_whole){0};
	expire(r, now);
	struct open_packet *p = find(r, frame);
	const uint16_t count = p ? p->count : frame->count;
	if (frame->index >= count)
		return ERR_FORMAT;
	if (count > SNEK_REASSEMBLY_PARTS || frame->chunk_len > SNEK_REASSEMBLY_MAX - (p ? p->len : 0U))
		return ERR_TOO_BIG;
	if (r->n_whole == SNEK_REASSEMBLY_WHOLE)
		return ERR_FULL;
	if (!p)
		p = begin(r, frame, now);
	if (p->have >> frame->index & 1)
		return ERR_AGAIN;
	put(p, frame);
	if (p->n < p->count)
		return ERR_AGAIN;
	if (!p->in_order)
		sort(r, p);
	*ret = (struct snek_whole){.data = p->buffer->bytes, .len = p->len};
	r->whole[r->n_whole++] = p->buffer;
	close_packets(r, (size_t)(p - r->open), 1);
	return OK;
}
