/* The table of paths, and how a name in one is decoded. */
#include "control/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void knows_its_paths(void **state)
{
	static const struct {
		const char *method, *path;
		enum control_operation operation;
		const char *name; /* "": none */
	} cases[] = {
		{"GET", "/v1/status", CONTROL_STATUS, ""},
		{"GET", "/v1/peers", CONTROL_PEERS, ""},
		{"POST", "/v1/peers", CONTROL_PEER_ADD, ""},
		{"GET", "/v1/peers/laptop", CONTROL_PEER, "laptop"},
		{"DELETE", "/v1/peers/a%2Fb%20c", CONTROL_PEER_REMOVE, "a/b c"},
		{"DELETE", "/v1/leases/10.66.0.2", CONTROL_LEASE_FREE, "10.66.0.2"},
		{"DELETE", "/v1/leases/fd66%3a%3A2", CONTROL_LEASE_FREE, "fd66::2"},
		{"GET", "/v1/leases", CONTROL_LEASES, ""},
		{"GET", "/v1/counters", CONTROL_COUNTERS, ""},
		{"GET", "/v1/events", CONTROL_EVENTS, ""},
		{"POST", "/v1/reload", CONTROL_RELOAD, ""},
		{"POST", "/v1/down", CONTROL_DOWN, ""},
		{"GET", "/metrics", CONTROL_METRICS, ""},
		{"GET", "/v1/peers/%c3%bc", CONTROL_PEER, "\xc3\xbc"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct route r;
		assert_int_equal(route_find(&r, cases[i].method, cases[i].path), OK);
		assert_int_equal(r.operation, cases[i].operation);
		assert_string_equal(r.name, cases[i].name);
		assert_int_equal(r.has_name, cases[i].name[0] != '\0');
	}
}

static void refuses_others(void **state)
{
	static const char *const paths[] = {"", "/", "v1/status", "/v1", "/v1/", "/v1/status/", "/v1/statusx",
		"/v2/status", "//v1/status", "/V1/status", "/v1/peers/", "/v1/peers//", "/v1/peers/a/b", "/v1/peers/%",
		"/v1/peers/%2", "/v1/peers/%2x", "/v1/peers/%x2", "/v1/peers/%00", "/v1/peers/a%0ab", "/v1/peers/%7f",
		"/v1/peers/\x01", "/v1/peers/%-1", "/v1/peers/%\x10\x10", "/metrics/"};
	struct route r = {0};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		assert_int_equal(route_find(&r, "GET", paths[i]), ERR_NOT_FOUND);
	char large[ROUTE_NAME_LEN + 20] = "/v1/peers/";
	memset(large + 10, 'x', ROUTE_NAME_LEN - 1);
	assert_int_equal(route_find(&r, "GET", large), OK);
	large[10 + ROUTE_NAME_LEN - 1] = 'x';
	assert_int_equal(route_find(&r, "GET", large), ERR_NOT_FOUND);
}

static void names_the_methods_that_there_are(void **state)
{
	struct route r;
	assert_int_equal(route_find(&r, "POST", "/v1/status"), ERR_UNSUPPORTED);
	assert_string_equal(r.allow, "GET");
	assert_int_equal(route_find(&r, "DELETE", "/v1/peers"), ERR_UNSUPPORTED);
	assert_string_equal(r.allow, "GET, POST");
	assert_int_equal(route_find(&r, "POST", "/v1/peers/x"), ERR_UNSUPPORTED);
	assert_string_equal(r.allow, "GET, DELETE");
	assert_int_equal(route_find(&r, "get", "/v1/status"), ERR_UNSUPPORTED);
	assert_int_equal(route_find(&r, "", "/v1/down"), ERR_UNSUPPORTED);
	assert_string_equal(r.allow, "POST");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_its_paths),
		cmocka_unit_test(refuses_others),
		cmocka_unit_test(names_the_methods_that_there_are),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
