#include "sim/scenario.h"

#include <stdio.h>

#define RECOVERY (120 * USEC_PER_SEC) /* so soon all talk again once the network is well: a lost call takes 30 s */
#define TROUBLE_PAUSE (500 * USEC_PER_MS)

struct scenario {
	struct world world;
	struct network network;
	struct ledger ledger;
	struct observer observer;
	struct attacker attacker;
	struct host hosts[HOSTS_MAX];
	uint32_t n_hosts;
	bool may_talk[HOSTS_MAX][HOSTS_MAX];
	struct stream_random random;
	usec ends; /* of the troubled part */
	bool is_quiet;	  /* it is over */
	bool is_calm;	  /* nothing goes wrong in this run at all */
	enum { BOTH_WAYS, UP_ONLY, DOWN_ONLY } direction;
	uint32_t addresses; /* given out so far */
	usec pause;	  /* between bursts of a pair, on average */
	uint32_t largest; /* payload */
	uint64_t handshakes, rekeys; /* of engines that are gone */
	struct traffic {
		struct scenario *scenario;
		bool is_over;
	} troubled, quiet;
};

bool scenario_identities(struct identity *ret[IDENTITIES])
{
	struct stream_random r = { 4 };
	for (uint32_t i = 0; i < IDENTITIES; i++) {
		uint8_t seed[SIG_SEED_LEN];
		random_fill(&r, seed, sizeof seed);
		if (identity_generate(&ret[i], i % 2 ? SIG_ML_DSA_87 : SIG_ML_DSA_65, seed) != OK)
			return false;
	}
	return true;
}

/* ---- setting the scene ---- */

static struct addr next_address(struct scenario *s, bool v4)
{
	uint32_t n = ++s->addresses;
	uint16_t port = (uint16_t)(20000 + n);
	if (v4)
		return (struct addr){ .ip = { [10] = 0xff, 0xff, 203, 0, 113, (uint8_t)n }, .port = port };
	return (struct addr){ .ip = { 0x20, 0x01, 0x0d, 0xb8, [14] = (uint8_t)(n >> 8), (uint8_t)n }, .port = port };
}

static void choose_path(struct scenario *s)
{
	static const uint32_t mtus[] = { 1280, 1280, 1400, 1492, 1500, 1500, 9000 };
	static const uint32_t losses[] = { 0, 0, 10, 50, 100, 300 };
	struct stream_random *r = &s->random;
	s->network.conditions = (struct conditions){
		.loss = losses[random_below(r, 6)],
		.duplication = random_chance(r, 500) ? 30 : 0,
		.corruption = random_chance(r, 500) ? 20 : 0,
		.reordering = random_chance(r, 500) ? 200 : 0,
		.latency = random_between(r, 200, 80000),
		.jitter = random_between(r, 1000, 300000),
		.mtu = mtus[random_below(r, 7)],
	};
}

static void choose_host(struct scenario *s, uint32_t number, struct identity *const identities[IDENTITIES])
{
	struct stream_random *r = &s->random;
	struct host *h = &s->hosts[number];
	static const uint32_t mtus[] = { 1280, 1500, 1500, 9000 };
	static const uint32_t suites[] = { CIPHER_ALL, CIPHER_ALL, CIPHER_CHACHA20_POLY1305 };
	*h = (struct host){
		.world = &s->world,
		.ledger = &s->ledger,
		.observer = &s->observer,
		.number = number,
		.identity = identities[number],
		.keepalive = random_chance(r, 300) ? random_between(r, 5, 40) * USEC_PER_SEC : 0,
		.joins_udp = random_chance(r, 500),
		.is_under_load = random_chance(r, 100),
		.interface_mtu = mtus[random_below(r, 4)],
		.lateness = random_chance(r, 200) ? random_between(r, 1000, 700000) : 0,
		.clock_ahead = random_between(r, 0, 1000000) * USEC_PER_MS,
	};
	h->config = (struct engine_config){
		.suites = suites[random_below(r, 3)],
		.prefer_aes = random_chance(r, 500),
		.padding = random_chance(r, 300) ? PADDING_NONE : PADDING_BUCKETS,
		.tunnel_mtu = 1420,
		.reauthenticate = random_chance(r, 500) ? 300 * USEC_PER_SEC : 3600 * USEC_PER_SEC,
		.max_pending = random_chance(r, 200) ? 4 : 64,
		.handshake_rate = random_chance(r, 200) ? 2 : 10,
	};
	struct addr address = next_address(s, random_chance(r, 600));
	host_attach(h, &s->network, &address);
}

