#include "transport/keys.h"

#include "base/secret.h"
#include "pad/pad.h"
#include "transport/onetime.h"
#include "transport/replay.h"

#include <stdlib.h>

/* A pad's window is one of bytes, counted in steps. */
#define PAD_REPLAY_WORDS (PAD_WINDOW / KEYS_PAD_STEP / 64 + 1)

struct aead_pair {
	struct aead *seal, *open;
};

struct keys {
	struct keys_config config;
	uint8_t key_send[AEAD_KEY_LEN], key_receive[AEAD_KEY_LEN];
	_Atomic uint64_t counter, forgeries;
	_Atomic bool is_retired, is_heard;
	atomic_flag replay_lock;
	struct replay replay;
	bool is_shared; /* one pair for all lanes, else one for each */
	struct aead_pair pairs[];
};

static void pair_free(struct aead_pair *pair)
{
	aead_free(pair->seal);
	aead_free(pair->open);
	*pair = (struct aead_pair){0};
}

/* False where lanes cannot share: each makes its own at its first packet. */
static bool make_shared(struct aead_pair *ret, const struct keys_config *config)
{
	if (aead_new_shared(&ret->seal, config->cipher, AEAD_SEAL, config->key_send) == OK &&
		aead_new_shared(&ret->open, config->cipher, AEAD_OPEN, config->key_receive) == OK)
		return true;
	pair_free(ret);
	return false;
}

static size_t n_pairs(const struct keys *keys)
{
	return keys->is_shared ? 1 : keys->config.n_lanes;
}

static struct aead_pair *pair_of(struct keys *keys, uint32_t lane)
{
	return &keys->pairs[keys->is_shared ? 0 : lane];
}

enum err keys_new(struct keys **ret, const struct keys_config *config)
{
	struct aead_pair shared = {0};
	bool has_aead = config->protection != PROTECTION_OTP;
	bool is_shared = !has_aead || make_shared(&shared, config);
	struct keys *k = calloc(1, sizeof *k + (is_shared ? 1 : config->n_lanes) * sizeof k->pairs[0]);
	if (!k) {
		pair_free(&shared);
		return ERR_NOMEM;
	}
	k->is_shared = is_shared;
	if (is_shared)
		k->pairs[0] = shared;
	k->config = *config;
	k->config.key_send = k->config.key_receive = NULL;
	if (has_aead) {
		memcpy(k->key_send, config->key_send, AEAD_KEY_LEN);
		memcpy(k->key_receive, config->key_receive, AEAD_KEY_LEN);
	}
	atomic_flag_clear(&k->replay_lock);
	*ret = k;
	return OK;
}

void keys_free(struct keys *keys)
{
	if (!keys)
		return;
	for (size_t i = 0; i < n_pairs(keys); i++)
		pair_free(&keys->pairs[i]);
	free(keys->replay.ring);
	secret_wipe(keys, sizeof *keys);
	free(keys);
}

uint32_t keys_local_index(const struct keys *keys)
{
	return keys->config.local_index;
}
uint64_t keys_rank(const struct keys *keys)
{
	return keys->config.rank;
}
usec keys_born(const struct keys *keys)
{
	return keys->config.born;
}
enum cipher keys_cipher(const struct keys *keys)
{
	return keys->config.cipher;
}
void *keys_owner(const struct keys *keys)
{
	return keys->config.owner;
}

enum protection keys_protection(const struct keys *keys)
{
	return keys->config.protection;
}
struct pad *keys_pad(const struct keys *keys)
{
	return keys->config.pad;
}
uint64_t keys_pad_floor(const struct keys *keys)
{
	return keys->config.pad_floor;
}
uint32_t keys_remote_index(const struct keys *keys)
{
	return keys->config.remote_index;
}

size_t keys_prefix(const struct keys *keys)
{
	static const size_t prefixes[] = {
		[PROTECTION_PQ] = 0, [PROTECTION_OTP] = ONETIME_PREFIX_LEN, [PROTECTION_PQ_OTP] = PAD_PREFIX_LEN};
	return prefixes[keys->config.protection];
}

bool keys_is_retired(const struct keys *keys)
{
	return atomic_load_explicit(&keys->is_retired, memory_order_relaxed);
}

bool keys_may_send(const struct keys *keys, usec now)
{
	if (keys->config.protection == PROTECTION_OTP)
		return !keys_is_retired(keys);
	return !keys_is_retired(keys) && (now < keys->config.born || now - keys->config.born < KEYS_LIFETIME) &&
	       atomic_load_explicit(&keys->counter, memory_order_relaxed) < KEYS_COUNTER_END;
}

void keys_retire(struct keys *keys)
{
	atomic_store(&keys->is_retired, true);
}

void keys_wipe_sending(struct keys *keys)
{
	for (size_t i = 0; i < n_pairs(keys); i++) {
		aead_free(keys->pairs[i].seal);
		keys->pairs[i].seal = NULL;
	}
	secret_wipe(keys->key_send, sizeof keys->key_send);
}

