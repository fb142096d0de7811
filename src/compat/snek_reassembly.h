/*
 * Collects the ciphertexts that came in fragments: of any sizes, in any order, mixed with others' and repeated, as the
 * older program takes them, but within bounds of number, size and time. A packet is known by the fragments' id and
 * nonce together, since ids alone are easily met twice. How many fragments there are, the first one says; of two
 * different ones for one place the first stays.
 *
 * Nothing here is authenticated yet. Who sees a fragment may send a false one in time to spoil its packet, and who
 * sends SNEK_REASSEMBLY_OPEN first fragments pushes out what is incomplete at that moment. Neither can do more.
 *
 * It owns all its memory, 2.7 MiB, from the beginning. One thread.
 */
#pragma once

#include "base/clock.h"
#include "compat/snek_counters.h"
#include "compat/snek_frame.h"

#define SNEK_REASSEMBLY_OPEN 256 /* packets under way */
#define SNEK_REASSEMBLY_WHOLE 64 /* packets that are whole, until they are released */
#define SNEK_REASSEMBLY_PARTS 64 /* of a packet */
#define SNEK_REASSEMBLY_MAX 8192 /* bytes of ciphertext, with its tag */
#define SNEK_REASSEMBLY_LIFETIME (10 * USEC_PER_SEC)

struct snek_reassembly;

/* A complete ciphertext with its tag, which may be opened in place. */
struct snek_whole {
	uint8_t *data;
	size_t len;
};

/* `counters` (borrowed): expired and evicted packets are counted there. ERR_NOMEM. */
enum err snek_reassembly_new(struct snek_reassembly **ret, struct snek_counters *counters);
void snek_reassembly_free(struct snek_reassembly *r); /* NULL is fine */

/* Takes a fragment (frame->is_fragment), which is copied. OK: *ret is its packet, complete; it stays until
 * snek_reassembly_release. ERR_AGAIN: others are missing, or it is a repeated one. ERR_FORMAT: no such index in its
 * packet; ERR_TOO_BIG: too many fragments or bytes; ERR_FULL: too many whole ones, release them first. Nothing is
 * changed by these, and *ret is zeroed by all but OK. `now` never goes back. */
enum err snek_reassembly_add(
	struct snek_reassembly *r, const struct snek_frame *frame, usec now, struct snek_whole *ret);

/* Nobody looks at the whole ones any more. */
void snek_reassembly_release(struct snek_reassembly *r);
