/*
 * Receiving from a UDP socket: many datagrams a system call, several of one sender coalesced in
 * one message where the kernel can.
 *
 * A batch owns the buffers that messages point into; allocated once, it is filled again by each
 * udp_receive. A batch belongs to one thread; several may receive from one socket.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "net/udp.h"

#include <stddef.h>
#include <stdint.h>

#define UDP_RECEIVE_SIZE 65536 /* bytes_each that holds whatever the kernel coalesces */

/* Datagrams of one sender, all but the last `segment` bytes long, one after the other in data. */
struct udp_message {
	struct addr remote;
	uint8_t local_ip[16]; /* the address they were sent to; zero if unknown */
	uint32_t ifindex;     /* the interface they came through */
	uint8_t *data;        /* the batch's; valid until the next udp_receive, may be written to */
	size_t len;           /* > 0 */
	size_t segment;       /* 1..len; == len without coalescing */
};

struct udp_batch {
	struct udp_message *messages;
	size_t n; /* how many of them the last udp_receive filled */
	size_t capacity;
	size_t limit; /* the next udp_receive takes at most so many: 1..capacity; the owner may change it */
	struct udp_slots *slots; /* private */
};

/* Room for n_messages of bytes_each (UDP_RECEIVE_SIZE, or less on a socket without GRO).
 * NULL: no memory. */
struct udp_batch *udp_batch_new(size_t n_messages, size_t bytes_each);
void udp_batch_free(struct udp_batch *batch); /* NULL is allowed */

/*
 * Takes what waits, up to the batch's capacity, without blocking. Empty and truncated datagrams
 * are left out, so batch->n may be 0 on OK.
 *   ERR_AGAIN  nothing waiting (batch->n is 0)
 *   ERR_IO     anything else, errno kept
 */
enum err udp_receive(struct udp *udp, struct udp_batch *batch);
