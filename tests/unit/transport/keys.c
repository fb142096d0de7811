/*
 * Data datagrams: what is sealed opens once, whatever was changed never opens, retired keys do not
 * seal, and threads that share keys never use a counter twice.
 */
#include "seeded.h"

#include "transport/keys.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define LANES 3

static const uint8_t key_a[AEAD_KEY_LEN] = {1}, key_b[AEAD_KEY_LEN] = {2};

static struct keys *new_keys(bool is_first, enum cipher cipher)
{
	struct keys_config config = {
		.local_index = is_first ? 11 : 22,
		.remote_index = is_first ? 22 : 11,
		.cipher = cipher,
		.rank = 7,
		.born = 1000,
		.n_lanes = LANES,
		.key_send = is_first ? key_a : key_b,
		.key_receive = is_first ? key_b : key_a,
		.owner = &config,
	};
	struct keys *keys;
	assert_err(keys_new(&keys, &config), OK);
	assert_ptr_equal(keys_owner(keys), &config);
	assert_int_equal(keys_local_index(keys), config.local_index);
	assert_int_equal(keys_rank(keys), 7);
	assert_int_equal(keys_born(keys), 1000);
	assert_int_equal(keys_cipher(keys), cipher);
	return keys;
}

struct ends {
	struct keys *a, *b;
};

static struct ends new_ends(enum cipher cipher)
{
	return (struct ends){new_keys(true, cipher), new_keys(false, cipher)};
}

static void free_ends(struct ends *ends)
{
	keys_free(ends->a);
	keys_free(ends->b);
}

/* A datagram of `len` plaintext bytes, counted up, and its length. */
static size_t seal(struct keys *keys, uint32_t lane, uint8_t *datagram, size_t len)
{
	for (size_t i = 0; i < len; i++)
		datagram[DATA_HEADER_LEN + i] = (uint8_t)i;
	assert_err(keys_seal(keys, lane, datagram, len, keys_take_counters(keys, 1)), OK);
	return len + DATA_OVERHEAD;
}

static enum err open_copy(struct keys *keys, uint32_t lane, const uint8_t *datagram, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	memcpy(copy, datagram, len);
	struct view plain;
	uint64_t counter;
	bool is_newest;
	enum err err = keys_open(keys, lane, copy, len, &plain, &counter, &is_newest);
	if (err == OK) {
		assert_int_equal(plain.len, len - DATA_OVERHEAD);
		for (size_t i = 0; i < plain.len; i++)
			assert_int_equal(((const uint8_t *)plain.data)[i], (uint8_t)i);
		assert_int_equal(counter, le64_get(datagram + 8));
	}
	free(copy);
	return err;
}

static void test_what_is_sealed_opens_once(void **state)
{
	(void)state;
	for (int cipher = 1; cipher <= 2; cipher++) {
		struct ends ends = new_ends((enum cipher)cipher);
		uint8_t datagram[2000];
		assert_false(keys_is_heard(ends.b));
		for (uint32_t i = 0; i < 300; i++) { /* past where the replay window grows */
			size_t len = seal(ends.a, i % LANES, datagram, i % 100 * 17);
			assert_int_equal(datagram[0], MSG_DATA);
			assert_int_equal(le32_get(datagram) & 0xffffff00U, 0);
			assert_int_equal(le32_get(datagram + 4), 22);
			assert_int_equal(le64_get(datagram + 8), i);
			assert_err(open_copy(ends.b, (i + 1) % LANES, datagram, len), OK);
			assert_err(open_copy(ends.b, i % LANES, datagram, len), ERR_REPLAY);
			assert_err(open_copy(ends.a, 0, datagram, len), ERR_AUTH); /* reflected */
		}
		assert_true(keys_is_heard(ends.b));
		assert_false(keys_is_heard(ends.a));
		assert_int_equal(keys_sent(ends.a), 300);
		assert_int_equal(keys_forgeries(ends.b), 0);
		assert_int_equal(keys_forgeries(ends.a), 300);
		free_ends(&ends);
	}
}

static void test_nothing_changed_or_cut_opens(void **state)
{
	(void)state;
	for (int cipher = 1; cipher <= 2; cipher++) {
		struct ends ends = new_ends((enum cipher)cipher);
		uint8_t datagram[DATA_OVERHEAD + 50];
		size_t len = seal(ends.a, 0, datagram, 50);
		for (size_t bit = 0; bit < len * 8; bit++) {
			datagram[bit / 8] ^= (uint8_t)(1U << bit % 8);
			enum err err = open_copy(ends.b, 0, datagram, len);
			assert_err(err, bit < 32 ? ERR_FORMAT : ERR_AUTH); /* the type and zeros before it */
			datagram[bit / 8] ^= (uint8_t)(1U << bit % 8);
		}
		for (size_t cut = 0; cut < len; cut++)
			assert_err(open_copy(ends.b, 0, datagram, cut), cut < DATA_OVERHEAD ? ERR_FORMAT : ERR_AUTH);
		assert_false(keys_is_heard(ends.b));
		assert_err(open_copy(ends.b, 0, datagram, len), OK); /* and none of it moved the window */
		free_ends(&ends);
	}
}

static void test_the_newest_is_told(void **state)
{
	(void)state;
	struct ends ends = new_ends(CIPHER_CHACHA20_POLY1305);
	uint8_t datagrams[3][DATA_OVERHEAD];
	for (int i = 0; i < 3; i++)
		seal(ends.a, 0, datagrams[i], 0);
	static const int order[3] = {1, 0, 2};
	for (int i = 0; i < 3; i++) {
		struct view plain;
		uint64_t counter;
		bool is_newest;
		assert_err(keys_open(ends.b, 0, datagrams[order[i]], DATA_OVERHEAD, &plain, &counter, &is_newest), OK);
		assert_int_equal(plain.len, 0);
		assert_int_equal(is_newest, order[i] != 0);
	}
	free_ends(&ends);
}

