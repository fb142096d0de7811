/*
 * Could a file of bytes be random? Statistics over bytes that come one after the other, in bounded memory: runs,
 * repeats at any distance and alignment, bias. They find broken generators, copies and files that are something else;
 * that bytes are random, or secret, no test can show. Arithmetic only.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct health;

/* For about `size` bytes in all. ERR_NOMEM. Takes at most 17 MiB, whatever the size. */
enum err health_new(struct health **ret, uint64_t size);
void health_free(struct health *h); /* wipes; NULL is fine */

void health_add(struct health *h, const uint8_t *data, size_t len);
/* `len` bytes of the file are not looked at; what stands before them and behind is not next to each other. */
void health_skip(struct health *h, uint64_t len);

enum health_test {
	HEALTH_ZEROS,       /* length of the longest run of zero bytes */
	HEALTH_RUNS,        /* length of the longest run of any byte */
	HEALTH_REPEATS,     /* samples that had been there before */
	HEALTH_ONES,        /* share of the bits that are one */
	HEALTH_BYTES,       /* chi-square over the 256 values of bytes */
	HEALTH_PAIRS,       /* chi-square over the 65536 values of pairs */
	HEALTH_CORRELATION, /* of the bytes of a pair, by the variance of random ones: about 0 */
	HEALTH_TESTS
};

/* Weak: not `low` <= value <= `high`. Of all the tests of a random file, one is with a probability below 1e-6. */
struct health_finding {
	bool tested; /* there were enough bytes */
	bool weak;
	double value, low, high;
	uint64_t at; /* runs: where the longest is; repeats: where the first second one is. An offset. */
};

struct health_report {
	uint64_t bytes; /* that were looked at */
	bool constant;  /* all have one value; false where there are none */
	bool weak;      /* one of the findings is */
	struct health_finding findings[HEALTH_TESTS];
	uint64_t repeat_of; /* where the bytes at findings[HEALTH_REPEATS].at were before */
	uint64_t
		repeat_found; /* stretches of about this many bytes or more that stand there twice are found for sure */
	uint64_t samples;     /* that were compared */
};

void health_report(const struct health *h, struct health_report *ret);