static void know(struct host *h, const struct host *other, bool initiates, const uint8_t *psk)
{
	struct host_peer *p = &h->peers[h->n_peers++];
	*p = (struct host_peer){ .host = other->number, .initiates = initiates, .has_psk = psk };
	if (psk)
		memcpy(p->psk, psk, PSK_LEN);
}

/* Host 0 is the server. Sometimes a client is a stranger to it, or has another pre-shared key. */
static void choose_peers(struct scenario *s)
{
	struct stream_random *r = &s->random;
	bool is_mutual = s->n_hosts == 2 && random_chance(r, 400);
	for (uint32_t i = 1; i < s->n_hosts; i++) {
		uint8_t psk[PSK_LEN];
		bool has_psk = random_chance(r, 300), is_stranger = s->n_hosts > 2 && random_chance(r, 150);
		random_fill(r, psk, sizeof psk);
		know(&s->hosts[i], &s->hosts[0], true, has_psk ? psk : NULL);
		if (is_stranger && has_psk)
			psk[0] ^= 1;
		else if (is_stranger)
			continue;
		know(&s->hosts[0], &s->hosts[i], is_mutual, has_psk ? psk : NULL);
		s->may_talk[0][i] = s->may_talk[i][0] = !is_stranger;
	}
}

/* ---- what happens ---- */

static void burst(struct scenario *s, uint32_t from, uint32_t to)
{
	struct stream_random *r = &s->random;
	uint32_t largest = random_chance(r, 100) ? s->largest : random_chance(r, 500) ? 1300 : 100;
	host_write_packets(&s->hosts[from], to, random_below(r, 3) + 1, largest);
}

/* Packets both ways, or one way, with pauses in which sessions lapse. */
static void traffic(void *context, void *owned)
{
	struct traffic *t = context;
	struct scenario *s = t->scenario;
	(void)owned;
	if (t->is_over)
		return;
	uint32_t client = 1 + random_below(&s->random, s->n_hosts - 1);
	bool both = random_chance(&s->random, 600), up = random_chance(&s->random, 500);
	if (!s->is_quiet && s->direction != BOTH_WAYS) {
		both = false;
		up = s->direction == UP_ONLY;
	}
	if (both || up)
		burst(s, client, random_chance(&s->random, 20) ? INNER_NOBODY : 0);
	if (both || !up)
		burst(s, 0, client);
	usec pause = random_between(&s->random, 1, 2 * s->pause);
	if (!s->is_quiet && random_chance(&s->random, 10))
		pause += random_between(&s->random, 20, 260) * USEC_PER_SEC;
	world_at(&s->world, s->world.now + pause, traffic, t, NULL);
}

static void stop_host(struct scenario *s, struct host *h, bool politely)
{
	if (!h->engine)
		return;
	struct handshake_counts counts = engine_handshake_counts(h->engine);
	s->handshakes += counts.established;
	s->rekeys += counts.rekeys;
	host_stop(h, politely);
}

