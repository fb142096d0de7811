/* The server with clients that are slow, many, greedy or mad. It never waits for one of them. */
#include "people.h"

#include <errno.h>
#include <fcntl.h>

#define STATUS "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"

static bool is_answered(const char *text)
{
	return strncmp(text, "HTTP/1.1 200 ", 13) == 0 && strstr(text, "snk0");
}

static void drops_whoever_is_slow_to_ask(void **state)
{
	struct asked asked = {0};
	char text[300];
	usec start = 5 * USEC_PER_SEC;
	struct control_server *server = server_open(&asked);
	int slow = client_open();
	client_say(slow, "GET /v1/st");
	assert_int_equal(server_run(server, start), start + CONTROL_DEADLINE);
	/* a byte now and then gains nothing */
	client_say(slow, "a");
	assert_int_equal(server_run(server, start + CONTROL_DEADLINE - 1), start + CONTROL_DEADLINE);
	assert_int_equal(server_run(server, start + CONTROL_DEADLINE), USEC_NEVER);
	assert_string_equal(client_hear(slow, text, sizeof(text)), "");
	assert_int_equal(asked.count, 0);
	control_server_close(server);
}

static void drops_whoever_is_slow_to_read(void **state)
{
	struct asked asked = {0};
	usec start = 5 * USEC_PER_SEC;
	struct control_server *server = server_open(&asked);
	int slow = client_open();
	client_say(slow, "GET /v1/peers HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(server_run(server, start), start + CONTROL_DEADLINE);
	assert_int_equal(asked.count, 1);
	assert_int_equal(server_run(server, start + CONTROL_DEADLINE), USEC_NEVER);
	close(slow);
	control_server_close(server);
}

static void takes_a_request_in_pieces(void **state)
{
	struct asked asked = {0};
	char text[1000];
	struct control_server *server = server_open(&asked);
	int fd = client_open();
	for (const char *c = STATUS; *c; c++) {
		assert_int_equal(asked.count, 0);
		client_say(fd, (char[]){*c, '\0'});
		(void)server_run(server, 1);
	}
	assert_true(is_answered(client_hear(fd, text, sizeof(text))));
	control_server_close(server);
}

/* Who comes when all places are taken waits in the kernel's queue, and the descriptor is quiet meanwhile. */
static void bounds_clients(void **state)
{
	struct asked asked = {0};
	int idle[CONTROL_CLIENTS_MAX];
	char text[1000];
	struct control_server *server = server_open(&asked);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		idle[i] = client_open();
		(void)server_run(server, 1);
	}
	int next = client_open();
	client_say(next, STATUS);
	(void)server_run(server, 2);
	assert_int_equal(asked.count, 0);
	close(idle[3]);
	(void)server_run(server, 3);
	assert_int_equal(asked.count, 1);
	assert_true(is_answered(client_hear(next, text, sizeof(text))));
	/* and all the others lose their places in time */
	assert_int_equal(server_run(server, 1 + CONTROL_DEADLINE), USEC_NEVER);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (i != 3)
			assert_string_equal(client_hear(idle[i], text, sizeof(text)), "");
	}
	control_server_close(server);
}

/* What one connection may make us keep is bounded: a line or headers without end are an error. */
static void bounds_headers(void **state)
{
	static char say[200000];
	struct asked asked = {0};
	char text[1000];
	struct control_server *server = server_open(&asked);
	for (int kind = 0; kind < 2; kind++) {
		size_t n = (size_t)snprintf(
			say, sizeof(say), "%s", kind ? "GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " : "GET /v1/");
		memset(say + n, 'x', sizeof(say) - n);
		int fd = client_open();
		assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
		for (size_t at = 0; at < sizeof(say);) {
			ssize_t sent = send(fd, say + at, sizeof(say) - at, MSG_NOSIGNAL);
			(void)server_run(server, 1);
			if (sent < 0 && errno != EAGAIN)
				break;
			at += sent > 0 ? (size_t)sent : 0;
		}
		client_hear(fd, text, sizeof(text));
		assert_true(text[0] == '\0' || strncmp(text, "HTTP/1.1 4", 10) == 0);
	}
	assert_int_equal(asked.count, 0);
	control_server_close(server);
}

