/* The receiving half of a lane: from datagrams to packets for the tunnel's interface. */
#include "engine/grace.h"
#include "engine/private.h"

/* What is known of the datagram in hand. */
struct arrival {
	struct peer *peer;
	struct keys *keys;
	const struct endpoint *from;
	uint64_t counter;
	bool is_packets_only; /* old keys: packet frames only */
};

static void post_frame(struct lane *lane, const struct arrival *a, enum event_kind kind, const struct frame *frame)
{
	struct event event = {.kind = kind,
		.index = keys_local_index(a->keys),
		.peer = a->peer->number,
		.counter = a->counter,
		.flags = frame->flags,
		.from = *a->from,
		.len = frame->len};
	if (frame->len > sizeof event.data) {
		lane_drop(lane, DROP_BAD_FRAME);
		return;
	}
	memcpy(event.data, frame->body, frame->len);
	lane_post(lane, &event);
}

static void post_arrival(struct lane *lane, const struct arrival *a, enum event_kind kind, size_t wire)
{
	struct event event = {.kind = kind,
		.index = keys_local_index(a->keys),
		.peer = a->peer->number,
		.counter = a->counter,
		.from = *a->from,
		.len = (uint16_t)(wire < UINT16_MAX ? wire : UINT16_MAX)};
	if (lane_post(lane, &event))
		return;
	if (kind == EVENT_MOVED)
		atomic_store(&a->peer->is_moving, false);
	else if (kind == EVENT_LAYER)
		atomic_store(&a->peer->port.is_other_layer, false); /* the next one says it */
}

/* Cryptokey routing's other half: the source must be the sender's. The last one checked is remembered. */
static bool source_is_allowed(struct lane *lane, struct peer *p, const struct ip_packet *ip)
{
	size_t len = ip->v4 ? 4 : 16;
	if (lane->source_peer == p && lane->source_v4 == ip->v4 && memcmp(lane->source, ip->source, len) == 0)
		return true;
	if (trie_lookup(lane->engine->trie, ip->v4, ip->source) != p)
		return false;
	lane->source_peer = p;
	lane->source_v4 = ip->v4;
	memcpy(lane->source, ip->source, len);
	return true;
}

/* Not from one peer to another, where they are kept apart. The last one checked is remembered. */
static bool may_pass(struct lane *lane, const struct ip_packet *ip)
{
	size_t len = ip->v4 ? 4 : 16;
	if (!atomic_load_explicit(&lane->engine->are_peers_apart, memory_order_relaxed))
		return true;
	if (lane->has_destination && lane->destination_v4 == ip->v4 &&
		memcmp(lane->destination, ip->destination, len) == 0)
		return true;
	if (trie_lookup(lane->engine->trie, ip->v4, ip->destination))
		return false;
	lane->has_destination = true;
	lane->destination_v4 = ip->v4;
	memcpy(lane->destination, ip->destination, len);
	return true;
}

static void take_packet(struct lane *lane, const struct arrival *a, const uint8_t *packet, size_t len, bool partial)
{
	struct ip_packet ip;
	if (ip_parse(&ip, packet, len) != OK) {
		lane_drop(lane, DROP_BAD_INNER);
		return;
	}
	if (!source_is_allowed(lane, a->peer, &ip)) {
		lane_drop(lane, DROP_BAD_SOURCE);
		return;
	}
	if (!may_pass(lane, &ip)) {
		lane_drop(lane, DROP_BETWEEN_PEERS);
		return;
	}
	if (join_packet(&lane->join, packet, len, &ip, partial) != OK)
		lane_drop(lane, DROP_BAD_INNER);
}

