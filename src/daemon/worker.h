/*
 * A worker: one thread, one queue of the interface, one UDP socket, one lane of the engine; runs each
 * batch to its end (docs/architecture.md, "How a packet flows").
 */
#pragma once

#include "daemon/queue.h"
#include "engine/lane.h"
#include "net/udp_batch.h"
#include "tun/tun.h"

#include <pthread.h>
#include <stdatomic.h>

struct worker {
	struct tun *tun;	/* shared, borrowed */
	unsigned int tun_queue; /* this worker's */
	struct udp *udp;	/* this worker's, borrowed */
	struct queue *events;	/* shared, borrowed */
	struct lane *lane;	/* this worker's, the engine's */

	pthread_t thread;
	bool is_running;
	int stop_fd, epoll_fd;
	uint8_t *packet;
	struct udp_batch *batch;
	_Atomic bool has_lost_interface;
};

/* The lane_io of a worker (or of the control thread, whose worker is never started): set before
 * engine_new; the lane is set afterwards. */
struct lane_io worker_io(struct worker *w);

/* Starts the thread, which registers itself with engine/grace. */
enum err worker_start(struct worker *w, struct fault *fault);
/* Stops and joins it; frees what worker_start made. Fine if it was never started. */
void worker_stop(struct worker *w);
