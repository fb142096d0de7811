/* What the peer sends is taken once, as it was sent; what strangers send costs little and changes nothing. */
#include "otp_end.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((uint64_t)1 << 20)
#define SIZE (2 * MIB)
#define LARGE (40 * MIB) /* more than is held in memory */

static uint8_t file[LARGE];

static int set_up(void **state)
{
	(void)state;
	struct seeded seed = {1};
	seeded_bytes(&seed, file, sizeof file);
	return 0;
}

struct pair {
	struct seeded seed;
	struct otp_end client, server;
};

static void pair_init(struct pair *p, uint64_t size, uint64_t number)
{
	p->seed = (struct seeded){number};
	otp_end_init(&p->client, file, size, PAD_OTP_CLIENT, &p->seed);
	otp_end_init(&p->server, file, size, PAD_OTP_SERVER, &p->seed);
	otp_end_start(&p->client);
	otp_end_start(&p->server);
}

static void pair_done(struct pair *p)
{
	otp_end_done(&p->client);
	otp_end_done(&p->server);
}

struct packet {
	uint8_t frame[1600], datagram[1700];
	size_t len, datagram_len;
};

static void make(struct otp_end *from, struct packet *k, size_t len)
{
	k->len = len;
	assert_err(otp_end_seal(from, len, k->frame, k->datagram, &k->datagram_len), OK);
}

static void assert_opens(struct otp_end *to, const struct packet *k)
{
	uint8_t frame[2000];
	size_t n;
	assert_err(otp_end_open(to, USEC_PER_SEC, k->datagram, k->datagram_len, frame, &n), OK);
	assert_int_equal(n, k->len);
	assert_memory_equal(frame, k->frame, n);
}

static void assert_dropped(struct otp_end *to, const struct packet *k, enum err code)
{
	uint8_t frame[2000];
	size_t n = 77;
	const uint64_t opened = otp_pad_counters(to->pad)->opened;
	assert_err(otp_end_open(to, USEC_PER_SEC, k->datagram, k->datagram_len, frame, &n), code);
	assert_int_equal(n, 77);
	assert_int_equal(otp_pad_counters(to->pad)->opened, opened);
}

static void set_offset(struct packet *k, uint64_t offset)
{
	for (size_t i = 0; i < OTP_OFFSET_LEN; i++)
		k->datagram[k->datagram_len - 1 - i] = (uint8_t)(offset >> 8 * i);
}

/* ---- what is taken ---- */

static void test_both_ways_in_any_order(void **state)
{
	(void)state;
	enum { N = 200 };
	struct pair p;
	struct packet *k = calloc(N, sizeof *k);
	pair_init(&p, SIZE, 2);
	for (int way = 0; way < 2; way++) {
		struct otp_end *from = way ? &p.server : &p.client, *to = way ? &p.client : &p.server;
		for (size_t i = 0; i < N; i++)
			make(from, &k[i], 14 + seeded_below(&p.seed, 1500));
		for (size_t i = 0; i < N; i++) {
			const size_t other = i + seeded_below(&p.seed, (uint32_t)(N - i));
			struct packet swapped = k[i];
			k[i] = k[other];
			k[other] = swapped;
		}
		for (size_t i = 0; i < N; i++) {
			assert_opens(to, &k[i]);
			assert_dropped(to, &k[i], ERR_REPLAY);
			assert_dropped(from, &k[i], ERR_REPLAY); /* sent back */
		}
		assert_int_equal(otp_pad_counters(from->pad)->reflected, N);
		assert_int_equal(otp_pad_counters(to->pad)->opened, N);
	}
	free(k);
	pair_done(&p);
}

static void test_it_tells_what_is_new(void **state)
{
	(void)state;
	struct pair p;
	struct packet a, b;
	size_t n;
	bool is_new;
	pair_init(&p, SIZE, 3);
	make(&p.client, &a, 100);
	make(&p.client, &b, 100);
	assert_err(otp_pad_open(p.server.pad, 0, b.datagram, b.datagram_len, &n, &is_new), OK);
	assert_true(is_new);
	assert_err(otp_pad_open(p.server.pad, 0, a.datagram, a.datagram_len, &n, &is_new), OK);
	assert_false(is_new);
	pair_done(&p);
}

