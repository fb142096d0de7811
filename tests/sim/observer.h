/*
 * What anyone on the path may check: the invariants of datagrams as they leave a host. No counter is
 * used twice under a key, no plaintext is to be seen, sizes are those of the padding, and nobody
 * makes a host send more than three times what it got from an address that never answers (a victim).
 */
#pragma once

#include "sim/host.h"

#define VICTIMS 256

struct session_seen {
	uint32_t host, index; /* of the sender; the receiver field */
	uint64_t next;        /* no counter below may come any more */
};

struct observer {
	struct world *world;
	const struct host *hosts;
	struct session_seen *sessions; /* open addressing */
	uint32_t n_sessions, size;
	uint64_t to_victim[HOSTS_MAX][VICTIMS], from_victim[HOSTS_MAX][VICTIMS]; /* bytes */
	uint64_t datagrams, bytes;
};

void observer_init(struct observer *o, struct world *w, const struct host *hosts);
void observer_done(struct observer *o);

/* An address where nobody is. Which one it is: below VICTIMS; VICTIMS for any other address. */
struct addr victim_address(uint32_t number);
uint32_t victim_of(const struct addr *address);

/* A datagram leaves host `from`. */
void observer_sent(struct observer *o, uint32_t from, const struct datagram *d);
/* A datagram has arrived at host `to`. */
void observer_received(struct observer *o, uint32_t to, const struct datagram *d);
