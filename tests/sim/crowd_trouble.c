/* What befalls a crowd. */
#include "sim/crowd.h"

static uint32_t any_client(struct crowd *c)
{
	return 1 + random_below(&c->random, CLIENTS);
}

static void comes_or_goes(struct crowd *c)
{
	uint32_t client = any_client(c);
	bool is_there = c->hosts[client].engine;
	world_log(&c->world, "client %u %s", client, is_there ? "goes" : "comes");
	if (is_there)
		crowd_stop(c, client, random_chance(&c->random, 500));
	else
		crowd_start_client(c, client);
}

static void moves(struct crowd *c)
{
	uint32_t client = any_client(c);
	struct addr address = crowd_new_address(c);
	world_log(&c->world, "client %u moves", client);
	host_move(&c->hosts[client], &address);
}

static void starts_again(void *context, void *owned)
{
	struct crowd *c = context;
	(void)owned;
	if (!c->hosts[SERVER].engine)
		crowd_start_server(c);
}

static void server_crashes(struct crowd *c)
{
	if (random_chance(&c->random, 500)) {
		c->crashes_at_lease = true;
		return;
	}
	world_log(&c->world, "the server crashes");
	crowd_stop(c, SERVER, random_chance(&c->random, 200));
	world_at(&c->world, c->world.now + random_between(&c->random, 1, 5 * USEC_PER_SEC), starts_again, c, NULL);
}

static void is_removed_or_added(struct crowd *c)
{
	uint32_t client = any_client(c);
	world_log(&c->world, "client %u is %s", client, c->members[client].is_known ? "removed" : "added");
	if (c->members[client].is_known)
		crowd_remove(c, client);
	else
		crowd_add(c, client);
}

/* Its network comes or goes; its session stays. */
static void is_changed(struct crowd *c)
{
	uint32_t client = any_client(c);
	usec before = 0, after = 0;
	if (!c->members[client].is_known)
		return;
	world_log(&c->world, "client %u is changed", client);
	bool had = crowd_has_session(c, client, &before);
	c->members[client].has_network = !c->members[client].has_network;
	crowd_change(c, client);
	if (had && (!crowd_has_session(c, client, &after) || after != before))
		world_fail(&c->world, "client %u has lost its session by a change", client);
}

/* The configuration gives it an address, which may be another's, who gets another then. */
static void claims(struct crowd *c)
{
	uint32_t client = any_client(c);
	struct member *m = &c->members[client];
	const struct book_entry *lease = book_at(&c->book, random_below(&c->random, CLIENTS));
	if (!m->is_known || m->has_fixed || !lease || !lease->address.v4)
		return;
	for (uint32_t i = 1; i < MEMBERS; i++)
		if (c->members[i].has_fixed && book_same(&c->members[i].fixed, &lease->address))
			return;
	world_log(&c->world, "client %u is given the address of client %u", client, lease->client);
	m->has_fixed = true;
	m->fixed = lease->address;
	crowd_change(c, client);
}

static void lease_is_freed(struct crowd *c)
{
	const struct book_entry *lease = book_at(&c->book, random_below(&c->random, 2 * CLIENTS));
	if (!lease || !c->hosts[SERVER].engine)
		return;
	struct prefix address = lease->address;
	uint32_t client = lease->client;
	world_log(&c->world, "client %u: its lease is freed", client);
	c->may_drop = true;
	if (engine_free_lease(c->hosts[SERVER].engine, &address) != OK)
		world_fail(&c->world, "the server does not know the lease of client %u", client);
	c->may_drop = false;
	if (book_holder(&c->book, &address) != BOOK_NOBODY || crowd_has_session(c, client, NULL))
		world_fail(&c->world, "client %u has kept a lease that was freed, or its session", client);
}

static void disk_turns(struct crowd *c)
{
	c->is_disk_full = !c->is_disk_full;
	world_log(&c->world, "the server's disk is %s", c->is_disk_full ? "full" : "well again");
}

