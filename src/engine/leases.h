/*
 * Addresses for clients: pools, who has which address, and which is free. Pure bookkeeping of the control thread; that
 * a lease is on disk before it is used is the engine's business. A key has at most one address of each family, and keeps it.
 * Private to the engine.
 */
#pragma once

#include "base/addr.h"
#include "crypto/sig.h"

#define LEASES_EACH 2 /* addresses a key has at most: IPv4, IPv6 */

struct leases;

/* Pools are tried in their order. ERR_NOMEM. */
enum err leases_new(struct leases **ret, const struct prefix *pools, size_t n_pools);
void leases_free(struct leases *l); /* NULL is fine */
/* Other pools. Leases outside of them are forgotten, `dropped` (may be NULL) is told of each. ERR_NOMEM: as before. */
enum err leases_set_pools(struct leases *l, const struct prefix *pools, size_t n_pools,
	void (*dropped)(void *context, const struct prefix *address), void *context);

/* None of the prefix's addresses is given to anybody but `key_id` (NULL: to nobody): the interface's own, and what the
 * configuration gives to a peer. Several reservations may cover an address. Who has a lease there already keeps it
 * until it is freed. ERR_NOMEM. */
enum err leases_reserve(struct leases *l, const struct prefix *prefix, const uint8_t key_id[KEY_ID_LEN]);
/* Takes back all reservations for that key (NULL: those for nobody). */
void leases_unreserve(struct leases *l, const uint8_t key_id[KEY_ID_LEN]);

/* A lease from before. ERR_EXISTS: the address is another key's or reserved, or the key has another of that family; ERR_NOT_FOUND: in no
 * pool; ERR_NOMEM. */
enum err leases_put(struct leases *l, const uint8_t key_id[KEY_ID_LEN], const struct prefix *address);

/*
 * The addresses of a key: those it has, and for each family that has pools and of which it has none, a free one,
 * which is its own from then on. Network and broadcast addresses of IPv4 pools and an IPv6 pool's first address are
 * not given; the lowest never used ones come first, so that an address rests before it is given again. When all are taken,
 * that of a key for which is_known is false is (the one that has had it longest; `dropped` is told). ret: /32 or /128; *ret_n of them.
 * ERR_FULL: a family's pools are exhausted; nothing has changed. ERR_NOMEM.
 */
struct leases_asking {
	bool (*is_known)(void *context, const uint8_t key_id[KEY_ID_LEN]);
	void (*dropped)(void *context, const struct prefix *address);
	void *context;
};
enum err leases_give(struct leases *l, const uint8_t key_id[KEY_ID_LEN], const struct leases_asking *asking,
	struct prefix ret[static LEASES_EACH], size_t *ret_n);
/* What a key has now; the number. */
size_t leases_of(const struct leases *l, const uint8_t key_id[KEY_ID_LEN], struct prefix ret[static LEASES_EACH]);

/* The lease ends. ERR_NOT_FOUND. */
enum err leases_free_address(struct leases *l, const struct prefix *address);

/* The pool that an address is in, or NULL: its length goes into Accept. */
const struct prefix *leases_pool_of(const struct leases *l, const struct prefix *address);

/* In the order of addresses, IPv4 first; false: there are fewer. */
bool leases_at(const struct leases *l, size_t at, uint8_t ret_key_id[KEY_ID_LEN], struct prefix *ret_address);
