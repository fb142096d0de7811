#include "engine/lane.h"

#include "engine/grace.h"
#include "engine/lane_private.h"
#include "engine/private.h"

#include <stdlib.h>

#define BUFFER_LEN (2 * 65536 + 4096)

static enum err joiner_deliver(struct lane *lane, const struct iovec *iov, int n)
{
	return lane->io.deliver(lane->io.context, iov, n);
}

static void on_join(void *context, const struct iovec *iov, int n)
{
	struct lane *lane = context;
	if (joiner_deliver(lane, iov, n) != OK)
		lane_drop(lane, DROP_WRITE);
}

/* Asking the system for every few bytes would cost more than the rest of a packet. */
static void take_noise(void *context, uint8_t *out, size_t n)
{
	struct lane *lane = context;
	while (n) {
		if (lane->noise_left == 0) {
			rng_fill(&lane->engine->rng, lane->noise_pool, sizeof lane->noise_pool);
			lane->noise_left = sizeof lane->noise_pool;
		}
		size_t part = n < lane->noise_left ? n : lane->noise_left;
		memcpy(out, lane->noise_pool + sizeof lane->noise_pool - lane->noise_left, part);
		lane->noise_left -= part;
		out += part;
		n -= part;
	}
}

enum err lane_new(struct lane **ret, struct engine *e, uint32_t number, const struct lane_io *io)
{
	struct lane *lane = calloc(1, sizeof *lane);
	if (!lane)
		return ERR_NOMEM;
	lane->buffer = malloc(BUFFER_LEN);
	if (!lane->buffer) {
		free(lane);
		return ERR_NOMEM;
	}
	lane->engine = e;
	lane->number = number;
	lane->io = *io;
	if (e->bridge)
		lane->whole = malloc(sizeof lane->scratch);
	lane->noise = (struct rng){.fill = take_noise, .context = lane};
	lane->sealing = (struct sealing){.lane = number, .noise = &lane->noise, .found = lane->found};
	enum err err = e->bridge && !lane->whole ? ERR_NOMEM : poly1305_new(&lane->sealing.mac);
	if (err != OK) {
		lane_free(lane);
		return err;
	}
	joiner_init(&lane->join, (struct join_output){.deliver = on_join, .context = lane}, io->joins_udp);
	*ret = lane;
	return OK;
}

void lane_free(struct lane *lane)
{
	if (!lane)
		return;
	secret_wipe(lane->buffer, BUFFER_LEN);
	free(lane->buffer);
	if (lane->whole)
		secret_wipe(lane->whole, sizeof lane->scratch);
	free(lane->whole);
	poly1305_free(lane->sealing.mac);
	secret_wipe(lane, sizeof *lane);
	free(lane);
}

void lane_begin(struct lane *lane, usec now)
{
	grace_read_begin();
	lane->now = now;
}

void lane_drop_unsealed(struct lane *lane, enum err why)
{
	lane_drop(lane, why == ERR_AGAIN ? DROP_PAD_WAITS : why == ERR_FULL ? DROP_PAD_USED_UP : DROP_MEMORY);
}

size_t lane_padded(struct lane *lane, size_t used, size_t full)
{
	enum padding padding = atomic_load_explicit(&lane->engine->padding, memory_order_relaxed);
	uint8_t random = 0;
	if (padding == PADDING_RANDOM)
		rng_fill(&lane->noise, &random, 1);
	return padding_size(padding, used, full, random);
}

/* ---- the batch of sealed datagrams ---- */

/* Sends the sealed datagrams buffer[start..end). What is being built at `end` stays where it is if
 * is_building; else the buffer is empty afterwards. */
static void batch_send(struct lane *lane, bool is_building)
{
	if (lane->n_sealed == 0) {
		if (!is_building) /* a datagram that could not be sealed may have been to follow one that is sent */
			lane->start = lane->end = 0;
		return;
	}
	size_t len = lane->end - lane->start;
	struct peer *p = lane->peer;
	enum err err = ERR_STATE;
	if (route_may_send(lane->route, len))
		err = lane->io.send(lane->io.context, &lane->route->to, lane->buffer + lane->start, len, lane->segment);
	else
		lane_drop(lane, DROP_UNPROVEN_PATH);
	if (err == OK) {
		atomic_fetch_add_explicit(&p->tx_bytes, len, memory_order_relaxed);
		/* Of the datagram, not of a packet: gathered small ones get lost on a path that shrank, too. */
		if (lane->segment > PATH_PLAIN_MIN + DATA_OVERHEAD &&
			!atomic_load_explicit(&p->sent_large, memory_order_relaxed))
			atomic_store_explicit(&p->sent_large, true, memory_order_relaxed);
	} else if (err == ERR_TOO_BIG) {
		lane_drop(lane, DROP_TOO_BIG);
		struct event event = {.kind = EVENT_TOO_BIG, .peer = p->number};
		lane_post(lane, &event);
	} else if (err != ERR_STATE) {
		lane_drop(lane, DROP_SEND);
	}
	lane->start = lane->end;
	lane->n_sealed = 0;
	lane->segment = 0;
	if (!is_building)
		lane->start = lane->end = 0;
}