uint64_t keys_sent(const struct keys *keys)
{
	return atomic_load_explicit(&keys->counter, memory_order_relaxed);
}
uint64_t keys_forgeries(const struct keys *keys)
{
	return atomic_load_explicit(&keys->forgeries, memory_order_relaxed);
}
bool keys_is_heard(const struct keys *keys)
{
	return atomic_load_explicit(&keys->is_heard, memory_order_relaxed);
}

uint64_t keys_take_counters(struct keys *keys, uint32_t n)
{
	return atomic_fetch_add_explicit(&keys->counter, n, memory_order_relaxed);
}

static void nonce_of(uint8_t nonce[AEAD_NONCE_LEN], uint64_t counter)
{
	memset(nonce, 0, 4);
	le64_put(nonce + 4, counter);
}

enum err keys_seal(struct keys *keys, uint32_t lane, uint8_t *datagram, size_t plain_len, uint64_t counter)
{
	struct aead **aead = &pair_of(keys, lane)->seal;
	if (keys_is_retired(keys))
		return ERR_STATE;
	if (!*aead) {
		enum err err = aead_new(aead, keys->config.cipher, AEAD_SEAL, keys->key_send);
		if (err != OK)
			return err;
	}
	uint8_t nonce[AEAD_NONCE_LEN];
	nonce_of(nonce, counter);
	memset(datagram, 0, 4);
	datagram[0] = MSG_DATA;
	le32_put(datagram + 4, keys->config.remote_index);
	le64_put(datagram + 8, counter);
	return aead_seal(*aead, nonce, datagram, DATA_HEADER_LEN, datagram + DATA_HEADER_LEN, plain_len);
}

static void lock_replay(struct keys *keys)
{
	while (atomic_flag_test_and_set_explicit(&keys->replay_lock, memory_order_acquire))
		;
}

static void unlock_replay(struct keys *keys)
{
	atomic_flag_clear_explicit(&keys->replay_lock, memory_order_release);
}

/* Once in the life of keys that are used; two lanes may come here together. */
static enum err widen_replay(struct keys *keys)
{
	uint64_t words = keys->config.protection == PROTECTION_OTP ? PAD_REPLAY_WORDS : REPLAY_WORDS;
	uint64_t *ring = calloc(words, sizeof *ring);
	if (!ring)
		return ERR_NOMEM;
	lock_replay(keys);
	bool is_first = !keys->replay.ring;
	if (is_first)
		replay_widen(&keys->replay, ring, words);
	unlock_replay(keys);
	if (!is_first)
		free(ring);
	return OK;
}

static enum err mark_seen(struct keys *keys, uint64_t counter, bool *is_newest)
{
	lock_replay(keys);
	*is_newest = counter >= keys->replay.next;
	enum err err = replay_accept(&keys->replay, counter);
	unlock_replay(keys);
	if (err != ERR_FULL)
		return err;
	err = widen_replay(keys);
	return err == OK ? mark_seen(keys, counter, is_newest) : err;
}

enum err keys_accept(struct keys *keys, uint64_t counter, bool *is_newest)
{
	enum err err = mark_seen(keys, counter, is_newest);
	if (err == OK && !keys_is_heard(keys))
		atomic_store(&keys->is_heard, true);
	return err;
}

uint64_t keys_received(struct keys *keys)
{
	lock_replay(keys);
	uint64_t next = keys->replay.next;
	unlock_replay(keys);
	return next;
}

enum err keys_open(struct keys *keys, uint32_t lane, uint8_t *datagram, size_t len, struct view *plain,
	uint64_t *counter, bool *is_newest)
{
	struct aead **aead = &pair_of(keys, lane)->open;
	if (len < DATA_OVERHEAD || datagram[0] != MSG_DATA || datagram[1] || datagram[2] || datagram[3])
		return ERR_FORMAT;
	if (!*aead) {
		enum err err = aead_new(aead, keys->config.cipher, AEAD_OPEN, keys->key_receive);
		if (err != OK)
			return err;
	}
	size_t plain_len = len - DATA_OVERHEAD;
	uint64_t n = le64_get(datagram + 8);
	uint8_t nonce[AEAD_NONCE_LEN];
	nonce_of(nonce, n);
	enum err err = aead_open(*aead, nonce, datagram, DATA_HEADER_LEN, datagram + DATA_HEADER_LEN, plain_len);
	if (err == OK)
		err = keys_accept(keys, n, is_newest);
	else if (err == ERR_AUTH)
		atomic_fetch_add_explicit(&keys->forgeries, 1, memory_order_relaxed);
	if (err != OK)
		return err;
	*plain = VIEW(datagram + DATA_HEADER_LEN, plain_len);
	*counter = n;
	return OK;
}
