/*
 * A crowd: one server with pools, and many clients that come and go. Who they are, their lives, what the engines say,
 * and the letters between them, each checked when it comes out. Private to the scenario of many engines.
 */
#pragma once

#include "sim/book.h"
#include "sim/letters.h"
#include "sim/many.h"
#include "sim/observer.h"

#define SERVER 0
#define MEMBERS (CLIENTS + 1)

/* The server's pools: wide enough for all, or not. */
enum pools { POOLS_SMALL, POOLS_WIDE, POOLS_WIDER, POOLS_COUNT };
#define SMALL_ROOM 61 /* of a /26: not its network, its broadcast, the server's own */

struct member {
	/* At the server. */
	bool is_known, has_network, has_fixed, has_psk;
	struct prefix fixed; /* an address of the pools that the configuration gives it */
	uint8_t psk[PSK_LEN];
	uint32_t number;
	usec removed_at;

	/* Its own. */
	uint32_t server_number;
	bool is_told[2], has_view[2];      /* not any more: the lease has ended */
	struct prefix view[2];             /* what it was told to use: [v4] */
	uint32_t refused;                  /* the code of the last Reject; 0: let in since */
	usec heard_at_server, heard_by_it; /* when a letter of this kind last came out */
};

struct crowd {
	struct host hosts[MEMBERS]; /* first: from a host's address follows the crowd's */
	struct member members[MEMBERS];
	struct world world;
	struct network network;
	struct observer observer;
	struct book book;
	struct letters letters;
	struct stream_random random;
	struct identity *const *identities;
	uint32_t addresses; /* given to hosts so far */
	enum pools pools;
	usec trouble_ends, pushed_at; /* when the server's MTU last changed */
	bool is_calm;                 /* there is none that could end a session */
	bool is_disk_full;            /* leases cannot be recorded */
	bool may_drop;                /* a known client's lease may end in this call */
	bool crashes_at_lease;        /* the server, right after the next one is recorded */
	uint64_t handshakes, rekeys;  /* of engines that are gone */
};

static inline struct crowd *crowd_of(void *host)
{
	struct host *h = host;
	return (struct crowd *)(void *)(h - h->number);
}

void crowd_init(struct crowd *c, uint64_t seed, bool is_verbose, struct identity *const identities[MEMBERS]);
void crowd_done(struct crowd *c);

/* What the server's configuration becomes with these pools; the engine is not told. */
void crowd_set_pools(struct crowd *c, enum pools pools);
struct addr crowd_new_address(struct crowd *c);

void crowd_start_server(struct crowd *c);
void crowd_stop(struct crowd *c, uint32_t member, bool politely);
void crowd_start_client(struct crowd *c, uint32_t client);
/* The server learns of the client, or reads its configuration anew. */
void crowd_add(struct crowd *c, uint32_t client);
void crowd_change(struct crowd *c, uint32_t client);
void crowd_remove(struct crowd *c, uint32_t client);

/* Has it a session, as the server sees it? *ret_at: since when. */
bool crowd_has_session(const struct crowd *c, uint32_t client, usec *ret_at);
/* What the server says of leases is what is on its disk. */
void crowd_check(struct crowd *c);

/* ---- letters: crowd_letters.c ---- */
/* The server's own address in the tunnel, and the network that some clients have behind them: 10.200.CLIENT.0/24. */
struct prefix crowd_own_address(bool v4);
struct prefix crowd_network_of(uint32_t client);
/* One letter, from anybody to anybody. */
void crowd_write_letter(struct crowd *c);
/* One comes out of a host's tunnel. */
void crowd_deliver(struct host *h, const struct iovec *iov, int n);

/* ---- trouble: crowd_trouble.c ---- */
void crowd_trouble_start(struct crowd *c, usec until);
/* Another configuration for a running server: all sessions go on, but for those whose lease ends by it. */
void crowd_reconfigure(struct crowd *c, enum pools pools);
/* A client has just heard that it is in, which the server does not know yet: sometimes that is when it happens. */
void crowd_reconfigure_soon(struct crowd *c);
