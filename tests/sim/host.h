/*
 * A host: one engine, a clock of its own (which may jump), an inbox between lanes and control thread,
 * a UDP socket on the simulated network, and a TUN queue. What the daemon does with threads happens
 * here in turns: datagrams and packets go to a lane, events wait in the inbox, and the control
 * thread's turn comes a little later.
 */
#pragma once

#include "engine/engine.h"
#include "sim/inner.h"
#include "sim/network.h"
#include "sim/pads.h"

#define INBOX_MAX 256
#define DATA_LANES 2

struct host;
struct observer;

/* What a scenario does in place of what hosts do by themselves. The engine's callbacks get the host as their context.
 */
struct host_hooks {
	void (*deliver)(struct host *h, const struct iovec *iov, int n);
	struct engine_host asks; /* interface_mtu and tunnel_mtu are left out */
};

struct host_peer {
	uint32_t host; /* number */
	bool initiates, has_psk;
	uint8_t psk[PSK_LEN];
	uint32_t number; /* in the engine */
	enum protection protection;
	struct sim_end *end; /* of its pad; NULL: none */
};

struct host {
	struct world *world;
	struct network *network;
	struct delivery_ledger *ledger;
	struct observer *observer;
	const struct host_hooks *hooks;    /* NULL: packets go to the ledger */
	struct stream_random random, keys; /* the world's and the engine's */
	uint32_t number, node;

	/* What the scenario chooses. */
	const struct identity *identity;
	struct engine_config config;
	struct host_peer peers[HOSTS_MAX];
	uint32_t n_peers;
	usec keepalive;
	bool joins_udp, is_under_load;         /* always asks for cookies */
	uint32_t interface_mtu, send_failures; /* of 1000 sends */
	usec lateness;                         /* of the control thread's turn, at most */

	struct engine *engine; /* NULL: switched off */
	usec clock_ahead;      /* of simulated time */
	struct event *inbox[INBOX_MAX];
	uint32_t n_inbox;
	struct datagram *arrived[64];
	uint32_t n_arrived;
	bool has_turn;                /* a turn is arranged */
	usec deadline;                /* simulated time of the arranged tick */
	uint64_t ticks, ticks_before; /* caused by deadlines */
	usec ticks_since;
};

/* Puts the host on the network. The scenario's fields must be set. */
void host_attach(struct host *h, struct network *n, const struct addr *address);

/* `all`: where the peers are, for those of the host's list. */
void host_start(struct host *h, const struct host *all);
/* Its control thread takes a turn soon: something was changed from outside. */
void host_wake(struct host *h);
/* As killed: nothing is told to anybody. `politely`: engine_close first. */
void host_stop(struct host *h, bool politely);

/* It dies by itself. */
void host_crash(struct host *h);

/* It forgets a peer and learns it anew, as when its configuration is read again. */
void host_forget(struct host *h, uint32_t peer, const struct host *all);

usec host_clock(const struct host *h);
/* The host's clock goes forward, as after a suspend. */
void host_jump(struct host *h, usec by);
/* It gets another address, as from a NAT. */
void host_move(struct host *h, const struct addr *address);

/* Sends `count` packets to the tunnel in one read of the TUN queue. */
void host_write_packets(struct host *h, uint32_t to, uint32_t count, uint32_t largest);

/* One packet, with the header that goes before it. */
void host_write(struct host *h, uint8_t *packet, size_t len);

/* To the log: what it dropped and whom it talks to. */
void host_describe(const struct host *h);

/* What holds at any time within a host. */
void host_check(struct host *h);
