/*
 * For tests of the carrier: a real interface and socket in a network namespace, and a protocol between them that puts
 * one byte before a packet.
 */
#pragma once

#include "../net/netns.h"

#include "compat/carrier.h"

#define MARK 0x5a
#define IP_LEN 20
#define UDP_LEN 8
#define WAIT_MS 10000
#define POOL 4 /* packets that the protocol keeps until they are written */

struct protocol {
	struct addr remote;
	_Atomic bool has_route, keeps; /* keeps: what is opened lies in `pool` until it is written */
	_Atomic unsigned int opened, flushes, wrong;
	_Atomic uint64_t sealed, sealed_v4; /* IPv6 has things to say by itself */
	size_t mtu;
	uint8_t pool[POOL][CARRIER_DATAGRAM_MAX];
	size_t pooled;
};

struct end {
	struct netlink *netlink;
	struct tun *tun;
	struct udp *udp;
	struct protocol protocol;
	struct carrier_config config;
	struct carrier *carrier;
};

/* The Internet checksum, not complemented. */
uint16_t packet_sum(const uint8_t *data, size_t len, uint32_t start);
/* An IPv4 packet as a network takes it: not too long, its own and its TCP or UDP checksum right. */
bool packet_is_complete(const uint8_t *ip, size_t len, size_t mtu);

struct udp *end_udp(void); /* a socket on lo */
struct addr end_address(const struct udp *udp);
/* An interface with that address in the namespace that this thread is in; e->netlink is of there. */
void end_interface(struct end *e, unsigned int layer, const char *prefix);
void end_config(struct end *e, unsigned int layer, const struct addr *remote);
void end_start(struct end *e);
void end_stop(struct end *e);
void end_free(struct end *e);

/* Until a descriptor can be read; until the carrier has something to tell, which it did by its event; until a counter
 * is at least so much. */
void await(int fd);
unsigned int await_trouble(struct end *e);
void await_count(const _Atomic uint64_t *counter, uint64_t least);
