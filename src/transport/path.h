/*
 * The largest plaintext that a path carries, found by padded probes (RFC 8899; docs/protocol.md,
 * "Path MTU"). ICMP is not believed: it is not authenticated. Sizes here are plaintext sizes of Data
 * datagrams, multiples of 64 (what AEADs are quickest at; and IPv4 and IPv6 outside then agree),
 * from PATH_PLAIN_MIN up to what the outgoing interface takes.
 *
 * Search: the minimum, which passes everywhere, to learn the round trip and with it how long to wait; then the
 * largest, since most paths carry it; then by halves. Three tries a size. When done, the
 * size found is confirmed again while large datagrams are sent, and falls back to the minimum when five
 * confirmations in a row go unanswered; every ten minutes a larger one is tried.
 */
#pragma once

#include "base/clock.h"
#include "base/rng.h"
#include "wire/wire.h"

#include <stdbool.h>

/* An outer packet of 1280 bytes over IPv6: 1280 - 48 - 32 = 1200, rounded down. */
#define PATH_PLAIN_MIN 1152
#define PATH_PLAIN_MAX 64896 /* one UDP datagram over IPv4 carries 65507 bytes */

enum path_state { PATH_IDLE, PATH_SEARCH, PATH_FOUND };

struct path {
	enum path_state state;
	uint32_t found;     /* the largest size that came through */
	uint32_t low, high; /* search: low came through, nothing above high is tried */
	uint32_t ceiling;   /* the interface's */
	uint32_t size;      /* of the probe on its way, 0: none */
	uint32_t tries;
	usec sent_at, rtt; /* of its first try; round trip of the last echo, 0: not known yet */
	usec due, confirm_at, raise_at;
	uint8_t nonce[PROBE_LEN];
};

/* The plaintext that fits an outgoing interface's MTU, over either family, as above. */
uint32_t path_plain_of_mtu(uint32_t mtu);
/* The outer IPv6 packet's size for a plaintext (for people). */
uint32_t path_mtu_of_plain(uint32_t plain, bool v4);

/* A new or changed path: back to the minimum, and search from `now`. */
void path_reset(struct path *p, uint32_t ceiling, usec now);

/* A probe is due: fills *size (plaintext) and the nonce, and returns true. `busy`: large datagrams
 * were sent since the last confirmation; `silent`: they seem to be unanswered. */
bool path_poll(struct path *p, usec now, bool busy, bool silent, const struct rng *rng, uint32_t *size);
/* When path_poll has something to do by itself. Confirmations also need `busy` or `silent`: who calls looks about
 * once a second whether they are. */
usec path_deadline(const struct path *p);

/* What the interface takes now; asked for when raise_at has passed. */
void path_ceiling(struct path *p, uint32_t ceiling, usec now);

/* An echo came back; true if `found` changed. */
bool path_echo(struct path *p, const uint8_t nonce[static PROBE_LEN], usec now);

/* The kernel refused a datagram of the present size (its interface shrank); true if `found` changed. */
bool path_refused(struct path *p, uint32_t ceiling, usec now);
