/*
 * For tests: two engines in one process, joined by queues. Works single-threaded (duo_run, with a
 * clock that only the test moves) and with a thread a lane (the test calls the work functions
 * itself; the queues lock).
 */
#pragma once

#include "seeded.h"

#include "engine/engine.h"
#include "engine/lane.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* cmocka's assertions work in its own thread only. */
#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                    \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#define DUO_LANES 2
#define DUO_QUEUE_MAX 512

struct duo_datagrams; /* one send of a lane: opaque */
struct duo_events;

struct duo_end {
	struct duo *duo;
	uint32_t number;
	struct identity *identity;
	struct engine *engine;
	struct lane_io io[DUO_LANES + 1];
	struct seeded seed;
	uint32_t peer;         /* the other end's number */
	_Atomic uint16_t port; /* where it is: what is sent elsewhere does not arrive */
	_Atomic uint64_t delivered, largest_sent, sent, established;

	pthread_mutex_t lock; /* of both queues */
	struct duo_datagrams *in, **in_tail;
	struct duo_events *events, **events_tail;
	uint32_t n_in, n_events;

	/* What the other end has handed out last, and how often it was another; what was said of it. */
	struct accept accepted;
	uint32_t n_accepted;
	char refused[256];
	/* Addresses that were to be kept; whether that works. */
	struct prefix kept[4];
	size_t n_kept;
	bool forgets;

	/* Takes what comes out of the tunnel; NULL: counted only. */
	void (*on_packet)(void *context, const struct iovec *iov, int n);
	void *context;
};

struct duo {
	struct duo_end ends[2];
	_Atomic usec now;
	uint32_t takes; /* datagrams larger than this get lost on the way; 0: none */
	bool joins_udp;
	bool is_layer2; /* end 0 has the stations 02:00:00:00:00:X, end 1 02:00:00:00:01:X; X = 0 is the interface */
	enum padding padding;
	usec rekey; /* as in struct engine_config */
	/* What end 1 hands out, and end 0 takes of it. */
	const struct prefix *pools;
	size_t n_pools;
	struct accept push;
	uint32_t takes_of_accept; /* TAKE_ bits */
};

/* Two engines that know each other as peers; end 0 (10.0.0.1, fd00::1) calls end 1 (10.0.0.2, fd00::2). Set what is
 * above first. */
void duo_open(struct duo *d);
void duo_close(struct duo *d);
/* Adds the other end as a peer (again). */
void duo_add_peer(struct duo *d, uint32_t end);

/* Time goes on for `duration`, with everything delivered and done. */
void duo_run(struct duo *d, usec duration);
bool duo_is_established(const struct duo *d, uint32_t end);

/* A packet from the host of `end`, copied. */
void duo_packet(struct duo *d, uint32_t end, uint32_t lane, const struct virtio_net_hdr *header, const uint8_t *packet,
	size_t len);
/* An UDP packet from `end` to the other one, of `payload` bytes, with a complete checksum; its length. */
size_t duo_udp(uint8_t *out, uint32_t end, bool v4, size_t payload, uint32_t stamp);

/* A frame from one of `end`'s stations to one of the other end's, or with 255 to all, around such a packet; its
 * length. */
size_t duo_frame(uint8_t *out, uint32_t end, uint8_t from, uint8_t to, bool v4, size_t payload, uint32_t stamp);

/* What one thread does: one receive for a lane; events and time for the control thread. False: there was nothing. */
bool duo_lane_work(struct duo *d, uint32_t end, uint32_t lane);
bool duo_control_work(struct duo *d, uint32_t end);
