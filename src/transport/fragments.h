/*
 * Reassembly of inner packets that travelled in parts (docs/protocol.md, frame kind 4): at most 64
 * open per peer, for 2 s. Everything here was authenticated datagram by datagram, so a peer can
 * only spend its own memory. The owner locks.
 */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "wire/frame.h"

#define FRAGMENTS_OPEN 64
#define FRAGMENTS_LIFETIME (2 * USEC_PER_SEC)
#define FRAGMENTS_PARTS 128 /* of one packet: 64 KiB over the smallest path */

struct fragments; /* opaque; 1 KiB, and one buffer per open packet */

enum err fragments_new(struct fragments **ret);
void fragments_free(struct fragments *f); /* NULL is fine */

/*
 * Adds a part. OK: the packet is complete: *packet (total bytes; owned by `f`, valid until the next
 * call). ERR_AGAIN: parts are missing. ERR_REPLAY: this part was there. ERR_FORMAT: it contradicts the
 * others (total, overlap). ERR_NOMEM.
 */
enum err fragments_add(struct fragments *f, const struct fragment *part, usec now, struct view *packet);
