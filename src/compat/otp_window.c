#include "compat/otp_window.h"

#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64

/* A ring of words, of which one more than the size needs is kept: the one that the mark stands in. Bits at and above
 * the mark are zero. */
struct otp_window {
	uint64_t size, next, floor;
	uint64_t n_words;
	uint64_t words[];
};

enum err otp_window_new(struct otp_window **ret, uint64_t size, uint64_t start)
{
	const uint64_t n_words = size / WORD_BITS + 1;
	struct otp_window *w = calloc(1, sizeof *w + (size_t)n_words * sizeof w->words[0]);
	if (!w)
		return ERR_NOMEM;
	w->size = size;
	w->n_words = n_words;
	w->next = w->floor = start;
	*ret = w;
	return OK;
}

void otp_window_free(struct otp_window *w)
{
	free(w);
}

/* Of the word that `from` stands in, the bits from there on, up to `end`. */
static uint64_t bits_of(uint64_t from, uint64_t end)
{
	const uint64_t left = end - from, first = from % WORD_BITS;
	const uint64_t n = left < WORD_BITS - first ? left : WORD_BITS - first;
	return (n == WORD_BITS ? UINT64_MAX : (((uint64_t)1 << n) - 1)) << first;
}

static uint64_t next_word(uint64_t position)
{
	return (position / WORD_BITS + 1) * WORD_BITS;
}

enum err otp_window_check(const struct otp_window *w, uint64_t from, size_t len)
{
	if (from < w->floor)
		return ERR_REPLAY;
	const uint64_t end = from + len < w->next ? from + len : w->next;
	for (uint64_t at = from; at < end; at = next_word(at))
		if (w->words[at / WORD_BITS % w->n_words] & bits_of(at, end))
			return ERR_REPLAY;
	return OK;
}

/* Words that come into the ring have belonged to positions that leave it. */
static void move(struct otp_window *w, uint64_t next)
{
	const uint64_t last = next / WORD_BITS;
	uint64_t word = w->next / WORD_BITS + 1;
	if (last >= w->n_words && word < last - w->n_words + 1)
		word = last - w->n_words + 1;
	for (; word <= last; word++)
		w->words[word % w->n_words] = 0;
	w->next = next;
	if (next > w->size && next - w->size > w->floor)
		w->floor = next - w->size;
}

enum err otp_window_accept(struct otp_window *w, uint64_t from, size_t len)
{
	const uint64_t end = from + len;
	enum err err = otp_window_check(w, from, len);
	if (err != OK)
		return err;
	if (end > w->next)
		move(w, end);
	for (uint64_t at = from; at < end; at = next_word(at))
		w->words[at / WORD_BITS % w->n_words] |= bits_of(at, end);
	return OK;
}

void otp_window_restart(struct otp_window *w, uint64_t start)
{
	w->next = w->floor = start;
	memset(w->words, 0, (size_t)w->n_words * sizeof w->words[0]);
}

uint64_t otp_window_next(const struct otp_window *w)
{
	return w->next;
}

uint64_t otp_window_floor(const struct otp_window *w)
{
	return w->floor;
}
