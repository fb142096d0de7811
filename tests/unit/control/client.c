/* The client, with a server in a thread of its own, and with servers that misbehave. */
#include "people.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* ---- a good server ---- */

struct served {
	struct control_server *server;
	atomic_bool stop;
	atomic_int to_tell; /* events */
	pthread_t thread;
};

static void *serve(void *arg)
{
	struct served *s = arg;
	struct pollfd p = {.fd = control_server_fd(s->server), .events = POLLIN};
	while (!s->stop) {
		if (control_server_has_listeners(s->server) && s->to_tell > 0)
			control_server_event(s->server, json_pack("{s:i}", "event", s->to_tell--));
		usec now = clock_now();
		poll(&p, 1, control_server_handle(s->server, now) <= now ? 0 : 10);
	}
	return NULL;
}

static void serve_begin(struct served *s, struct asked *asked)
{
	s->server = server_open(asked);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void serve_end(struct served *s)
{
	s->stop = true;
	pthread_join(s->thread, NULL);
	control_server_close(s->server);
}

static void asks(void **state)
{
	struct asked asked = {0};
	struct served s = {0};
	json_t *document, *body = json_pack("{s:s}", "name", "x");
	char *text;
	struct fault fault;
	serve_begin(&s, &asked);
	assert_int_equal(control_request(SOCKET_NAME, "GET", "/v1/status", NULL, &document, &fault), OK);
	assert_string_equal(json_string_value(json_object_get(document, "interface")), "snk0");
	json_decref(document);
	assert_int_equal(control_request(SOCKET_NAME, "GET", "/v1/peers", NULL, &document, &fault), OK);
	assert_int_equal(json_array_size(json_object_get(document, "list")), LARGE_COUNT);
	json_decref(document);
	assert_int_equal(control_request(SOCKET_NAME, "POST", "/v1/peers", body, &document, &fault), OK);
	json_decref(document);
	assert_int_equal(control_request(SOCKET_NAME, "DELETE", "/v1/leases/fd66::2", NULL, &document, &fault), OK);
	json_decref(document);
	assert_int_equal(control_request(SOCKET_NAME, "DELETE", "/v1/peers/x", NULL, &document, &fault), ERR_STATE);
	assert_string_equal(fault.text, "there is no peer x");
	assert_null(document);
	assert_int_equal(control_request(SOCKET_NAME, "GET", "/nowhere", NULL, &document, &fault), ERR_STATE);
	assert_int_equal(control_request_text(SOCKET_NAME, "/metrics", &text, &fault), OK);
	assert_string_equal(text, "jorm_up 1\n");
	free(text);
	assert_int_equal(control_request_text(SOCKET_NAME, "/nowhere", &text, &fault), ERR_STATE);
	assert_null(text);
	serve_end(&s);
	assert_int_equal(asked.count, 6);
	assert_int_equal(asked.operation, CONTROL_METRICS);
	assert_int_equal(control_request(SOCKET_NAME, "GET", "/v1/status", NULL, &document, &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, "no tunnel is up at " SOCKET_NAME));
	json_decref(body);
}

struct follow {
	int count, last, enough;
	struct served *served;
};

static bool each(void *context, const json_t *event)
{
	struct follow *f = context;
	if (json_is_integer(json_object_get(event, "event")))
		f->last = (int)json_integer_value(json_object_get(event, "event"));
	f->count++;
	if (f->served && f->count == 1)
		f->served->to_tell = 500; /* not before: the last listener might take one */
	if (f->served && f->last == 1)
		f->served->stop = true; /* the server's thread ends, but not yet the server */
	return f->count != f->enough;
}

static void *end_server(void *arg)
{
	struct served *s = arg;
	pthread_join(s->thread, NULL);
	control_server_close(s->server);
	return NULL;
}

static void follows(void **state)
{
	struct asked asked = {0};
	struct served s = {.to_tell = 1000};
	struct follow f = {.enough = 4};
	struct fault fault;
	pthread_t ending;
	serve_begin(&s, &asked);
	assert_int_equal(control_follow(SOCKET_NAME, each, &f, &fault), OK);
	assert_int_equal(f.count, 4);
	assert_int_equal(f.last, 998);
	/* to the server's end */
	s.to_tell = 0;
	f = (struct follow){.served = &s};
	assert_int_equal(pthread_create(&ending, NULL, end_server, &s), 0);
	assert_int_equal(control_follow(SOCKET_NAME, each, &f, &fault), OK);
	assert_int_equal(f.last, 1);
	assert_int_equal(f.count, 501);
	pthread_join(ending, NULL);
	assert_int_equal(control_follow(SOCKET_NAME, each, &f, &fault), ERR_NOT_FOUND);
}

/* ---- bad servers ---- */

/* Takes one connection, hears a request, says what it has to say, and goes. */
struct bad {
	int listener;
	const char *say;
	pthread_t thread;
};

static void *misbehave(void *arg)
{
	struct bad *bad = arg;
	char text[1000];
	int fd = accept(bad->listener, NULL, NULL);
	if (recv(fd, text, sizeof(text), 0) > 0)
		(void)!send(fd, bad->say, strlen(bad->say), MSG_NOSIGNAL);
	close(fd);
	return NULL;
}

static void bad_begin(struct bad *bad, const char *say)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "bad.sock"};
	unlink("bad.sock");
	bad->say = say;
	bad->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(bad->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(bad->listener, 1), 0);
	assert_int_equal(pthread_create(&bad->thread, NULL, misbehave, bad), 0);
}

