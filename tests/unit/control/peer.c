/* The body of POST /v1/peers. */
#include "control/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

static enum err parse(struct control_peer *ret, const char *text, struct fault *fault)
{
	json_t *body = json_loads(text, JSON_DECODE_ANY, NULL);
	assert_non_null(body);
	enum err e = control_peer_parse(ret, body, fault);
	json_decref(body);
	return e;
}

static void takes_a_peer(void **state)
{
	struct control_peer p;
	assert_int_equal(parse(&p,
				 "{\"name\": \"laptop\", \"key_id\": \"" KEY "\", \"keepalive\": 25,"
				 " \"allowed_ips\": [\"10.66.0.2\", \" fd66::ff/120 \"], \"endpoint\": "
				 "\"vpn.example.org:10666\"}",
				 NULL),
		OK);
	assert_string_equal(p.config.name, "laptop");
	for (size_t i = 0; i < KEY_ID_LEN; i++)
		assert_int_equal(p.config.key_id[i], i);
	assert_int_equal(p.config.keepalive_s, 25);
	assert_int_equal(p.config.allowed_ips.count, 2);
	assert_string_equal(p.allowed_ips, "10.66.0.2/32, fd66::/120");
	assert_string_equal(p.config.endpoint, "vpn.example.org:10666");
	assert_string_equal(p.config.endpoint_host, "vpn.example.org");
	assert_int_equal(p.config.endpoint_port, 10666);
	control_peer_done(&p);
	assert_null(p.config.endpoint);
	control_peer_done(&p); /* twice is fine */
}

static void takes_as_little_as_that(void **state)
{
	static const char *const texts[] = {"{\"name\": \"x\", \"key_id\": \"" KEY "\"}",
		"{\"name\": \"x\", \"key_id\": \"" KEY
		"\", \"allowed_ips\": null, \"endpoint\": null, \"keepalive\": null}",
		"{\"name\": \"x\", \"key_id\": \"" KEY
		"\", \"allowed_ips\": [], \"endpoint\": \"\", \"keepalive\": 0}"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct control_peer p;
		assert_int_equal(parse(&p, texts[i], NULL), OK);
		assert_string_equal(p.config.name, "x");
		assert_string_equal(p.allowed_ips, "");
		assert_int_equal(p.config.allowed_ips.count, 0);
		assert_null(p.config.endpoint);
		assert_int_equal(p.config.keepalive_s, 0);
		control_peer_done(&p);
	}
}

static void refuses(const char *text, const char *why)
{
	struct control_peer p;
	struct fault fault = {0};
	enum err e = parse(&p, text, &fault);
	if (e != ERR_FORMAT || !strstr(fault.text, why))
		fail_msg("%s gave: %d %s", text, (int)e, fault.text);
	assert_string_equal(p.config.name, "");
	assert_null(p.config.allowed_ips.items);
	assert_null(p.config.endpoint);
	assert_string_equal(p.allowed_ips, "");
}

static void says_what_is_wrong(void **state)
{
	struct control_peer p;
	struct fault fault;
	assert_int_equal(control_peer_parse(&p, NULL, &fault), ERR_FORMAT);
	refuses("[]", "JSON object");
	refuses("{}", "name is missing");
	refuses("{\"name\": \"x\"}", "key_id is missing");
	refuses("{\"name\": null, \"key_id\": \"" KEY "\"}", "name is missing");
	refuses("{\"name\": 5, \"key_id\": \"" KEY "\"}", "name: a text");
	refuses("{\"name\": \"a b\", \"key_id\": \"" KEY "\"}", "letters");
	refuses("{\"name\": \"\", \"key_id\": \"" KEY "\"}", "letters");
	refuses("{\"name\": \"x\", \"key_id\": \"AAAA\"}", "jorm keyid");
	refuses("{\"name\": \"x\", \"key_id\": \"" KEY "\", \"colour\": \"red\"}", "unknown member");
#define WITH(more) "{\"name\": \"x\", \"key_id\": \"" KEY "\", " more "}"
	refuses(WITH("\"allowed_ips\": \"10.66.0.2\""), "a list");
	refuses(WITH("\"allowed_ips\": [5]"), "allowed_ips: a text");
	refuses(WITH("\"allowed_ips\": [null]"), "each item");
	refuses(WITH("\"allowed_ips\": [\"\"]"), "each item");
	refuses(WITH("\"allowed_ips\": [\"10.66.0.2, 10.66.0.3\"]"), "each item");
	refuses(WITH("\"allowed_ips\": [\"10.66.0.2/33\"]"), "AllowedIPs");
	refuses(WITH("\"endpoint\": \"there\""), "Endpoint");
	refuses(WITH("\"endpoint\": [\"there:1\"]"), "endpoint: a text");
	refuses(WITH("\"keepalive\": -1"), "65535");
	refuses(WITH("\"keepalive\": 65536"), "65535");
	refuses(WITH("\"keepalive\": 2.5"), "65535");
	refuses(WITH("\"keepalive\": \"25\""), "65535");
}

/* A NUL within, which C would not see the end of. */
static void refuses_hidden_ends(void **state)
{
	struct control_peer p;
	struct fault fault;
	json_t *body = json_pack("{s:o, s:s}", "name", json_stringn("x\0y", 3), "key_id", KEY);
	assert_int_equal(control_peer_parse(&p, body, &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "name: a text"));
	json_decref(body);
}

static void bounds_lengths(void **state)
{
	struct control_peer p;
	struct fault fault;
	char endpoint[CONTROL_ENDPOINT_LEN + 1];
	for (int n = 30; n < 3000; n += 30) {
		json_t *list = json_array();
		for (int i = 0; i < n; i++)
			json_array_append_new(list, json_string("fd66::2"));
		json_t *body = json_pack("{s:s, s:s, s:o}", "name", "x", "key_id", KEY, "allowed_ips", list);
		enum err e = control_peer_parse(&p, body, &fault);
		/* each is thirteen bytes when its length is added */
		assert_int_equal(e, n * 13 - 2 < CONTROL_ALLOWED_IPS_LEN ? OK : ERR_FORMAT);
		assert_true(e == OK || strstr(fault.text, "too many"));
		control_peer_done(&p);
		json_decref(body);
	}
	memset(endpoint, 'x', sizeof(endpoint) - 1);
	endpoint[CONTROL_ENDPOINT_LEN] = '\0';
	json_t *body = json_pack("{s:s, s:s, s:s}", "name", "x", "key_id", KEY, "endpoint", endpoint);
	assert_int_equal(control_peer_parse(&p, body, &fault), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "too long"));
	json_decref(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_a_peer),
		cmocka_unit_test(takes_as_little_as_that),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(refuses_hidden_ends),
		cmocka_unit_test(bounds_lengths),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
