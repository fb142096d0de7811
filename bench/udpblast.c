/*
 * udpblast: small datagrams at a given rate, counted exactly at the other end; iperf3 spends a system
 * call a datagram and so measures itself. Each thread is one flow: thread i sends to port + i, where
 * thread i of the receiver listens, so a VPN with several queues has several flows to spread and no
 * counter is shared.
 *
 *   udpblast recv  ADDRESS:PORT [-n THREADS] [-r RUN] [-t SECONDS]
 *       prints "ready", counts until SIGTERM or for at most SECONDS (60), prints one line of JSON
 *   udpblast send  ADDRESS:PORT [-n THREADS] [-r RUN] [-t SECONDS] [-p PACKETS_A_SECOND] [-s BYTES]
 *       sends for SECONDS (1) at the rate (of all threads together; 0: as fast as it can), prints JSON
 *   udpblast echo  ADDRESS:PORT [-t SECONDS]
 *       prints "ready", sends every datagram back
 *   udpblast first ADDRESS:PORT [-t SECONDS]
 *       sends a datagram every millisecond until one comes back, also while there is no route yet;
 *       prints the milliseconds it took. Exit status 1: none came
 *
 * RUN is a number that the datagrams carry: those that an earlier run left in a queue are not counted.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_THREADS 16
#define BATCH 64
#define ROOM 2048
#define TICK_NS 200000 /* between two bursts of the paced sender */
#define MAX_BURST                                                                                                      \
	128                   /* a sender that was not scheduled in time does not make up for it: that would           \
				 measure the length of queues */
#define MAP_BYTES (16U << 20) /* a bit a sequence number; committed as it is touched */

struct payload {
	uint32_t run;
	uint32_t flow;
	uint64_t seq;
};

static struct {
	struct sockaddr_in addr;
	unsigned threads, size;
	uint32_t run;
	double seconds, rate;
} self = {.threads = 2, .size = 64};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = 1;
}

_Noreturn static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static void sleep_until(uint64_t ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000U), .tv_nsec = (long)(ns % 1000000000U)};
	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* A socket of flow i that gives up waiting every 50 ms, to look whether it is to end. */
static int udp_socket(void)
{
	struct timeval patience = {.tv_usec = 50000};
	int size = 16 << 20, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("udpblast: socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

static struct sockaddr_in flow_addr(unsigned i)
{
	struct sockaddr_in a = self.addr;

	a.sin_port = htons((uint16_t)(ntohs(a.sin_port) + i));
	return a;
}

static int bound_socket(unsigned i)
{
	struct sockaddr_in a = flow_addr(i);
	int fd = udp_socket();

	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0)
		die("udpblast: bind");
	return fd;
}

struct batch {
	uint8_t buf[BATCH][ROOM];
	struct iovec iov[BATCH];
	struct mmsghdr m[BATCH];
};

static struct batch *batch_new(size_t size)
{
	struct batch *b = calloc(1, sizeof *b);

	if (!b)
		die("udpblast");
	for (unsigned i = 0; i < BATCH; i++) {
		b->iov[i] = (struct iovec){.iov_base = b->buf[i], .iov_len = size};
		b->m[i].msg_hdr = (struct msghdr){.msg_iov = &b->iov[i], .msg_iovlen = 1};
	}
	return b;
}

/* One thread of either end. */
struct flow {
	pthread_t thread;
	unsigned index;
	int fd;
	uint64_t packets, duplicates, reordered, elapsed_ns;
};

/* ---- recv ---- */

static void count(struct flow *f, uint8_t *seen, uint64_t *highest, const uint8_t *datagram, size_t len)
{
	struct payload p;

	if (len < sizeof p)
		return;
	memcpy(&p, datagram, sizeof p);
	if (p.run != self.run || p.flow != f->index || p.seq / 8 >= MAP_BYTES)
		return;
	uint8_t bit = (uint8_t)(1U << (p.seq % 8));
	if (seen[p.seq / 8] & bit) {
		f->duplicates++;
		return;
	}
	seen[p.seq / 8] |= bit;
	f->packets++;
	if (p.seq < *highest)
		f->reordered++;
	else
		*highest = p.seq;
}

static void *receive(void *arg)
{
	struct flow *f = arg;
	struct batch *b = batch_new(ROOM);
	uint8_t *seen = calloc(1, MAP_BYTES);
	uint64_t highest = 0, end = now_ns() + (uint64_t)(self.seconds * 1e9);

	if (!seen)
		die("udpblast");
	while (!stopped && now_ns() < end) {
		int k = recvmmsg(f->fd, b->m, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < k; i++)
			count(f, seen, &highest, b->buf[i], b->m[i].msg_len);
	}
	free(seen);
	free(b);
	return NULL;
}

/* ---- send ---- */

/* How many datagrams the clock owes; debt beyond a burst is forgiven. */
static unsigned due_now(uint64_t elapsed_ns, double rate, uint64_t sent, uint64_t *forgiven)
{
	uint64_t owed = (uint64_t)((double)elapsed_ns * rate / 1e9), done = sent + *forgiven;

	if (owed <= done)
		return 0;
	if (owed - done > MAX_BURST)
		*forgiven = owed - sent - MAX_BURST;
	return (unsigned)(owed - sent - *forgiven);
}

static void send_burst(struct flow *f, struct batch *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct payload p = {.run = self.run, .flow = f->index, .seq = f->packets + i};
		memcpy(b->buf[i], &p, sizeof p);
	}
	for (unsigned done = 0; done < n;) {
		int r = sendmmsg(f->fd, b->m + done, n - done, 0);
		if (r > 0)
			done += (unsigned)r;
		else if (errno == ENOBUFS || errno == EAGAIN)
			done++; /* dropped on the way out: lost like any other */
		else if (errno != ECONNREFUSED && errno != EINTR)
			die("udpblast: sendmmsg");
	}
	f->packets += n;
}