/* Seals the datagram at `end`, which has `frames` bytes of them, with a plaintext of `plain` bytes, prefix included. */
static void seal_at_end(struct lane *lane, size_t frames, size_t plain)
{
	uint8_t *datagram = lane->buffer + lane->end;
	size_t wire = plain + DATA_OVERHEAD;

	/* One send takes datagrams of one size, the last perhaps shorter. */
	if (lane->n_sealed && (wire > lane->segment || lane->is_closed || lane->n_sealed == LANE_SEGMENTS_MAX ||
				      lane->end - lane->start + wire > LANE_SEND_MAX))
		batch_send(lane, true);
	enum err err = sealing_seal(&lane->sealing, lane->keys, datagram, frames, plain, false);
	if (err != OK) {
		lane_drop_unsealed(lane, err);
		return;
	}
	if (lane->n_sealed == 0) {
		lane->segment = wire;
		lane->is_closed = false;
	} else if (wire < lane->segment) {
		lane->is_closed = true;
	}
	lane->n_sealed++;
	lane->end += wire;
}

/* Seals the open datagram, into which small packets were gathered. */
static void close_open(struct lane *lane)
{
	size_t used = lane->open_len;
	if (!used)
		return;
	lane->open_len = 0;
	seal_at_end(lane, used, lane_padded(lane, lane->prefix + used, lane->plain_max));
}

/* Room for a whole datagram at `end`, and for what follows it. */
static void make_room(struct lane *lane)
{
	if (lane->end + DATA_OVERHEAD + lane->plain_max + 4096 <= BUFFER_LEN)
		return;
	close_open(lane);
	batch_send(lane, false);
}

static void batch_flush(struct lane *lane)
{
	close_open(lane);
	batch_send(lane, false);
	lane->peer = NULL;
}

/* Directs the batch to a peer. false: it has no session (or address) now. */
static bool batch_direct(struct lane *lane, struct peer *p)
{
	struct keys *keys = atomic_load_explicit(&p->send_keys, memory_order_acquire);
	struct route *route = atomic_load_explicit(&p->route, memory_order_acquire);
	if (lane->peer == p && lane->keys == keys && lane->route == route && keys_may_send(keys, lane->now))
		return true;
	batch_flush(lane);
	if (!keys || !route || !keys_may_send(keys, lane->now))
		return false;
	lane->peer = p;
	lane->keys = keys;
	lane->route = route;
	lane->prefix = keys_prefix(keys);
	lane->plain_max = atomic_load_explicit(&p->plain_max, memory_order_relaxed);
	return true;
}

/* ---- packets from the host ---- */

static void note_sent(struct lane *lane, struct peer *p, uint32_t packets)
{
	atomic_fetch_add_explicit(&p->tx_packets, packets, memory_order_relaxed);
	atomic_store_explicit(&p->last_send, lane->now, memory_order_relaxed);
	atomic_store_explicit(&p->last_send_packet, lane->now, memory_order_relaxed);
	if (atomic_load_explicit(&p->owed_since, memory_order_relaxed))
		atomic_store_explicit(&p->owed_since, 0, memory_order_relaxed);
	if (atomic_load_explicit(&p->unanswered_since, memory_order_relaxed) == 0)
		atomic_store_explicit(&p->unanswered_since, lane->now, memory_order_relaxed);
}

/* Where the frames of the datagram at `end` begin. */
static uint8_t *next_frame(struct lane *lane)
{
	return lane->buffer + lane->end + DATA_HEADER_LEN + lane->prefix;
}

/* The header of the frame that the next segment is in. */
static void put_header(const struct lane *lane, uint8_t *frame, const struct segmenter *s, size_t len)
{
	frame_put_header(
		frame, lane->engine->bridge ? FRAME_ETHERNET : FRAME_IP, s->partial ? FRAME_FLAG_CSUM_PARTIAL : 0, len);
}

/* A packet that fits goes into the open datagram, beside others, while it has room. */
static void add_small(struct lane *lane, struct segmenter *s)
{
	size_t need = FRAME_HEADER_LEN + s->largest;
	if (lane->open_len && lane->prefix + lane->open_len + need > lane->plain_max)
		close_open(lane);
	make_room(lane);
	uint8_t *frame = next_frame(lane) + lane->open_len;
	size_t len = segmenter_next(s, frame + FRAME_HEADER_LEN);
	put_header(lane, frame, s, len);
	lane->open_len += need;
}

