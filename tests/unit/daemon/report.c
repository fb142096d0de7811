/* The documents of the local API, over an engine without a network. */
#include "daemon/report.h"

#include "engine/grace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum err on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment)
{
	return OK;
}

static enum err on_deliver(void *context, const struct iovec *iov, int n)
{
	return OK;
}

static enum err on_post(void *context, const struct event *event)
{
	return ERR_FULL;
}

/* An engine with two peers, a pool, and leases of the first one and of somebody unknown. */
struct bench {
	struct identity *identity;
	struct engine *engine;
	struct report_source source;
	struct config config;
	struct prefix allowed;
	struct accept given;
};

static bool on_peer(void *context, uint32_t number, struct report_peer *ret)
{
	struct bench *bench = context;
	*ret = (struct report_peer){.origin = number ? REPORT_ADDED : REPORT_FOLDER,
		.allowed_ips = &bench->allowed,
		.n_allowed_ips = 1,
		.given = number ? &bench->given : NULL};
	return true;
}

static enum err bench_fill(struct bench *b)
{
	static const uint8_t ids[2][KEY_ID_LEN] = {{1}, {9}};
	static const char *const addresses[] = {"10.66.0.7", "10.66.0.9"};
	uint32_t number;
	enum err e = OK;
	for (uint32_t i = 0; i < 2 && e == OK; i++) {
		struct peer_config peer = {.name = i ? "phone" : "laptop", .key_id = {(uint8_t)(i + 1)}};
		e = engine_add_peer(b->engine, &peer, &number);
	}
	for (size_t i = 0; i < 2 && e == OK; i++) {
		struct prefix address;
		e = prefix_parse(&address, addresses[i]);
		if (e == OK)
			e = engine_load_lease(b->engine, ids[i], &address);
	}
	if (e == OK)
		e = prefix_parse(&b->allowed, "fd66::2/128");
	if (e == OK)
		e = prefix_parse(&b->given.addresses[0], "10.9.0.5/24");
	b->given.n_addresses = b->given.n_domains = 1;
	b->given.mtu = 1400;
	memcpy(b->given.domains[0], "corp.example", sizeof "corp.example");
	return e;
}

static int set_up(void **state)
{
	static struct bench bench;
	static const uint8_t seed[SIG_SEED_LEN] = {7};
	struct lane_io io[2];
	struct rng rng = rng_system();
	struct prefix pool;
	grace_register_thread();
	for (size_t i = 0; i < 2; i++)
		io[i] = (struct lane_io){.send = on_send, .deliver = on_deliver, .post = on_post};
	if (identity_generate(&bench.identity, SIG_ML_DSA_87, seed) || prefix_parse(&pool, "10.66.0.0/24"))
		return -1;
	struct engine_config config = {.identity = bench.identity,
		.n_lanes = 1,
		.suites = CIPHER_ALL,
		.max_pending = 8,
		.handshake_rate = 8,
		.pools = &pool,
		.n_pools = 1};
	if (engine_new(&bench.engine, &config, io, &rng, USEC_PER_SEC) || bench_fill(&bench))
		return -1;
	bench.config.kill_switch = true;
	bench.source = (struct report_source){.config = &bench.config,
		.engine = bench.engine,
		.identity = bench.identity,
		.interface = "snk0",
		.started = 5 * USEC_PER_SEC,
		.peer = on_peer,
		.context = &bench,
		.sandbox = "user jorm"};
	*state = &bench;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *bench = *state;
	engine_free(bench->engine);
	identity_free(bench->identity);
	grace_unregister_thread();
	return 0;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

static void shows_the_whole(void **state)
{
	struct bench *bench = *state;
	uint8_t server[1][16] = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 66, 0, 1}};
	struct config_dns dns = {.servers = server, .server_count = 1};
	bench->source.dns = &dns;
	json_t *o = report_status(&bench->source, 65 * USEC_PER_SEC);
	assert_string_equal(text_of(o, "interface"), "snk0");
	assert_string_equal(text_of(o, "algorithm"), "ML-DSA-87");
	assert_string_equal(text_of(o, "sandbox"), "user jorm");
	assert_int_equal(json_integer_value(json_object_get(o, "uptime_s")), 60);
	assert_true(json_is_true(json_object_get(o, "kill_switch")));
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "dns"), 0)), "10.66.0.1");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "leases"), "used")), 2);
	assert_int_equal(json_array_size(json_object_get(o, "peers")), 2);
	assert_int_equal(json_object_size(json_object_get(o, "drops")), DROP_COUNT);
	assert_int_equal(json_object_size(json_object_get(o, "handshakes")), 7);
	json_decref(o);
	bench->source.dns = NULL;
	bench->source.sandbox = NULL;
	o = report_status(&bench->source, 65 * USEC_PER_SEC);
	assert_int_equal(json_array_size(json_object_get(o, "dns")), 0);
	assert_true(json_is_null(json_object_get(o, "sandbox")));
	json_decref(o);
}

