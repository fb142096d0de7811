/*
 * load: N clients of one jorm server from one process. Each has an identity and an address of its own; all share one
 * UDP socket, which takes and sends for a whole network of addresses (`ip route add local NET dev lo`).
 *
 *   load --key-ids N                      prints the key IDs of clients 0 to N - 1, for the server's configuration
 *   load --server IP:PORT --key ID --source IP [options]
 *
 *   --clients N      how many (1)                --first N        the number of the first (0)
 *   --rate R         begin R a second (all at once)
 *   --hold S         go on for S seconds (5)     --keepalive S    (10)
 *   --stream S       when all are up, send packets for S seconds as fast as possible, each client in turn
 *   --inner IP       address of client 0 in the tunnel, --to IP: where those packets go
 *   --burst N        packets that a client sends at once (16)
 *
 * Prints a line of JSON when all are up; after one has lost its session, when all have a new one; and at the end.
 * Times are seconds of CLOCK_BOOTTIME, latencies those of the sessions since the line before.
 */
#include "load_client.h"
#include "load_stream.h"

#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RECEIVE_BATCH 64
#define SOCKET_BUFFER (64 << 20)

static struct {
	/* Options. */
	unsigned n_clients, first, key_ids, burst;
	double rate, hold_s, keepalive_s, stream_s;
	struct sockaddr_in server;
	uint32_t source, inner, to; /* host byte order; of client 0 */

	struct client_config config;
	struct client *clients;
	int socket;
	bool has_printed;   /* that all are up */
	bool *has_returned; /* since the first of them was lost: the others' sessions may be as dead */
	unsigned n_up, n_returned;
	uint64_t sessions, ends, unsent;
	usec started, first_lost;
	double *latencies_ms; /* of all sessions, n_latencies of size_latencies */
	size_t n_latencies, size_latencies;
} self = {.n_clients = 1, .burst = 16, .hold_s = 5, .keepalive_s = 10};

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "load: %s: %s\n", what, why);
	exit(1);
}

/* ---- datagrams ---- */

static void transmit(void *context, uint32_t number, const uint8_t *data, size_t len)
{
	if (!stream_transmit(self.socket, &self.server, self.source + number, data, len, 0))
		self.unsent++;
}

static void open_socket(void)
{
	const int one = 1, buffer = SOCKET_BUFFER;
	struct sockaddr_in any = {.sin_family = AF_INET};
	self.socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (self.socket < 0 || setsockopt(self.socket, IPPROTO_IP, IP_PKTINFO, &one, sizeof one) ||
		setsockopt(self.socket, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) ||
		setsockopt(self.socket, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer) ||
		bind(self.socket, (struct sockaddr *)&any, sizeof any))
		die("the socket (it needs CAP_NET_ADMIN)", strerror(errno));
}

/* The client whose address a datagram came to. */
static struct client *client_of(struct msghdr *message)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		struct in_pktinfo info;
		if (c->cmsg_level != IPPROTO_IP || c->cmsg_type != IP_PKTINFO)
			continue;
		memcpy(&info, CMSG_DATA(c), sizeof info);
		uint32_t number = ntohl(info.ipi_addr.s_addr) - self.source - self.first;
		return number < self.n_clients ? &self.clients[number] : NULL;
	}
	return NULL;
}

static void receive(usec now)
{
	static uint8_t data[RECEIVE_BATCH][2048], control[RECEIVE_BATCH][64];
	struct iovec iov[RECEIVE_BATCH];
	struct mmsghdr messages[RECEIVE_BATCH] = {0};
	int n;
	do {
		for (int i = 0; i < RECEIVE_BATCH; i++) {
			iov[i] = (struct iovec){data[i], sizeof data[i]};
			messages[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i],
				.msg_iovlen = 1,
				.msg_control = control[i],
				.msg_controllen = sizeof control[i]};
		}
		n = recvmmsg(self.socket, messages, RECEIVE_BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++) {
			struct client *c = client_of(&messages[i].msg_hdr);
			if (c)
				client_input(c, data[i], messages[i].msg_len, now);
		}
	} while (n == RECEIVE_BATCH);
}