/* Parts of a larger packet: off the fast path, under the peer's lock. */
static void take_fragment(struct lane *lane, const struct arrival *a, const struct frame *frame)
{
	struct fragment part;
	struct view packet;
	struct peer *p = a->peer;
	if (fragment_parse(&part, frame) != OK) {
		lane_drop(lane, DROP_BAD_FRAME);
		return;
	}
	if (atomic_load_explicit(&p->port.is_other_layer, memory_order_relaxed)) {
		lane_drop(lane, DROP_LAYER);
		return;
	}
	pthread_mutex_lock(&p->lock);
	enum err err = p->fragments ? OK : fragments_new(&p->fragments);
	if (err == OK)
		err = fragments_add(p->fragments, &part, lane->now, &packet);
	if (err == OK && lane->whole) { /* it may go to another peer, whose lock may be wanted then */
		memcpy(lane->whole, packet.data, packet.len);
	} else if (err == OK) {
		take_packet(lane, a, packet.data, packet.len, false);
		join_flush(&lane->join); /* the packet's buffer is reused by the next part */
	} else if (err != ERR_AGAIN) {
		lane_drop(lane, DROP_FRAGMENT);
	}
	pthread_mutex_unlock(&p->lock);
	if (err == OK && lane->whole) {
		bridge_frame(lane, p, lane->whole, packet.len, false);
		join_flush(&lane->join);
	}
}

/* The other end's Layer is not ours. It is said once a session. */
static void take_other_layer(struct lane *lane, const struct arrival *a)
{
	lane_drop(lane, DROP_LAYER);
	if (!atomic_exchange(&a->peer->port.is_other_layer, true))
		post_arrival(lane, a, EVENT_LAYER, 0);
}

static void take_frame(struct lane *lane, const struct arrival *a, const struct frame *frame)
{
	const bool is_layer2 = lane->engine->bridge;
	switch (frame->kind) {
	case FRAME_IP:
	case FRAME_ETHERNET:
		if ((frame->kind == FRAME_ETHERNET) != is_layer2)
			take_other_layer(lane, a);
		else if (is_layer2)
			bridge_frame(lane, a->peer, frame->body, frame->len, frame->flags & FRAME_FLAG_CSUM_PARTIAL);
		else
			take_packet(lane, a, frame->body, frame->len, frame->flags & FRAME_FLAG_CSUM_PARTIAL);
		break;
	case FRAME_FRAGMENT:
		take_fragment(lane, a, frame);
		break;
	case FRAME_CONTROL:
		if (a->is_packets_only)
			lane_drop(lane, DROP_EXPIRED_KEYS);
		else
			post_frame(lane, a, EVENT_CONTROL, frame);
		break;
	case FRAME_PROBE:
		if (a->is_packets_only || frame->len != PROBE_LEN)
			lane_drop(lane, a->is_packets_only ? DROP_EXPIRED_KEYS : DROP_BAD_FRAME);
		else
			post_frame(lane, a, EVENT_PROBE, frame);
		break;
	default:
		break; /* a kind of a later version: skipped */
	}
}

/* Has the sender's address changed? Until the new one is proven, what came from it is counted. */
static void note_address(struct lane *lane, const struct arrival *a, size_t wire, bool is_newest)
{
	struct route *route = atomic_load_explicit(&a->peer->route, memory_order_acquire);
	if (route && addr_equal(&route->to.remote, &a->from->remote)) {
		if (!atomic_load_explicit(&route->is_proven, memory_order_relaxed))
			atomic_fetch_add_explicit(&route->received, wire, memory_order_relaxed);
	} else if (is_newest && !a->is_packets_only && !atomic_exchange(&a->peer->is_moving, true)) {
		post_arrival(lane, a, EVENT_MOVED, wire);
	}
}

/* Counts and times go to the peer once a batch, not once a datagram. */
static void tally_flush(struct lane *lane)
{
	struct peer *p = lane->tally.peer;
	if (!p)
		return;
	atomic_store_explicit(&p->last_receive, lane->now, memory_order_relaxed);
	if (atomic_load_explicit(&p->unanswered_since, memory_order_relaxed))
		atomic_store_explicit(&p->unanswered_since, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&p->rx_bytes, lane->tally.bytes, memory_order_relaxed);
	if (lane->tally.packets) {
		atomic_fetch_add_explicit(&p->rx_packets, lane->tally.packets, memory_order_relaxed);
		atomic_store_explicit(&p->last_receive_packet, lane->now, memory_order_relaxed);
		if (!atomic_load_explicit(&p->owed_since, memory_order_relaxed))
			atomic_store_explicit(&p->owed_since, lane->now, memory_order_relaxed);
	}
	lane->tally = (struct tally){0};
}

