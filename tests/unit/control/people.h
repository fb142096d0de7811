/*
 * A server in a folder of its own, and clients without manners, for the tests of src/control. The server's clock is the
 * tests'.
 */
#pragma once

#include "control/control.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define SOCKET_NAME "run/t.sock"
#define LARGE_COUNT 300000 /* numbers in the document that no socket's buffer holds */

static char folder[] = "/tmp/jorm-control-XXXXXX";

[[maybe_unused]] static int set_up(void **state)
{
	(void)state;
	return !mkdtemp(folder) || chdir(folder) < 0 ? -1 : 0;
}

[[maybe_unused]] static int tear_down(void **state)
{
	static const char *const names[] = {SOCKET_NAME, SOCKET_NAME ".lock", "run"};
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		remove(names[i]);
	return chdir("/") < 0 ? -1 : rmdir(folder);
}

/* What the handler was asked. */
struct asked {
	int count;
	enum control_operation operation;
	char name[300], body[300];
	uid_t uid;
};

/* /v1/peers is large; a peer that is to be removed is not there; the metrics are a text. */
static void handle(void *context, const struct control_call *call, struct control_reply *reply)
{
	struct asked *asked = context;
	asked->count++;
	asked->operation = call->operation;
	asked->uid = call->uid;
	snprintf(asked->name, sizeof(asked->name), "%s", call->name ? call->name : "");
	char *body = call->body ? json_dumps(call->body, JSON_COMPACT) : NULL;
	snprintf(asked->body, sizeof(asked->body), "%s", body ? body : "");
	free(body);
	if (call->operation == CONTROL_STATUS) {
		reply->document = json_pack("{s:s}", "interface", "snk0");
	} else if (call->operation == CONTROL_PEERS) {
		json_t *list = json_array();
		for (int i = 0; i < LARGE_COUNT; i++)
			json_array_append_new(list, json_integer(i));
		reply->document = json_pack("{s:o}", "list", list);
	} else if (call->operation == CONTROL_PEER_REMOVE) {
		reply->err = fault_set(&reply->fault, ERR_NOT_FOUND, "there is no peer %s", call->name);
	} else if (call->operation == CONTROL_METRICS) {
		reply->text = strdup("jorm_up 1\n");
	}
}

static struct control_config config_of(struct asked *asked)
{
	return (struct control_config){
		.path = SOCKET_NAME, .group = (gid_t)-1, .owner = geteuid(), .handler = handle, .context = asked};
}

[[maybe_unused]] static struct control_server *server_open(struct asked *asked)
{
	struct control_server *server;
	struct control_config config = config_of(asked);
	struct fault fault;
	if (control_server_open(&server, &config, &fault))
		fail_msg("%s", fault.text);
	return server;
}

[[maybe_unused]] static int client_open(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_NAME};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

[[maybe_unused]] static void client_say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* All that has come and is to come until the server closes; returns text. */
[[maybe_unused]] static const char *client_hear(int fd, char *text, size_t size)
{
	size_t len = 0;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	while (len < size - 1 && poll(&p, 1, 5000) == 1) {
		ssize_t n = recv(fd, text + len, size - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	close(fd);
	return text;
}

/* Has something to do, at that time. */
[[maybe_unused]] static bool server_is_ready(const struct control_server *server)
{
	struct pollfd p = {.fd = control_server_fd(server), .events = POLLIN};
	return poll(&p, 1, 0) == 1;
}

/* As long as there is something to do; returns when there will be. A server that never rests fails. */
[[maybe_unused]] static usec server_run(struct control_server *server, usec now)
{
	usec next = control_server_handle(server, now);
	for (int i = 0; i < 1000 && (server_is_ready(server) || next <= now); i++)
		next = control_server_handle(server, now);
	assert_false(server_is_ready(server));
	assert_true(next > now);
	return next;
}

/* A whole exchange: what is said, and all that is answered. */
[[maybe_unused]] static const char *exchange(struct control_server *server, const char *say, char *text, size_t size)
{
	int fd = client_open();
	client_say(fd, say);
	(void)server_run(server, 1);
	return client_hear(fd, text, size);
}
