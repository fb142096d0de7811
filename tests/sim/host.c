#include "sim/host.h"

#include "engine/lane.h"
#include "engine/private.h"
#include "sim/observer.h"

#include <stdio.h>
#include <stdlib.h>

#define TICKS_WINDOW (10 * USEC_PER_SEC)
#define TICKS_MAX 1500    /* in a window: more is a loop that keeps the CPU from sleeping */
#define TICKS_MAX_EACH 30 /* the same for each of many peers */

usec host_clock(const struct host *h)
{
	return h->world->now + h->clock_ahead;
}

/* ---- what the engine asks of its owner ---- */

static enum err on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment)
{
	struct host *h = context;
	if (len == 0 || segment == 0 || (len + segment - 1) / segment > 64 || len > 65507) {
		world_fail(h->world, "host %u sends %zu bytes in segments of %zu", h->number, len, segment);
		return ERR_ARGUMENT;
	}
	if (network_outer_len(&to->remote, segment) > h->interface_mtu)
		return ERR_TOO_BIG;
	if (random_chance(&h->random, h->send_failures))
		return ERR_AGAIN;
	for (size_t at = 0; at < len; at += segment)
		network_send(h->network, h->node, &to->remote, data + at, len - at < segment ? len - at : segment);
	return OK;
}

static enum err on_deliver(void *context, const struct iovec *iov, int n)
{
	struct host *h = context;
	for (int i = 0; i < n; i++)
		world_trace(h->world, iov[i].iov_base, iov[i].iov_len);
	if (h->hooks)
		h->hooks->deliver(h, iov, n);
	else
		inner_check(h->ledger, h->number, iov, n);
	return OK;
}

static void arrange_turn(struct host *h);

static enum err on_post(void *context, const struct event *event)
{
	struct host *h = context;
	if (h->n_inbox == INBOX_MAX)
		return ERR_FULL;
	struct event *copy = sim_alloc(sizeof *copy);
	*copy = *event;
	h->inbox[h->n_inbox++] = copy;
	arrange_turn(h);
	return OK;
}

static uint32_t on_interface_mtu(void *context, const struct addr *remote)
{
	(void)remote;
	return ((const struct host *)context)->interface_mtu;
}

static void on_notice(void *context, enum notice notice, const char *peer, const char *text)
{
	const struct host *h = context;
	(void)notice;
	(void)peer;
	world_log(h->world, "host %u: %s", h->number, text);
}

/* ---- turns ---- */

static void run_tick(void *context, void *owned);

static void tick(struct host *h)
{
	usec deadline = engine_tick(h->engine, host_clock(h));
	host_check(h);
	if (deadline == USEC_NEVER)
		return;
	usec at = deadline > h->clock_ahead ? deadline - h->clock_ahead : 0;
	if (at < h->world->now)
		at = h->world->now;
	at += h->lateness ? random_below(&h->random, (uint32_t)h->lateness) : 0;
	if (h->deadline > h->world->now && h->deadline <= at)
		return; /* one that is early enough is arranged */
	h->deadline = at;
	world_at(h->world, at, run_tick, h, NULL);
}

static void run_tick(void *context, void *owned)
{
	struct host *h = context;
	(void)owned;
	if (!h->engine || h->deadline != h->world->now)
		return; /* overtaken by an earlier one */
	h->deadline = 0;
	h->ticks++;
	if (h->world->now - h->ticks_since >= TICKS_WINDOW) {
		if (h->ticks - h->ticks_before > TICKS_MAX + TICKS_MAX_EACH * engine_peer_count(h->engine))
			world_fail(h->world, "host %u ticked %llu times in 10 s", h->number,
				(unsigned long long)(h->ticks - h->ticks_before));
		h->ticks_since = h->world->now;
		h->ticks_before = h->ticks;
	}
	tick(h);
}

