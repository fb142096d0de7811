/*
 * The way from lanes to the control thread: two bounded rings of events, one for strangers'
 * handshake datagrams, one for what sessions have to say, so that a flood of the first never
 * crowds out the second. A mutex guards them: these are the rare messages, not the data.
 */
#pragma once

#include "engine/engine.h"

#define QUEUE_HANDSHAKES 512
#define QUEUE_EVENTS 512
#define QUEUE_LOAD (QUEUE_HANDSHAKES / 8) /* more handshake datagrams waiting: under load, cookies */

struct queue;

enum err queue_new(struct queue **ret, struct fault *fault);
void queue_free(struct queue *q); /* NULL is fine */

/* Readable while something waits. */
int queue_fd(const struct queue *q);

/* Copies the event in. ERR_FULL. Any thread. */
enum err queue_put(struct queue *q, const struct event *event);

/* Takes the next event, sessions' first; *under_load as engine_event wants it. ERR_AGAIN: none.
 * The control thread. */
enum err queue_take(struct queue *q, struct event *ret, bool *under_load);
