/*
 * In place of the daemon, for tests of the commands: no device, no network, only the control
 * socket. An interface named "refused" cannot be set up; one named "crash" ends its process.
 */
#include "daemon/confine.h"
#include "daemon/daemon.h"
#include "daemon/sandbox.h"

#include "config/config.h"
#include "control/control.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct stub {
	const struct config *config;
	struct control_server *server;
	bool stop;
};

static const char status[] =
	"{\"version\": \"0.1.0\", \"interface\": \"snk7\", \"mtu\": 1420, \"listen_port\": 10666, \"key_id\": \"OWN\","
	" \"algorithm\": \"ML-DSA-65\", \"uptime_s\": 93784, \"sandbox\": \"user jorm, seccomp\", \"kill_switch\": "
	"true,"
	" \"dns\": [\"10.66.0.1\"], \"leases\": {\"used\": 2}, \"peers\": ["
	" {\"name\": \"laptop\", \"source\": \"folder\", \"addresses\": [\"10.66.0.7/32\", \"fd66::7/128\"], "
	"\"key_id\": \"THEIRS\", \"endpoint\": \"192.0.2.1:10666\","
	"  \"allowed_ips\": [\"10.66.0.2/32\", \"fd66::2/128\"], \"state\": \"established\", \"last_handshake_s\": 61,"
	"  \"protection\": \"AEAD\", \"kem\": \"ML-KEM-1024 + X25519\", \"signature_local\": \"ML-DSA-65\","
	"  \"signature_peer\": \"ML-DSA-87\", \"cipher\": \"AES-256-GCM\", \"preshared_key\": true, \"path_mtu\": 1500,"
	"  \"epoch\": 0, \"rx_bytes\": 1610612736, \"tx_bytes\": 1000, \"rx_packets\": 5, \"tx_packets\": 6,"
	"  \"last_receive_s\": 0, \"reject_reason\": null},"
	" {\"name\": \"silent\", \"source\": \"file\", \"addresses\": [], \"given\": {\"addresses\": [\"10.9.0.5/24\"],"
	"   \"routes\": [\"10.9.0.0/16\", \"fd09::/48\"], \"dns\": [\"10.9.0.1\"], \"domains\": [\"corp.example\"], "
	"\"mtu\": 1400,"
	"   \"keepalive_s\": null}, \"key_id\": \"OTHERS\", \"endpoint\": null, \"allowed_ips\": [], \"state\": "
	"\"idle\","
	"  \"last_handshake_s\": null, \"preshared_key\": false, \"rx_bytes\": 0, \"tx_bytes\": 0,"
	"  \"last_receive_s\": null, \"reject_reason\": \"not\\u001b[31m welcome\"},"
	" {\"name\": \"vault\", \"source\": \"folder\", \"key_id\": \"NONE\", \"state\": \"established\", \"kem\": "
	"null,"
	"  \"protection\": \"information-theoretic\", \"cipher\": null, \"signature_local\": null, \"rx_bytes\": 0,"
	"  \"tx_bytes\": 0, \"pad\": {\"id\": \"3f9a0102030405060708090a0b0c0d0e\", \"state\": \"old\", \"fault\": "
	"null,"
	"   \"size\": 17179869184, \"left\": 6442450944, \"peer_left\": 6442450944, \"measured_s\": 1209600,"
	"   \"lasts_until\": \"2027-03-01T12:00:00Z\"}},"
	" {\"name\": \"spent\", \"source\": \"file\", \"key_id\": \"NONE\", \"state\": \"idle\", \"kem\": null,"
	"  \"protection\": \"pad + AEAD\", \"rx_bytes\": 0, \"tx_bytes\": 0, \"pad\": {"
	"   \"id\": \"4f9a0102030405060708090a0b0c0d0e\", \"state\": \"failed\", \"fault\": \"no room\\u001b[31m\","
	"   \"size\": 1048576, \"left\": 0, \"peer_left\": 512, \"measured_s\": null, \"lasts_until\": null}} ],"
	" \"drops\": {\"replay\": 3, \"auth\": 0}, \"handshakes\": {\"completed\": 2}}";

static const char leases[] =
	"{\"leases\": ["
	" {\"address\": \"10.66.0.7\", \"key_id\": \"THEIRS\", \"peer\": \"laptop\", \"connected\": true},"
	" {\"address\": \"fd66::9\", \"key_id\": \"GONE\", \"peer\": null, \"connected\": false}]}";

/* What has been asked is an event, so that the tests see it. */
static void tell(const struct stub *stub, const char *event, const char *text)
{
	control_server_event(stub->server,
		json_pack("{s:s, s:n, s:s, s:i}", "event", event, "peer", "text", text, "time", 1700000000));
}

static enum err peer_add(const struct stub *stub, const json_t *body, struct fault *fault)
{
	struct control_peer peer;
	enum err e = control_peer_parse(&peer, body, fault);
	if (e)
		return e;
	if (strcmp(peer.config.name, "laptop") == 0)
		e = fault_set(fault, ERR_EXISTS, "there is a peer laptop already");
	char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
	if (e == OK && text)
		tell(stub, "added", text);
	free(text);
	control_peer_done(&peer);
	return e;
}

static void answer(void *ctx, const struct control_call *call, struct control_reply *reply)
{
	struct stub *stub = ctx;
	switch (call->operation) {
	case CONTROL_STATUS:
		reply->document = json_loads(status, 0, NULL);
		break;
	case CONTROL_PEERS:
		reply->document = json_loads(status, 0, NULL);
		break;
	case CONTROL_PEER_ADD:
		reply->err = peer_add(stub, call->body, &reply->fault);
		break;
	case CONTROL_PEER_REMOVE:
	case CONTROL_LEASE_FREE:
		if (strcmp(call->name, "laptop") == 0 || strcmp(call->name, "fd66::9") == 0)
			tell(stub, "removed", call->name);
		else
			reply->err = fault_set(&reply->fault, ERR_NOT_FOUND, "there is no %s", call->name);
		break;
	case CONTROL_LEASES:
		reply->document = json_loads(leases, 0, NULL);
		break;
	case CONTROL_RELOAD:
		tell(stub, "reloaded", "a\033[31m line");
		break;
	case CONTROL_DOWN:
		stub->stop = true;
		break;
	case CONTROL_PEER:
	case CONTROL_COUNTERS:
	case CONTROL_METRICS:
	case CONTROL_EVENTS:
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
	stub.server = server;
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

/* Of what the programs for older protocols do before they need a device, there is nothing to guard. */
void sandbox_protect_memory(void) {}

enum err confine_enter(const struct confine_config *config, struct fault *fault)
{
	(void)config;
	return fault_set(fault, ERR_UNSUPPORTED, "there is no network for the tests of the commands");
}
