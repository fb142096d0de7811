#include "sim/scene.h"

#define PAUSE_MIN (500 * USEC_PER_MS)

static void moves(struct scenario *s, struct host *h)
{
	struct addr address = scene_new_address(s, random_chance(&s->random, 600));
	if (h->number == 0 && random_chance(&s->random, 500))
		return; /* servers mostly stay */
	world_log(&s->world, "host %u moves", h->number);
	host_move(h, &address);
}

static void restarts(struct scenario *s, struct host *h)
{
	world_log(&s->world, "host %u %s", h->number, h->engine ? "stops" : "starts");
	scene_stop_host(s, h, random_chance(&s->random, 300));
	if (random_chance(&s->random, 700))
		host_start(h, s->hosts);
}

static void is_cut_off(struct scenario *s, struct host *h)
{
	struct node *node = &s->network.nodes[h->node];
	node->is_cut = !node->is_cut;
	world_log(&s->world, "host %u is %s", h->number, node->is_cut ? "cut off" : "back");
}

static void jumps(struct scenario *s, struct host *h)
{
	struct stream_random *r = &s->random;
	usec by = random_chance(r, 500) ? random_between(r, 1, 5 * USEC_PER_SEC)
					: random_between(r, 1, 200) * 60 * USEC_PER_SEC;
	world_log(&s->world, "host %u: its clock jumps %llu s", h->number, (unsigned long long)(by / USEC_PER_SEC));
	host_jump(h, by);
}

static void forgets(struct scenario *s, struct host *h)
{
	if (h->n_peers == 0)
		return;
	uint32_t peer = random_below(&s->random, h->n_peers);
	world_log(&s->world, "host %u forgets host %u and learns it anew", h->number, h->peers[peer].host);
	host_forget(h, peer, s->hosts);
}

static void is_under_load(struct scenario *s, struct host *h)
{
	(void)s;
	h->is_under_load = !h->is_under_load;
}

static void path_changes(struct scenario *s, struct host *h)
{
	(void)h;
	scene_choose_path(s);
	world_log(&s->world, "another path: loss %u, mtu %u", s->network.conditions.loss, s->network.conditions.mtu);
}

/* Of the path, or of the interface that leads there. */
static void path_shrinks(struct scenario *s, struct host *h)
{
	if (random_chance(&s->random, 500))
		s->network.conditions.mtu = PATH_MTU_MIN;
	else
		h->interface_mtu = PATH_MTU_MIN;
}

static void attacker_turns(struct scenario *s, struct host *h)
{
	(void)h;
	if (s->attacker.is_active)
		attacker_rest(&s->attacker);
	else
		attacker_start(&s->attacker);
}

static void trouble(void *context, void *owned)
{
	static void (*const troubles[])(struct scenario *, struct host *) = {moves, moves, restarts, is_cut_off, jumps,
		forgets, is_under_load, path_changes, path_shrinks, attacker_turns};
	struct scenario *s = context;
	struct stream_random *r = &s->random;
	(void)owned;
	if (s->is_quiet)
		return;
	struct host *h = &s->hosts[random_below(r, s->n_hosts)];
	troubles[random_below(r, sizeof troubles / sizeof *troubles)](s, h);
	usec left = s->ends - s->world.now;
	world_at(&s->world, s->world.now + random_between(r, PAUSE_MIN, PAUSE_MIN + left / 3), trouble, s, NULL);
}

void trouble_start(struct scenario *s)
{
	world_at(&s->world, s->world.now + random_between(&s->random, 1, s->ends - s->world.now), trouble, s, NULL);
}
