/*
 * One message collected from its fragments (docs/protocol.md, "Datagrams"): they accumulate over
 * repeats, in any order; of two different bodies for one place the first stays. The memory for
 * the message is taken with the first fragment and wiped when it is given back.
 */
#pragma once

#include "wire/hs.h"

/* All zero: nothing collected. */
struct reassembly {
	uint8_t *message;
	uint16_t len;
	uint8_t have; /* bit i: fragment i is here */
};
static_assert(HS_FRAGMENTS_MAX <= 8, "have has a bit for each fragment");

/* OK: the message is complete, in r->message[0..r->len). ERR_AGAIN: not yet. ERR_FORMAT: another
 * message_len than the first fragment's, r as it was. ERR_NOMEM: r as it was. */
enum err reassembly_add(struct reassembly *r, const struct hs_datagram *datagram);

/* Wipes and frees what was collected; r is as new. */
void reassembly_reset(struct reassembly *r);

/* The bits of all fragments of a message. */
static inline uint8_t reassembly_all(uint8_t fragments)
{
	return (uint8_t)((1U << fragments) - 1);
}