static void test_after_losses_beyond_all_memory_it_goes_on(void **state)
{
	(void)state;
	struct pair p;
	struct packet first, lost, late, k;
	pair_init(&p, LARGE, 4);
	make(&p.client, &first, 1500);
	assert_opens(&p.server, &first);
	make(&p.client, &lost, 1500);
	for (int i = 0; i < 9000; i++)
		make(&p.client, &late, 1500);
	for (int i = 0; i < 500; i++) { /* each is looked up in the file, and none is refused for that */
		make(&p.client, &k, 1500);
		assert_opens(&p.server, &k);
	}
	assert_opens(&p.server, &late); /* within the window */
	assert_dropped(&p.server, &late, ERR_REPLAY);
	assert_dropped(&p.server, &lost, ERR_REPLAY); /* too far behind */
	otp_pad_serve(p.server.pad, USEC_PER_SEC);
	p.server.disk.is_dead = true; /* from now on all is in memory */
	make(&p.client, &k, 1500);
	assert_opens(&p.server, &k);
	pair_done(&p);
}

/* ---- what is refused ---- */

static void test_a_restart_forgets_nothing(void **state)
{
	(void)state;
	struct pair p;
	struct packet k[20], next;
	pair_init(&p, SIZE, 5);
	for (size_t i = 0; i < 20; i++) {
		make(&p.client, &k[i], 1000);
		if (i != 7)
			assert_opens(&p.server, &k[i]);
	}
	otp_end_stop(&p.server);
	assert_int_equal(otp_end_ledger(&p.server).received, 20 * 2 * 1016);
	otp_end_start(&p.server);
	for (size_t i = 0; i < 20; i++)
		assert_dropped(&p.server, &k[i], ERR_REPLAY); /* also the one that was late: nobody can tell */
	make(&p.client, &next, 1000);
	assert_opens(&p.server, &next);
	/* Killed: what was recorded counts, and that is not older than two seconds. */
	otp_pad_serve(p.server.pad, 10 * USEC_PER_SEC);
	otp_end_kill(&p.server);
	assert_dropped(&p.server, &next, ERR_REPLAY);
	pair_done(&p);
}

static void test_places_outside_are_refused(void **state)
{
	(void)state;
	struct pair p;
	struct packet k;
	pair_init(&p, SIZE, 6);
	make(&p.client, &k, 100);
	const uint64_t last = SIZE - 2 * (100 + MD5_LEN);
	const uint64_t places[] = {last + 2, SIZE - 2, SIZE, SIZE + 2, (uint64_t)1 << 47, OTP_OFFSET_MAX - 1};
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		set_offset(&k, places[i]);
		assert_dropped(&p.server, &k, ERR_FORMAT);
		assert_int_equal(otp_pad_counters(p.server.pad)->outside, i + 1);
	}
	set_offset(&k, OTP_OFFSET_MAX); /* odd */
	assert_dropped(&p.server, &k, ERR_REPLAY);
	set_offset(&k, last); /* the very last one is inside */
	assert_dropped(&p.server, &k, ERR_AUTH);
	set_offset(&k, 0);
	assert_opens(&p.server, &k);
	pair_done(&p);
}

static void test_odd_sizes_are_refused(void **state)
{
	(void)state;
	struct pair p;
	uint8_t datagram[OTP_DATAGRAM_MAX + 1] = {0};
	struct packet k = {0};
	pair_init(&p, SIZE, 7);
	for (size_t len = 0; len < OTP_DATAGRAM_MIN; len++) {
		k.datagram_len = len;
		assert_dropped(&p.server, &k, ERR_FORMAT);
	}
	bool is_new;
	size_t n;
	assert_err(otp_pad_open(p.server.pad, 0, datagram, sizeof datagram, &n, &is_new), ERR_FORMAT);
	assert_int_equal(otp_pad_counters(p.server.pad)->malformed, OTP_DATAGRAM_MIN + 1);
	/* The older program ignores an empty frame whose MD5 is right, and dies of a short one: neither gets so far. */
	struct md5 *md5;
	assert_err(md5_new(&md5), OK);
	for (size_t len = 0; len < OTP_FRAME_MIN; len++) {
		uint8_t frame[OTP_FRAME_MIN] = {0};
		memcpy(k.datagram, frame, len);
		assert_err(md5_sum(md5, k.datagram + len, frame, len), OK);
		for (size_t i = 0; i < len + MD5_LEN; i++)
			k.datagram[i] ^= file[2 * i];
		k.datagram_len = len + OTP_OVERHEAD;
		set_offset(&k, 0);
		assert_dropped(&p.server, &k, ERR_FORMAT);
	}
	md5_free(md5);
	pair_done(&p);
}

