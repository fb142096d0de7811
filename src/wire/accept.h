/*
 * What Accept says (docs/protocol.md, "Accept"): the responder hands out addresses, routes, name servers, search
 * domains, an MTU and a keepalive. Layout only; what a client takes of it is the engine's business. Plain data,
 * nothing owned.
 */
#pragma once

#include "base/addr.h"
#include "base/bytes.h"
#include "wire/padmarks.h"

#define ACCEPT_ADDRESSES_MAX 4
#define ACCEPT_ROUTES_MAX 64
#define ACCEPT_DNS_MAX 8
#define ACCEPT_DOMAINS_MAX 8
#define ACCEPT_DOMAIN_LEN 254 /* with its NUL */

struct accept {
	struct prefix addresses[ACCEPT_ADDRESSES_MAX]; /* with host bits; the length is the pool's, never 0 */
	struct prefix routes[ACCEPT_ROUTES_MAX];       /* without host bits */
	uint8_t dns[ACCEPT_DNS_MAX][16];               /* IPv4 as IPv4-mapped */
	char domains[ACCEPT_DOMAINS_MAX][ACCEPT_DOMAIN_LEN];
	size_t n_addresses, n_routes, n_dns, n_domains;
	uint16_t mtu;         /* 0: not said */
	uint16_t keepalive_s; /* 0: not said */
	bool has_pad_marks;
	struct padmarks pad_marks; /* the responder's, of a pq+otp link */
};

/*
 * From an Accept's body. What is more than fits is checked and left out; unknown TLVs are skipped; of an MTU, a
 * keepalive or marks said twice the last counts. ERR_FORMAT, and *ret is zeroed: a TLV that runs past the end, or one
 * of ours with a wrong length, an impossible prefix (more bits than its family has; a route with host bits; an address
 * with 0 bits; IPv4-mapped IPv6), an MTU under 1280, or a domain that accept_is_domain does not take.
 */
enum err accept_parse(struct accept *ret, struct view body);

/* Writes what is set; w->failed when it does not fit (ACCEPT_BODY_MAX always does). */
#define ACCEPT_BODY_MAX 4096
void accept_write(struct writer *w, const struct accept *accept);

/* Is this a name that may be handed to the host's resolver: 1..253 letters, digits, '-', '_', '.', no label empty or
 * over 63, not beginning with '-' (which a helper program would take for an option)? */
bool accept_is_domain(const char *name, size_t len);
