#include "sim/many.h"

#include "handshake/result.h"
#include "sim/crowd.h"

#include <stdio.h>

#define LETTER_EVERY (20 * USEC_PER_MS)
#define EXHAUSTED_WITHIN (60 * USEC_PER_SEC)
/* Who was refused asks again within 300 s, and a lost call takes 30 s. */
#define RETRIED_WITHIN (400 * USEC_PER_SEC)
#define BACK_WITHIN (120 * USEC_PER_SEC)

bool many_identities(struct identity *ret[CLIENTS + 1])
{
	struct stream_random r = {5};
	for (uint32_t i = 0; i <= CLIENTS; i++) {
		uint8_t seed[SIG_SEED_LEN];
		random_fill(&r, seed, sizeof seed);
		if (identity_generate(&ret[i], SIG_ML_DSA_65, seed) != OK)
			return false;
	}
	return true;
}

/* ---- all the time ---- */

static void letters(void *context, void *owned)
{
	struct crowd *c = context;
	(void)owned;
	crowd_write_letter(c);
	world_at(&c->world, c->world.now + random_between(&c->random, 1, 2 * LETTER_EVERY), letters, c, NULL);
}

static void check(void *context, void *owned)
{
	struct crowd *c = context;
	(void)owned;
	crowd_check(c);
	world_at(&c->world, c->world.now + USEC_PER_SEC, check, c, NULL);
}

struct coming {
	uint32_t client;
};

static void comes(void *context, void *owned)
{
	crowd_start_client(context, ((struct coming *)owned)->client);
}

static bool run_until(struct crowd *c, bool (*holds)(const struct crowd *c), usec within)
{
	usec until = c->world.now + within;
	while (!c->world.has_failed && !holds(c) && c->world.now < until)
		world_run(&c->world, c->world.now + USEC_PER_SEC / 4);
	return holds(c);
}

/* ---- the addresses run out ---- */

static uint32_t count_in(const struct crowd *c)
{
	uint32_t n = 0;
	for (uint32_t i = 1; i < MEMBERS; i++)
		n += crowd_has_session(c, i, NULL);
	return n;
}

static bool is_exhausted(const struct crowd *c)
{
	uint32_t refused = 0;
	for (uint32_t i = 1; i < MEMBERS; i++)
		refused += c->members[i].refused == REJECT_POOL && !crowd_has_session(c, i, NULL);
	return count_in(c) == SMALL_ROOM && refused == CLIENTS - SMALL_ROOM;
}

static bool is_full(const struct crowd *c)
{
	return count_in(c) == SMALL_ROOM;
}

static void run_out_of_addresses(struct crowd *c)
{
	if (!run_until(c, is_exhausted, EXHAUSTED_WITHIN))
		world_fail(&c->world, "%u clients are in a pool for %d, or the others were not refused so", count_in(c),
			SMALL_ROOM);
	/* One who has an address and is not known any more makes room for another. */
	uint32_t client = 10;
	while (client < CLIENTS && !crowd_has_session(c, client, NULL))
		client++;
	world_log(&c->world, "client %u is removed, so that there is room for one", client);
	crowd_remove(c, client);
	if (!run_until(c, is_full, RETRIED_WITHIN))
		world_fail(&c->world, "nobody gets the address of a removed client");
	if (book_of(&c->book, client, true))
		world_fail(&c->world, "a removed client keeps the last address");
	if (!c->world.has_failed)
		crowd_reconfigure(c, POOLS_WIDE);
	host_wake(&c->hosts[SERVER]);
}

/* ---- afterwards ---- */

static usec quiet_since;

static bool is_all_in(const struct crowd *c)
{
	for (uint32_t i = 1; i < MEMBERS; i++) {
		const struct member *m = &c->members[i];
		if (!crowd_has_session(c, i, NULL) || !m->has_view[0] || !m->has_view[1] ||
			m->heard_at_server < quiet_since || m->heard_by_it < quiet_since)
			return false;
	}
	return true;
}

static void calm_down(struct crowd *c)
{
	world_log(&c->world, "all becomes quiet");
	c->is_disk_full = c->crashes_at_lease = false;
	c->network.conditions = (struct conditions){.latency = 20000, .mtu = 1500};
	if (!c->hosts[SERVER].engine)
		crowd_start_server(c);
	for (uint32_t i = 1; i < MEMBERS; i++) {
		if (!c->members[i].is_known)
			crowd_add(c, i);
		if (!c->hosts[i].engine)
			crowd_start_client(c, i);
	}
	if (c->pools == POOLS_SMALL)
		crowd_reconfigure(c, POOLS_WIDER);
	host_wake(&c->hosts[SERVER]);
	quiet_since = c->world.now;
}