static void trouble(void *context, void *owned)
{
	struct scenario *s = context;
	struct stream_random *r = &s->random;
	(void)owned;
	if (s->is_quiet)
		return;
	struct host *h = &s->hosts[random_below(r, s->n_hosts)];
	struct node *node = &s->network.nodes[h->node];
	switch (random_below(r, 8)) {
	case 0: {
		struct addr address = next_address(s, random_chance(r, 600));
		world_log(&s->world, "host %u moves", h->number);
		if (h->number != 0 || !random_chance(r, 500)) /* servers mostly stay */
			host_move(h, &address);
		break;
	}
	case 1:
		world_log(&s->world, "host %u %s", h->number, h->engine ? "stops" : "starts");
		if (h->engine)
			stop_host(s, h, random_chance(r, 300));
		if (!random_chance(r, 300))
			host_start(h, s->hosts);
		break;
	case 2:
		node->is_cut = !node->is_cut;
		world_log(&s->world, "host %u is %s", h->number, node->is_cut ? "cut off" : "back");
		break;
	case 3: {
		usec by = random_chance(r, 500) ? random_between(r, 1, 5000000) :
						  random_between(r, 1, 200) * 60 * USEC_PER_SEC;
		world_log(&s->world, "host %u: its clock jumps %llu s", h->number, (unsigned long long)(by / USEC_PER_SEC));
		host_jump(h, by);
		break;
	}
	case 4:
		choose_path(s);
		world_log(&s->world, "another path: loss %u, mtu %u", s->network.conditions.loss, s->network.conditions.mtu);
		break;
	case 5:
		s->network.conditions.mtu = 1280;
		break;
	case 6:
		h->is_under_load = !h->is_under_load;
		break;
	default:
		if (s->attacker.is_active)
			attacker_rest(&s->attacker);
		else
			attacker_start(&s->attacker);
	}
	usec left = s->ends - s->world.now;
	world_at(&s->world, s->world.now + random_between(r, TROUBLE_PAUSE, TROUBLE_PAUSE + left / 3), trouble, s, NULL);
}

static bool tap(void *context, uint32_t node, const struct datagram *d)
{
	struct scenario *s = context;
	char to[ADDR_TEXT_LEN];
	if (s->world.is_verbose && d->len && d->data[0] != MSG_DATA)
		world_log(&s->world, "host %u: handshake datagram, type %u, part %u, %zu bytes to %s", node, d->data[0],
			d->data[2], d->len, addr_format(&d->to, to));
	observer_sent(&s->observer, node, d);
	return attacker_tap(&s->attacker, node, d);
}

static void begin(struct scenario *s, struct identity *const identities[IDENTITIES])
{
	struct stream_random *r = &s->random;
	network_init(&s->network, &s->world);
	s->network.tap = tap;
	s->network.tap_context = s;
	ledger_init(&s->ledger, &s->world);
	observer_init(&s->observer, &s->world, s->hosts);
	attacker_init(&s->attacker, &s->world, &s->network);
	s->n_hosts = random_chance(r, 750) ? 2 : (uint32_t)random_between(r, 3, HOSTS_MAX);
	choose_path(s);
	s->is_calm = random_chance(r, 100);
	if (s->is_calm)
		s->network.conditions = (struct conditions){ .latency = 20000, .mtu = 1500 };
	for (uint32_t i = 0; i < s->n_hosts; i++)
		choose_host(s, i, identities);
	choose_peers(s);
	s->attacker.hosts = s->hosts;
	s->attacker.n_hosts = s->n_hosts;
	s->attacker.interference = random_chance(r, 500) ? random_below(r, 300) : 0;
	s->attacker.pause = random_between(r, 20, 2000) * USEC_PER_MS;
	s->largest = random_chance(r, 300) ? 8000 : 1400;
	s->direction = random_chance(r, 700) ? BOTH_WAYS : random_chance(r, 500) ? UP_ONLY : DOWN_ONLY;
	s->pause = random_between(r, 200, 4000) * USEC_PER_MS;
	static const uint32_t lengths[] = { 20, 60, 60, 150, 400, 900 };
	s->ends = s->world.now + random_between(r, 5, lengths[random_below(r, 6)]) * USEC_PER_SEC;
	for (uint32_t i = 0; i < s->n_hosts; i++)
		host_start(&s->hosts[i], s->hosts);
	s->troubled.scenario = s->quiet.scenario = s;
	world_at(&s->world, s->world.now, traffic, &s->troubled, NULL);
	if (s->is_calm)
		return;
	if (random_chance(r, 800))
		world_at(&s->world, s->world.now + random_between(r, 1, s->ends - s->world.now), trouble, s, NULL);
	if (random_chance(r, 400))
		attacker_start(&s->attacker);
}

/* ---- afterwards ---- */

