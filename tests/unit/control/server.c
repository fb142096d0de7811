/* The control socket with real clients, a server with a clock of our own, and both with things that go wrong. */
#include "control/control.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/jorm-control-XXXXXX";
#define SOCKET_NAME "run/t.sock"

static int set_up(void **state)
{
	return !mkdtemp(folder) || chdir(folder) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {SOCKET_NAME, SOCKET_NAME ".lock", "run"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove(names[i]);
	return chdir("/") < 0 ? -1 : rmdir(folder);
}

/* status: a small document; large: one that no socket buffer holds; the requests are counted. */
static json_t *answer(void *ctx, const char *request)
{
	int *count = ctx;
	++*count;
	if (strcmp(request, "status") == 0)
		return json_pack("{s:s}", "interface", "snk0");
	if (strcmp(request, "large") != 0)
		return NULL;
	json_t *list = json_array();
	for (int i = 0; i < 300000; i++)
		json_array_append_new(list, json_integer(i));
	return json_pack("{s:o}", "list", list);
}

static struct control_server *server_open(int *count)
{
	struct control_server *server;
	struct fault fault;
	if (control_server_open(&server, SOCKET_NAME, answer, count, &fault))
		fail_msg("%s", fault.text);
	return server;
}

/* A client without manners. */
static int client_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_NAME};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void client_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that comes until the server closes; returns text. */
static const char *client_hear(int fd, char *text, size_t size)
{
	ssize_t n = recv(fd, text, size - 1, MSG_WAITALL);
	text[n > 0 ? n : 0] = '\0';
	close(fd);
	return text;
}

