#include "engine/bridge.h"

#include "engine/grace.h"
#include "engine/private.h"
#include "transport/segment.h"

#include <stdlib.h>

#define AGE_EVERY (10 * USEC_PER_SEC)

/* Who gets what goes to all: peers that have a session, or can be called for one. Replaced as a whole. */
struct members {
	uint32_t count;
	struct peer *peers[];
};

struct bridge {
	struct macs *macs;
	uint8_t mac[ETHER_ADDRESS_LEN];
	struct port own;
	_Atomic(struct members *) members; /* NULL: nobody */
	bool has_changed;
	usec age_at;
};

/* ---- the control thread's part ---- */

enum err bridge_new(struct bridge **ret, const uint8_t mac[static ETHER_ADDRESS_LEN], const struct rng *rng)
{
	struct bridge *b = calloc(1, sizeof *b);
	if (!b)
		return ERR_NOMEM;
	enum err err = macs_new(&b->macs, rng);
	if (err != OK) {
		free(b);
		return err;
	}
	memcpy(b->mac, mac, ETHER_ADDRESS_LEN);
	b->own.macs.is_local = true;
	*ret = b;
	return OK;
}

void bridge_free(struct bridge *b)
{
	if (!b)
		return;
	macs_free(b->macs);
	free(atomic_load(&b->members));
	free(b);
}

void bridge_change(struct bridge *b)
{
	if (b)
		b->has_changed = true;
}

uint32_t bridge_own_stations(const struct bridge *b)
{
	return atomic_load_explicit(&b->own.macs.count, memory_order_relaxed);
}

/* Without memory nobody is one until the next tick. */
static void publish_members(struct engine *e)
{
	struct bridge *b = e->bridge;
	struct members *before = atomic_load(&b->members);
	struct members *m = malloc(sizeof *m + e->n_peers * sizeof(struct peer *));
	b->has_changed = !m;
	if (m)
		m->count = 0;
	for (uint32_t i = 0; m && i < e->n_peers; i++) {
		struct peer *p = e->peers[i];
		if (p && (p->initiates || atomic_load(&p->send_keys)))
			m->peers[m->count++] = p;
	}
	atomic_store_explicit(&b->members, m, memory_order_release);
	grace_wait();
	free(before);
}

void bridge_tick(struct engine *e, usec now)
{
	if (!e->bridge)
		return;
	if (e->bridge->has_changed)
		publish_members(e);
	if (now >= e->bridge->age_at) {
		macs_age(e->bridge->macs, now);
		e->bridge->age_at = now + AGE_EVERY;
	}
}

void bridge_forget(struct engine *e, const struct peer *removed)
{
	struct bridge *b = e->bridge;
	if (!b || !removed)
		return;
	publish_members(e);
	for (; removed; removed = removed->next_removed)
		macs_forget(b->macs, &removed->port.macs);
}

/* ---- stations ---- */

static struct mac_key key_of(const struct ether_frame *ether, const uint8_t *address)
{
	struct mac_key key = {.vlan = ether->vlan};
	memcpy(key.address, address, sizeof key.address);
	return key;
}

/* The source is behind that port from now on. false: it is another's. The last one is remembered. */
static bool learn(struct lane *lane, struct port *port, const struct ether_frame *ether)
{
	struct mac_key key = key_of(ether, ether->source);
	if (lane->learned_at == port && mac_key_equal(&lane->learned, &key))
		return true;
	enum err err = macs_learn(lane->engine->bridge->macs, &port->macs, &key, lane->now);
	if (err == OK) {
		lane->learned = key;
		lane->learned_at = port;
	}
	return err != ERR_EXISTS; /* where there is no room for it, answers are flooded */
}

/* Where a station is; NULL: at all ports but one, as groups are. The last one is remembered. */
static struct port *find(struct lane *lane, const struct ether_frame *ether)
{
	struct bridge *b = lane->engine->bridge;
	if (ether_is_group(ether->destination))
		return NULL;
	if (memcmp(ether->destination, b->mac, ETHER_ADDRESS_LEN) == 0)
		return &b->own;
	struct mac_key key = key_of(ether, ether->destination);
	if (lane->found_at && mac_key_equal(&lane->found_key, &key))
		return lane->found_at;
	struct mac_port *macs = macs_find(b->macs, &key, lane->now);
	if (!macs)
		return NULL;
	lane->found_key = key;
	lane->found_at = (struct port *)((char *)macs - offsetof(struct port, macs));
	return lane->found_at;
}

/* ---- frames ---- */

/* A frame on its way, from whatever side. */
struct passage {
	struct port *from;
	struct ether_frame ether;
	const struct virtio_net_hdr *header;
	struct segmenter segments;
	const uint8_t *frame;
	size_t len;
	bool partial; /* from a peer, with the pseudo-header's sum only */
};

static void send_to(struct lane *lane, const struct passage *f, struct peer *p)
{
	struct segmenter segments = f->segments; /* each peer's begins at the first */
	lane_send(lane, p, &segments, f->header, f->frame, f->len);
}

static void deliver(struct lane *lane, const struct passage *f)
{
	if (join_frame(&lane->join, f->frame, f->len, &f->ether, f->partial) != OK)
		lane_drop(lane, DROP_BAD_INNER);
}

