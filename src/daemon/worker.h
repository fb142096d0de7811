/*
 * A worker: one queue of the interface, one UDP socket, and up to two threads that carry packets between them
 * (docs/architecture.md, "How a packet flows"; docs/decisions/0006). One thread does both directions while there
 * is little to do, which is quickest for a packet alone. Under load its helper takes over what comes from the
 * interface, so that acknowledgements do not wait behind data. Each thread has a lane of the engine.
 */
#pragma once

#include "daemon/queue.h"
#include "engine/lane.h"
#include "net/udp_batch.h"
#include "tun/tun.h"

#include <pthread.h>
#include <stdatomic.h>

#define WORKER_LANES 2 /* of the thread itself, of its helper */

/* One of the two threads. */
struct worker_thread {
	struct lane *lane; /* the engine's */
	pthread_t thread;
	bool is_running;
	int epoll_fd;
	uint8_t *packet; /* TUN_READ_SIZE bytes */
};

struct worker {
	struct tun *tun;        /* shared, borrowed */
	unsigned int tun_queue; /* this worker's */
	struct udp *udp;        /* this worker's, borrowed */
	struct queue *events;   /* shared, borrowed */
	struct worker_thread own, helper;

	int stop_fd;
	struct udp_batch *batch;
	/* How much the first thread carried since `since`; whether the helper reads the interface now. */
	uint64_t bytes;
	usec since;
	_Atomic bool is_split;
	_Atomic bool has_lost_interface;
};

/* The lane_io of a worker's lanes (or of the control thread's, whose worker is never started): wanted by
 * engine_new; own.lane and helper.lane are set afterwards. */
struct lane_io worker_io(struct worker *w);

/* Starts the threads, which register themselves with engine/grace. */
enum err worker_start(struct worker *w, struct fault *fault);
/* Stops and joins them; frees what worker_start made. Fine if it was never started. */
void worker_stop(struct worker *w);