static void test_a_forgery_leaves_its_place_to_the_true_one(void **state)
{
	(void)state;
	struct pair p;
	struct packet k;
	pair_init(&p, SIZE, 8);
	make(&p.client, &k, 60);
	for (size_t i = 0; i < k.datagram_len - OTP_OFFSET_LEN; i++) {
		k.datagram[i] ^= 1;
		assert_dropped(&p.server, &k, ERR_AUTH);
		k.datagram[i] ^= 1;
	}
	assert_opens(&p.server, &k);
	pair_done(&p);
}

/* Reads of the disk that datagrams of a stranger cause. */
static uint64_t reads_of(struct pair *p, usec now, int n)
{
	struct packet k = {.datagram_len = 100};
	uint8_t frame[2000];
	size_t len;
	const uint64_t before = p->server.disk.operations;
	for (int i = 0; i < n; i++) {
		set_offset(&k, 30 * MIB + 2 * seeded_below(&p->seed, (uint32_t)MIB));
		assert_true(otp_end_open(&p->server, now, k.datagram, k.datagram_len, frame, &len) != OK);
	}
	return p->server.disk.operations - before;
}

static void test_strangers_cause_few_reads(void **state)
{
	(void)state;
	struct pair p;
	struct packet k;
	usec now = 1000 * USEC_PER_SEC;
	pair_init(&p, LARGE, 9);
	assert_int_equal(reads_of(&p, now, 10000), OTP_FETCHES);
	assert_int_equal(otp_pad_counters(p.server.pad)->unread, 10000 - OTP_FETCHES);
	assert_int_equal(reads_of(&p, now, 100), 0);
	for (int i = 0; i < 10; i++) {
		now += USEC_PER_SEC;
		assert_int_equal(reads_of(&p, now, 1000), OTP_FETCH_RATE);
	}
	now += 3600 * USEC_PER_SEC;
	assert_int_equal(reads_of(&p, now, 1000), OTP_FETCHES); /* what is saved is bounded */
	make(&p.client, &k, 1000);
	assert_opens(&p.server, &k); /* in memory: not in their hands */
	pair_done(&p);
}

static void test_what_is_replayed_from_the_past_costs_as_strangers_do(void **state)
{
	(void)state;
	struct pair p;
	struct packet old, k;
	uint8_t frame[2000];
	size_t n;
	pair_init(&p, LARGE, 10);
	make(&p.client, &old, 1000);
	for (int i = 0; i < 8000; i++)
		make(&p.client, &k, 1500);
	assert_opens(&p.server, &k);
	otp_pad_serve(p.server.pad, USEC_PER_SEC); /* forgets the beginning */
	const uint64_t before = p.server.disk.operations;
	for (int i = 0; i < 2000; i++)
		assert_true(otp_end_open(&p.server, USEC_PER_SEC, old.datagram, old.datagram_len, frame, &n) != OK);
	assert_true(p.server.disk.operations - before <= OTP_FETCHES);
	assert_true(otp_pad_counters(p.server.pad)->restarted > 0);
	pair_done(&p);
}

/* ---- a peer of the older kind ---- */

static void test_a_peer_that_begins_again(void **state)
{
	(void)state;
	struct pair p;
	struct packet old[10], k;
	pair_init(&p, LARGE, 11);
	for (size_t i = 0; i < 10; i++) {
		make(&p.client, &old[i], 1000);
		assert_opens(&p.server, &old[i]);
	}
	p.client.options.restarts_at_zero = true;
	otp_end_stop(&p.client);
	otp_end_start(&p.client);
	make(&p.client, &k, 900);
	assert_dropped(&p.server, &k, ERR_REPLAY);
	assert_int_equal(otp_pad_counters(p.server.pad)->restarted, 1);
	assert_int_equal(otp_pad_counters(p.server.pad)->replayed, 0);

	/* As its user allows: from this frame on, over and over. */
	p.server.options.peer_restarts = true;
	otp_end_stop(&p.server);
	otp_end_start(&p.server);
	for (int life = 0; life < 3; life++) {
		otp_end_stop(&p.client);
		otp_end_start(&p.client);
		for (size_t i = 0; i < 9000; i++) {
			make(&p.client, &k, 1400);
			if (i % 500 == 0)
				assert_opens(&p.server, &k);
			if (i == 0)
				assert_opens(&p.server, &k); /* as anybody else might send it */
			else if (i % 500 == 0)
				assert_dropped(&p.server, &k, ERR_REPLAY);
		}
	}
	pair_done(&p);
}