static void calm_down(struct scenario *s)
{
	struct conditions *c = &s->network.conditions;
	world_log(&s->world, "all becomes quiet");
	s->is_quiet = true;
	attacker_rest(&s->attacker);
	if (c->loss > 100)
		c->loss = 100;
	for (uint32_t i = 0; i < s->n_hosts; i++) {
		struct host *h = &s->hosts[i];
		s->network.nodes[h->node].is_cut = false;
		if (!h->engine)
			host_start(h, s->hosts);
	}
	/* Names resolve to where a host is now: the daemon looks them up again. */
	for (uint32_t i = 0; i < s->n_hosts; i++)
		for (uint32_t k = 0; k < s->hosts[i].n_peers; k++) {
			struct host_peer *p = &s->hosts[i].peers[k];
			if (p->initiates)
				engine_set_endpoint(s->hosts[i].engine, p->number,
					&s->network.nodes[s->hosts[p->host].node].address, host_clock(&s->hosts[i]));
		}
	s->ledger.since = s->world.now;
	if (s->pause > USEC_PER_SEC)
		s->pause = USEC_PER_SEC;
	s->troubled.is_over = true; /* it may be in a long pause */
	world_at(&s->world, s->world.now, traffic, &s->quiet, NULL);
}

static bool all_talk(const struct scenario *s)
{
	for (uint32_t i = 0; i < s->n_hosts; i++)
		for (uint32_t k = 0; k < s->n_hosts; k++)
			if (s->may_talk[i][k] && s->ledger.heard[i][k] < s->ledger.since)
				return false;
	return true;
}

static void check_strangers(struct scenario *s)
{
	for (uint32_t i = 0; i < s->n_hosts; i++)
		for (uint32_t k = 0; k < s->hosts[i].n_peers && s->hosts[i].engine; k++) {
			const struct host_peer *p = &s->hosts[i].peers[k];
			struct peer_status status;
			if (!s->may_talk[i][p->host] && engine_peer_status(s->hosts[i].engine, p->number, &status) &&
				status.is_established)
				world_fail(&s->world, "host %u has a session with host %u, who should be refused", i, p->host);
		}
}

/* Where nothing goes wrong, handshakes are for beginnings, reauthentication and what was idle for 180 s. */
static void check_calm(struct scenario *s, usec elapsed)
{
	for (uint32_t i = 0; s->is_calm && i < s->n_hosts; i++) {
		uint64_t made = engine_handshake_counts(s->hosts[i].engine).established;
		uint64_t most = s->hosts[i].n_peers * (2 + elapsed / (150 * USEC_PER_SEC));
		if (made > most)
			world_fail(&s->world, "host %u made %llu sessions in %llu s in which nothing went wrong", i,
				(unsigned long long)made, (unsigned long long)(elapsed / USEC_PER_SEC));
	}
}

static void check_recovery(struct scenario *s)
{
	usec until = s->world.now + RECOVERY;
	while (!s->world.has_failed && !all_talk(s) && s->world.now < until)
		world_run(&s->world, s->world.now + USEC_PER_SEC);
	check_strangers(s);
	for (uint32_t i = 0; i < s->n_hosts; i++)
		for (uint32_t k = 0; k < s->n_hosts; k++)
			if (s->may_talk[i][k] && s->ledger.heard[i][k] < s->ledger.since)
				world_fail(&s->world, "nothing gets from host %u to host %u any more", i, k);
}

struct result scenario_run(uint64_t seed, bool is_verbose, struct identity *const identities[IDENTITIES])
{
	static struct scenario scenario;
	struct scenario *s = &scenario;
	*s = (struct scenario){ 0 };
	world_init(&s->world, seed, is_verbose);
	s->random = random_fork(&s->world.random, 4);
	begin(s, identities);
	usec began = s->world.now;
	world_run(&s->world, s->ends);
	if (!s->world.has_failed) {
		check_strangers(s);
		check_calm(s, s->world.now - began);
		calm_down(s);
		check_recovery(s);
	}
	for (uint32_t i = 0; i < s->n_hosts; i++) {
		host_describe(&s->hosts[i]);
		stop_host(s, &s->hosts[i], true);
	}
	struct result result = { .has_failed = s->world.has_failed, .trace = s->world.trace, .steps = s->world.steps,
		.delivered = s->ledger.delivered, .sent = s->ledger.count, .datagrams = s->observer.datagrams,
		.handshakes = s->handshakes, .rekeys = s->rekeys };
	memcpy(result.failure, s->world.failure, sizeof result.failure);
	attacker_done(&s->attacker);
	observer_done(&s->observer);
	ledger_done(&s->ledger);
	world_done(&s->world);
	return result;
}