/* One connection, one request: what is sent after it is not looked at. */
static void ignores_what_follows(void **state)
{
	struct asked asked = {0};
	char text[3000];
	struct control_server *server = server_open(&asked);
	exchange(server, STATUS STATUS "POST /v1/down HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof(text));
	assert_true(is_answered(text));
	assert_non_null(strstr(text, "Connection: close"));
	assert_null(strstr(text + 13, "HTTP/1.1"));
	assert_int_equal(asked.count, 1);
	control_server_close(server);
}

static void survives_garbage(void **state)
{
	struct asked asked = {0};
	char text[3000], noise[301];
	uint64_t seed = 1;
	struct control_server *server = server_open(&asked);
	for (int round = 0; round < 200; round++) {
		size_t n = (size_t)round + 1;
		for (size_t i = 0; i < n; i++) {
			seed = seed * 6364136223846793005U + 1442695040888963407U;
			noise[i] = (char)(seed >> 56);
			if (noise[i] == '\0')
				noise[i] = '\n';
		}
		noise[n] = '\0';
		int fd = client_open();
		client_say(fd, noise);
		(void)server_run(server, 1);
		shutdown(fd, SHUT_WR);
		(void)server_run(server, 1);
		client_hear(fd, text, sizeof(text));
		assert_true(text[0] == '\0' || strncmp(text, "HTTP/1.", 7) == 0);
	}
	assert_int_equal(asked.count, 0);
	assert_true(is_answered(exchange(server, STATUS, text, sizeof(text))));
	control_server_close(server);
}

/* Clients that go away at any time leave the server as it was. */
static void survives_clients_that_vanish(void **state)
{
	static const char *const words[] = {"", "GET /v1", STATUS, "GET /v1/peers HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /v1/peers HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{"};
	struct asked asked = {0};
	struct control_server *server = server_open(&asked);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		for (int seen = 0; seen < 2; seen++) {
			int fd = client_open();
			client_say(fd, words[i]);
			if (seen)
				(void)server_run(server, 1);
			close(fd);
			(void)server_run(server, 1);
		}
	}
	assert_int_equal(server_run(server, 1), USEC_NEVER);
	assert_false(control_server_has_listeners(server));
	control_server_close(server);
}

static size_t descriptors_count(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void serves_a_thousand_one_after_another(void **state)
{
	struct asked asked = {0};
	char text[1000];
	struct control_server *server = server_open(&asked);
	size_t before = descriptors_count();
	for (int i = 1; i <= 1000; i++) {
		assert_true(is_answered(exchange(server, STATUS, text, sizeof(text))));
		assert_int_equal(asked.count, i);
	}
	assert_int_equal(descriptors_count(), before);
	assert_int_equal(server_run(server, 1), USEC_NEVER);
	control_server_close(server);
}

/* The answer to "down" still goes out; whoever has not asked yet is told nothing, and the handler is not called. */
static void closes_with_clients(void **state)
{
	struct asked asked = {0};
	char text[1000];
	struct control_server *server = server_open(&asked);
	int idle = client_open(), late = client_open();
	(void)server_run(server, 1);
	client_say(late, STATUS);
	control_server_close(server);
	assert_int_equal(asked.count, 0);
	assert_string_equal(client_hear(idle, text, sizeof(text)), "");
	assert_memory_equal(client_hear(late, text, sizeof(text)), "HTTP/1.1 503", 12);
	assert_int_equal(access(SOCKET_NAME, F_OK), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops_whoever_is_slow_to_ask),
		cmocka_unit_test(drops_whoever_is_slow_to_read),
		cmocka_unit_test(takes_a_request_in_pieces),
		cmocka_unit_test(bounds_clients),
		cmocka_unit_test(bounds_headers),
		cmocka_unit_test(ignores_what_follows),
		cmocka_unit_test(survives_garbage),
		cmocka_unit_test(survives_clients_that_vanish),
		cmocka_unit_test(serves_a_thousand_one_after_another),
		cmocka_unit_test(closes_with_clients),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
