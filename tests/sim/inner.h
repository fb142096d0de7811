/*
 * Inner packets and their ledger. Every packet has an id and contents that follow from it, so what
 * a tunnel delivers can be compared byte by byte with what was put in, whatever way it was cut,
 * joined or cut into fragments under way. Each must come out at most once, at its destination only.
 */
#pragma once

#include "base/addr.h"
#include "sim/world.h"

#include <linux/virtio_net.h>
#include <sys/uio.h>

#define INNER_MARKER "jormPLAIN" /* never to be seen on the wire */
#define INNER_MARKER_LEN 9
#define INNER_MAX 65535
#define HOSTS_MAX 5
#define INNER_NOBODY HOSTS_MAX /* as a destination: an address that no peer has */

enum inner_kind { INNER_UDP, INNER_UDP_NO_CHECKSUM, INNER_ICMP, INNER_TCP };

struct parcel {
	uint8_t from, to, source; /* source: whose address it bears; not `from`'s: it must not arrive */
	enum inner_kind kind;
	bool v4, is_delivered;
	uint8_t tcp_flags;
	uint16_t payload_len;
	uint32_t sequence;
	usec sent_at;
};

struct delivery_ledger {
	struct world *world;
	struct stream_random random;
	struct parcel *parcels;
	uint32_t count, size;
	/* When a packet of this pair, sent at or after the time in `since`, was last delivered. */
	usec since, heard[HOSTS_MAX][HOSTS_MAX];
	uint64_t delivered;
};

/* What is read from or written to a TUN queue. */
struct inner_packet {
	struct virtio_net_hdr header;
	size_t len;
	uint8_t bytes[INNER_MAX];
};

void ledger_init(struct delivery_ledger *l, struct world *w);
void ledger_done(struct delivery_ledger *l);

/* A host's network, as in its peers' AllowedIPs: 10.77.HOST.0/24 or fd77::HOST:0/112. Its packets have address 1. */
struct prefix inner_prefix(uint32_t host, bool v4);

/* What host `from` might send to `to`: any kind, with or without offloads, sometimes with another's source. At most
 * `largest` bytes of payload. */
void inner_make(struct delivery_ledger *l, struct inner_packet *ret, uint32_t from, uint32_t to, uint32_t largest);

/* What host `at` was given for its TUN queue: cut as a kernel would, and checked. */
void inner_check(struct delivery_ledger *l, uint32_t at, const struct iovec *iov, int n);