/* The segments of a super-packet: one datagram each, all of one size on the wire. */
static void add_segments(struct lane *lane, struct segmenter *s)
{
	close_open(lane);
	size_t headers = lane->prefix + FRAME_HEADER_LEN;
	size_t bucket = lane_padded(lane, headers + s->largest, lane->plain_max);
	bool is_bucket = lane->engine->padding == PADDING_BUCKETS; /* the last, shorter one, too */
	for (;;) {
		make_room(lane);
		uint8_t *frame = next_frame(lane);
		size_t len = segmenter_next(s, frame + FRAME_HEADER_LEN);
		if (len == 0)
			return;
		put_header(lane, frame, s, len);
		seal_at_end(lane, FRAME_HEADER_LEN + len,
			is_bucket ? bucket : lane_padded(lane, headers + len, lane->plain_max));
	}
}

/* Packets larger than the path: in parts, each a datagram of its own. */
static void add_fragments(struct lane *lane, struct segmenter *s)
{
	close_open(lane);
	s->partial = false; /* a part has no checksum flag: complete them */
	size_t each = lane->plain_max - lane->prefix - FRAME_HEADER_LEN - FRAGMENT_HEADER_LEN;
	size_t len;
	while ((len = segmenter_next(s, lane->scratch))) {
		uint32_t id = atomic_fetch_add_explicit(&lane->peer->fragment_id, 1, memory_order_relaxed);
		for (size_t at = 0; at < len;) {
			size_t n = len - at < each ? len - at : each;
			make_room(lane);
			uint8_t *frame = next_frame(lane), *body = frame + FRAME_HEADER_LEN;
			frame_put_header(frame, FRAME_FRAGMENT, 0, FRAGMENT_HEADER_LEN + n);
			le32_put(body, id);
			le16_put(body + 4, (uint16_t)at);
			le16_put(body + 6, (uint16_t)len);
			memcpy(body + FRAGMENT_HEADER_LEN, lane->scratch + at, n);
			size_t used = FRAME_HEADER_LEN + FRAGMENT_HEADER_LEN + n;
			seal_at_end(lane, used, lane_padded(lane, lane->prefix + used, lane->plain_max));
			at += n;
		}
	}
}

/* Keeps the packet and asks the control thread for a session. */
static void want_session(
	struct lane *lane, struct peer *p, const struct virtio_net_hdr *header, const uint8_t *packet, size_t len)
{
	if (peer_stage(p, header, sizeof *header, packet, len) != OK)
		lane_drop(lane, DROP_NO_SESSION);
	if (!atomic_exchange(&p->is_wanted, true)) {
		struct event event = {.kind = EVENT_WANTED, .peer = p->number};
		if (!lane_post(lane, &event))
			atomic_store(&p->is_wanted, false);
	}
}

void lane_send(struct lane *lane, struct peer *p, struct segmenter *s, const struct virtio_net_hdr *header,
	const uint8_t *packet, size_t len)
{
	if (!batch_direct(lane, p)) {
		want_session(lane, p, header, packet, len);
		return;
	}
	note_sent(lane, p, s->count);
	if (lane->prefix + FRAME_HEADER_LEN + s->largest > lane->plain_max)
		add_fragments(lane, s);
	else if (s->count > 1)
		add_segments(lane, s);
	else
		add_small(lane, s);
}

void lane_packet(struct lane *lane, const struct virtio_net_hdr *header, uint8_t *packet, size_t len)
{
	struct segmenter s;
	if (lane->engine->bridge) {
		bridge_packet(lane, header, packet, len);
		return;
	}
	if (segmenter_init(&s, header, packet, len) != OK) {
		lane_drop(lane, DROP_BAD_PACKET);
		return;
	}
	struct peer *p = trie_lookup(lane->engine->trie, s.ip.v4, s.ip.destination);
	if (!p) {
		lane_drop(lane, DROP_NO_ROUTE);
		return;
	}
	lane_send(lane, p, &s, header, packet, len);
}

void lane_staged(struct lane *lane, struct peer *p, const struct virtio_net_hdr *header, uint8_t *packet, size_t len)
{
	struct segmenter s;
	struct ether_frame ether;
	if (!lane->engine->bridge) /* routes may have changed meanwhile */
		lane_packet(lane, header, packet, len);
	else if (ether_parse(&ether, packet, len) == OK && segmenter_init_frame(&s, header, &ether, packet, len) == OK)
		lane_send(lane, p, &s, header, packet, len);
}

void lane_end(struct lane *lane)
{
	join_flush(&lane->join);
	batch_flush(lane);
	lane->keys = NULL;
	lane->route = NULL;
	lane->source_peer = NULL;
	lane->has_destination = false;
	lane->learned_at = lane->found_at = NULL;
	lane->receive_keys = NULL;
	grace_read_end();
}