static void expect_all_in(struct crowd *c, usec within)
{
	char text[ADDR_TEXT_LEN];
	if (!run_until(c, is_all_in, within) && !c->world.has_failed)
		for (uint32_t i = 1; i < MEMBERS; i++) {
			const struct member *m = &c->members[i];
			if (!crowd_has_session(c, i, NULL))
				world_fail(&c->world, "client %u does not get in (last refused with code %u)", i,
					m->refused);
			else if (!m->has_view[0] || !m->has_view[1])
				world_fail(&c->world, "client %u is in, but has not all addresses", i);
			else if (m->heard_at_server < quiet_since || m->heard_by_it < quiet_since)
				world_fail(&c->world, "client %u is in, but letters do not get through", i);
		}
	crowd_check(c);
	for (uint32_t i = 1; i < MEMBERS && !c->world.has_failed; i++) {
		const struct member *m = &c->members[i];
		const struct accept *accept = engine_accepted(c->hosts[i].engine, m->server_number);
		for (int v4 = 0; v4 < 2; v4++)
			if (book_holder(&c->book, &m->view[v4]) != i)
				world_fail(&c->world, "client %u uses %s, which is not its own", i,
					prefix_format(&m->view[v4], text));
		if (m->has_fixed && !book_same(&m->view[1], &m->fixed))
			world_fail(&c->world, "client %u does not use the address that it is given by name", i);
		if (!accept || accept->mtu != c->hosts[SERVER].config.push.mtu)
			world_fail(&c->world, "client %u has not heard of the server's MTU", i);
	}
}

/* A last crash: everyone comes back, to the same address. */
static void expect_the_same_after_a_crash(struct crowd *c)
{
	struct prefix before[MEMBERS][2];
	char text[ADDR_TEXT_LEN];
	for (uint32_t i = 1; i < MEMBERS && !c->world.has_failed; i++)
		memcpy(before[i], c->members[i].view, sizeof before[i]);
	if (c->world.has_failed)
		return;
	world_log(&c->world, "a last crash of the server");
	crowd_stop(c, SERVER, false);
	crowd_start_server(c);
	quiet_since = c->world.now;
	expect_all_in(c, BACK_WITHIN);
	for (uint32_t i = 1; i < MEMBERS && !c->world.has_failed; i++)
		for (int v4 = 0; v4 < 2; v4++)
			if (!book_same(&before[i][v4], &c->members[i].view[v4]))
				world_fail(&c->world, "client %u had %s before the crash", i,
					prefix_format(&before[i][v4], text));
}

static void expect_few_handshakes(struct crowd *c)
{
	uint64_t made = engine_handshake_counts(c->hosts[SERVER].engine).established;
	if (c->is_calm && made != CLIENTS)
		world_fail(&c->world, "%llu handshakes of %d clients in a run in which no session had to end",
			(unsigned long long)made, CLIENTS);
}

static void begin(struct crowd *c)
{
	struct stream_random *r = &c->random;
	bool is_small = random_chance(r, 400);
	c->is_calm = !is_small && random_chance(r, 300);
	crowd_set_pools(c, is_small ? POOLS_SMALL : POOLS_WIDE);
	c->hosts[SERVER].config.push = (struct accept){.mtu = 1400, .keepalive_s = 25};
	crowd_start_server(c);
	for (uint32_t i = 1; i < MEMBERS; i++) {
		struct coming *coming = sim_alloc(sizeof *coming);
		coming->client = i;
		world_at(&c->world, c->world.now + random_between(r, 1, 5 * USEC_PER_SEC), comes, c, coming);
	}
	world_at(&c->world, c->world.now, letters, c, NULL);
	world_at(&c->world, c->world.now, check, c, NULL);
	if (c->is_calm) /* its trouble is for those who come in, too */
		crowd_trouble_start(c, c->world.now + 30 * USEC_PER_SEC);
	world_run(&c->world, c->world.now + 10 * USEC_PER_SEC);
	if (is_small && !c->world.has_failed)
		run_out_of_addresses(c);
}

struct result many_run(uint64_t seed, bool is_verbose, struct identity *const identities[CLIENTS + 1])
{
	static struct crowd crowd;
	struct crowd *c = &crowd;
	crowd_init(c, seed, is_verbose, identities);
	begin(c);
	if (!c->world.has_failed) {
		if (!c->is_calm)
			crowd_trouble_start(c, c->world.now + random_between(&c->random, 20, 90) * USEC_PER_SEC);
		world_run(&c->world, c->trouble_ends + 5 * USEC_PER_SEC);
	}
	if (!c->world.has_failed) {
		calm_down(c);
		expect_all_in(c, RETRIED_WITHIN);
		if (!c->world.has_failed)
			expect_few_handshakes(c);
		expect_the_same_after_a_crash(c);
	}
	struct result result = {.has_failed = c->world.has_failed,
		.trace = c->world.trace,
		.steps = c->world.steps,
		.delivered = c->letters.delivered,
		.sent = c->letters.n,
		.datagrams = c->observer.datagrams};
	memcpy(result.failure, c->world.failure, sizeof result.failure);
	for (uint32_t i = 0; i < MEMBERS; i++)
		crowd_stop(c, i, true);
	result.handshakes = c->handshakes;
	result.rekeys = c->rekeys;
	crowd_done(c);
	return result;
}