static void *transmit(void *arg)
{
	struct flow *f = arg;
	struct batch *b = batch_new(self.size);
	double rate = self.rate / self.threads;
	uint64_t forgiven = 0, start = now_ns(), length = (uint64_t)(self.seconds * 1e9);

	prctl(PR_SET_TIMERSLACK, 1UL);
	/* Threads take turns within a tick, so that their bursts do not add up. */
	uint64_t tick = start + TICK_NS * f->index / self.threads, now = start;
	for (; now - start < length && !stopped; now = now_ns()) {
		unsigned due = rate > 0 ? due_now(now - start, rate, f->packets, &forgiven) : BATCH;
		for (; due; due -= due < BATCH ? due : BATCH)
			send_burst(f, b, due < BATCH ? due : BATCH);
		if (rate > 0) {
			for (now = now_ns(); tick <= now;)
				tick += TICK_NS;
			sleep_until(tick);
		}
	}
	f->elapsed_ns = now - start;
	free(b);
	return NULL;
}

/* ---- both ---- */

static void run_flows(void *(*body)(void *), bool sending)
{
	struct flow flows[MAX_THREADS] = {0}, all = {0};

	for (unsigned i = 0; i < self.threads; i++) {
		struct sockaddr_in a = flow_addr(i);
		flows[i].index = i;
		flows[i].fd = sending ? udp_socket() : bound_socket(i);
		if (sending && connect(flows[i].fd, (struct sockaddr *)&a, sizeof a) < 0)
			die("udpblast: connect");
	}
	if (!sending) {
		puts("ready");
		fflush(stdout);
	}
	for (unsigned i = 0; i < self.threads; i++) {
		errno = pthread_create(&flows[i].thread, NULL, body, &flows[i]);
		if (errno)
			die("udpblast: pthread_create");
	}
	for (unsigned i = 0; i < self.threads; i++) {
		pthread_join(flows[i].thread, NULL);
		all.packets += flows[i].packets;
		all.duplicates += flows[i].duplicates;
		all.reordered += flows[i].reordered;
		all.elapsed_ns = flows[i].elapsed_ns > all.elapsed_ns ? flows[i].elapsed_ns : all.elapsed_ns;
	}
	if (sending)
		printf("{\"sent\": %llu, \"seconds\": %.6f}\n", (unsigned long long)all.packets,
			(double)all.elapsed_ns / 1e9);
	else
		printf("{\"received\": %llu, \"duplicates\": %llu, \"reordered\": %llu}\n",
			(unsigned long long)all.packets, (unsigned long long)all.duplicates,
			(unsigned long long)all.reordered);
}

static void echo(void)
{
	int fd = bound_socket(0);
	uint8_t buf[ROOM];
	uint64_t end = now_ns() + (uint64_t)(self.seconds * 1e9);

	puts("ready");
	fflush(stdout);
	while (!stopped && now_ns() < end) {
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		ssize_t n = recvfrom(fd, buf, sizeof buf, 0, (struct sockaddr *)&from, &len);
		if (n >= 0 && sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len) < 0)
			continue; /* the tunnel may be gone again */
	}
}

static int first(void)
{
	struct sockaddr_in a = flow_addr(0);
	int fd = udp_socket();
	uint8_t buf[64] = {0};
	uint64_t start = now_ns(), end = start + (uint64_t)(self.seconds * 1e9);

	for (uint64_t tick = start; tick < end && !stopped; tick += 1000000) {
		sleep_until(tick);
		(void)!sendto(fd, buf, sizeof buf, 0, (struct sockaddr *)&a, sizeof a);
		if (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0) {
			printf("%.3f\n", (double)(now_ns() - start) / 1e6);
			return 0;
		}
	}
	fprintf(stderr, "udpblast: no answer\n");
	return 1;
}

static int usage(void)
{
	fprintf(stderr, "usage: udpblast recv|send|echo|first ADDRESS:PORT [-n THREADS] [-r RUN] [-t SECONDS]\n"
			"                [-p PACKETS_A_SECOND] [-s BYTES]\n");
	return 2;
}

static bool parse_addr(char *text)
{
	char *colon = strchr(text, ':');

	if (!colon)
		return false;
	*colon = 0;
	self.addr.sin_family = AF_INET;
	self.addr.sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, text, &self.addr.sin_addr) == 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = stop};

	if (argc < 3 || !parse_addr(argv[2]))
		return usage();
	const char *command = argv[1];
	self.seconds = strcmp(command, "send") ? 60 : 1;
	optind = 3;
	for (int o; (o = getopt(argc, argv, "n:r:t:p:s:")) > 0;)
		switch (o) {
		case 'n':
			self.threads = (unsigned)atoi(optarg);
			break;
		case 'r':
			self.run = (uint32_t)strtoul(optarg, NULL, 10);
			break;
		case 't':
			self.seconds = atof(optarg);
			break;
		case 'p':
			self.rate = atof(optarg);
			break;
		case 's':
			self.size = (unsigned)atoi(optarg);
			break;
		default:
			return usage();
		}
	if (!self.threads || self.threads > MAX_THREADS || self.size < sizeof(struct payload) || self.size > ROOM)
		return usage();
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	if (!strcmp(command, "recv"))
		run_flows(receive, false);
	else if (!strcmp(command, "send"))
		run_flows(transmit, true);
	else if (!strcmp(command, "echo"))
		echo();
	else if (!strcmp(command, "first"))
		return first();
	else
		return usage();
	return 0;
}
