/*
 * Carries packets between a TUN or TAP interface and a UDP socket, for the protocols of the older programs: two
 * threads, one for each way, and between them what a protocol makes of a packet or a datagram. Offloads of the
 * interface are used: super-packets are cut and checksums completed on the way out, neighbouring segments joined on
 * the way in. Nothing is allocated for a packet.
 *
 * The interface and the socket are the caller's, and stay so. Between carrier_start and carrier_stop nobody else reads
 * from either.
 */
#pragma once

#include "base/clock.h"
#include "net/udp.h"
#include "tun/tun.h"

#include <stdatomic.h>
#include <stdbool.h>

#define CARRIER_DATAGRAM_MAX 2048 /* that can be built */

struct carrier;

/* What a protocol does. `seal` and `route` are called by one thread, `open` and `flushed` by another. */
struct carrier_protocol {
	/* A packet, or an Ethernet frame, with complete checksums; borrowed. Gives what is to be sent by carrier_room
	 * and carrier_send. */
	void (*seal)(void *context, struct carrier *carrier, const uint8_t *packet, size_t len);
	/* A datagram, which may be written to. Gives inner packets by carrier_deliver. */
	void (*open)(void *context, struct carrier *carrier, const struct addr *remote, uint8_t *datagram, size_t len);
	/* All that was delivered has been written: its memory may be used again. May be NULL. */
	void (*flushed)(void *context);
	/* Where to, now; false: nowhere yet, so what waits is dropped. */
	bool (*route)(void *context, struct udp_route *ret);
	void *context;
};

struct carrier_config {
	struct tun *tun; /* its queue 0 */
	struct udp *udp;
	unsigned int layer; /* 2 or 3: what the interface carries */
	struct carrier_protocol protocol;
	int event_fd; /* an eventfd that is written to when carrier_trouble has something new; the caller's */
};

/* Why a caller should look: bits. */
enum carrier_trouble {
	CARRIER_REFUSED = 1, /* nobody has the port open at the other end (only on a connected socket) */
	CARRIER_GONE = 2,    /* the interface was removed; its thread has ended */
	CARRIER_FAILED = 4,  /* a socket or the interface failed for good; carrier_fault says how */
};

/* Datagrams and packets; read by anyone at any time. */
struct carrier_counters {
	_Atomic uint64_t sent, sent_bytes;         /* datagrams */
	_Atomic uint64_t received, received_bytes; /* datagrams */
	_Atomic uint64_t unsent;                   /* bursts that the kernel did not take whole */
	_Atomic uint64_t no_route;                 /* packets for which there was no peer */
	_Atomic uint64_t unreadable;               /* packets of the interface that made no sense */
	_Atomic uint64_t unwritten;                /* packets that the interface did not take: it is down, or full */
};

/* Drops what waits in the interface's queue, then starts the threads. ERR_NOMEM, ERR_IO. On error nothing runs. */
enum err carrier_start(struct carrier **ret, const struct carrier_config *config, struct fault *fault);
/* Ends the threads (at once, whatever waits) and frees. NULL is fine. */
void carrier_stop(struct carrier *carrier);

/* CARRIER_ bits since the last call. */
unsigned int carrier_trouble(struct carrier *carrier);
/* What made it fail, after CARRIER_FAILED. */
const struct fault *carrier_fault(const struct carrier *carrier);
/* The time of the batch that `open` is called for. */
usec carrier_now(const struct carrier *carrier);
const struct carrier_counters *carrier_counters(const struct carrier *carrier);
/* When the last datagram was received that the protocol called authentic by carrier_deliver; 0: none yet. */
usec carrier_heard_at(const struct carrier *carrier);

/* ---- within seal ---- */

/* Room for two datagrams, CARRIER_DATAGRAM_MAX bytes each, one behind the other. To be asked for each packet. */
uint8_t *carrier_room(struct carrier *carrier);
/* The first datagram in that room, and then perhaps the second, goes out with others soon. */
void carrier_send(struct carrier *carrier, const uint8_t *datagram, size_t len);

/* ---- within open ---- */

/* An inner packet (layer 3) or Ethernet frame (layer 2), borrowed until `flushed`. What is neither (no IP header, a
 * frame without its header) is written as it is or counted as unwritten: nothing is assumed of it. */
void carrier_deliver(struct carrier *carrier, const uint8_t *packet, size_t len);
/* Writes all that was delivered; `flushed` is called. For a protocol that runs out of memory for packets. */
void carrier_flush(struct carrier *carrier);
