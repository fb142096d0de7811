/*
 * Marks of a pad as a TLV (docs/protocol.md, "Marks"): how the two ends of a pq+otp link tell each other how far they
 * are, in the request of Finish and in Accept. What they mean is the business of pad/pad.h. Plain data.
 */
#pragma once

#include "base/bytes.h"
#include "base/err.h"
#include "wire/wire.h"

struct padmarks {
	uint8_t pad_id[PAD_ID_LEN];
	uint64_t sent, received; /* positions */
	uint64_t boundary;       /* blocks */
	uint8_t max_zero_run;    /* 0: off */
};

/* pad id[16] sent u64 received u64 boundary u64 max_zero_run u8. ERR_FORMAT: another length; *ret as it was. */
#define PADMARKS_LEN (PAD_ID_LEN + 3 * 8 + 1)
enum err padmarks_parse(struct padmarks *ret, struct view value);
/* The whole TLV. */
void padmarks_write(struct writer *w, uint8_t type, const struct padmarks *marks);
