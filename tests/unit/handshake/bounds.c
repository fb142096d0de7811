/* The small parts with limits: reassembly, the table of half-open handshakes, rate limits, cookies. */
#include "pair.h"

#include "handshake/cookie.h"
#include "handshake/pending.h"
#include "handshake/ratelimit.h"
#include "handshake/reassembly.h"

static const struct addr here = {.ip = {[10] = 0xff, 0xff, 192, 0, 2, 1}, .port = 1000};

static struct rng test_rng(struct pair *p)
{
	*p = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	pair_start(p);
	struct rng rng = p->rng;
	pair_done(p);
	return rng;
}

static struct hs_datagram fragment_of(uint8_t *buffer, const uint8_t *message, uint16_t len, uint8_t fragment)
{
	const struct hs_message m = {.type = MSG_RESP, .bytes = VIEW(message, len)};
	struct hs_datagram d;
	size_t n = hs_build(buffer, &m, fragment);
	assert_int_equal(hs_parse(&d, buffer, n), OK);
	return d;
}

static void fragments_come_together_in_any_order(void **state)
{
	(void)state;
	static const uint8_t orders[][5] = {{0, 1, 2, 3, 4}, {4, 3, 2, 1, 0}, {2, 0, 4, 1, 3}};
	uint8_t message[5000], buffer[HS_DATAGRAM_MAX];
	for (size_t i = 0; i < sizeof message; i++)
		message[i] = (uint8_t)(i * 7 + i / 256);
	for (size_t o = 0; o < 3; o++) {
		struct reassembly r = {0};
		for (size_t i = 0; i < 5; i++) {
			struct hs_datagram d = fragment_of(buffer, message, sizeof message, orders[o][i]);
			assert_int_equal(reassembly_add(&r, &d), i < 4 ? ERR_AGAIN : OK);
			assert_int_equal(reassembly_add(&r, &d), i < 4 ? ERR_AGAIN : OK);
		}
		assert_int_equal(r.len, sizeof message);
		assert_memory_equal(r.message, message, sizeof message);
		reassembly_reset(&r);
		assert_null(r.message);
		reassembly_reset(&r);
	}
}

static void first_fragment_decides(void **state)
{
	(void)state;
	uint8_t message[2000] = {1}, other[2001] = {2}, buffer[HS_DATAGRAM_MAX];
	struct reassembly r = {0};
	struct hs_datagram d = fragment_of(buffer, message, sizeof message, 0);
	assert_int_equal(reassembly_add(&r, &d), ERR_AGAIN);
	d = fragment_of(buffer, other, sizeof other, 1);
	assert_int_equal(reassembly_add(&r, &d), ERR_FORMAT); /* another length */
	d = fragment_of(buffer, other, sizeof message, 0);
	assert_int_equal(reassembly_add(&r, &d), ERR_AGAIN); /* another body: the first stays */
	d = fragment_of(buffer, message, sizeof message, 1);
	assert_int_equal(reassembly_add(&r, &d), OK);
	assert_memory_equal(r.message, message, sizeof message);
	reassembly_reset(&r);
}

/* The table against a plain list that does the same the slow way. */
static void table_finds_what_a_list_finds(void **state)
{
	(void)state;
	struct pair pair;
	struct rng rng = test_rng(&pair);
	struct pending_table *t;
	struct pending *p;
	bool there[64] = {false}, answered[64] = {false};
	assert_int_equal(pending_table_new(&t, 64, &rng), OK);
	for (int i = 0; i < 5000; i++) {
		uint32_t n = rng_below(&rng, 64);
		struct addr source = here;
		source.port = (uint16_t)(1000 + n % 8);
		enum err e = pending_find_source(&p, t, &source, n, 5);
		assert_int_equal(e, there[n] ? OK : ERR_NOT_FOUND);
		if (e == OK)
			assert_int_equal(p->resp.sender_i, n);
		e = pending_find_index(&p, t, n + 7000, 5);
		assert_int_equal(e, answered[n] ? OK : ERR_NOT_FOUND);
		if (!there[n]) {
			assert_int_equal(pending_add(&p, t, &source, n, 10), OK);
			there[n] = true;
		} else if (!answered[n]) {
			assert_int_equal(pending_find_source(&p, t, &source, n, 5), OK);
			struct resp_state resp = {.sender_i = n, .sender_r = n + 7000};
			pending_answer(t, p, &resp);
			answered[n] = true;
		} else {
			pending_remove(t, p);
			there[n] = answered[n] = false;
		}
	}
	uint32_t count = 0;
	for (size_t i = 0; i < 64; i++)
		count += there[i];
	assert_int_equal(pending_count(t), count);
	pending_expire(t, 9);
	assert_int_equal(pending_count(t), count);
	pending_expire(t, 10);
	assert_int_equal(pending_count(t), 0);
	pending_table_free(t);
	pending_table_free(NULL);
}

static void full_table_evicts_one(void **state)
{
	(void)state;
	struct pair pair;
	struct rng rng = test_rng(&pair);
	struct pending_table *t;
	struct pending *p;
	assert_int_equal(pending_table_new(&t, 3, &rng), OK);
	for (uint32_t i = 0; i < 100; i++) {
		assert_int_equal(pending_add(&p, t, &here, i, 10), OK);
		struct resp_state resp = {.sender_i = i, .sender_r = i};
		pending_answer(t, p, &resp);
		assert_int_equal(pending_count(t), i < 3 ? i + 1 : 3);
		assert_int_equal(pending_find_source(&p, t, &here, i, 0), OK);
	}
	pending_table_free(t);
}

