#include "sim/network.h"

#include "wire/wire.h"

#include <stdlib.h>

void network_init(struct network *n, struct world *w)
{
	*n = (struct network){.world = w, .random = random_fork(&w->random, 1)};
}

uint32_t network_add(struct network *n, struct node node)
{
	n->nodes[n->n_nodes] = node;
	return n->n_nodes++;
}

size_t network_outer_len(const struct addr *to, size_t len)
{
	return len + (addr_is_v4(to->ip) ? OUTER_OVERHEAD_V4 : OUTER_OVERHEAD_V6);
}

struct datagram *datagram_new(const struct addr *from, const struct addr *to, const void *data, size_t len)
{
	struct datagram *d = sim_alloc(sizeof *d + len);
	d->from = *from;
	d->to = *to;
	d->len = len;
	memcpy(d->data, data, len);
	return d;
}

static const struct node *node_at(const struct network *n, const struct addr *address)
{
	for (uint32_t i = 0; i < n->n_nodes; i++)
		if (addr_equal(&n->nodes[i].address, address))
			return &n->nodes[i];
	return NULL;
}

static void arrive(void *context, void *owned)
{
	const struct datagram *d = owned;
	const struct node *node = node_at(context, &d->to);
	if (node && !node->is_cut)
		node->receive(node->context, d);
}

static void travel(struct network *n, const struct datagram *d, usec delay)
{
	const struct conditions *c = &n->conditions;
	delay += c->latency;
	if (random_chance(&n->random, c->reordering))
		delay += random_below(&n->random, (uint32_t)c->jitter + 1);
	struct datagram *copy = datagram_new(&d->from, &d->to, d->data, d->len);
	if (copy->len && random_chance(&n->random, c->corruption))
		copy->data[random_below(&n->random, (uint32_t)copy->len)] ^=
			(uint8_t)(1U << random_below(&n->random, 8));
	world_at(n->world, n->world->now + delay, arrive, n, copy);
}

void network_inject(struct network *n, const struct datagram *d, usec delay)
{
	if (network_outer_len(&d->to, d->len) > n->conditions.mtu || random_chance(&n->random, n->conditions.loss))
		return;
	travel(n, d, delay);
	if (random_chance(&n->random, n->conditions.duplication))
		travel(n, d, delay + random_below(&n->random, 2000));
}

void network_send(struct network *n, uint32_t node, const struct addr *to, const uint8_t *data, size_t len)
{
	struct datagram *d = datagram_new(&n->nodes[node].address, to, data, len);
	world_trace(n->world, &n->world->now, sizeof n->world->now);
	world_trace(n->world, d->data, d->len);
	if (n->tap(n->tap_context, node, d) && !n->nodes[node].is_cut)
		network_inject(n, d, 0);
	free(d);
}