static void tally_add(struct lane *lane, struct peer *p, size_t bytes, uint32_t packets)
{
	if (lane->tally.peer != p) {
		tally_flush(lane);
		lane->tally.peer = p;
	}
	lane->tally.bytes += bytes;
	lane->tally.packets += packets;
}

/* The keys that a datagram names. Neighbours mostly name the same. */
static struct keys *find_keys(struct lane *lane, uint32_t index)
{
	if (!lane->receive_keys || lane->receive_index != index) {
		lane->receive_keys = index_find(lane->engine->index, index);
		lane->receive_index = index;
	}
	return lane->receive_keys;
}

static void drop_unopened(struct lane *lane, enum err why)
{
	if (why == ERR_REPLAY)
		lane_drop(lane, DROP_REPLAY);
	else if (why == ERR_NOMEM || why == ERR_AGAIN)
		lane_drop_unsealed(lane, why);
	else
		lane_drop(lane, DROP_FORGED);
}

static void take_data(struct lane *lane, const struct endpoint *from, uint8_t *datagram, size_t len)
{
	if (len < DATA_OVERHEAD) {
		lane_drop(lane, DROP_UNKNOWN_TYPE);
		return;
	}
	struct arrival a = {.from = from, .keys = find_keys(lane, le32_get(datagram + 4))};
	if (!a.keys) {
		lane_drop(lane, DROP_UNKNOWN_INDEX);
		return;
	}
	a.peer = keys_owner(a.keys);
	a.is_packets_only = keys_is_retired(a.keys);
	bool was_heard = keys_is_heard(a.keys);
	struct view plain;
	bool is_newest;
	enum err err = sealing_open(&lane->sealing, a.keys, datagram, len, &plain, &a.counter, &is_newest);
	if (err != OK) {
		drop_unopened(lane, err);
		return;
	}
	if (!was_heard)
		post_arrival(lane, &a, EVENT_HEARD, 0);
	note_address(lane, &a, len, is_newest);

	struct reader r = reader_of(plain.data, plain.len);
	struct frame frame;
	uint32_t packets = 0;
	while ((err = frame_next(&r, &frame)) == OK) {
		packets += frame.kind == FRAME_IP || frame.kind == FRAME_ETHERNET || frame.kind == FRAME_FRAGMENT;
		take_frame(lane, &a, &frame);
	}
	if (err == ERR_FORMAT)
		lane_drop(lane, DROP_BAD_FRAME);
	tally_add(lane, a.peer, len, packets);
}

static void take_datagram(struct lane *lane, const struct endpoint *from, uint8_t *datagram, size_t len)
{
	if (len && (datagram[0] == MSG_DATA || datagram[0] == MSG_PAD_DATA)) {
		take_data(lane, from, datagram, len);
		return;
	}
	bool is_handshake = len && (datagram[0] == MSG_INIT || datagram[0] == MSG_RESP || datagram[0] == MSG_FINISH ||
					   datagram[0] == MSG_COOKIE || datagram[0] == MSG_REJECT ||
					   datagram[0] == MSG_PAD_HELLO || datagram[0] == MSG_PAD_WELCOME);
	if (!is_handshake || len < HS_DATAGRAM_MIN || len > HS_DATAGRAM_MAX) {
		lane_drop(lane, is_handshake ? DROP_HANDSHAKE_FORMAT : DROP_UNKNOWN_TYPE);
		return;
	}
	struct event event = {.kind = EVENT_HANDSHAKE, .from = *from, .len = (uint16_t)len};
	memcpy(event.data, datagram, len);
	lane_post(lane, &event);
}

void lane_datagrams(struct lane *lane, const struct endpoint *from, uint8_t *data, size_t len, size_t segment)
{
	if (segment == 0)
		segment = len;
	for (size_t at = 0; at < len; at += segment)
		take_datagram(lane, from, data + at, len - at < segment ? len - at : segment);
	tally_flush(lane);
}
