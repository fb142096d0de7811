/*
 * In place of the daemon, for tests of the commands: no device, no network, only the control
 * socket. An interface named "refused" cannot be set up; one named "crash" ends its process.
 */
#include "daemon/daemon.h"

#include "config/config.h"
#include "control/control.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stub {
	const struct config *config;
	bool stop;
};

static const char status[] =
	"{\"version\": \"0.1.0\", \"interface\": \"snk7\", \"mtu\": 1420, \"listen_port\": 10666, \"key_id\": \"OWN\","
	" \"algorithm\": \"ML-DSA-65\", \"uptime_s\": 93784, \"peers\": ["
	" {\"name\": \"laptop\", \"key_id\": \"THEIRS\", \"endpoint\": \"192.0.2.1:10666\","
	"  \"allowed_ips\": [\"10.66.0.2/32\", \"fd66::2/128\"], \"state\": \"established\", \"last_handshake_s\": 61,"
	"  \"protection\": \"post-quantum\", \"kem\": \"ML-KEM-1024 + X25519\", \"signature_local\": \"ML-DSA-65\","
	"  \"signature_peer\": \"ML-DSA-87\", \"cipher\": \"AES-256-GCM\", \"preshared_key\": true, \"path_mtu\": 1500,"
	"  \"epoch\": 0, \"rx_bytes\": 1610612736, \"tx_bytes\": 1000, \"rx_packets\": 5, \"tx_packets\": 6,"
	"  \"last_receive_s\": 0, \"reject_reason\": null},"
	" {\"name\": \"silent\", \"key_id\": \"OTHERS\", \"endpoint\": null, \"allowed_ips\": [], \"state\": \"idle\","
	"  \"last_handshake_s\": null, \"preshared_key\": false, \"rx_bytes\": 0, \"tx_bytes\": 0,"
	"  \"last_receive_s\": null, \"reject_reason\": \"not\\u001b[31m welcome\"} ],"
	" \"drops\": {\"replay\": 3, \"auth\": 0}, \"handshakes\": {\"completed\": 2}}";

static void answer(void *ctx, const struct control_call *call, struct control_reply *reply)
{
	struct stub *stub = ctx;
	switch ((int)call->operation) {
	case CONTROL_STATUS:
		reply->document = json_loads(status, 0, NULL);
		break;
	case CONTROL_DOWN:
		stub->stop = true;
		break;
	default:
		reply->err = ERR_UNSUPPORTED;
	}
}

enum err daemon_run(const struct daemon_options *options, struct fault *fault)
{
	struct stub stub = {.config = options->config};
	struct control_server *server;
	if (strcmp(options->config->name, "refused") == 0)
		return fault_set(fault, ERR_PERMISSION, "cannot make the interface: run this as root");
	if (strcmp(options->config->name, "crash") == 0)
		abort();
	enum err e = control_server_open(&server,
		&(struct control_config){.path = options->config->control_socket,
			.group = (gid_t)-1,
			.owner = geteuid(),
			.handler = answer,
			.context = &stub},
		fault);
	if (e)
		return e;
	if (options->ready)
		options->ready(options->ready_ctx, "snk7");
	fprintf(stderr, "the stub serves\n");
	for (;;) {
		usec now = clock_now(), next = control_server_handle(server, now);
		struct pollfd p = {.fd = control_server_fd(server), .events = POLLIN};
		if (stub.stop)
			break;
		poll(&p, 1, next == USEC_NEVER ? -1 : next <= now ? 0 : (int)((next - now) / USEC_PER_MS + 1));
	}
	control_server_close(server);
	return OK;
}
