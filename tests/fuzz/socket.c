/*
 * The local API: what a client sends, in pieces (a length byte before each), to a whole server; and the parsers of our
 * own behind it, the path's and the one of a peer to be added, which a first byte of 0 and 1 chooses.
 */
#include "fuzz.h"

#include "control/control.h"
#include "control/route.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void fuzz_route(struct reader *r)
{
	static const char *const methods[] = {"GET", "POST", "DELETE", "HEAD"};
	struct route route;
	const char *method = methods[reader_u8(r) % 4];
	struct view path = fuzz_take(r, reader_left(r));
	char *text = calloc(1, path.len + 1); /* not strndup: strict_string_checks wants a string there */
	MUST(text);
	memcpy(text, path.data, path.len);
	enum err e = route_find(&route, method, text);
	if (e == OK) {
		size_t n = strlen(route.name);
		MUST(n < ROUTE_NAME_LEN && route.has_name == (n > 0));
		for (size_t i = 0; i < n; i++)
			MUST((unsigned char)route.name[i] >= 0x20 && route.name[i] != 0x7f);
		/* what a client makes of the name is the same operation on the same name */
		char again[1024];
		struct route second;
		const char *prefix = route.operation == CONTROL_LEASE_FREE ? "/v1/leases/" : "/v1/peers/";
		MUST(!route.has_name ||
			(control_path(again, sizeof again, prefix, route.name) == OK &&
				route_find(&second, method, again) == OK && second.operation == route.operation &&
				strcmp(second.name, route.name) == 0));
	} else {
		MUST((e == ERR_UNSUPPORTED && route.allow[0]) || e == ERR_NOT_FOUND);
	}
	free(text);
}

static void fuzz_peer(struct reader *r)
{
	struct view body = fuzz_take(r, reader_left(r));
	uint8_t *copy = fuzz_copy(body);
	json_t *document = json_loadb((const char *)copy, body.len, JSON_REJECT_DUPLICATES, NULL);
	struct control_peer peer;
	struct fault fault = {0};
	enum err e = control_peer_parse(&peer, document, &fault);
	MUST(e == OK || fault.text[0]);
	if (e == OK)
		MUST(peer.config.name[0] && !peer.config.endpoint == !peer.config.endpoint_host &&
			strlen(peer.allowed_ips) < CONTROL_ALLOWED_IPS_LEN);
	else
		MUST(!peer.config.name[0] && !peer.config.allowed_ips.items && !peer.config.endpoint);
	control_peer_done(&peer);
	json_decref(document);
	free(copy);
}

static void answer(void *context, const struct control_call *call, struct control_reply *reply)
{
	(void)context;
	MUST(!call->body || json_is_object(call->body));
	if (call->operation == CONTROL_METRICS)
		reply->text = strdup("up 1\n");
	else if (call->operation != CONTROL_STATUS)
		reply->err = ERR_NOT_FOUND;
}

static void fuzz_server(struct reader *r)
{
	char folder[] = "/tmp/fuzz-socket-XXXXXX", out[512];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control_server *server;
	MUST(mkdtemp(folder));
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
	struct control_config config = {
		.path = address.sun_path, .group = (gid_t)-1, .owner = geteuid(), .handler = answer};
	MUST(control_server_open(&server, &config, NULL) == OK);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	usec now = 0;
	while (reader_left(r)) {
		struct view piece = fuzz_take(r, reader_u8(r));
		if (piece.len)
			(void)!send(fd, piece.data, piece.len, MSG_NOSIGNAL);
		control_server_handle(server, now++);
		control_server_event(server, json_pack("{s:s}", "event", "fuzz"));
	}
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 3; i++)
		control_server_handle(server, now++);
	while (recv(fd, out, sizeof out, 0) > 0)
		;
	control_server_handle(server, now + CONTROL_DEADLINE + 1);
	close(fd);
	control_server_close(server);
	MUST(rmdir(folder) == 0); /* nothing is left behind */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	uint8_t kind = reader_u8(&r);
	if (kind == 0)
		fuzz_route(&r);
	else if (kind == 1)
		fuzz_peer(&r);
	else
		fuzz_server(&r);
	return 0;
}
