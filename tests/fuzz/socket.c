/* The local status socket: what a client sends, in pieces (a length byte before each). */
#include "fuzz.h"

#include "control/server.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static json_t *answer(void *context, const char *request)
{
	(void)context;
	MUST(strlen(request) <= CONTROL_REQUEST_MAX);
	return strcmp(request, "status") == 0 ? json_pack("{s:s}", "version", "fuzz") : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char folder[] = "/tmp/fuzz-socket-XXXXXX", out[512];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct control_server *server;
	struct reader r = reader_of(data, len);
	MUST(mkdtemp(folder));
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/s", folder);
	MUST(control_server_open(&server, address.sun_path, answer, NULL, NULL) == OK);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	MUST(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
	usec now = 0;
	while (reader_left(&r)) {
		struct view piece = fuzz_take(&r, reader_u8(&r));
		if (piece.len)
			(void)!send(fd, piece.data, piece.len, MSG_NOSIGNAL);
		control_server_handle(server, now++);
	}
	shutdown(fd, SHUT_WR);
	for (int i = 0; i < 3; i++)
		control_server_handle(server, now++);
	while (recv(fd, out, sizeof out, 0) > 0)
		;
	control_server_handle(server, now + CONTROL_DEADLINE + 1);
	close(fd);
	control_server_close(server);
	(void)snprintf(out, sizeof out, "%s/s.lock", folder);
	(void)!unlink(out);
	MUST(rmdir(folder) == 0); /* nothing is left behind */
	return 0;
}
