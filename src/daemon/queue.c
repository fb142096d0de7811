#include "daemon/queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct ring {
	struct event *events;
	size_t size, first, n;
};

struct queue {
	pthread_mutex_t lock;
	struct ring handshakes, finishes, events;
	int fd;
	bool is_signalled;
};

enum err queue_new(struct queue **ret, struct fault *fault)
{
	struct queue *q = calloc(1, sizeof *q);
	if (!q)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	pthread_mutex_init(&q->lock, NULL);
	q->handshakes =
		(struct ring){.size = QUEUE_HANDSHAKES, .events = calloc(QUEUE_HANDSHAKES, sizeof(struct event))};
	q->finishes = (struct ring){.size = QUEUE_FINISHES, .events = calloc(QUEUE_FINISHES, sizeof(struct event))};
	q->events = (struct ring){.size = QUEUE_EVENTS, .events = calloc(QUEUE_EVENTS, sizeof(struct event))};
	q->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	enum err err = OK;
	if (q->fd < 0)
		err = fault_errno(fault, "cannot make an eventfd");
	else if (!q->handshakes.events || !q->finishes.events || !q->events.events)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	if (err != OK) {
		queue_free(q);
		return err;
	}
	*ret = q;
	return OK;
}

void queue_free(struct queue *q)
{
	if (!q)
		return;
	if (q->fd >= 0)
		close(q->fd);
	free(q->handshakes.events);
	free(q->finishes.events);
	free(q->events.events);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

int queue_fd(const struct queue *q)
{
	return q->fd;
}

/* Only the bytes that count are copied: most events are small. */
static void event_copy(struct event *to, const struct event *from)
{
	memcpy(to, from, offsetof(struct event, data));
	if (from->len)
		memcpy(to->data, from->data, from->len <= sizeof to->data ? from->len : 0);
}

/* Finish is what a signature has been spent on already. */
static struct ring *ring_of(struct queue *q, const struct event *event)
{
	if (event->kind != EVENT_HANDSHAKE)
		return &q->events;
	return event->data[0] == MSG_INIT ? &q->handshakes : &q->finishes;
}

enum err queue_put(struct queue *q, const struct event *event)
{
	struct ring *ring = ring_of(q, event);
	bool must_signal = false;
	enum err err = ERR_FULL;
	pthread_mutex_lock(&q->lock);
	if (ring->n < ring->size) {
		event_copy(&ring->events[(ring->first + ring->n) % ring->size], event);
		ring->n++;
		must_signal = !q->is_signalled;
		q->is_signalled = true;
		err = OK;
	}
	pthread_mutex_unlock(&q->lock);
	if (must_signal) {
		uint64_t one = 1;
		ssize_t written = write(q->fd, &one, sizeof one);
		(void)written; /* fails only when the counter is high already: then it is readable */
	}
	return err;
}

enum err queue_take(struct queue *q, struct event *ret, bool *under_load)
{
	enum err err = OK;
	pthread_mutex_lock(&q->lock);
	struct ring *ring = q->events.n ? &q->events : q->finishes.n ? &q->finishes : &q->handshakes;
	*under_load = q->handshakes.n > QUEUE_LOAD;
	if (ring->n) {
		event_copy(ret, &ring->events[ring->first]);
		ring->n--;
		/* Empty, it begins at its beginning: only as much of it is ever touched as waits at a time. */
		ring->first = ring->n ? (ring->first + 1) % ring->size : 0;
	} else {
		uint64_t count;
		ssize_t got = read(q->fd, &count, sizeof count);
		(void)got; /* empty already is fine */
		q->is_signalled = false;
		err = ERR_AGAIN;
	}
	pthread_mutex_unlock(&q->lock);
	return err;
}
