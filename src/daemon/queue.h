/*
 * The way from lanes to the control thread: three bounded rings of events. What sessions have to say comes first; then
 * handshakes that were begun already, on which a signature has been spent; last what strangers begin with. So a
 * flood of the latter crowds out neither, and a storm of clients (all of them, after a restart) ends instead of
 * beginning again and again. A mutex guards them: these are the rare messages, not the data.
 */
#pragma once

#include "engine/engine.h"

#define QUEUE_FINISHES 1024   /* Finish, and what a handshake of ours is answered with */
#define QUEUE_HANDSHAKES 2048 /* Init: three datagrams a client */
#define QUEUE_EVENTS 512
#define QUEUE_LOAD 64 /* more handshake datagrams waiting: under load, cookies */

struct queue;

enum err queue_new(struct queue **ret, struct fault *fault);
void queue_free(struct queue *q); /* NULL is fine */

/* Readable while something waits. */
int queue_fd(const struct queue *q);

/* Copies the event in. ERR_FULL. Any thread. */
enum err queue_put(struct queue *q, const struct event *event);

/* Takes the next event, in the order above; *under_load as engine_event wants it. ERR_AGAIN: none.
 * The control thread. */
enum err queue_take(struct queue *q, struct event *ret, bool *under_load);
