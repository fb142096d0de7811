#include "daemon/state.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEN_EVERY (60 * USEC_PER_SEC)

/* A lease as the store has it, and whether its holder came since that was last noted. */
struct known {
	struct store_lease lease;
	bool is_seen;
};

struct state {
	struct store *store;
	struct known *leases; /* in the order of addresses */
	size_t count, size;
	size_t n_seen;
	usec seen_due; /* USEC_NEVER: nobody came */
};

static int64_t unix_now(void)
{
	return (int64_t)(clock_wall() / USEC_PER_SEC);
}

/* ---- what is known ---- */

static size_t position(const struct state *s, const struct prefix *address, bool *ret_found)
{
	size_t low = 0, high = s->count;
	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(s->leases[middle].lease.address.ip, address->ip, 16);
		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static enum err insert(struct state *s, const struct store_lease *lease)
{
	bool found;
	if (s->count == s->size) {
		size_t size = s->size ? 2 * s->size : 64;
		struct known *larger = reallocarray(s->leases, size, sizeof *larger);
		if (!larger)
			return ERR_NOMEM;
		s->leases = larger;
		s->size = size;
	}
	size_t at = position(s, &lease->address, &found);
	if (!found) {
		memmove(&s->leases[at + 1], &s->leases[at], (s->count - at) * sizeof s->leases[0]);
		s->count++;
	}
	s->leases[at] = (struct known){.lease = *lease};
	return OK;
}

struct loading {
	struct state *state;
	enum err err;
};

static bool load(void *context, const struct store_lease *lease)
{
	struct loading *l = context;
	l->err = insert(l->state, lease);
	return l->err == OK;
}

/* ---- opening ---- */

enum err state_open(struct state **ret, const char *folder, const char *instance, struct fault *fault)
{
	char path[PATH_MAX];
	if ((size_t)snprintf(path, sizeof path, "%s/%s.db", folder, instance) >= sizeof path)
		return fault_set(fault, ERR_TOO_BIG, "StateDirectory: the path is too long");
	struct state *s = calloc(1, sizeof *s);
	if (!s)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	s->seen_due = USEC_NEVER;
	struct loading loading = {.state = s};
	enum err err = store_open(&s->store, path, fault);
	if (err == OK)
		err = store_leases(s->store, load, &loading, fault);
	if (err == OK && loading.err != OK)
		err = fault_set(fault, loading.err, "out of memory");
	if (err != OK) {
		state_close(s);
		return err;
	}
	*ret = s;
	return OK;
}

struct store *state_store(struct state *s)
{
	return s ? s->store : NULL;
}

bool state_lease(const struct state *s, size_t at, struct store_lease *ret)
{
	if (!s || at >= s->count)
		return false;
	*ret = s->leases[at].lease;
	return true;
}

/* ---- leases ---- */

static void see(struct state *s, struct known *known)
{
	if (known->is_seen)
		return;
	known->is_seen = true;
	s->n_seen++;
	if (s->seen_due == USEC_NEVER)
		s->seen_due = clock_now() + SEEN_EVERY;
}

enum err state_keep_lease(struct state *s, const uint8_t key_id[KEY_ID_LEN], const char *name,
	const struct prefix *address, struct fault *fault)
{
	bool found;
	if (!s)
		return fault_set(fault, ERR_STATE, "the state could not be opened when the tunnel came up");
	size_t at = position(s, address, &found);
	if (found && memcmp(s->leases[at].lease.key_id, key_id, KEY_ID_LEN) == 0) {
		see(s, &s->leases[at]);
		return OK;
	}
	int64_t now = unix_now();
	struct store_lease lease = {.address = *address, .given_at = now, .last_seen = now};
	memcpy(lease.key_id, key_id, KEY_ID_LEN);
	(void)snprintf(lease.name, sizeof lease.name, "%s", name);
	enum err err = store_lease_put(s->store, &lease, fault);
	if (err == OK && insert(s, &lease) != OK)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	return err;
}

enum err state_drop_lease(struct state *s, const struct prefix *address, struct fault *fault)
{
	bool found;
	if (!s)
		return OK;
	size_t at = position(s, address, &found);
	if (found) {
		s->n_seen -= s->leases[at].is_seen;
		s->count--;
		memmove(&s->leases[at], &s->leases[at + 1], (s->count - at) * sizeof s->leases[0]);
	}
	return store_lease_delete(s->store, address, fault);
}

/* Who came since the last time: one write for all. */
static enum err note_seen(struct state *s, struct fault *fault)
{
	uint8_t(*key_ids)[STORE_KEY_ID_LEN] = calloc(s->n_seen + 1, sizeof *key_ids);
	int64_t now = unix_now();
	size_t n = 0;
	if (!key_ids)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < s->count && n < s->n_seen; i++)
		if (s->leases[i].is_seen)
			memcpy(key_ids[n++], s->leases[i].lease.key_id, KEY_ID_LEN);
	enum err err = store_leases_seen(s->store, key_ids, n, now, fault);
	free(key_ids);
	for (size_t i = 0; err == OK && i < s->count; i++) {
		if (s->leases[i].is_seen)
			s->leases[i].lease.last_seen = now;
		s->leases[i].is_seen = false;
	}
	if (err == OK)
		s->n_seen = 0;
	return err;
}

usec state_tick(struct state *s, usec now, struct fault *fault)
{
	*fault = (struct fault){0};
	if (!s || now < s->seen_due)
		return s ? s->seen_due : USEC_NEVER;
	s->seen_due = note_seen(s, fault) == OK ? USEC_NEVER : now + SEEN_EVERY;
	return s->seen_due;
}

void state_close(struct state *s)
{
	struct fault fault;
	if (!s)
		return;
	if (s->store && s->n_seen)
		(void)note_seen(s, &fault); /* what is lost otherwise is only when somebody last came */
	store_close(s->store);
	free(s->leases);
	free(s);
}