static void rate_is_a_burst_then_steady(void **state)
{
	(void)state;
	struct pair pair;
	struct rng rng = test_rng(&pair);
	struct ratelimit *limit = test_malloc(sizeof *limit);
	usec now = 5;
	ratelimit_init(limit, 10, &rng);
	for (int i = 0; i < 20; i++)
		assert_int_equal(ratelimit_take(limit, &here, now), OK);
	assert_int_equal(ratelimit_take(limit, &here, now), ERR_FULL);
	int taken = 0;
	for (; now < 5 + 10 * USEC_PER_SEC; now += 1000)
		taken += ratelimit_take(limit, &here, now) == OK;
	assert_in_range(taken, 99, 100);
	now += 100 * USEC_PER_SEC; /* rest does not add up to more than a burst */
	taken = 0;
	for (int i = 0; i < 100; i++)
		taken += ratelimit_take(limit, &here, now) == OK;
	assert_int_equal(taken, 20);
	test_free(limit);
}

static enum err take(struct ratelimit *limit, const char *network)
{
	struct prefix prefix;
	struct addr a = {.port = 1};
	assert_int_equal(prefix_parse(&prefix, network), OK);
	memcpy(a.ip, prefix.ip, sizeof a.ip);
	return ratelimit_take(limit, &a, 0);
}

static void networks_share_a_limit(void **state)
{
	(void)state;
	struct pair pair;
	struct rng rng = test_rng(&pair);
	struct ratelimit *limit = test_malloc(sizeof *limit);
	ratelimit_init(limit, 1, &rng);
	assert_int_equal(take(limit, "2001:db8:0:1::1"), OK);
	assert_int_equal(take(limit, "2001:db8:0:1:ffff::2"), OK);
	assert_int_equal(take(limit, "2001:db8:0:1::3"), ERR_FULL);
	assert_int_equal(take(limit, "2001:db8:0:2::1"), OK);
	assert_int_equal(take(limit, "192.0.2.1"), OK);
	assert_int_equal(take(limit, "192.0.2.2"), OK);
	assert_int_equal(take(limit, "192.0.2.1"), OK);
	assert_int_equal(take(limit, "192.0.2.1"), ERR_FULL);
	test_free(limit);
}

/* A datagram that caused a cookie, and the cookie opened from the answer. */
static void cookie_round_trip(void **state)
{
	(void)state;
	struct pair pair;
	struct rng rng = test_rng(&pair);
	static const uint8_t key_id[KEY_ID_LEN] = {1}, other_id[KEY_ID_LEN] = {2};
	uint8_t message[100] = {3}, buffer[HS_DATAGRAM_MAX], answer[COOKIE_DATAGRAM_LEN], cookie[COOKIE_LEN];
	struct cookie_jar jar;
	struct cookie_datagram c;
	cookie_jar_init(&jar, key_id, &rng, 0);
	struct hs_datagram d = fragment_of(buffer, message, sizeof message, 0);
	d.sender = 77;
	assert_int_equal(cookie_jar_check(&jar, &here, &d), ERR_AUTH);
	assert_int_equal(cookie_jar_answer(answer, &jar, &here, &d, &rng), OK);
	assert_int_equal(cookie_parse(&c, answer, sizeof answer), OK);
	assert_int_equal(c.receiver, 77);
	uint8_t other_mac1[HS_MAC_LEN] = {9};
	assert_int_equal(cookie_open(cookie, &c, other_id, d.mac1), ERR_AUTH);
	assert_int_equal(cookie_open(cookie, &c, key_id, other_mac1), ERR_AUTH);
	assert_true(secret_is_zero(cookie, sizeof cookie));
	assert_int_equal(cookie_open(cookie, &c, key_id, d.mac1), OK);

	uint8_t mac[HASH_SHA256_LEN];
	assert_int_equal(HMAC_SHA256(mac, VIEW_ARRAY(cookie), d.mac2_input), OK);
	d.mac2 = mac;
	struct addr elsewhere = here;
	assert_int_equal(cookie_jar_check(&jar, &here, &d), OK);
	elsewhere.port++;
	assert_int_equal(cookie_jar_check(&jar, &elsewhere, &d), ERR_AUTH);
	elsewhere = here;
	elsewhere.ip[15]++;
	assert_int_equal(cookie_jar_check(&jar, &elsewhere, &d), ERR_AUTH);
	cookie_jar_rotate(&jar, &rng, COOKIE_ROTATION);
	assert_int_equal(cookie_jar_check(&jar, &here, &d), OK);
	cookie_jar_rotate(&jar, &rng, 2 * COOKIE_ROTATION);
	assert_int_equal(cookie_jar_check(&jar, &here, &d), ERR_AUTH);
	cookie_jar_wipe(&jar);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments_come_together_in_any_order),
		cmocka_unit_test(first_fragment_decides),
		cmocka_unit_test(table_finds_what_a_list_finds),
		cmocka_unit_test(full_table_evicts_one),
		cmocka_unit_test(rate_is_a_burst_then_steady),
		cmocka_unit_test(networks_share_a_limit),
		cmocka_unit_test(cookie_round_trip),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pair_free_identities();
	return failed;
}
