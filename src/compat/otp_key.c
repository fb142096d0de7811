#include "compat/otp_key.h"

#include "base/secret.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)64 << 10) /* read at once; a ring is a multiple of it */

struct otp_key {
	struct pad_medium medium;
	enum pad_role role;
	uint64_t share;
	size_t room;     /* of the ring */
	uint8_t *ring;   /* position % room; outside floor..loaded it is the feeder's */
	uint8_t *staged; /* of the feeder: 2 * CHUNK bytes of the file */

	pthread_mutex_t lock; /* of what follows */
	uint64_t floor, loaded;
};

enum err otp_key_new(
	struct otp_key **ret, const struct pad_medium *medium, enum pad_role role, uint64_t size, size_t room)
{
	struct otp_key *k = calloc(1, sizeof *k);
	if (!k)
		return ERR_NOMEM;
	k->medium = *medium;
	k->role = role;
	k->share = otptunnel_share(role, size);
	if (room > k->share)
		room = (size_t)k->share;
	k->room = (room / CHUNK + 1) * CHUNK;
	k->ring = malloc(k->room);
	k->staged = malloc(2 * CHUNK);
	if (!k->ring || !k->staged || pthread_mutex_init(&k->lock, NULL) != 0) {
		free(k->ring);
		free(k->staged);
		free(k);
		return ERR_NOMEM;
	}
	*ret = k;
	return OK;
}

void otp_key_free(struct otp_key *k)
{
	if (!k)
		return;
	secret_wipe(k->ring, k->room);
	secret_wipe(k->staged, 2 * CHUNK);
	(void)pthread_mutex_destroy(&k->lock);
	free(k->ring);
	free(k->staged);
	free(k);
}

uint64_t otp_key_share(const struct otp_key *k)
{
	return k->share;
}

size_t otp_key_room(const struct otp_key *k)
{
	return k->room;
}

/* How many of `len` bytes stand in one piece. */
static size_t in_piece(const struct otp_key *k, uint64_t position, uint64_t len)
{
	const size_t left = k->room - (size_t)(position % k->room);
	return len < left ? (size_t)len : left;
}

bool otp_key_get(struct otp_key *k, uint64_t position, uint8_t *out, size_t len)
{
	pthread_mutex_lock(&k->lock);
	const bool is_there = position >= k->floor && position <= k->loaded && len <= k->loaded - position;
	if (is_there) {
		const size_t first = in_piece(k, position, len);
		memcpy(out, k->ring + position % k->room, first);
		memcpy(out + first, k->ring, len - first);
	}
	pthread_mutex_unlock(&k->lock);
	return is_there;
}

/* `len` of our bytes from the file; `staged` has room for twice as many. */
static enum err read_file(const struct otp_key *k, uint64_t position, uint8_t *out, size_t len, uint8_t *staged)
{
	enum err err = k->medium.read(k->medium.context, otptunnel_offset(k->role, position), staged, 2 * len - 1);
	for (size_t i = 0; err == OK && i < len; i++)
		out[i] = staged[2 * i];
	return err;
}

enum err otp_key_read(const struct otp_key *k, uint64_t position, uint8_t *out, size_t len)
{
	uint8_t staged[2 * OTP_KEY_READ_MAX];
	if (len == 0 || len > OTP_KEY_READ_MAX || position > k->share || len > k->share - position)
		return ERR_ARGUMENT;
	enum err err = read_file(k, position, out, len, staged);
	secret_wipe(staged, 2 * len);
	return err;
}

static void wipe(struct otp_key *k, uint64_t from, uint64_t to)
{
	while (from < to) {
		const size_t n = in_piece(k, from, to - from);
		secret_wipe(k->ring + from % k->room, n);
		from += n;
	}
}

/* Nothing below `from` is found any more, and memory begins or goes on there. */
static void forget(struct otp_key *k, uint64_t from)
{
	pthread_mutex_lock(&k->lock);
	const uint64_t floor = k->floor, loaded = k->loaded;
	const bool goes_on = from >= floor && from <= loaded;
	k->floor = from;
	if (!goes_on)
		k->loaded = from;
	pthread_mutex_unlock(&k->lock);
	wipe(k, floor, goes_on ? from : loaded);
}

enum err otp_key_load(struct otp_key *k, uint64_t from, uint64_t to)
{
	if (to > k->share)
		to = k->share;
	if (from > to)
		from = to;
	if (to - from > k->room)
		to = from + k->room;
	forget(k, from);
	/* Only this thread changes it. */
	for (uint64_t at = k->loaded; at < to;) {
		size_t n = in_piece(k, at, to - at < CHUNK ? to - at : CHUNK);
		enum err err = read_file(k, at, k->ring + at % k->room, n, k->staged);
		if (err != OK)
			return err;
		at += n;
		pthread_mutex_lock(&k->lock);
		k->loaded = at;
		pthread_mutex_unlock(&k->lock);
	}
	return OK;
}
