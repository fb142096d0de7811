/*
 * What bench/load sends: datagrams from any of its addresses, and packets through the sessions of its clients, as fast
 * as the machine can. Segments of one size go out in one send.
 */
#pragma once

#include "load_client.h"

#include <netinet/in.h>

#define STREAM_BURST_MAX 44U /* datagrams of STREAM_DATAGRAM in what one send takes */
#define STREAM_DATAGRAM 1472 /* fills an Ethernet packet */

/* From `source` (host byte order). segment: of each datagram, 0: it is one. false: it was not sent. */
bool stream_transmit(
	int socket, const struct sockaddr_in *to, uint32_t source, const uint8_t *data, size_t len, uint16_t segment);

struct stream_plan {
	int socket;
	struct sockaddr_in server;
	uint32_t source, inner, to; /* host byte order; of the first client */
	unsigned burst;
	struct client *clients;
	unsigned n_clients;
};

/* A burst of each client that is up; adds the packets and bytes that went out (of IP, within the tunnel). */
void stream_round(const struct stream_plan *plan, uint64_t *packets, uint64_t *bytes);