/* What the daemon knows of them stands beside what the engine knows. */
static void shows_where_peers_come_from(void **state)
{
	struct bench *bench = *state;
	uint32_t number;
	json_t *o = report_peer(&bench->source, "laptop", &number, 65 * USEC_PER_SEC);
	assert_int_equal(number, 0);
	assert_string_equal(text_of(o, "source"), "folder");
	assert_string_equal(text_of(o, "state"), "idle");
	assert_string_equal(json_string_value(json_array_get(json_object_get(o, "allowed_ips"), 0)), "fd66::2/128");
	assert_true(json_is_null(json_object_get(o, "given")));
	assert_true(json_is_null(json_object_get(o, "last_handshake_s")));
	assert_true(json_is_null(json_object_get(o, "cipher")));
	json_decref(o);
	o = report_peer(&bench->source, "phone", NULL, 65 * USEC_PER_SEC);
	assert_string_equal(text_of(o, "source"), "added");
	const json_t *given = json_object_get(o, "given");
	assert_string_equal(json_string_value(json_array_get(json_object_get(given, "addresses"), 0)), "10.9.0.5/24");
	assert_string_equal(json_string_value(json_array_get(json_object_get(given, "domains"), 0)), "corp.example");
	assert_int_equal(json_integer_value(json_object_get(given, "mtu")), 1400);
	assert_true(json_is_null(json_object_get(given, "keepalive_s")));
	json_decref(o);
	assert_null(report_peer(&bench->source, "nobody", NULL, 65 * USEC_PER_SEC));
	o = report_peers(&bench->source, 65 * USEC_PER_SEC);
	assert_int_equal(json_array_size(json_object_get(o, "peers")), 2);
	json_decref(o);
}

/* A lease outlives its peer. */
static void shows_leases(void **state)
{
	struct bench *bench = *state;
	json_t *o = report_leases(&bench->source);
	const json_t *list = json_object_get(o, "leases");
	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(text_of(json_array_get(list, 0), "address"), "10.66.0.7");
	assert_string_equal(text_of(json_array_get(list, 0), "peer"), "laptop");
	assert_true(json_is_false(json_object_get(json_array_get(list, 0), "connected")));
	assert_string_equal(text_of(json_array_get(list, 1), "address"), "10.66.0.9");
	assert_true(json_is_null(json_object_get(json_array_get(list, 1), "peer")));
	assert_int_equal(strlen(text_of(json_array_get(list, 1), "key_id")), KEY_ID_TEXT_LEN - 1);
	json_decref(o);
}

static void makes_events_of_notices(void **state)
{
	json_t *o = report_notice(NOTICE_LOST, "laptop", "laptop is silent");
	assert_string_equal(text_of(o, "event"), "lost");
	assert_string_equal(text_of(o, "peer"), "laptop");
	assert_string_equal(text_of(o, "text"), "laptop is silent");
	assert_true(json_integer_value(json_object_get(o, "time")) > 1700000000);
	json_decref(o);
	o = report_notice(NOTICE_REFUSED, NULL, "somebody");
	assert_string_equal(text_of(o, "event"), "refused");
	assert_true(json_is_null(json_object_get(o, "peer")));
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_the_whole),
		cmocka_unit_test(shows_where_peers_come_from),
		cmocka_unit_test(shows_leases),
		cmocka_unit_test(makes_events_of_notices),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