static void bad_end(struct bad *bad)
{
	pthread_join(bad->thread, NULL);
	close(bad->listener);
	unlink("bad.sock");
}

static void says_what_is_wrong_with_an_answer(void **state)
{
	static const struct {
		const char *say;
		enum err err;
		const char *text;
	} cases[] = {
		{"", ERR_FORMAT, "went away"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", ERR_FORMAT, "not what a jorm daemon says"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{x", ERR_FORMAT, "not what a jorm daemon says"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", ERR_IO, "bad.sock"},
		{"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", ERR_FORMAT, "not what a jorm daemon says"},
		{"HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", ERR_FORMAT,
			"bad.sock"},
		{"HTTP/1.1 403 No\r\nContent-Length: 14\r\n\r\n{\"error\":\"no\"}", ERR_PERMISSION, "no"},
		{"{\"interface\": \"of an older daemon\"}", ERR_FORMAT, "not what a jorm daemon says"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n{}", ERR_IO, "bad.sock"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bad bad;
		struct fault fault = {0};
		json_t *document;
		bad_begin(&bad, cases[i].say);
		enum err e = control_request("bad.sock", "GET", "/v1/status", NULL, &document, &fault);
		if (e != cases[i].err || !strstr(fault.text, cases[i].text))
			fail_msg("%s gave: %d %s", cases[i].say, (int)e, fault.text);
		assert_null(document);
		bad_end(&bad);
	}
}

static void says_what_is_wrong_with_events(void **state)
{
	static const struct {
		const char *say;
		enum err err;
		int count;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":1}\n{\"a\":2}\n", OK, 2},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":1}\nnonsense\n{}\n", ERR_FORMAT, 1},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"a\":1}\n\r\n", ERR_IO, 1},
		{"HTTP/1.1 503 Full\r\nContent-Length: 16\r\n\r\n{\"error\":\"full\"}", ERR_STATE, 0},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bad bad;
		struct follow f = {0};
		struct fault fault = {0};
		bad_begin(&bad, cases[i].say);
		enum err e = control_follow("bad.sock", each, &f, &fault);
		if (e != cases[i].err || f.count != cases[i].count)
			fail_msg("%s gave: %d %s, %d events", cases[i].say, (int)e, fault.text, f.count);
		bad_end(&bad);
	}
}

static void says_what_is_wrong_with_a_socket(void **state)
{
	char large[200];
	json_t *document;
	struct fault fault;
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(control_request(large, "GET", "/v1/status", NULL, &document, &fault), ERR_TOO_BIG);
	assert_int_equal(control_request("nowhere", "GET", "/v1/status", NULL, &document, &fault), ERR_NOT_FOUND);
	FILE *file = fopen("file", "w");
	fclose(file);
	assert_int_equal(control_request("file", "GET", "/v1/status", NULL, &document, &fault), ERR_NOT_FOUND);
	if (geteuid() == 0) {
		assert_int_equal(chmod(folder, 0755), 0);
		struct bad bad = {.listener = socket(AF_UNIX, SOCK_STREAM, 0)};
		struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "bad.sock"};
		assert_int_equal(bind(bad.listener, (struct sockaddr *)&address, sizeof(address)), 0);
		assert_int_equal(chmod("bad.sock", 0600), 0);
		assert_int_equal(seteuid(65534), 0);
		enum err e = control_request("bad.sock", "GET", "/v1/status", NULL, &document, &fault);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(e, ERR_PERMISSION);
		assert_non_null(strstr(fault.text, "as root"));
		close(bad.listener);
		unlink("bad.sock");
	}
	unlink("file");
}

/* No proxy of the environment, no ~/.netrc. */
static void keeps_to_the_socket(void **state)
{
	struct asked asked = {0};
	struct served s = {0};
	json_t *document;
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
	serve_begin(&s, &asked);
	assert_int_equal(control_request(SOCKET_NAME, "GET", "/v1/status", NULL, &document, NULL), OK);
	json_decref(document);
	serve_end(&s);
	unsetenv("http_proxy");
	unsetenv("ALL_PROXY");
}

static void encodes_paths(void **state)
{
	char path[32];
	assert_int_equal(control_path(path, sizeof(path), "/v1/peers/", "laptop"), OK);
	assert_string_equal(path, "/v1/peers/laptop");
	assert_int_equal(control_path(path, sizeof(path), "/v1/leases/", "fd66::2/128"), OK);
	assert_string_equal(path, "/v1/leases/fd66::2%2F128");
	assert_int_equal(control_path(path, sizeof(path), "/", "a b\xc3\xbc?%"), OK);
	assert_string_equal(path, "/a%20b%C3%BC%3F%25");
	assert_int_equal(control_path(path, sizeof(path), "/v1/peers/", ""), OK);
	assert_string_equal(path, "/v1/peers/");
	assert_int_equal(control_path(path, sizeof(path), "/v1/peers/", "a name that is too long"), ERR_TOO_BIG);
	assert_int_equal(control_path(path, 5, "/v1/peers/", ""), ERR_TOO_BIG);
	assert_int_equal(control_path(path, 5, "/v1/peers/", "x"), ERR_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks),
		cmocka_unit_test(follows),
		cmocka_unit_test(says_what_is_wrong_with_an_answer),
		cmocka_unit_test(says_what_is_wrong_with_events),
		cmocka_unit_test(says_what_is_wrong_with_a_socket),
		cmocka_unit_test(keeps_to_the_socket),
		cmocka_unit_test(encodes_paths),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
