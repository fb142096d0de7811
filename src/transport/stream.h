/*
 * The control stream of a session (docs/protocol.md, "Control"): reliable, ordered, stop-and-wait,
 * in both directions. It goes on across rekeys. The owner frames, seals and sends what
 * stream_poll writes and feeds in the bodies of control frames that authenticated.
 *
 * Ownership: messages are copied in and wiped after use (a Rekey body is public, but a plain rule
 * is easier to keep).
 */
#pragma once

#include "base/clock.h"
#include "wire/control.h"

#include <stdbool.h>

#define STREAM_PART_MAX 1100 /* body bytes a part: fits the smallest path in one datagram */
#define STREAM_QUEUE_MAX 4

struct stream;

enum err stream_new(struct stream **ret);
void stream_free(struct stream *s); /* NULL is fine */

/* Queues a message. ERR_FULL: STREAM_QUEUE_MAX wait already; ERR_TOO_BIG; ERR_NOMEM. */
enum err stream_send(struct stream *s, enum control_type type, struct view body);

/* Forgets all queued messages of a type. A part on its way is still repeated until it is acknowledged. */
void stream_drop(struct stream *s, enum control_type type);

/* The part on its way and the rest of its message count as received (a rekey that took effect
 * acknowledges Rekey2). Only if it is of that type. */
void stream_confirm(struct stream *s, enum control_type type);

/*
 * Writes one control frame (header included) if a part is due at `now` (first time, or repeated
 * after 250 ms, x2 up to 4 s) or an acknowledgement is owed; returns true if it wrote.
 * Call until false.
 */
bool stream_poll(struct stream *s, usec now, struct writer *w);
/* When stream_poll has to be called again; USEC_NEVER if nothing is on its way. */
usec stream_deadline(const struct stream *s);
/* Is a message of this type queued or on its way? */
bool stream_has(const struct stream *s, enum control_type type);

/*
 * A control frame's body. OK: a message is complete: *type and *message (owned by `s`, valid until
 * the next call of this or of stream_poll). ERR_AGAIN: nothing complete yet, an acknowledgement, or a repeat.
 * ERR_FORMAT: malformed. ERR_NOMEM: as if it had been lost. Unknown types come out like others; the caller ignores
 * them.
 */
enum err stream_input(struct stream *s, struct view body, uint8_t *type, struct view *message);
