/*
 * The engine: peers, cryptokey routing, sessions and their timers; glues handshake and transport
 * (docs/architecture.md). It makes no system call: packets, datagrams, time and randomness come in
 * as arguments and go out through callbacks, so two engines can be joined by a simulated network.
 *
 * Threads. Lanes carry data: each lane belongs to one thread (engine/lane). Everything in this
 * header belongs to one more thread, the control thread, which has a lane of its own (the last);
 * lanes talk to it by events that the owner queues. Signatures happen on the control thread only.
 */
#pragma once

#include "base/addr.h"
#include "base/clock.h"
#include "base/rng.h"
#include "crypto/aead.h"
#include "crypto/sig.h"
#include "engine/drops.h"
#include "pad/pad.h"
#include "transport/padding.h"
#include "transport/protection.h"
#include "wire/accept.h"
#include "wire/ether.h"
#include "wire/wire.h"

#include <sys/uio.h>

struct engine;
struct lane;

/* Where datagrams go: the peer's address, and the address of ours that it used. */
struct endpoint {
	struct addr remote;
	uint8_t local_ip[16]; /* zero: the kernel chooses */
	uint32_t interface;   /* of local_ip; 0: any */
};

/* What a lane hands to the control thread. Copied by the owner's queue. */
enum event_kind {
	EVENT_HANDSHAKE, /* a datagram of type Init, Resp, Finish, Cookie or Reject */
	EVENT_CONTROL,   /* a control frame's body, from keys `index` */
	EVENT_PROBE,     /* a path probe or echo */
	EVENT_WANTED,    /* packets wait for a session with peer `peer` */
	EVENT_MOVED,     /* a newest datagram of keys `index` came from another address */
	EVENT_HEARD,     /* something authentic came under keys that wait for it */
	EVENT_LAYER,     /* peer `peer` sends frames of another layer */
	EVENT_TOO_BIG,   /* the kernel refused a datagram to peer `peer` as too large */
};
struct event {
	enum event_kind kind;
	uint32_t index; /* local index of the keys; the event is stale if they are gone */
	uint32_t peer;  /* number */
	uint64_t counter;
	uint8_t flags;
	struct endpoint from;
	uint16_t len;
	uint8_t data[2048]; /* a datagram (at most HS_DATAGRAM_MAX of it matter) or a frame's body */
};

/* One per lane. All pointers are borrowed for the call. */
struct lane_io {
	/* Sends `len` bytes as datagrams of `segment` bytes each (the last may be shorter; at most 64).
	 * ERR_TOO_BIG: larger than the interface takes; ERR_AGAIN: the socket's buffer is full;
	 * anything else: dropped. */
	enum err (*send)(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment);
	/* Writes a packet, iov[0] its virtio_net_hdr, to the tunnel's interface. */
	enum err (*deliver)(void *context, const struct iovec *iov, int n);
	/* Queues an event for the control thread. ERR_FULL. */
	enum err (*post)(void *context, const struct event *event);
	void *context;
	bool joins_udp; /* the interface takes UDP super-packets */
};

/* What the control thread tells its owner, who logs it. */
enum notice {
	NOTICE_ESTABLISHED,
	NOTICE_REJECTED,
	NOTICE_REFUSED,
	NOTICE_LOST,
	NOTICE_MOVED,
	NOTICE_CLOSED,
	NOTICE_PATH,
	NOTICE_LEASE,
	NOTICE_PAD, /* it runs out, or its state is old */
	NOTICE_LAYER,
};
struct engine_host {
	/* The MTU of the interface that leads to an address; 1500 if unknown. */
	uint32_t (*interface_mtu)(void *context, const struct addr *remote);
	/* The tunnel's best MTU has changed (only with mtu = 0 in the configuration). */
	void (*tunnel_mtu)(void *context, uint32_t mtu);
	void (*notice)(void *context, enum notice notice, const char *peer, const char *text);
	/* A client is to have this address from now on. OK only when that is on disk; else it is refused with the
	 * fault's text. Called again for a lease that is there already, at each handshake. NULL: there are no pools. */
	enum err (*keep_lease)(void *context, const uint8_t key_id[KEY_ID_LEN], const char *peer,
		const struct prefix *address, struct fault *fault);
	/* A lease has been taken back (its key is not known any more, or the pool has gone). */
	void (*drop_lease)(void *context, const struct prefix *address);
	/* What peer `number` hands out, less what is not taken from it; only when it differs from the last time.
	 * Routes are in the engine's own table already. */
	void (*accepted)(void *context, uint32_t number, const struct accept *accept);
	void *context;
};

struct engine_config {
	const struct identity *identity; /* borrowed; NULL: no handshakes, pads only */
	uint32_t n_lanes;                /* data lanes, without the control thread's */
	uint32_t suites;                 /* offered and accepted */
	bool prefer_aes;
	enum padding padding;
	uint32_t tunnel_mtu; /* 0: auto */
	usec reauthenticate;
	usec rekey; /* age at which keys in use are replaced; 0: REKEY_DEFAULT */
	uint32_t max_pending, handshake_rate;
	const struct prefix *pools; /* addresses to hand out; copied */
	size_t n_pools;
	const struct prefix *own; /* addresses of the interface, which are never handed out; copied */
	size_t n_own;
	struct accept push;             /* what clients are told besides their addresses */
	bool is_layer2;                 /* Ethernet frames in place of IP packets; stays as it is */
	uint8_t mac[ETHER_ADDRESS_LEN]; /* of the interface, at layer 2 */
	bool are_peers_apart; /* packets from one peer to another are dropped */
	struct engine_host host;
};