/* All that has arrived, in the groups that UDP_GRO makes: one address, one size but for the last. */
static void take_arrived(struct host *h)
{
	static uint8_t buffer[64 * 9216];
	static const uint8_t local_ip[16] = {192, 0, 2, 1};
	struct lane *lane = engine_lane(h->engine, random_below(&h->random, DATA_LANES));
	size_t used = 0;
	lane_begin(lane, host_clock(h));
	for (uint32_t i = 0; i < h->n_arrived;) {
		const struct datagram *first = h->arrived[i];
		struct endpoint from = {.remote = first->from, .interface = 2};
		memcpy(from.local_ip, local_ip, 16);
		uint8_t *group = buffer + used;
		size_t len = 0;
		bool is_open = true;
		for (; i < h->n_arrived && is_open; i++) {
			const struct datagram *d = h->arrived[i];
			if (!addr_equal(&d->from, &first->from) || d->len > first->len || len + d->len > 65000)
				break;
			is_open = d->len == first->len;
			memcpy(group + len, d->data, d->len);
			len += d->len;
		}
		lane_datagrams(lane, &from, group, len, first->len);
		used += len;
	}
	lane_end(lane);
	for (uint32_t i = 0; i < h->n_arrived; i++)
		free(h->arrived[i]);
	h->n_arrived = 0;
}

static void take_turn(void *context, void *owned)
{
	struct host *h = context;
	(void)owned;
	h->has_turn = false;
	if (!h->engine)
		return;
	if (h->n_arrived)
		take_arrived(h);
	bool is_under_load = h->is_under_load || h->n_inbox > INBOX_MAX / 4;
	for (uint32_t i = 0; i < h->n_inbox; i++) {
		engine_event(h->engine, h->inbox[i], is_under_load, host_clock(h));
		free(h->inbox[i]);
	}
	h->n_inbox = 0;
	tick(h);
}

static void arrange_turn(struct host *h)
{
	if (h->has_turn)
		return;
	h->has_turn = true;
	world_at(h->world, h->world->now + random_below(&h->random, 500), take_turn, h, NULL);
}

static void on_receive(void *context, const struct datagram *datagram)
{
	struct host *h = context;
	if (!h->engine || h->n_arrived == sizeof h->arrived / sizeof *h->arrived)
		return;
	observer_received(h->observer, h->number, datagram);
	h->arrived[h->n_arrived++] = datagram_new(&datagram->from, &datagram->to, datagram->data, datagram->len);
	arrange_turn(h);
}

/* ---- life ---- */

void host_attach(struct host *h, struct network *n, const struct addr *address)
{
	h->network = n;
	h->random = random_fork(&h->world->random, 100 + h->number);
	h->keys = random_fork(&h->world->random, 1000 + h->number);
	h->node = network_add(n, (struct node){.address = *address, .receive = on_receive, .context = h});
}

static void add_peer(struct host *h, struct host_peer *p, const struct host *other)
{
	struct prefix allowed[2] = {inner_prefix(other->number, true), inner_prefix(other->number, false)};
	char name[16];
	(void)snprintf(name, sizeof name, "host %u", other->number);
	struct peer_config config = {.name = name,
		.allowed_ips = allowed,
		.n_allowed_ips = 2,
		.initiates = p->initiates,
		.keepalive = h->keepalive,
		.has_psk = p->has_psk,
		.protection = p->protection,
		.pad = p->end ? sim_end_start(p->end, h) : NULL};
	if (p->end && !config.pad)
		return;
	memcpy(config.key_id, identity_key_id(other->identity), KEY_ID_LEN);
	memcpy(config.psk, p->psk, PSK_LEN);
	if (engine_add_peer(h->engine, &config, &p->number) != OK)
		world_fail(h->world, "host %u: no peer %u", h->number, other->number);
	else if (p->initiates)
		engine_set_endpoint(h->engine, p->number, &h->network->nodes[other->node].address, host_clock(h));
}

void host_start(struct host *h, const struct host *all)
{
	struct lane_io io[DATA_LANES + 1];
	for (size_t i = 0; i < sizeof io / sizeof *io; i++)
		io[i] = (struct lane_io){.send = on_send,
			.deliver = on_deliver,
			.post = on_post,
			.context = h,
			.joins_udp = h->joins_udp};
	h->config.identity = h->identity;
	h->config.n_lanes = DATA_LANES;
	h->config.host = (struct engine_host){.interface_mtu = on_interface_mtu, .notice = on_notice, .context = h};
	if (h->hooks) {
		const struct engine_host *asks = &h->hooks->asks;
		h->config.host.keep_lease = asks->keep_lease;
		h->config.host.drop_lease = asks->drop_lease;
		h->config.host.accepted = asks->accepted;
		h->config.host.notice = asks->notice;
	}
	struct rng rng = {.fill = random_fill, .context = &h->keys};
	if (engine_new(&h->engine, &h->config, io, &rng, host_clock(h)) != OK) {
		world_fail(h->world, "host %u does not start", h->number);
		return;
	}
	h->deadline = 0;
	h->ticks_since = h->world->now;
	h->ticks_before = h->ticks;
	for (uint32_t i = 0; i < h->n_peers; i++)
		add_peer(h, &h->peers[i], &all[h->peers[i].host]);
	tick(h);
}

