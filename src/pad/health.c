#include "pad/health.h"

#include "base/secret.h"

#include <math.h>
#include <stdlib.h>

#define WINDOW 8         /* bytes that are looked at together in search of repeats */
#define SAMPLES_BITS 19  /* so many samples of a file, to the power of 2, at most; on an average */
#define SPACING_BITS 8   /* bytes between two samples, to the power of 2, at least; on an average */
#define SPACINGS 20      /* that many without a sample: probability 2e-9 */
#define TAIL_BITS 27     /* a run as long as the limit: probability 2^-27 */
#define DEVIATIONS 6.0   /* of a normal distribution: probability 2e-9 */
#define PAIRS_MIN 327680 /* five for each value on an average, as chi-square wants it */
#define SCATTER 0x9e3779b97f4a7c15ULL

/* Chi-square with 255 and with 65535 degrees of freedom is outside with a probability of 2e-8. */
static const double bytes_low = 147.85, bytes_high = 402.69;
static const double pairs_low = 63523.5, pairs_high = 67587.2;

struct run {
	uint64_t length, at;
};

struct sample {
	uint64_t bytes, at; /* bytes == 0: a free place */
};

struct health {
	uint64_t position; /* in the file */
	uint64_t looked_at;
	/* runs */
	int last; /* the byte before; -1: there is none */
	uint64_t run_start;
	struct run zeros, longest;
	/* counts; all else that is about bias follows from them */
	uint64_t pairs[256][256]; /* [first][second], not overlapping */
	uint64_t singles[256];    /* bytes that found no second one */
	int first;                /* of a pair that is not complete; -1: none */
	/* repeats */
	uint64_t window, fresh; /* the last WINDOW bytes, and how many in a row there have been */
	uint64_t due;           /* of `fresh`: the sample is complete; 0: none is being taken */
	unsigned int spacing_bits, places_bits;
	uint64_t n_samples, n_repeats, repeat_at, repeat_of;
	struct sample *samples; /* 1 << places_bits places */
};

static unsigned int bits_of(uint64_t n)
{
	unsigned int bits = 0;
	while (bits < 63 && n >> bits > 1)
		bits++;
	return bits;
}

enum err health_new(struct health **ret, uint64_t size)
{
	struct health *h = calloc(1, sizeof(*h));
	*ret = NULL;
	if (!h)
		return ERR_NOMEM;
	unsigned int bits = bits_of(size) + 1; /* rounded up */
	h->spacing_bits = bits > SAMPLES_BITS + SPACING_BITS ? bits - SAMPLES_BITS : SPACING_BITS;
	h->places_bits = bits > h->spacing_bits ? bits - h->spacing_bits + 1 : 1; /* half of them stay free */
	h->samples = calloc((size_t)1 << h->places_bits, sizeof(*h->samples));
	if (!h->samples) {
		free(h);
		return ERR_NOMEM;
	}
	h->last = h->first = -1;
	*ret = h;
	return OK;
}

void health_free(struct health *h)
{
	if (!h)
		return;
	secret_wipe(h->samples, sizeof(*h->samples) << h->places_bits);
	free(h->samples);
	secret_wipe(h, sizeof(*h));
	free(h);
}

/* ---- runs ---- */

static void run_take(struct run *longest, uint64_t length, uint64_t at)
{
	if (length > longest->length)
		*longest = (struct run){length, at};
}

static void add_runs(struct health *h, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (data[i] != h->last) {
			h->last = data[i];
			h->run_start = h->position + i;
			continue;
		}
		uint64_t length = h->position + i + 1 - h->run_start;
		run_take(&h->longest, length, h->run_start);
		if (data[i] == 0)
			run_take(&h->zeros, length, h->run_start);
	}
}

/* ---- counts ---- */

static void add_counts(struct health *h, const uint8_t *data, size_t len)
{
	size_t i = 0;
	if (h->first >= 0 && len > 0)
		h->pairs[h->first][data[i++]]++;
	else if (len == 0)
		return;
	for (; i + 1 < len; i += 2)
		h->pairs[data[i]][data[i + 1]]++;
	h->first = i < len ? data[i] : -1;
}

/* ---- repeats ---- */

/*
 * Which bytes are sampled depends on themselves and those just before them alone, so what stands in the file a second
 * time, wherever, has its samples a second time.
 */
static bool begins_sample(const struct health *h)
{
	return h->window != 0 && (h->window * SCATTER) >> (64 - h->spacing_bits) == 0;
}

static void sample_take(struct health *h, uint64_t at)
{
	size_t mask = ((size_t)1 << h->places_bits) - 1, place = (size_t)((h->window * SCATTER) >> 32) & mask;
	if (h->window == 0)
		return;
	for (; h->samples[place].bytes; place = (place + 1) & mask) {
		if (h->samples[place].bytes != h->window)
			continue;
		if (h->n_repeats++ == 0) {
			h->repeat_at = at;
			h->repeat_of = h->samples[place].at;
		}
		return;
	}
	/* more than three quarters: only a file that is far from random gets there */
	if (h->n_samples < mask / 4 * 3) {
		h->samples[place] = (struct sample){h->window, at};
		h->n_samples++;
	}
}