static void test_the_mark_outlasts_a_peer_that_begins_again(void **state)
{
	(void)state;
	struct pair p;
	struct packet k;
	pair_init(&p, SIZE, 12);
	for (int i = 0; i < 100; i++) {
		make(&p.client, &k, 1000);
		assert_opens(&p.server, &k);
	}
	p.server.options.peer_restarts = p.client.options.restarts_at_zero = true;
	otp_end_stop(&p.server);
	const uint64_t received = otp_end_ledger(&p.server).received;
	assert_int_equal(received, 2 * 100 * 1016);
	otp_end_start(&p.server);
	otp_end_stop(&p.client);
	otp_end_start(&p.client);
	for (int i = 0; i < 3; i++) {
		make(&p.client, &k, 1000);
		assert_opens(&p.server, &k);
	}
	otp_end_stop(&p.server);
	assert_int_equal(otp_end_ledger(&p.server).received, received);
	p.server.options.peer_restarts = false;
	otp_end_start(&p.server);
	assert_dropped(&p.server, &k, ERR_REPLAY);
	pair_done(&p);
}

/* ---- threads ---- */

struct traffic {
	struct pair p;
	_Atomic bool is_over;
};

static void *serve(void *context)
{
	struct traffic *t = context;
	struct otp_pad_status status;
	for (usec now = USEC_PER_SEC; !atomic_load(&t->is_over); now += USEC_PER_SEC / 100) {
		otp_pad_serve(t->p.client.pad, now);
		otp_pad_serve(t->p.server.pad, now);
		otp_pad_status(t->p.server.pad, &status);
	}
	return NULL;
}

static void *answer(void *context)
{
	struct traffic *t = context;
	uint8_t frame[1000] = {0}, datagram[1100];
	size_t n;
	while (!atomic_load(&t->is_over))
		(void)!otp_pad_seal(t->p.server.pad, frame, sizeof frame, datagram, &n);
	return NULL;
}

/* The three threads of each end at once: this one sends as the client and receives as the server. */
static void test_threads(void **state)
{
	(void)state;
	struct traffic t = {0};
	pthread_t server, sender;
	pair_init(&t.p, LARGE, 13);
	assert_int_equal(pthread_create(&server, NULL, serve, &t), 0);
	assert_int_equal(pthread_create(&sender, NULL, answer, &t), 0);
	uint8_t frame[1000] = {7}, datagram[1100];
	for (int done = 0; done < 10000;) {
		size_t n;
		bool is_new;
		if (otp_pad_seal(t.p.client.pad, frame, sizeof frame, datagram, &n) != OK)
			continue;
		assert_err(otp_pad_open(t.p.server.pad, (usec)done * 1000, datagram, n, &n, &is_new), OK);
		assert_memory_equal(datagram, frame, sizeof frame);
		done++;
	}
	atomic_store(&t.is_over, true);
	pthread_join(server, NULL);
	pthread_join(sender, NULL);
	pair_done(&t.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways_in_any_order),
		cmocka_unit_test(test_it_tells_what_is_new),
		cmocka_unit_test(test_after_losses_beyond_all_memory_it_goes_on),
		cmocka_unit_test(test_a_restart_forgets_nothing),
		cmocka_unit_test(test_places_outside_are_refused),
		cmocka_unit_test(test_odd_sizes_are_refused),
		cmocka_unit_test(test_a_forgery_leaves_its_place_to_the_true_one),
		cmocka_unit_test(test_strangers_cause_few_reads),
		cmocka_unit_test(test_what_is_replayed_from_the_past_costs_as_strangers_do),
		cmocka_unit_test(test_a_peer_that_begins_again),
		cmocka_unit_test(test_the_mark_outlasts_a_peer_that_begins_again),
		cmocka_unit_test(test_threads),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
