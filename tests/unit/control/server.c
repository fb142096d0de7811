/* The local API's server as a raw client sees it. */
#include "people.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static void answers_requests(void **state)
{
	struct asked asked = {0};
	char text[1000];
	struct control_server *server = server_open(&asked);
	exchange(server, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof(text));
	assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(text, "Content-Type: application/json\r\n"));
	assert_non_null(strstr(text, "\r\n\r\n{\"interface\":\"snk0\"}"));
	assert_int_equal(asked.operation, CONTROL_STATUS);
	assert_int_equal(asked.uid, geteuid());
	assert_string_equal(asked.name, "");
	exchange(server, "GET /v1/status?pretty=1 HTTP/1.0\r\n\r\n", text, sizeof(text));
	assert_non_null(strstr(text, "snk0"));
	exchange(server, "POST /v1/down HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", text, sizeof(text));
	assert_non_null(strstr(text, "\r\n\r\n{\"ok\":true}"));
	assert_int_equal(asked.operation, CONTROL_DOWN);
	exchange(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof(text));
	assert_non_null(strstr(text, "Content-Type: text/plain; version=0.0.4"));
	assert_non_null(strstr(text, "\r\n\r\njorm_up 1\n"));
	assert_int_equal(asked.count, 4);
	control_server_close(server);
	control_server_close(NULL);
}

static void gives_names_and_bodies_to_the_handler(void **state)
{
	struct asked asked = {0};
	char text[1000];
	struct control_server *server = server_open(&asked);
	exchange(server, "GET /v1/peers/a%20b%2fc HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof(text));
	assert_int_equal(asked.operation, CONTROL_PEER);
	assert_string_equal(asked.name, "a b/c");
	exchange(server, "DELETE /v1/leases/fd66::2 HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof(text));
	assert_int_equal(asked.operation, CONTROL_LEASE_FREE);
	assert_string_equal(asked.name, "fd66::2");
	exchange(
		server, "POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{\"a\":1}", text, sizeof(text));
	assert_int_equal(asked.operation, CONTROL_PEER_ADD);
	assert_string_equal(asked.body, "{\"a\":1}");
	exchange(server,
		"POST /v1/peers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"3\r\n{\"b\r\n4\r\n\":2}\r\n0\r\n\r\n",
		text, sizeof(text));
	assert_string_equal(asked.body, "{\"b\":2}");
	exchange(server, "DELETE /v1/peers/x HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof(text));
	assert_memory_equal(text, "HTTP/1.1 404", 12);
	assert_non_null(strstr(text, "{\"error\":\"there is no peer x\"}"));
	control_server_close(server);
}

static void refuses_what_is_wrong(void **state)
{
	static const struct {
		const char *say, *status, *also;
	} cases[] = {
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "404", "{\"error\":"},
		{"GET /v1/status/x HTTP/1.1\r\nHost: x\r\n\r\n", "404", "{\"error\":"},
		{"GET /v1/peers/ HTTP/1.1\r\nHost: x\r\n\r\n", "404", "{\"error\":"},
		{"GET /v1/peers/a/b HTTP/1.1\r\nHost: x\r\n\r\n", "404", "{\"error\":"},
		{"GET /v1/peers/a%0 HTTP/1.1\r\nHost: x\r\n\r\n", "404", "{\"error\":"},
		{"GET /v1/peers/a%00b HTTP/1.1\r\nHost: x\r\n\r\n", "404", "{\"error\":"},
		{"POST /v1/status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405", "Allow: GET\r\n"},
		{"HEAD /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", "405", "Allow: GET\r\n"},
		{"PUT /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405", "Allow: GET, POST\r\n"},
		{"BREW /v1/peers/x HTTP/1.1\r\nHost: x\r\n\r\n", "405", "Allow: GET, DELETE\r\n"},
		{"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n{a}", "400", "no JSON object"},
		{"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]", "400", "no JSON object"},
		{"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n{\"a\":1,\"a\":2}", "400", "no JSON"},
		{"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", "413", "{\"error\":"},
		{"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n", "413", ""},
	};
	struct asked asked = {0};
	char text[1000], status[30];
	struct control_server *server = server_open(&asked);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		exchange(server, cases[i].say, text, sizeof(text));
		snprintf(status, sizeof(status), "HTTP/1.1 %s ", cases[i].status);
		if (strncmp(text, status, strlen(status)) != 0 || !strstr(text, cases[i].also))
			fail_msg("%s gave: %s", cases[i].say, text);
	}
	assert_int_equal(asked.count, 0);
	control_server_close(server);
}

/* The longest body that is taken, and one byte more, whose end is awaited because its length was not announced. */
static void bounds_bodies(void **state)
{
	struct asked asked = {0};
	static char say[CONTROL_BODY_MAX + 200];
	char text[1000];
	struct control_server *server = server_open(&asked);
	for (size_t extra = 0; extra < 2; extra++) {
		size_t body = CONTROL_BODY_MAX + extra;
		int n = snprintf(say, sizeof(say),
			"POST /v1/peers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n{\"a\":\"",
			body);
		memset(say + n, 'x', body - 8);
		memcpy(say + (size_t)n + body - 8, "\"}\r\n0\r\n\r\n", sizeof("\"}\r\n0\r\n\r\n"));
		exchange(server, say, text, sizeof(text));
		assert_memory_equal(text, extra ? "HTTP/1.1 413" : "HTTP/1.1 200", 12);
	}
	assert_int_equal(asked.count, 1);
	assert_int_equal(asked.operation, CONTROL_PEER_ADD);
	control_server_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_requests),
		cmocka_unit_test(gives_names_and_bodies_to_the_handler),
		cmocka_unit_test(refuses_what_is_wrong),
		cmocka_unit_test(bounds_bodies),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
