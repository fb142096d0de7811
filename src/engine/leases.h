/*
 * Addresses for clients: pools, who has which address, and which is free. Pure bookkeeping of the control thread; that
 * a lease is on disk before it is used is the engine's business. A key has at most one address of each family, and
 * keeps it. Memory goes with leases and reservations, not with the size of the pools. An address is a struct prefix of
 * which only ip and v4 count. Private to the engine.
 */
#pragma once

#include "base/addr.h"
#include "crypto/sig.h"

#define LEASES_EACH 2 /* addresses a key has at most: IPv4, IPv6 */

struct leases;

/* Pools are tried in their order; host bits do not matter. The pools are copied. ERR_NOMEM. */
enum err leases_new(struct leases **ret, const struct prefix *pools, size_t n_pools);
void leases_free(struct leases *l); /* NULL is fine */
/* Other pools. Leases outside of them are forgotten, `dropped` (may be NULL) is told of each. ERR_NOMEM: as before. */
enum err leases_set_pools(struct leases *l, const struct prefix *pools, size_t n_pools,
	void (*dropped)(void *context, const struct prefix *address), void *context);

/*
 * None of the prefix's addresses is given to anybody but `key_id` (NULL: to nobody): the interface's own, and what the
 * configuration gives to a peer. Of several reservations that cover an address the longest counts, as in routing;
 * several of one prefix for different keys give it to nobody. One that is shorter than a pool's prefix keeps nothing in
 * that pool (for a peer with 0.0.0.0/0, say): a lease is the longer prefix. Who has a lease there already keeps it
 * until it is freed. A second one of the same prefix for the same key is none. ERR_NOMEM: as before.
 */
enum err leases_reserve(struct leases *l, const struct prefix *prefix, const uint8_t key_id[KEY_ID_LEN]);
/* Takes back all reservations for that key (NULL: those for nobody). */
void leases_unreserve(struct leases *l, const uint8_t key_id[KEY_ID_LEN]);

/* A lease from before, also if its key has it already; put those first that were given first. ERR_EXISTS: the address
 * is another key's or reserved, or the key has another of that family; ERR_NOT_FOUND: no pool gives it (any more);
 * ERR_NOMEM. */
enum err leases_put(struct leases *l, const uint8_t key_id[KEY_ID_LEN], const struct prefix *address);

/* Neither may call back into the leases. */
struct leases_asking {
	bool (*is_known)(void *context, const uint8_t key_id[KEY_ID_LEN]);
	void (*dropped)(void *context, const struct prefix *address); /* may be NULL */
	void *context;
};
/*
 * The addresses of a key: those it has, and for each family that has pools and of which it has none, a free one, which
 * is its own from then on. First what is reserved for it in a pool, the longest reservation first; else a pool gives
 * upwards from what it gave last and begins again at its lowest, so that never used ones come first and an address
 * rests before it is given again. Not given: network and broadcast addresses of IPv4 pools up to /30, and the first
 * address of an IPv6 pool up to /126 (the routers' anycast). When all are taken, that of a key for which is_known is
 * false is (the one that has had it longest; `dropped` is told). ret: IPv4 first, /32 or /128; *ret_n of them.
 * ERR_FULL: a family's pools are exhausted; ERR_NOMEM: nothing has changed, *ret_n is 0.
 */
enum err leases_give(struct leases *l, const uint8_t key_id[KEY_ID_LEN], const struct leases_asking *asking,
	struct prefix ret[static LEASES_EACH], size_t *ret_n);
/* What a key has now, IPv4 first; the number. */
size_t leases_of(const struct leases *l, const uint8_t key_id[KEY_ID_LEN], struct prefix ret[static LEASES_EACH]);

/* The lease ends. ERR_NOT_FOUND. */
enum err leases_free_address(struct leases *l, const struct prefix *address);

/* The pool that an address is in, or NULL: its length goes into Accept. Valid until the pools change. */
const struct prefix *leases_pool_of(const struct leases *l, const struct prefix *address);

/* In the order of addresses, IPv4 first; false: there are fewer. */
bool leases_at(const struct leases *l, size_t at, uint8_t ret_key_id[KEY_ID_LEN], struct prefix *ret_address);