/* ---- figures ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double percentile(double share)
{
	if (self.n_latencies == 0)
		return 0;
	qsort(self.latencies_ms, self.n_latencies, sizeof *self.latencies_ms, compare);
	size_t at = (size_t)((double)self.n_latencies * share);
	return self.latencies_ms[at < self.n_latencies ? at : self.n_latencies - 1];
}

static double seconds(usec t)
{
	return (double)t / 1e6;
}

static void print_figures(const char *event, usec now)
{
	uint64_t expired = 0, rejected = 0;
	for (unsigned i = 0; i < self.n_clients; i++) {
		expired += self.clients[i].expired;
		rejected += self.clients[i].rejected;
	}
	printf("{\"event\": \"%s\", \"at\": %.6f, \"started\": %.6f, \"first_lost\": %.6f, \"clients\": %u, \"up\": "
	       "%u, "
	       "\"sessions\": %llu, \"ended\": %llu, \"expired\": %llu, \"rejected\": %llu, \"unsent\": %llu, "
	       "\"median_ms\": %.3f, \"p99_ms\": %.3f}\n",
		event, seconds(now), seconds(self.started), seconds(self.first_lost), self.n_clients, self.n_up,
		(unsigned long long)self.sessions, (unsigned long long)self.ends, (unsigned long long)expired,
		(unsigned long long)rejected, (unsigned long long)self.unsent, percentile(0.5), percentile(0.99));
	fflush(stdout);
}

static void on_up(void *context, uint32_t number, usec took)
{
	if (self.n_latencies == self.size_latencies) {
		self.size_latencies = self.size_latencies ? self.size_latencies * 2 : 4096;
		self.latencies_ms = realloc(self.latencies_ms, self.size_latencies * sizeof *self.latencies_ms);
		if (!self.latencies_ms)
			die("latencies", strerror(ENOMEM));
	}
	self.latencies_ms[self.n_latencies++] = (double)took / 1e3;
	self.sessions++;
	self.n_up++;
	self.n_returned += !self.has_returned[number - self.first];
	self.has_returned[number - self.first] = true;
}

static void on_down(void *context, uint32_t number)
{
	if (self.has_printed) {
		self.first_lost = clock_now();
		self.has_printed = false;
		self.n_latencies = self.n_returned = 0; /* those of the return are told */
		memset(self.has_returned, 0, self.n_clients * sizeof *self.has_returned);
	}
	self.n_up--;
	self.ends++;
}

/* ---- the run ---- */

static usec tick_all(usec now)
{
	usec next = USEC_NEVER;
	for (unsigned i = 0; i < self.n_clients; i++) {
		if (self.clients[i].due <= now) {
			client_tick(&self.clients[i], now);
			/* A handshake's start takes a while: what has come meanwhile is more urgent than the next one.
			 */
			receive(now = clock_now());
		}
		next = self.clients[i].due < next ? self.clients[i].due : next;
	}
	return next;
}

static void make_clients(void)
{
	const usec now = clock_now();
	self.clients = calloc(self.n_clients, sizeof *self.clients);
	self.has_returned = calloc(self.n_clients, sizeof *self.has_returned);
	if (!self.clients || !self.has_returned)
		die("clients", strerror(ENOMEM));
	for (unsigned i = 0; i < self.n_clients; i++)
		if (client_init(&self.clients[i], &self.config, self.first + i, now) != OK)
			die("a client", "no identity");
	self.started = clock_now();
	for (unsigned i = 0; i < self.n_clients; i++)
		self.clients[i].begin_at = self.clients[i].due =
			self.started + (self.rate > 0 ? (usec)(1e6 * i / self.rate) : 0);
}

static void stream_all(void)
{
	struct stream_plan plan = {.socket = self.socket,
		.server = self.server,
		.source = self.source + self.first,
		.inner = self.inner + self.first,
		.to = self.to,
		.burst = self.burst,
		.clients = self.clients,
		.n_clients = self.n_clients};
	uint64_t bytes = 0, packets = 0;
	const usec start = clock_now(), end = start + (usec)(self.stream_s * 1e6);
	for (usec now = start; now < end; now = clock_now()) {
		stream_round(&plan, &packets, &bytes);
		receive(now);
		tick_all(now);
	}
	printf("{\"event\": \"stream\", \"at\": %.6f, \"seconds\": %.3f, \"packets\": %llu, \"bytes\": %llu}\n",
		seconds(clock_now()), seconds(clock_now() - start), (unsigned long long)packets,
		(unsigned long long)bytes);
	fflush(stdout);
}