/* What is taken from a peer's Accept. */
#define TAKE_ADDRESS 1U
#define TAKE_ROUTES 2U
#define TAKE_DNS 4U
#define TAKE_MTU 8U
#define TAKE_KEEPALIVE 16U

struct peer_config {
	const char *name;
	uint8_t key_id[KEY_ID_LEN];
	const struct prefix *allowed_ips; /* copied into the trie */
	size_t n_allowed_ips;
	bool initiates; /* has an Endpoint; the address comes by engine_set_endpoint */
	usec keepalive; /* 0: none */
	bool has_psk;
	uint8_t psk[PSK_LEN];
	uint32_t takes; /* TAKE_ bits */
	enum protection protection;
	/* Borrowed until the peer is removed, or changed to another. With PROTECTION_PQ: its bytes go into each key
	 * exchange. NULL only with PROTECTION_PQ. For PROTECTION_OTP the key ID is that of pad_key_id. */
	struct pad *pad;
};

/* `io` has n_lanes + 1 elements, the control thread's last. ERR_NOMEM, ERR_CRYPTO. The calling thread must be
 * registered with engine/grace, as every thread that uses a lane. */
enum err engine_new(struct engine **ret, const struct engine_config *config, const struct lane_io *io,
	const struct rng *rng, usec now);
/* No lane may be in use any more. NULL is fine. */
void engine_free(struct engine *e);

/* Before lanes run, or from the control thread. *ret_number counts from 0. ERR_EXISTS: the key ID is another
 * peer's, or one's own. ERR_ARGUMENT: its protection needs a pad. ERR_NOMEM. */
enum err engine_add_peer(struct engine *e, const struct peer_config *config, uint32_t *ret_number);
/* A peer that initiates gets the address to call (again, when a name resolves to another). */
void engine_set_endpoint(struct engine *e, uint32_t peer, const struct addr *address, usec now);
/* The peer loses its sessions at once and is forgotten; its number may be given to another later. */
void engine_remove_peer(struct engine *e, uint32_t peer);
/* Another configuration for the peer with the same key ID. Its session goes on, unless the pre-shared key is another.
 * ERR_NOMEM, ERR_ARGUMENT (another key ID). */
enum err engine_change_peer(struct engine *e, uint32_t peer, const struct peer_config *config, usec now);
/* ERR_NOT_FOUND. */
enum err engine_find_peer(const struct engine *e, const uint8_t key_id[KEY_ID_LEN], uint32_t *ret_number);

/*
 * Another configuration for all: identity, suites, padding, tunnel_mtu, times, handshake limits, pools, push and
 * are_peers_apart are taken over; lanes and callbacks stay. Sessions go on, but for those under another identity: they
 * end. ERR_NOMEM, ERR_CRYPTO, ERR_ARGUMENT: nothing has changed but, when memory ran out late, the pools.
 */
enum err engine_reconfigure(struct engine *e, const struct engine_config *config, usec now);

/* A lease from before: its peer will get that address again. Before lanes run. ERR_EXISTS: it is another's;
 * ERR_NOT_FOUND: in no pool; ERR_NOMEM. */
enum err engine_load_lease(struct engine *e, const uint8_t key_id[KEY_ID_LEN], const struct prefix *address);
/* The lease ends; its holder's session, too. ERR_NOT_FOUND. */
enum err engine_free_lease(struct engine *e, const struct prefix *address);
struct lease {
	uint8_t key_id[KEY_ID_LEN];
	struct prefix address; /* /32 or /128 */
};
/* All leases, in the order of addresses; false: there is no such. */
bool engine_lease(const struct engine *e, size_t at, struct lease *ret);

struct lane *engine_lane(struct engine *e, uint32_t number);

/* An event from a lane. `under_load`: the queue is long; handshakes then need a cookie first. */
void engine_event(struct engine *e, const struct event *event, bool under_load, usec now);

/* Does what is due and returns when it wants to be called again. */
usec engine_tick(struct engine *e, usec now);

/* Tells peers that the tunnel closes; the owner stops calling afterwards. */
void engine_close(struct engine *e, usec now);

/* ---- status ---- */
struct peer_status {
	const char *name;
	const uint8_t *key_id;
	struct addr endpoint; /* unset when there is none */
	bool is_established, is_connecting, has_psk;
	enum protection protection;
	bool has_pad;        /* also with PROTECTION_PQ */
	usec established_at; /* of the last full handshake; 0: never */
	usec last_receive;   /* 0: never */
	enum cipher cipher;
	enum sig_alg peer_alg;
	uint32_t path_plain; /* largest plaintext; 0 without a session */
	uint32_t path_mtu;   /* the outer packet's size that goes with it */
	uint32_t epoch;      /* rekeys since the handshake */
	uint32_t stations;   /* that are known behind it, at layer 2 */
	uint64_t rx_bytes, tx_bytes, rx_packets, tx_packets;
	char rejected[200 + 1];         /* why the peer refused us last; empty */
	const struct prefix *addresses; /* handed out to it, or, where we are the client, to us */
	size_t n_addresses;
};
uint32_t engine_peer_count(const struct engine *e);
/* false: no such peer (any more). */
bool engine_peer_status(const struct engine *e, uint32_t peer, struct peer_status *ret);
/* How many stations are known at this host's own side, at layer 2. */
uint32_t engine_own_stations(const struct engine *e);
uint64_t engine_drops(const struct engine *e, enum drop drop); /* all lanes */

/* What a peer has handed out to us, less what is not taken; NULL: nothing. Until the next call that changes something.
 */
const struct accept *engine_accepted(const struct engine *e, uint32_t peer);

struct handshake_counts {
	uint64_t initiated, answered, established, rejected, refused, rekeys, cookies;
};
struct handshake_counts engine_handshake_counts(const struct engine *e);
