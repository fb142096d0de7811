/* The metrics' text, over an engine without a network. */
#include "daemon/metrics.h"

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

/* An engine with two peers and a pool; nobody has a session. */
struct bench {
	struct identity *identity;
	struct engine *engine;
	struct report_source source;
	struct config config;
};

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
	if (identity_generate(&bench.identity, SIG_ML_DSA_65, seed) || prefix_parse(&pool, "10.66.0.0/24"))
		return -1;
	struct engine_config config = {.identity = bench.identity,
		.n_lanes = 1,
		.suites = CIPHER_ALL,
		.max_pending = 8,
		.handshake_rate = 8,
		.pools = &pool,
		.n_pools = 1};
	if (engine_new(&bench.engine, &config, io, &rng, USEC_PER_SEC))
		return -1;
	for (uint32_t i = 0; i < 2; i++) {
		struct peer_config peer = {.name = i ? "phone" : "laptop", .key_id = {(uint8_t)(i + 1)}};
		uint32_t number;
		if (engine_add_peer(bench.engine, &peer, &number))
			return -1;
	}
	bench.source = (struct report_source){.config = &bench.config,
		.engine = bench.engine,
		.identity = bench.identity,
		.interface = "snk\"0",
		.started = 5 * USEC_PER_SEC};
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

static void shows_the_tunnel_and_its_peers(void **state)
{
	static const char *const lines[] = {
		"# TYPE jorm_info gauge\njorm_info{version=\"" JORM_VERSION "\",interface=\"snk\\\"0\",key_id=\"",
		"\njorm_uptime_seconds 60\n",
		"\njorm_leases_used 0\n",
		"\njorm_peers{state=\"established\"} 0\njorm_peers{state=\"connecting\"} 0\njorm_peers{state=\"idle\"} "
		"2\n",
		"# TYPE jorm_drops_total counter\njorm_drops_total{reason=\"no_route\"} 0\n",
		"\njorm_handshakes_total{result=\"established\"} 0\n",
		"# TYPE jorm_peer_receive_bytes_total counter\n"
		"jorm_peer_receive_bytes_total{peer=\"laptop\"} 0\njorm_peer_receive_bytes_total{peer=\"phone\"} 0\n",
		"\njorm_peer_established{peer=\"phone\"} 0\n",
	};
	struct bench *bench = *state;
	char *text = metrics_text(&bench->source, 65 * USEC_PER_SEC);
	assert_non_null(text);
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		if (!strstr(text, lines[i]))
			fail_msg("%s is not in:\n%s", lines[i], text);
	}
	/* never: nobody has had a handshake */
	assert_null(strstr(text, "jorm_peer_last_handshake_seconds{"));
	free(text);
}

/* Each name has its help and type once, before all of its samples, which stand together. */
static void is_well_formed(void **state)
{
	struct bench *bench = *state;
	char *text = metrics_text(&bench->source, 65 * USEC_PER_SEC), name[100] = "", *rest = NULL;
	assert_non_null(text);
	assert_int_equal(text[strlen(text) - 1], '\n');
	size_t samples = 0, families = 0;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "# HELP ", 7) == 0)
			continue;
		if (sscanf(line, "# TYPE %99s", name) == 1) {
			families++;
			continue;
		}
		size_t n = strcspn(line, "{ ");
		if (n != strlen(name) || memcmp(line, name, n) != 0)
			fail_msg("%s stands under %s", line, name);
		samples++;
	}
	assert_int_equal(families, 12);
	assert_int_equal(samples, 3 + 3 + DROP_COUNT + 7 + 2 * 5);
	free(text);
}

/* A peer that has gone leaves no series behind. */
static void forgets_peers(void **state)
{
	struct bench *bench = *state;
	uint32_t number;
	struct peer_config peer = {.name = "guest", .key_id = {9}};
	assert_int_equal(engine_add_peer(bench->engine, &peer, &number), OK);
	char *text = metrics_text(&bench->source, 65 * USEC_PER_SEC);
	assert_non_null(strstr(text, "{peer=\"guest\"}"));
	free(text);
	engine_remove_peer(bench->engine, number);
	text = metrics_text(&bench->source, 65 * USEC_PER_SEC);
	assert_null(strstr(text, "guest"));
	assert_non_null(strstr(text, "jorm_peers{state=\"idle\"} 2\n"));
	free(text);
}

static void escapes_labels(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {{"", ""}, {"laptop", "laptop"}, {"a\"b", "a\\\"b"}, {"a\\b", "a\\\\b"}, {"a\nb", "a\\nb"},
		{"\\n", "\\\\n"}, {"\"} 1\n", "\\\"} 1\\n"},
		{"Stra\xc3\x9f"
		 "e",
			"Stra\xc3\x9f"
			"e"}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *text = NULL;
		size_t size;
		FILE *out = open_memstream(&text, &size);
		assert_non_null(out);
		metrics_label(out, cases[i].from);
		assert_int_equal(fclose(out), 0);
		assert_string_equal(text, cases[i].to);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_the_tunnel_and_its_peers),
		cmocka_unit_test(is_well_formed),
		cmocka_unit_test(forgets_peers),
		cmocka_unit_test(escapes_labels),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