static bool server_is_ready(const struct control_server *server)
{
	struct pollfd p = {.fd = control_server_fd(server), .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

/* As long as there is something to do. */
static void server_run(struct control_server *server, usec now)
{
	for (int i = 0; i < 100 && server_is_ready(server); i++)
		(void)control_server_handle(server, now);
	assert_false(server_is_ready(server));
}

/* A server in a thread of its own, for control_request, which waits. */
struct served {
	struct control_server *server;
	atomic_bool stop;
};

static void *serve(void *arg)
{
	struct served *s = arg;
	struct pollfd p = {.fd = control_server_fd(s->server), .events = POLLIN};
	while (!s->stop) {
		poll(&p, 1, 10);
		(void)control_server_handle(s->server, clock_now());
	}
	return NULL;
}

static void answers_requests(void **state)
{
	int count = 0;
	struct served s = {.server = server_open(&count)};
	pthread_t thread;
	json_t *document;
	struct fault fault;
	assert_int_equal(pthread_create(&thread, NULL, serve, &s), 0);
	assert_int_equal(control_request(SOCKET_NAME, "status", &document, &fault), OK);
	assert_string_equal(json_string_value(json_object_get(document, "interface")), "snk0");
	json_decref(document);
	assert_int_equal(control_request(SOCKET_NAME, "large", &document, &fault), OK);
	assert_int_equal(json_array_size(json_object_get(document, "list")), 300000);
	json_decref(document);
	assert_int_equal(control_request(SOCKET_NAME, "nonsense", &document, &fault), ERR_STATE);
	assert_non_null(strstr(fault.text, "unknown request"));
	char large[1000];
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(control_request(SOCKET_NAME, large, &document, &fault), ERR_STATE);
	assert_non_null(strstr(fault.text, "too long"));
	s.stop = true;
	pthread_join(thread, NULL);
	control_server_close(s.server);
	assert_int_equal(count, 3);
	assert_int_equal(control_request(SOCKET_NAME, "status", &document, &fault), ERR_NOT_FOUND);
}

static void leaves_nothing_behind(void **state)
{
	struct stat st;
	int count = 0;
	struct control_server *server = server_open(&count);
	assert_int_equal(stat(SOCKET_NAME, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(SOCKET_NAME ".lock", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	control_server_close(server);
	assert_int_equal(access(SOCKET_NAME, F_OK), -1);
	assert_int_equal(access(SOCKET_NAME ".lock", F_OK), -1);
	control_server_close(NULL);
}

static void refuses_a_second_server(void **state)
{
	int count = 0;
	struct control_server *first = server_open(&count), *second;
	struct fault fault;
	assert_int_equal(control_server_open(&second, SOCKET_NAME, answer, &count, &fault), ERR_EXISTS);
	assert_null(second);
	assert_non_null(strstr(fault.text, "already running"));
	assert_int_equal(access(SOCKET_NAME, F_OK), 0);
	assert_int_equal(access(SOCKET_NAME ".lock", F_OK), 0);
	control_server_close(first);
	control_server_close(server_open(&count));
}

static void replaces_what_a_dead_one_left(void **state)
{
	int count = 0;
	pid_t child = fork();
	if (child == 0) {
		struct control_server *server;
		_exit(control_server_open(&server, SOCKET_NAME, answer, &count, NULL) != OK);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(access(SOCKET_NAME, F_OK), 0);
	assert_int_equal(access(SOCKET_NAME ".lock", F_OK), 0);
	json_t *document;
	assert_int_equal(control_request(SOCKET_NAME, "status", &document, NULL), ERR_NOT_FOUND);
	control_server_close(server_open(&count));
}

/* Something that is not ours stands where the socket should. */
static void leaves_others_alone(void **state)
{
	struct control_server *server;
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_NAME};
	int count = 0, fd = open(SOCKET_NAME, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(control_server_open(&server, SOCKET_NAME, answer, &count, NULL), ERR_EXISTS);
	assert_int_equal(access(SOCKET_NAME ".lock", F_OK), -1);
	assert_int_equal(unlink(SOCKET_NAME), 0);

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(control_server_open(&server, SOCKET_NAME, answer, &count, NULL), ERR_EXISTS);
	close(fd);
	control_server_close(server_open(&count));
}

static void says_why_it_cannot_open(void **state)
{
	struct control_server *server;
	struct fault fault;
	char large[200];
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(control_server_open(&server, large, answer, NULL, &fault), ERR_TOO_BIG);
	assert_int_equal(control_server_open(&server, "", answer, NULL, &fault), ERR_TOO_BIG);
	assert_int_equal(control_server_open(&server, "no/such/folder", answer, NULL, &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, "no/such"));
	json_t *document;
	assert_int_equal(control_request(large, "status", &document, &fault), ERR_TOO_BIG);
}

static void drops_a_slow_client(void **state)
{
	int count = 0;
	char text[300];
	struct control_server *server = server_open(&count);
	int slow = client_open();
	usec start = 5 * USEC_PER_SEC;
	client_say(slow, "stat");
	server_run(server, start);
	assert_int_equal(control_server_handle(server, start + 1), start + CONTROL_DEADLINE);
	assert_int_equal(control_server_handle(server, start + CONTROL_DEADLINE), USEC_NEVER);
	assert_string_equal(client_hear(slow, text, sizeof(text)), "");

	/* one that asks for much and does not read it */
	slow = client_open();
	client_say(slow, "large\n");
	server_run(server, start);
	assert_int_equal(count, 1);
	assert_int_equal(control_server_handle(server, start + 1), start + CONTROL_DEADLINE);
	assert_int_equal(control_server_handle(server, start + CONTROL_DEADLINE), USEC_NEVER);
	close(slow);
	control_server_close(server);
}

static void takes_a_request_in_pieces(void **state)
{
	int count = 0;
	char text[300];
	struct control_server *server = server_open(&count);
	int fd = client_open();
	for (const char *c = "status\n"; *c; c++) {
		client_say(fd, (char[]){*c, '\0'});
		server_run(server, 1);
	}
	assert_string_equal(client_hear(fd, text, sizeof(text)), "{\"interface\":\"snk0\"}");
	control_server_close(server);
}

static void bounds_clients(void **state)
{
	int count = 0, idle[CONTROL_CLIENTS_MAX];
	char text[300];
	struct control_server *server = server_open(&count);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		idle[i] = client_open();
	int ninth = client_open();
	client_say(ninth, "status\n");
	server_run(server, 1); /* and does not spin: the descriptor is quiet with one waiting */
	assert_int_equal(count, 0);
	close(idle[3]);
	server_run(server, 2);
	assert_int_equal(count, 1);
	assert_string_equal(client_hear(ninth, text, sizeof(text)), "{\"interface\":\"snk0\"}");
	control_server_close(server);
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (i != 3)
			assert_string_equal(client_hear(idle[i], text, sizeof(text)), "");
	}
}

static void bounds_requests(void **state)
{
	int count = 0;
	char request[CONTROL_REQUEST_MAX + 2], text[300];
	struct control_server *server = server_open(&count);
	memset(request, 'x', sizeof(request));
	request[CONTROL_REQUEST_MAX] = '\n';
	request[CONTROL_REQUEST_MAX + 1] = '\0';
	int fd = client_open();
	client_say(fd, request); /* just fits */
	server_run(server, 1);
	assert_int_equal(count, 1);
	assert_non_null(strstr(client_hear(fd, text, sizeof(text)), "unknown"));
	request[CONTROL_REQUEST_MAX] = 'x';
	fd = client_open();
	client_say(fd, request);
	server_run(server, 1);
	assert_int_equal(count, 1);
	assert_non_null(strstr(client_hear(fd, text, sizeof(text)), "too long"));
	control_server_close(server);
}

/* Clients that go away at any time leave the server as it was. */
static void survives_clients_that_vanish(void **state)
{
	static const char *const words[] = {"", "sta", "status\n", "large\n"};
	int count = 0;
	struct control_server *server = server_open(&count);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		int fd = client_open();
		client_say(fd, words[i]);
		close(fd);
		server_run(server, 1);
		fd = client_open();
		client_say(fd, words[i]);
		server_run(server, 1);
		close(fd);
		server_run(server, 1);
	}
	assert_int_equal(control_server_handle(server, 1), USEC_NEVER);
	control_server_close(server);
}

/* Another user is not served (only root can try). */
static void refuses_another_user(void **state)
{
	int count = 0;
	if (geteuid() != 0)
		skip();
	struct control_server *server = server_open(&count);
	assert_int_equal(chmod(SOCKET_NAME, 0666), 0);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(chmod("run", 0755), 0);
	pid_t child = fork();
	if (child == 0) {
		struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_NAME};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);
		_exit(setuid(65534) < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
			send(fd, "status\n", 7, MSG_NOSIGNAL) != 7);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	server_run(server, 1);
	assert_int_equal(count, 0);
	control_server_close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_requests),
		cmocka_unit_test(leaves_nothing_behind),
		cmocka_unit_test(refuses_a_second_server),
		cmocka_unit_test(replaces_what_a_dead_one_left),
		cmocka_unit_test(leaves_others_alone),
		cmocka_unit_test(says_why_it_cannot_open),
		cmocka_unit_test(drops_a_slow_client),
		cmocka_unit_test(takes_a_request_in_pieces),
		cmocka_unit_test(bounds_clients),
		cmocka_unit_test(bounds_requests),
		cmocka_unit_test(survives_clients_that_vanish),
		cmocka_unit_test(refuses_another_user),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
