#include "sim/scene.h"

#define RECOVERY (120 * USEC_PER_SEC) /* so soon all talk again once the network is well: a lost call takes 30 s */

bool scenario_identities(struct identity *ret[IDENTITIES])
{
	struct stream_random r = {4};
	for (uint32_t i = 0; i < IDENTITIES; i++) {
		uint8_t seed[SIG_SEED_LEN];
		random_fill(&r, seed, sizeof seed);
		if (identity_generate(&ret[i], i % 2 ? SIG_ML_DSA_87 : SIG_ML_DSA_65, seed) != OK)
			return false;
	}
	return true;
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

/* Which pad made it? */
static void check_pads(struct scenario *s, uint32_t node, const struct datagram *d)
{
	bool is_known = false;
	for (uint32_t i = 0; i < s->n_hosts; i++)
		for (int end = 0; s->links[i] && end < 2; end++)
			if (s->links[i]->ends[end].host && s->links[i]->ends[end].host->node == node)
				is_known |= sim_link_check(s->links[i], &s->links[i]->ends[end], d);
	if (!is_known)
		world_fail(
			&s->world, "host %u sends a datagram of type %u that was made with no pad", node, d->data[0]);
}

static bool tap(void *context, uint32_t node, const struct datagram *d)
{
	struct scenario *s = context;
	char to[ADDR_TEXT_LEN];
	if (s->world.is_verbose && d->len && d->data[0] != MSG_DATA && d->data[0] != MSG_PAD_DATA)
		world_log(&s->world, "host %u: handshake datagram, type %u, part %u, %zu bytes to %s", node, d->data[0],
			d->data[2], d->len, addr_format(&d->to, to));
	observer_sent(&s->observer, node, d);
	if (d->len && (d->data[0] == MSG_PAD_DATA || d->data[0] == MSG_PAD_HELLO || d->data[0] == MSG_PAD_WELCOME))
		check_pads(s, node, d);
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
	scene_set(s, identities);
	for (uint32_t i = 0; i < s->n_hosts; i++)
		host_start(&s->hosts[i], s->hosts);
	s->troubled.scenario = s->quiet.scenario = s;
	world_at(&s->world, s->world.now, traffic, &s->troubled, NULL);
	if (s->is_calm)
		return;
	if (random_chance(r, 800))
		trouble_start(s);
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
		if (s->links[i])
			s->links[i]->crashes = false;
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
				world_fail(&s->world, "host %u has a session with host %u, who should be refused", i,
					p->host);
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
	*s = (struct scenario){0};
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
		scene_stop_host(s, &s->hosts[i], true);
	}
	struct result result = {.has_failed = s->world.has_failed,
		.trace = s->world.trace,
		.steps = s->world.steps,
		.delivered = s->ledger.delivered,
		.sent = s->ledger.count,
		.datagrams = s->observer.datagrams,
		.handshakes = s->handshakes,
		.rekeys = s->rekeys};
	memcpy(result.failure, s->world.failure, sizeof result.failure);
	for (uint32_t i = 0; i < s->n_hosts; i++) {
		result.pad_datagrams += s->links[i] ? s->links[i]->datagrams : 0;
		sim_link_free(s->links[i]);
	}
	attacker_done(&s->attacker);
	observer_done(&s->observer);
	ledger_done(&s->ledger);
	world_done(&s->world);
	return result;
}