static void path_changes(struct crowd *c)
{
	struct stream_random *r = &c->random;
	static const uint32_t losses[] = {0, 0, 10, 50, 150};
	c->network.conditions = (struct conditions){.loss = losses[random_below(r, 5)],
		.duplication = random_chance(r, 500) ? 30 : 0,
		.corruption = random_chance(r, 300) ? 10 : 0,
		.reordering = random_chance(r, 500) ? 200 : 0,
		.latency = random_between(r, 200, 60000),
		.jitter = random_between(r, 1000, 200000),
		.mtu = 1500};
}

void crowd_reconfigure(struct crowd *c, enum pools pools)
{
	struct stream_random *r = &c->random;
	struct engine_config *config = &c->hosts[SERVER].config;
	bool had[MEMBERS], had_lease[MEMBERS];
	usec before[MEMBERS] = {0}, after = 0;
	for (uint32_t i = 1; i < MEMBERS; i++) {
		had[i] = crowd_has_session(c, i, &before[i]);
		had_lease[i] = book_of(&c->book, i, true);
	}
	crowd_set_pools(c, pools);
	enum padding old = config->padding;
	if (random_chance(r, 300))
		config->padding = old == PADDING_NONE ? PADDING_BUCKETS : PADDING_NONE;
	if (random_chance(r, 300)) {
		config->push.mtu = (uint16_t)random_between(r, 1280, 1420);
		c->pushed_at = c->world.now;
	}
	if (random_chance(r, 300))
		config->are_peers_apart = !config->are_peers_apart;
	world_log(&c->world, "reconfigured: pools %d, padding %d, mtu %u, apart %d", (int)pools, (int)config->padding,
		config->push.mtu, config->are_peers_apart);
	struct engine_config wanted = *config;
	if (old == PADDING_NONE) /* in the midst of it a lease may end, whose holder is told so as before */
		config->padding = PADDING_NONE;
	c->may_drop = true;
	if (engine_reconfigure(c->hosts[SERVER].engine, &wanted, host_clock(&c->hosts[SERVER])) != OK)
		world_fail(&c->world, "the server cannot be reconfigured");
	config->padding = wanted.padding;
	c->may_drop = false;
	for (uint32_t i = 1; i < MEMBERS; i++) {
		bool has_lost = had_lease[i] && !book_of(&c->book, i, true);
		if (had[i] && !has_lost && (!crowd_has_session(c, i, &after) || after != before[i]))
			world_fail(&c->world, "client %u has lost its session by a reconfiguration", i);
		if (has_lost && crowd_has_session(c, i, NULL))
			world_fail(&c->world, "client %u keeps a session without an address", i);
	}
}

static void is_reconfigured(struct crowd *c)
{
	if (c->hosts[SERVER].engine)
		crowd_reconfigure(c, c->is_calm ? c->pools : (enum pools)random_below(&c->random, POOLS_COUNT));
}

static void reconfigures(void *context, void *owned)
{
	struct crowd *c = context;
	(void)owned;
	is_reconfigured(c);
	host_wake(&c->hosts[SERVER]);
}

void crowd_reconfigure_soon(struct crowd *c)
{
	usec latency = c->network.conditions.latency;
	if (c->world.now < c->trouble_ends && random_chance(&c->random, 30))
		world_at(&c->world, c->world.now + random_between(&c->random, 1, latency), reconfigures, c, NULL);
}

static void trouble(void *context, void *owned)
{
	/* Those of a calm run first: no session ends by them. */
	static void (*const troubles[])(struct crowd *) = {is_reconfigured, is_changed, is_changed, comes_or_goes,
		comes_or_goes, comes_or_goes, moves, server_crashes, is_removed_or_added, is_removed_or_added,
		is_removed_or_added, claims, lease_is_freed, disk_turns, path_changes};
	struct crowd *c = context;
	(void)owned;
	size_t n = c->is_calm ? 3 : sizeof troubles / sizeof *troubles;
	if (c->world.now >= c->trouble_ends)
		return;
	troubles[random_below(&c->random, (uint32_t)n)](c);
	host_wake(&c->hosts[SERVER]);
	world_at(&c->world, c->world.now + random_between(&c->random, 1, 1500 * USEC_PER_MS), trouble, c, NULL);
}

void crowd_trouble_start(struct crowd *c, usec until)
{
	c->trouble_ends = until;
	world_at(&c->world, c->world.now, trouble, c, NULL);
}
