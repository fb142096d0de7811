/*
 * What every fuzz target has: an entry in libFuzzer's form, and a cursor over its input. Each target
 * starts from the same state for every input, so that a crash replays from its file alone.
 */
#pragma once

#include "base/bytes.h"
#include "base/clock.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What must hold whatever the input: a crash for the fuzzer to find. */
#define MUST(condition) ((condition) ? (void)0 : abort())

/* The next `len` bytes of the input, or what is left of it. */
static inline struct view fuzz_take(struct reader *r, size_t len)
{
	if (len > reader_left(r))
		len = reader_left(r);
	const uint8_t *bytes = reader_take(r, len); /* NULL: a read before failed */
	return bytes ? VIEW(bytes, len) : VIEW("", 0);
}

/* A copy on the heap of exactly its length, so that the address sanitiser sees the byte behind it. */
static inline uint8_t *fuzz_copy(struct view bytes)
{
	uint8_t *copy = calloc(1, bytes.len ? bytes.len : 1);
	MUST(copy);
	if (bytes.len)
		memcpy(copy, bytes.data, bytes.len);
	return copy;
}

/* Predictable bytes in place of randomness; the context is an uint64_t. */
static inline void fuzz_random(void *context, uint8_t *out, size_t n)
{
	uint64_t *s = context;
	for (size_t i = 0; i < n; i++) {
		*s = *s * 6364136223846793005U + 1442695040888963407U;
		out[i] = (uint8_t)(*s >> 56);
	}
}
