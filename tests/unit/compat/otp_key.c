/* The key bytes in memory are the file's, of one end, wherever they are asked for; what was left behind is gone. */
#include "disk.h"

#include "compat/otp_key.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define SIZE (((size_t)1 << 20) + 77)
#define ROOM ((size_t)200 << 10)

static uint8_t file[SIZE];
static struct seeded seed = {5};
static struct disk disk;
static struct pad_medium medium;

static int set_up(void **state)
{
	(void)state;
	seeded_bytes(&seed, file, sizeof file);
	disk_init(&disk, file, SIZE, &seed);
	medium = disk_medium(&disk);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	disk_done(&disk);
	return 0;
}

static void assert_bytes(const uint8_t *out, enum pad_role role, uint64_t position, size_t len)
{
	for (size_t i = 0; i < len; i++)
		assert_int_equal(out[i], file[otptunnel_offset(role, position + i)]);
}

static void test_bytes_of_each_end(void **state)
{
	(void)state;
	uint8_t out[OTP_KEY_READ_MAX];
	for (enum pad_role role = PAD_OTP_CLIENT; role <= PAD_OTP_SERVER; role++) {
		struct otp_key *k;
		assert_err(otp_key_new(&k, &medium, role, SIZE, ROOM), OK);
		const uint64_t share = otp_key_share(k);
		assert_int_equal(share, otptunnel_share(role, SIZE));
		assert_false(otp_key_get(k, 0, out, 1)); /* nothing yet */
		uint64_t from = 0;
		for (int i = 0; i < 300; i++) {
			/* Mostly on, as traffic goes; sometimes elsewhere. */
			from = seeded_chance(&seed, 90) ? from + seeded_below(&seed, 9000)
							: seeded_below(&seed, (uint32_t)share);
			if (from > share)
				from = 0;
			const uint64_t to = from + seeded_below(&seed, (uint32_t)otp_key_room(k));
			assert_err(otp_key_load(k, from, to), OK);
			const uint64_t end = to < share ? to : share;
			for (int n = 0; n < 10 && end > from; n++) {
				const size_t len = 1 + seeded_below(&seed, sizeof out);
				const uint64_t at = from + seeded_below(&seed, (uint32_t)(end - from));
				if (at + len > end)
					continue;
				assert_true(otp_key_get(k, at, out, len));
				assert_bytes(out, role, at, len);
				assert_err(otp_key_read(k, at, out, len), OK);
				assert_bytes(out, role, at, len);
			}
			if (from > 0) {
				assert_false(otp_key_get(k, from - 1, out, 1));
				assert_false(otp_key_get(k, from - 1, out, 2));
			}
		}
		otp_key_free(k);
	}
	otp_key_free(NULL);
}

static void test_the_end_of_the_file(void **state)
{
	(void)state;
	uint8_t out[64];
	struct otp_key *k;
	assert_err(otp_key_new(&k, &medium, PAD_OTP_SERVER, SIZE, ROOM), OK);
	const uint64_t share = otp_key_share(k);
	assert_err(otp_key_load(k, share - 32, UINT64_MAX), OK);
	assert_true(otp_key_get(k, share - 32, out, 32));
	assert_bytes(out, PAD_OTP_SERVER, share - 32, 32);
	assert_false(otp_key_get(k, share - 32, out, 33));
	assert_false(otp_key_get(k, share, out, 1));
	assert_false(otp_key_get(k, UINT64_MAX, out, 1));
	assert_false(otp_key_get(k, UINT64_MAX - 10, out, 20));
	assert_err(otp_key_read(k, share - 32, out, 32), OK);
	assert_err(otp_key_read(k, share - 32, out, 33), ERR_ARGUMENT);
	assert_err(otp_key_read(k, share, out, 1), ERR_ARGUMENT);
	assert_err(otp_key_read(k, UINT64_MAX, out, 1), ERR_ARGUMENT);
	assert_err(otp_key_read(k, 0, out, 0), ERR_ARGUMENT);
	assert_err(otp_key_read(k, 0, out, OTP_KEY_READ_MAX + 1), ERR_ARGUMENT);
	assert_err(otp_key_load(k, UINT64_MAX, UINT64_MAX), OK);
	assert_false(otp_key_get(k, share - 1, out, 1));
	otp_key_free(k);
}

static void test_a_disk_that_fails(void **state)
{
	(void)state;
	uint8_t out[64];
	struct otp_key *k;
	assert_err(otp_key_new(&k, &medium, PAD_OTP_CLIENT, SIZE, ROOM), OK);
	assert_err(otp_key_load(k, 0, 70000), OK);
	disk.is_dead = true;
	assert_err(otp_key_load(k, 100, ROOM), ERR_IO);
	assert_err(otp_key_read(k, 0, out, sizeof out), ERR_IO);
	assert_true(otp_key_get(k, 100, out, sizeof out)); /* what was there still is */
	assert_bytes(out, PAD_OTP_CLIENT, 100, sizeof out);
	assert_false(otp_key_get(k, 70000, out, 1));
	disk_revive(&disk);
	assert_err(otp_key_load(k, 100, ROOM), OK);
	assert_true(otp_key_get(k, ROOM - sizeof out, out, sizeof out));
	assert_bytes(out, PAD_OTP_CLIENT, ROOM - sizeof out, sizeof out);
	otp_key_free(k);
}

/* ---- threads ---- */

struct reader_work {
	struct otp_key *key;
	_Atomic uint64_t at;
	_Atomic bool must_stop;
	uint64_t got;
	bool is_wrong;
};

static void *read_on(void *context)
{
	struct reader_work *w = context;
	uint8_t out[1500];
	while (!atomic_load(&w->must_stop)) {
		const uint64_t at = atomic_load(&w->at);
		if (!otp_key_get(w->key, at, out, sizeof out))
			continue;
		for (size_t i = 0; i < sizeof out; i += 100)
			w->is_wrong |= out[i] != file[otptunnel_offset(PAD_OTP_CLIENT, at + i)];
		w->got++;
	}
	return NULL;
}

static void test_a_feeder_and_a_reader(void **state)
{
	(void)state;
	struct reader_work w = {0};
	pthread_t thread;
	assert_err(otp_key_new(&w.key, &medium, PAD_OTP_CLIENT, SIZE, 100000), OK);
	assert_int_equal(pthread_create(&thread, NULL, read_on, &w), 0);
	const uint64_t last = otp_key_share(w.key) - 5000;
	for (int round = 0; round < 20; round++)
		for (uint64_t at = 0; at < last; at += 4000) {
			assert_err(otp_key_load(w.key, at > 2000 ? at - 2000 : 0, at + 90000), OK);
			atomic_store(&w.at, at);
		}
	atomic_store(&w.must_stop, true);
	pthread_join(thread, NULL);
	assert_false(w.is_wrong);
	otp_key_free(w.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_of_each_end),
		cmocka_unit_test(test_the_end_of_the_file),
		cmocka_unit_test(test_a_disk_that_fails),
		cmocka_unit_test(test_a_feeder_and_a_reader),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