static void test_retired_keys_open_and_do_not_seal(void **state)
{
	(void)state;
	struct ends ends = new_ends(CIPHER_AES_256_GCM);
	uint8_t one[DATA_OVERHEAD + 10], two[DATA_OVERHEAD + 10];
	seal(ends.a, 0, one, 10);
	seal(ends.b, 0, two, 10);
	assert_true(keys_may_send(ends.a, 1000));
	keys_retire(ends.a);
	assert_true(keys_is_retired(ends.a));
	assert_false(keys_may_send(ends.a, 1000));
	memcpy(one, (uint8_t[4]){9, 9, 9, 9}, 4);
	for (uint32_t lane = 0; lane < LANES; lane++)
		assert_err(keys_seal(ends.a, lane, one, 10, 50), ERR_STATE);
	assert_int_equal(one[0], 9); /* untouched */
	keys_wipe_sending(ends.a);
	assert_err(keys_seal(ends.a, 0, one, 10, 51), ERR_STATE);
	assert_err(open_copy(ends.a, 0, two, sizeof two), OK);
	free_ends(&ends);
}

static void test_old_or_worn_keys_may_not_send(void **state)
{
	(void)state;
	struct ends ends = new_ends(CIPHER_CHACHA20_POLY1305);
	assert_true(keys_may_send(ends.a, 0)); /* another thread's clock was a moment newer when they were made */
	assert_true(keys_may_send(ends.a, 1000 + KEYS_LIFETIME - 1));
	assert_false(keys_may_send(ends.a, 1000 + KEYS_LIFETIME));
	for (int i = 0; i < 3; i++)
		keys_take_counters(ends.a, UINT32_MAX);
	assert_false(keys_may_send(ends.a, 1000));
	assert_true(keys_may_send(ends.b, 1000));
	free_ends(&ends);
}

/* ---- threads ---- */

#define PER_THREAD 2000

struct worker {
	pthread_t thread;
	struct ends *ends;
	uint32_t lane, failed, retired, replays;
	bool sees_end; /* keeps its last datagram until the keys are retired */
	uint64_t counters[PER_THREAD];
};

/* Seals, opens at the other end, and opens what another lane may have opened already. */
static void *work(void *argument)
{
	struct worker *w = argument;
	uint8_t datagram[DATA_OVERHEAD + 64];
	for (uint32_t i = 0; i < PER_THREAD; i++) {
		struct view plain;
		uint64_t counter, n = keys_take_counters(w->ends->a, 1);
		bool is_newest;
		w->counters[i] = n;
		while (w->sees_end && i == PER_THREAD - 1 && !keys_is_retired(w->ends->a))
			sched_yield();
		memset(datagram + DATA_HEADER_LEN, 5, 64);
		enum err err = keys_seal(w->ends->a, w->lane, datagram, 64, n);
		if (err == ERR_STATE) {
			w->retired++;
			continue;
		}
		uint8_t twice[sizeof datagram];
		memcpy(twice, datagram, sizeof twice);
		if (err != OK ||
			keys_open(w->ends->b, w->lane, datagram, sizeof datagram, &plain, &counter, &is_newest) != OK)
			w->failed++;
		if (keys_open(w->ends->b, w->lane, twice, sizeof twice, &plain, &counter, &is_newest) == ERR_REPLAY)
			w->replays++;
		(void)keys_may_send(w->ends->a, 1000);
		(void)keys_is_heard(w->ends->b);
	}
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void run_threads(bool retires)
{
	static struct worker workers[LANES];
	static uint64_t all[LANES * PER_THREAD];
	struct ends ends = new_ends(CIPHER_AES_256_GCM);
	for (uint32_t i = 0; i < LANES; i++) {
		workers[i] = (struct worker){.ends = &ends, .lane = i, .sees_end = retires && i == 0};
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	if (retires) {
		while (keys_sent(ends.a) < PER_THREAD)
			;
		keys_retire(ends.a);
	}
	uint32_t replays = 0, retired = 0;
	for (uint32_t i = 0; i < LANES; i++) {
		pthread_join(workers[i].thread, NULL);
		assert_int_equal(workers[i].failed, 0);
		memcpy(all + i * PER_THREAD, workers[i].counters, sizeof workers[i].counters);
		replays += workers[i].replays;
		retired += workers[i].retired;
	}
	qsort(all, LANES * PER_THREAD, sizeof *all, compare);
	for (uint64_t i = 0; i < LANES * PER_THREAD; i++)
		assert_int_equal(all[i], i); /* each once */
	assert_int_equal(replays + retired, LANES * PER_THREAD);
	assert_int_equal(retires, retired > 0);
	assert_int_equal(keys_forgeries(ends.b), 0);
	keys_wipe_sending(ends.a);
	free_ends(&ends);
}

static void test_threads_never_share_a_counter(void **state)
{
	(void)state;
	run_threads(false);
}

static void test_keys_may_be_retired_under_threads(void **state)
{
	(void)state;
	run_threads(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_sealed_opens_once),
		cmocka_unit_test(test_nothing_changed_or_cut_opens),
		cmocka_unit_test(test_the_newest_is_told),
		cmocka_unit_test(test_retired_keys_open_and_do_not_seal),
		cmocka_unit_test(test_old_or_worn_keys_may_not_send),
		cmocka_unit_test(test_threads_never_share_a_counter),
		cmocka_unit_test(test_keys_may_be_retired_under_threads),
	};
	keys_free(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