void host_wake(struct host *h)
{
	arrange_turn(h);
}

void host_stop(struct host *h, bool politely)
{
	if (!h->engine)
		return;
	if (politely)
		engine_close(h->engine, host_clock(h));
	engine_free(h->engine);
	h->engine = NULL;
	for (uint32_t i = 0; i < h->n_peers; i++)
		if (h->peers[i].end)
			sim_end_stop(h->peers[i].end, politely);
	for (uint32_t i = 0; i < h->n_inbox; i++)
		free(h->inbox[i]);
	for (uint32_t i = 0; i < h->n_arrived; i++)
		free(h->arrived[i]);
	h->n_inbox = h->n_arrived = 0;
}

void host_crash(struct host *h)
{
	host_stop(h, false);
}

void host_forget(struct host *h, uint32_t peer, const struct host *all)
{
	if (!h->engine)
		return;
	engine_remove_peer(h->engine, h->peers[peer].number);
	if (h->peers[peer].end)
		sim_end_stop(h->peers[peer].end, true);
	add_peer(h, &h->peers[peer], &all[h->peers[peer].host]);
	arrange_turn(h);
}

void host_jump(struct host *h, usec by)
{
	h->clock_ahead += by;
	arrange_turn(h);
}

void host_move(struct host *h, const struct addr *address)
{
	h->network->nodes[h->node].address = *address;
}

void host_write_packets(struct host *h, uint32_t to, uint32_t count, uint32_t largest)
{
	static struct inner_packet packets[4];
	if (!h->engine)
		return;
	struct lane *lane = engine_lane(h->engine, random_below(&h->random, DATA_LANES));
	lane_begin(lane, host_clock(h));
	for (uint32_t i = 0; i < count && i < 4; i++) {
		inner_make(h->ledger, &packets[i], h->number, to, largest);
		lane_packet(lane, &packets[i].header, packets[i].bytes, packets[i].len);
	}
	lane_end(lane);
}

void host_write(struct host *h, uint8_t *packet, size_t len)
{
	struct virtio_net_hdr header = {0};
	if (!h->engine)
		return;
	struct lane *lane = engine_lane(h->engine, random_below(&h->random, DATA_LANES));
	lane_begin(lane, host_clock(h));
	lane_packet(lane, &header, packet, len);
	lane_end(lane);
}

void host_describe(const struct host *h)
{
	for (int drop = 0; h->engine && drop < DROP_COUNT; drop++)
		if (engine_drops(h->engine, (enum drop)drop))
			world_log(h->world, "host %u dropped %llu: %s", h->number,
				(unsigned long long)engine_drops(h->engine, (enum drop)drop),
				drop_name((enum drop)drop));
	for (uint32_t i = 0; h->engine && i < h->n_peers; i++) {
		struct peer_status p;
		char where[ADDR_TEXT_LEN];
		if (engine_peer_status(h->engine, h->peers[i].number, &p))
			world_log(h->world, "host %u: %s at %s: %s%s, epoch %u, path %u, sent %llu, received %llu",
				h->number, p.name, addr_format(&p.endpoint, where),
				p.is_established ? "established" : "no session", p.is_connecting ? ", connecting" : "",
				p.epoch, p.path_plain, (unsigned long long)p.tx_packets,
				(unsigned long long)p.rx_packets);
	}
}

void host_check(struct host *h)
{
	const struct engine *e = h->engine;
	if (responder_pending(e->responder) > h->config.max_pending)
		world_fail(
			h->world, "host %u holds %u half-open handshakes", h->number, responder_pending(e->responder));
	for (uint32_t i = 0; i < h->n_peers; i++) {
		const struct peer *p = e->peers[h->peers[i].number];
		if (p->n_staged > STAGED_MAX || p->staged_bytes > STAGED_BYTES_MAX)
			world_fail(h->world, "host %u keeps %zu packets for a peer", h->number, p->n_staged);
	}
}
