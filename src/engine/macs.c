#include "engine/macs.h"

#include "engine/grace.h"

#include <pthread.h>
#include <stdlib.h>

#define BUCKETS 16384U
#define REFRESH USEC_PER_SEC /* how exactly it is known when a station was heard */

struct entry {
	_Atomic(struct entry *) next;
	struct mac_key key;
	_Atomic(struct mac_port *) port;
	_Atomic usec seen;
	struct entry *next_removed;
};

struct macs {
	uint64_t seeds[2]; /* nobody can tell which addresses share a bucket */
	pthread_mutex_t lock;
	uint32_t shared; /* entries of peers beyond each one's own */
	_Atomic(struct entry *) buckets[BUCKETS];
};

enum err macs_new(struct macs **ret, const struct rng *rng)
{
	struct macs *m = calloc(1, sizeof *m);
	if (!m)
		return ERR_NOMEM;
	rng_fill(rng, (uint8_t *)m->seeds, sizeof m->seeds);
	pthread_mutex_init(&m->lock, NULL);
	*ret = m;
	return OK;
}

void macs_free(struct macs *m)
{
	if (!m)
		return;
	for (uint32_t i = 0; i < BUCKETS; i++)
		for (struct entry *e = atomic_load(&m->buckets[i]), *next; e; e = next) {
			next = atomic_load(&e->next);
			free(e);
		}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static uint32_t bucket_of(const struct macs *m, const struct mac_key *key)
{
	uint64_t h = m->seeds[0] ^ ((uint64_t)be32_get(key->address) << 16 | be16_get(key->address + 4));
	h *= 0x9e3779b97f4a7c15U;
	h = (h ^ h >> 32 ^ m->seeds[1] ^ key->vlan) * 0xbf58476d1ce4e5b9U;
	h ^= h >> 29;
	h *= 0x94d049bb133111ebU;
	return (uint32_t)(h >> 40) % BUCKETS;
}

static struct entry *find(const struct macs *m, const struct mac_key *key)
{
	struct entry *e = atomic_load_explicit(&m->buckets[bucket_of(m, key)], memory_order_acquire);
	while (e && !mac_key_equal(&e->key, key))
		e = atomic_load_explicit(&e->next, memory_order_acquire);
	return e;
}

static bool is_silent(const struct entry *e, usec how_long, usec now)
{
	/* not `now - seen`: another lane's clock reading may be a moment newer */
	return now > atomic_load_explicit(&e->seen, memory_order_relaxed) + how_long;
}

struct mac_port *macs_find(const struct macs *m, const struct mac_key *key, usec now)
{
	const struct entry *e = find(m, key);
	return e && !is_silent(e, MACS_LIFETIME, now) ? atomic_load_explicit(&e->port, memory_order_acquire) : NULL;
}

/* ---- learning; all below under the lock ---- */

static bool has_room(const struct macs *m, const struct mac_port *port)
{
	uint32_t count = atomic_load_explicit(&port->count, memory_order_relaxed);
	if (port->is_local)
		return count < MACS_LOCAL_MAX;
	return count < MACS_PEER_OWN || (count < MACS_PEER_MAX && m->shared < MACS_SHARED_MAX);
}

static void count_up(struct macs *m, struct mac_port *port)
{
	uint32_t before = atomic_fetch_add_explicit(&port->count, 1, memory_order_relaxed);
	m->shared += !port->is_local && before >= MACS_PEER_OWN;
}

static void count_down(struct macs *m, struct mac_port *port)
{
	uint32_t before = atomic_fetch_sub_explicit(&port->count, 1, memory_order_relaxed);
	m->shared -= !port->is_local && before > MACS_PEER_OWN;
}

static bool may_move(const struct entry *e, const struct mac_port *from, const struct mac_port *to, usec now)
{
	return to->is_local || is_silent(e, from->is_local ? MACS_QUIET_LOCAL : MACS_QUIET_PEER, now);
}

static enum err move(struct macs *m, struct entry *e, struct mac_port *port, usec now)
{
	struct mac_port *before = atomic_load(&e->port);
	if (before == port)
		return OK; /* another lane was quicker */
	if (!may_move(e, before, port, now))
		return ERR_EXISTS;
	if (!has_room(m, port))
		return ERR_FULL;
	count_down(m, before);
	count_up(m, port);
	atomic_store_explicit(&e->seen, now, memory_order_relaxed);
	atomic_store_explicit(&e->port, port, memory_order_release);
	return OK;
}

static enum err add(struct macs *m, struct mac_port *port, const struct mac_key *key, usec now)
{
	if (!has_room(m, port))
		return ERR_FULL;
	struct entry *e = calloc(1, sizeof *e);
	if (!e)
		return ERR_NOMEM;
	_Atomic(struct entry *) *bucket = &m->buckets[bucket_of(m, key)];
	e->key = *key;
	atomic_init(&e->port, port);
	atomic_init(&e->seen, now);
	atomic_init(&e->next, atomic_load(bucket));
	count_up(m, port);
	atomic_store_explicit(bucket, e, memory_order_release);
	return OK;
}

enum err macs_learn(struct macs *m, struct mac_port *port, const struct mac_key *key, usec now)
{
	struct entry *e = find(m, key);
	if (e && atomic_load_explicit(&e->port, memory_order_relaxed) == port) {
		if (is_silent(e, REFRESH, now))
			atomic_store_explicit(&e->seen, now, memory_order_relaxed);
		return OK;
	}
	pthread_mutex_lock(&m->lock);
	e = find(m, key);
	enum err err = e ? move(m, e, port, now) : add(m, port, key, now);
	pthread_mutex_unlock(&m->lock);
	return err;
}

/* ---- forgetting ---- */

/* Frees, after a grace period, the entries of `port`; NULL: those that are too old. */
static void sweep(struct macs *m, const struct mac_port *port, usec now)
{
	struct entry *removed = NULL, *e;
	pthread_mutex_lock(&m->lock);
	for (uint32_t i = 0; i < BUCKETS; i++) {
		_Atomic(struct entry *) *link = &m->buckets[i];
		while ((e = atomic_load_explicit(link, memory_order_relaxed))) {
			struct mac_port *its = atomic_load(&e->port);
			if (port ? its != port : !is_silent(e, MACS_LIFETIME, now)) {
				link = &e->next;
				continue;
			}
			atomic_store_explicit(
				link, atomic_load_explicit(&e->next, memory_order_relaxed), memory_order_release);
			count_down(m, its);
			e->next_removed = removed;
			removed = e;
		}
	}
	pthread_mutex_unlock(&m->lock); /* before the wait: a lane that waits for it is in a read section */
	if (removed)
		grace_wait();
	while ((e = removed)) {
		removed = e->next_removed;
		free(e);
	}
}

void macs_age(struct macs *m, usec now)
{
	sweep(m, NULL, now);
}

void macs_forget(struct macs *m, const struct mac_port *port)
{
	if (atomic_load_explicit(&port->count, memory_order_relaxed))
		sweep(m, port, 0);
}