/* To all ports but the one that it came from. */
static void flood(struct lane *lane, const struct passage *f, bool to_peers)
{
	struct bridge *b = lane->engine->bridge;
	const struct members *m = atomic_load_explicit(&b->members, memory_order_acquire);
	bool is_own = f->from == &b->own;
	uint32_t n = m && to_peers ? m->count : 0;
	uint32_t copies = is_own || n ? n : 1; /* to all members; or, but for its sender, and to us */
	if (copies == 0) {
		lane_drop(lane, DROP_NO_ROUTE);
		return;
	}
	if (!flood_take(&f->from->flood, copies, is_own ? FLOOD_OWN_EACH : FLOOD_PEER_EACH, lane->now)) {
		lane_drop(lane, DROP_FLOOD);
		return;
	}
	if (!is_own)
		deliver(lane, f);
	for (uint32_t i = 0; i < n; i++)
		if (m->peers[i] != f->from->peer)
			send_to(lane, f, m->peers[i]);
}

void bridge_packet(struct lane *lane, const struct virtio_net_hdr *header, const uint8_t *frame, size_t len)
{
	struct bridge *b = lane->engine->bridge;
	struct passage f = {.from = &b->own, .header = header, .frame = frame, .len = len};
	if (ether_parse(&f.ether, frame, len) != OK ||
		segmenter_init_frame(&f.segments, header, &f.ether, frame, len) != OK) {
		lane_drop(lane, DROP_BAD_PACKET);
		return;
	}
	if (ether_is_link_local(f.ether.destination)) {
		lane_drop(lane, DROP_LINK_LOCAL);
		return;
	}
	if (ether_is_station(f.ether.source))
		(void)learn(lane, &b->own, &f.ether); /* the own side is always right */
	struct port *to = find(lane, &f.ether);
	if (to == &b->own)
		lane_drop(lane, DROP_SAME_SIDE);
	else if (to)
		send_to(lane, &f, to->peer);
	else
		flood(lane, &f, true);
}

/* Peers that are kept apart might send each other packets by way of this host's own station, where it forwards. */
static bool is_for_another(const struct lane *lane, const struct passage *f)
{
	struct ip_packet ip;
	size_t len;
	if (ether_ip(&f->ether, f->frame, f->len, &ip, &len) != OK)
		return false;
	const struct peer *p = trie_lookup(lane->engine->trie, ip.v4, ip.destination);
	return p && p != f->from->peer;
}

/* What our own kernel would have said of the frame: where its checksum is to be completed. */
static enum err describe(struct virtio_net_hdr *header, const struct passage *f)
{
	struct ip_packet ip;
	size_t len;
	*header = (struct virtio_net_hdr){0};
	if (!f->partial)
		return OK;
	if (ether_ip(&f->ether, f->frame, f->len, &ip, &len) != OK || ip.is_fragment ||
		ip_checksum_offset(ip.protocol) == 0)
		return ERR_FORMAT;
	header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->csum_start = (uint16_t)(f->ether.header_len + ip.header_len);
	header->csum_offset = ip_checksum_offset(ip.protocol);
	return OK;
}

/* Why a frame of a peer is not looked at any further; DROP_COUNT: it is. */
static enum drop refusal(struct lane *lane, struct port *from, const struct ether_frame *ether)
{
	if (!ether_is_station(ether->source) ||
		memcmp(ether->source, lane->engine->bridge->mac, ETHER_ADDRESS_LEN) == 0)
		return DROP_BAD_MAC;
	if (ether_is_link_local(ether->destination))
		return DROP_LINK_LOCAL;
	return learn(lane, from, ether) ? DROP_COUNT : DROP_MAC_TAKEN;
}

void bridge_frame(struct lane *lane, struct peer *from, const uint8_t *frame, size_t len, bool partial)
{
	struct virtio_net_hdr header;
	struct bridge *b = lane->engine->bridge;
	struct passage f = {.from = &from->port, .header = &header, .frame = frame, .len = len, .partial = partial};
	if (ether_parse(&f.ether, frame, len) != OK) {
		lane_drop(lane, DROP_BAD_INNER);
		return;
	}
	enum drop why = refusal(lane, f.from, &f.ether);
	if (why != DROP_COUNT) {
		lane_drop(lane, why);
		return;
	}
	struct port *to = find(lane, &f.ether);
	bool are_apart = atomic_load_explicit(&lane->engine->are_peers_apart, memory_order_relaxed);
	if (are_apart && is_for_another(lane, &f))
		lane_drop(lane, DROP_BETWEEN_PEERS);
	else if (to == &b->own)
		deliver(lane, &f);
	else if (to && (to == f.from || are_apart))
		lane_drop(lane, to == f.from ? DROP_SAME_SIDE : DROP_BETWEEN_PEERS);
	else if (describe(&header, &f) != OK || segmenter_init_frame(&f.segments, &header, &f.ether, frame, len) != OK)
		lane_drop(lane, DROP_BAD_INNER);
	else if (to)
		send_to(lane, &f, to->peer);
	else
		flood(lane, &f, !are_apart);
}