static void add_samples(struct health *h, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		h->window = h->window << 8 | data[i];
		h->fresh++;
		if (h->due == 0 && h->fresh >= WINDOW && begins_sample(h)) {
			h->due = h->fresh + WINDOW;
		} else if (h->due == h->fresh) {
			h->due = 0;
			sample_take(h, h->position + i + 1 - WINDOW);
		}
	}
}

void health_add(struct health *h, const uint8_t *data, size_t len)
{
	add_runs(h, data, len);
	add_counts(h, data, len);
	add_samples(h, data, len);
	h->position += len;
	h->looked_at += len;
}

void health_skip(struct health *h, uint64_t len)
{
	if (h->first >= 0)
		h->singles[h->first]++;
	h->last = h->first = -1;
	h->fresh = h->due = 0;
	h->position += len;
}

/* ---- the report ---- */

/* Sums over the counts. */
struct sums {
	uint64_t values[256];
	uint64_t n_pairs, n_values, n_ones;
	double squares; /* of the pairs' counts */
	double products;
};

/* A byte's distance from the mean, twice. */
static int deviation(size_t value)
{
	return 2 * (int)value - 255;
}

static void sums_of(const struct health *h, struct sums *s)
{
	*s = (struct sums){0};
	for (size_t a = 0; a < 256; a++) {
		s->values[a] += h->singles[a] + (h->first == (int)a);
		for (size_t b = 0; b < 256; b++) {
			uint64_t n = h->pairs[a][b];
			s->values[a] += n;
			s->values[b] += n;
			s->n_pairs += n;
			s->squares += (double)n * (double)n;
			s->products += (double)n * deviation(a) * deviation(b);
		}
	}
	for (size_t a = 0; a < 256; a++) {
		s->n_values += s->values[a];
		s->n_ones += s->values[a] * (uint64_t)__builtin_popcountll(a);
	}
}

static void finding_set(struct health_finding *f, double value, double low, double high)
{
	f->tested = true;
	f->value = value;
	f->low = low;
	f->high = high;
	f->weak = !(low <= value && value <= high);
}

/* A single byte is a run, too, which add_runs does not see. */
static void report_runs(
	const struct health *h, const struct sums *s, struct health_finding findings[static HEALTH_TESTS])
{
	double usual = (double)((bits_of(h->looked_at) + 1 + TAIL_BITS) / 8);
	uint64_t zeros = s->values[0] && !h->zeros.length ? 1 : h->zeros.length;
	uint64_t longest = h->looked_at && !h->longest.length ? 1 : h->longest.length;
	finding_set(&findings[HEALTH_ZEROS], (double)zeros, 0, usual);
	finding_set(&findings[HEALTH_RUNS], (double)longest, 0, usual + 1);
	findings[HEALTH_ZEROS].at = h->zeros.at;
	findings[HEALTH_RUNS].at = h->longest.at;
}

static void report_bias(const struct sums *s, struct health_finding findings[static HEALTH_TESTS])
{
	double n_bits = 8 * (double)s->n_values, n_pairs = (double)s->n_pairs, squares = 0;
	for (size_t a = 0; a < 256; a++)
		squares += (double)s->values[a] * (double)s->values[a];
	double margin = DEVIATIONS / (2 * sqrt(n_bits));
	finding_set(&findings[HEALTH_ONES], (double)s->n_ones / n_bits, 0.5 - margin, 0.5 + margin);
	finding_set(&findings[HEALTH_BYTES], squares * 256 / (double)s->n_values - (double)s->n_values, bytes_low,
		bytes_high);
	finding_set(&findings[HEALTH_PAIRS], s->squares * 65536 / n_pairs - n_pairs, pairs_low, pairs_high);
	/* the variance of twice a random byte is (256 * 256 - 1) / 3 */
	margin = DEVIATIONS / sqrt(n_pairs);
	finding_set(&findings[HEALTH_CORRELATION], s->products / n_pairs / (65535.0 / 3), -margin, margin);
}

void health_report(const struct health *h, struct health_report *ret)
{
	struct sums s;
	sums_of(h, &s);
	*ret = (struct health_report){.bytes = h->looked_at,
		.repeat_of = h->repeat_of,
		.repeat_found = (uint64_t)SPACINGS << h->spacing_bits,
		.samples = h->n_samples + h->n_repeats};
	for (size_t a = 0; a < 256; a++)
		ret->constant |= s.n_values > 0 && s.values[a] == s.n_values;
	report_runs(h, &s, ret->findings);
	finding_set(&ret->findings[HEALTH_REPEATS], (double)h->n_repeats, 0, 0);
	ret->findings[HEALTH_REPEATS].at = h->repeat_at;
	if (s.n_pairs >= PAIRS_MIN)
		report_bias(&s, ret->findings);
	for (size_t i = 0; i < HEALTH_TESTS; i++)
		ret->weak |= ret->findings[i].weak;
	secret_wipe(&s, sizeof(s));
}
