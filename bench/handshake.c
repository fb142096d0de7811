/*
 * handshake: complete handshakes a second and what each side pays, initiator and responder in one
 * thread joined by a queue in memory. The first word printed is the rate, which bench/run reads.
 *
 *   handshake [SECONDS] [65|87]     (default: 1 second, ML-DSA-65)
 */
#include "base/addr.h"
#include "base/clock.h"
#include "base/rng.h"
#include "handshake/initiator.h"
#include "handshake/responder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_QUEUED 64

/* Datagrams under way in one direction. */
struct queue {
	uint8_t data[MAX_QUEUED][2048];
	size_t len[MAX_QUEUED];
	unsigned count;
};

static struct {
	struct rng rng;
	struct identity *identities[2]; /* initiator, responder */
	uint32_t next_index;
	unsigned established;
} self;

static void check(enum err e, const char *what)
{
	if (!e)
		return;
	fprintf(stderr, "handshake: %s fails: %s\n", what, err_text(e));
	exit(1);
}

static double now_s(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void enqueue(void *context, const uint8_t *data, size_t len)
{
	struct queue *q = context;

	if (q->count == MAX_QUEUED || len > sizeof q->data[0]) {
		fprintf(stderr, "handshake: more datagrams than a handshake has\n");
		exit(1);
	}
	memcpy(q->data[q->count], data, len);
	q->len[q->count++] = len;
}

static struct responder_verdict authorise(void *context, const struct sig_public *key, const uint8_t key_id[KEY_ID_LEN])
{
	return (struct responder_verdict){.authorised = true};
}

static uint32_t new_index(void *context)
{
	return ++self.next_index;
}

static void established(void *context, const struct hs_result *result, const struct addr *source)
{
	self.established++;
}

static void deliver_to_responder(struct responder *r, struct queue *q, struct queue *answers, usec now)
{
	static const struct addr source = {.ip = {[10] = 0xff, 0xff, 198, 18, 0, 1}, .port = 10666};
	struct hs_output out = {.send = enqueue, .context = answers};

	for (unsigned i = 0; i < q->count; i++) {
		enum err e = responder_input(r, &source, q->data[i], q->len[i], false, now, &out);
		if (e != ERR_AGAIN) /* a fragment: the message goes on */
			check(e, "the responder");
	}
	q->count = 0;
}

static void deliver_to_initiator(struct initiator *i, struct queue *q, usec now)
{
	for (unsigned k = 0; k < q->count; k++) {
		enum err e = initiator_input(i, q->data[k], q->len[k], now);
		if (e != ERR_AGAIN)
			check(e, "the initiator");
	}
	q->count = 0;
}

/* One handshake; adds each side's CPU seconds. */
static void shake(struct responder *responder, double cost[static 2])
{
	static struct queue to_responder, to_initiator;
	struct hs_output out = {.send = enqueue, .context = &to_responder};
	struct initiator_config config = {
		.identity = self.identities[0], .suites = CIPHER_ALL, .local_index = new_index(NULL)};
	struct initiator *initiator;
	unsigned before = self.established;
	double t0 = now_s(CLOCK_PROCESS_CPUTIME_ID), t1;
	usec now = clock_now();

	memcpy(config.responder_key_id, identity_key_id(self.identities[1]), KEY_ID_LEN);
	check(initiator_new(&initiator, &config, &self.rng, now), "a new initiator");
	for (unsigned flight = 0; flight < 2; flight++) { /* Init, Resp; Finish */
		initiator_poll(initiator, now, &out);
		t1 = now_s(CLOCK_PROCESS_CPUTIME_ID);
		cost[0] += t1 - t0;
		deliver_to_responder(responder, &to_responder, &to_initiator, now);
		t0 = now_s(CLOCK_PROCESS_CPUTIME_ID);
		cost[1] += t0 - t1;
		deliver_to_initiator(initiator, &to_initiator, now);
	}
	if (self.established != before + 1) {
		fprintf(stderr, "handshake: not established after Finish\n");
		exit(1);
	}
	initiator_free(initiator);
	cost[0] += now_s(CLOCK_PROCESS_CPUTIME_ID) - t0;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1, cost[2] = {0};
	enum sig_alg alg = argc > 2 && !strcmp(argv[2], "87") ? SIG_ML_DSA_87 : SIG_ML_DSA_65;
	struct responder_config config = {.suites = CIPHER_ALL,
		.prefer_aes = true,
		.max_pending = 1024,
		.rate = 1000000, /* one source: its limit is not what is measured */
		.authorise = authorise,
		.new_index = new_index,
		.established = established};
	struct responder *responder;

	if (argc > 3 || seconds <= 0) {
		fprintf(stderr, "usage: handshake [SECONDS] [65|87]\n");
		return 2;
	}
	self.rng = rng_system();
	for (unsigned i = 0; i < 2; i++) {
		uint8_t seed[SIG_SEED_LEN];
		rng_fill(&self.rng, seed, sizeof seed);
		check(identity_generate(&self.identities[i], alg, seed), "a new identity");
	}
	config.identity = self.identities[1];
	check(responder_new(&responder, &config, &self.rng, clock_now()), "a new responder");

	shake(responder, cost); /* warm-up */
	cost[0] = cost[1] = 0;
	double start = now_s(CLOCK_MONOTONIC), took = 0;
	unsigned n = 0;
	for (; took < seconds; took = now_s(CLOCK_MONOTONIC) - start) {
		shake(responder, cost);
		responder_tick(responder, clock_now());
		n++;
	}
	printf("%.1f handshakes a second with %s; initiator %.0f us, responder %.0f us of CPU each\n", n / took,
		sig_alg_name(alg), cost[0] / n * 1e6, cost[1] / n * 1e6);
	responder_free(responder);
	identity_free(self.identities[0]);
	identity_free(self.identities[1]);
	return 0;
}