static void run(void)
{
	make_clients();
	const usec end = self.started + (usec)(self.hold_s * 1e6);
	bool has_streamed = false;
	for (usec now = clock_now(); now < end; now = clock_now()) {
		usec next = tick_all(now);
		if (self.n_up == self.n_clients && self.n_returned == self.n_clients && !self.has_printed) {
			print_figures("all up", clock_now());
			self.has_printed = true;
		}
		if (self.has_printed && self.stream_s > 0 && !has_streamed) {
			has_streamed = true;
			stream_all();
			continue;
		}
		now = clock_now();
		usec wait = next > now ? next - now : 0;
		struct pollfd p = {.fd = self.socket, .events = POLLIN};
		if (poll(&p, 1, (int)((wait < USEC_PER_SEC ? wait : USEC_PER_SEC) / USEC_PER_MS)) > 0)
			receive(clock_now());
	}
	print_figures("end", clock_now());
	for (unsigned i = 0; i < self.n_clients; i++)
		client_done(&self.clients[i]);
	free(self.clients);
	free(self.has_returned);
	free(self.latencies_ms);
}

/* ---- options ---- */

static void print_key_ids(void)
{
	for (unsigned i = 0; i < self.key_ids; i++) {
		struct identity *id;
		char text[KEY_ID_TEXT_LEN];
		if (client_identity(&id, self.first + i) != OK)
			die("an identity", "libcrypto fails");
		puts(key_id_format(identity_key_id(id), text));
		identity_free(id);
	}
}

static uint32_t parse_ip(const char *text)
{
	struct in_addr in;
	if (inet_pton(AF_INET, text, &in) != 1)
		die(text, "not an IPv4 address");
	return ntohl(in.s_addr);
}

static void parse_server(char *text)
{
	char *colon = strchr(text, ':');
	if (!colon)
		die(text, "not IP:PORT");
	*colon = '\0';
	self.server = (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(colon + 1)),
		.sin_addr.s_addr = htonl(parse_ip(text))};
}

static bool has_key;

static void take_option(int option, char *value)
{
	switch (option) {
	case 'c':
		self.n_clients = (unsigned)atoi(value);
		break;
	case 'f':
		self.first = (unsigned)atoi(value);
		break;
	case 'k':
		self.key_ids = (unsigned)atoi(value);
		break;
	case 's':
		parse_server(value);
		break;
	case 'i':
		has_key = key_id_parse(self.config.server_key_id, value) == OK;
		break;
	case 'o':
		self.source = parse_ip(value);
		break;
	case 'n':
		self.inner = parse_ip(value);
		break;
	case 't':
		self.to = parse_ip(value);
		break;
	case 'r':
		self.rate = atof(value);
		break;
	case 'h':
		self.hold_s = atof(value);
		break;
	case 'a':
		self.keepalive_s = atof(value);
		break;
	case 'S':
		self.stream_s = atof(value);
		break;
	case 'b':
		self.burst = (unsigned)atoi(value);
		break;
	default:
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"clients", 1, NULL, 'c'}, {"first", 1, NULL, 'f'},
		{"key-ids", 1, NULL, 'k'}, {"server", 1, NULL, 's'}, {"key", 1, NULL, 'i'}, {"source", 1, NULL, 'o'},
		{"inner", 1, NULL, 'n'}, {"to", 1, NULL, 't'}, {"rate", 1, NULL, 'r'}, {"hold", 1, NULL, 'h'},
		{"keepalive", 1, NULL, 'a'}, {"stream", 1, NULL, 'S'}, {"burst", 1, NULL, 'b'}, {0}};
	for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
		take_option(option, optarg);
	if (self.key_ids) {
		print_key_ids();
		return 0;
	}
	if (!self.server.sin_port || !has_key || !self.source || self.n_clients == 0 ||
		self.burst - 1 >= STREAM_BURST_MAX || (self.stream_s > 0 && (!self.inner || !self.to)))
		die("usage",
			"--server IP:PORT --key ID --source IP [...]; the first lines of bench/load.c tell the rest");
	self.config.suites = CIPHER_ALL;
	self.config.keepalive = (usec)(self.keepalive_s * 1e6);
	self.config.rng = rng_system();
	self.config.send = transmit;
	self.config.up = on_up;
	self.config.down = on_down;
	open_socket();
	run();
	return 0;
}
