/*
 * What an initiator asks for in its Finish (docs/protocol.md, "Handshake": request). Layout only. Plain data.
 */
#pragma once

#include "wire/padmarks.h"

struct request {
	bool has_pad_marks;
	struct padmarks pad_marks;
};

/* From the TLVs; unknown ones are skipped; of marks said twice the last count. ERR_FORMAT, and *ret is zeroed: a TLV
 * that runs past the end, or marks of another length. */
enum err request_parse(struct request *ret, struct view tlvs);
/* Writes what is set; w->failed when it does not fit (REQUEST_BODY_MAX always does). */
#define REQUEST_BODY_MAX 64
void request_write(struct writer *w, const struct request *request);
