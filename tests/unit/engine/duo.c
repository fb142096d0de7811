#include "duo.h"

#include "engine/grace.h"
#include "wire/ip.h"

#include <stdio.h>
#include <string.h>

struct duo_datagrams {
	struct duo_datagrams *next;
	struct endpoint from;
	size_t len, segment;
	uint8_t bytes[];
};

struct duo_events {
	struct duo_events *next;
	struct event event;
};

static struct endpoint endpoint_of(const struct duo_end *end)
{
	struct endpoint e = {.remote = {.port = end->port}};
	static const uint8_t ips[2][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}};
	ip_address(e.remote.ip, true, ips[end->number]);
	return e;
}

/* ---- what the engine calls ---- */

static enum err on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment)
{
	struct duo_end *end = context, *other = &end->duo->ends[!end->number];
	MUST(len > 0 && segment > 0 && segment <= len && (len + segment - 1) / segment <= LANE_SEGMENTS_MAX);
	end->sent++;
	if (segment > end->largest_sent)
		end->largest_sent = segment;
	if (to->remote.port != other->port || (end->duo->takes && segment > end->duo->takes))
		return OK; /* lost on the way */
	struct duo_datagrams *d = malloc(sizeof *d + len);
	MUST(d);
	*d = (struct duo_datagrams){.from = endpoint_of(end), .len = len, .segment = segment};
	memcpy(d->bytes, data, len);
	pthread_mutex_lock(&other->lock);
	bool fits = other->n_in < DUO_QUEUE_MAX;
	if (fits) {
		*other->in_tail = d;
		other->in_tail = &d->next;
		other->n_in++;
	}
	pthread_mutex_unlock(&other->lock);
	if (!fits)
		free(d);
	return OK;
}

static enum err on_deliver(void *context, const struct iovec *iov, int n)
{
	struct duo_end *end = context;
	end->delivered++;
	if (end->on_packet)
		end->on_packet(end->context, iov, n);
	return OK;
}

static enum err on_post(void *context, const struct event *event)
{
	struct duo_end *end = context;
	enum err err = ERR_FULL;
	struct duo_events *e = malloc(sizeof *e);
	MUST(e);
	*e = (struct duo_events){.event = *event};
	pthread_mutex_lock(&end->lock);
	if (end->n_events < DUO_QUEUE_MAX) {
		*end->events_tail = e;
		end->events_tail = &e->next;
		end->n_events++;
		err = OK;
	}
	pthread_mutex_unlock(&end->lock);
	if (err != OK)
		free(e);
	return err;
}

static uint32_t on_mtu(void *context, const struct addr *remote)
{
	(void)context;
	(void)remote;
	return 1500;
}

static void on_notice(void *context, enum notice notice, const char *peer, const char *text)
{
	struct duo_end *end = context;
	(void)peer;
	end->established += notice == NOTICE_ESTABLISHED;
	if (notice == NOTICE_REFUSED)
		(void)snprintf(end->refused, sizeof end->refused, "%s", text);
}

static void on_accepted(void *context, uint32_t number, const struct accept *accept)
{
	struct duo_end *end = context;
	MUST(number == end->peer);
	end->accepted = *accept;
	end->n_accepted++;
}

static enum err on_keep_lease(void *context, const uint8_t key_id[KEY_ID_LEN], const char *peer,
	const struct prefix *address, struct fault *fault)
{
	struct duo_end *end = context;
	MUST(memcmp(key_id, identity_key_id(end->duo->ends[!end->number].identity), KEY_ID_LEN) == 0);
	MUST(strcmp(peer, "other") == 0);
	if (end->forgets)
		return fault_set(fault, ERR_IO, "the disk is full");
	MUST(end->n_kept < sizeof end->kept / sizeof *end->kept);
	end->kept[end->n_kept++] = *address;
	return OK;
}

/* ---- life ---- */

static void end_open(struct duo *d, uint32_t number)
{
	struct duo_end *end = &d->ends[number];
	uint8_t seed[SIG_SEED_LEN] = {(uint8_t)(number + 1)};
	end->duo = d;
	end->number = number;
	end->port = (uint16_t)(1000 + number);
	end->seed.state = number;
	end->in_tail = &end->in;
	end->events_tail = &end->events;
	pthread_mutex_init(&end->lock, NULL);
	MUST(identity_generate(&end->identity, SIG_ML_DSA_65, seed) == OK);
	struct engine_config config = {
		.identity = end->identity,
		.n_lanes = DUO_LANES,
		.suites = CIPHER_ALL,
		.padding = d->padding,
		.reauthenticate = 3600 * USEC_PER_SEC,
		.rekey = d->rekey,
		.max_pending = 16,
		.handshake_rate = 100,
		.pools = number ? d->pools : NULL,
		.n_pools = number ? d->n_pools : 0,
		.is_layer2 = d->is_layer2,
		.mac = {2, 0, 0, 0, (uint8_t)number, 0},
		.host = {.interface_mtu = on_mtu,
			.notice = on_notice,
			.keep_lease = on_keep_lease,
			.accepted = on_accepted,
			.context = end},
	};
	if (number)
		config.push = d->push;
	for (int i = 0; i <= DUO_LANES; i++)
		end->io[i] = (struct lane_io){.send = on_send,
			.deliver = on_deliver,
			.post = on_post,
			.context = end,
			.joins_udp = d->joins_udp};
	struct rng rng = seeded_rng(&end->seed);
	MUST(engine_new(&end->engine, &config, end->io, &rng, d->now) == OK);
}

void duo_add_peer(struct duo *d, uint32_t number)
{
	struct duo_end *end = &d->ends[number], *other = &d->ends[!number];
	struct prefix allowed[2];
	MUST(prefix_parse(&allowed[0], number ? "10.0.0.1" : "10.0.0.2") == OK);
	MUST(prefix_parse(&allowed[1], number ? "fd00::1" : "fd00::2") == OK);
	struct peer_config config = {.name = "other",
		.allowed_ips = allowed,
		.n_allowed_ips = 2,
		.initiates = number == 0,
		.takes = d->takes_of_accept};
	memcpy(config.key_id, identity_key_id(other->identity), KEY_ID_LEN);
	MUST(engine_add_peer(end->engine, &config, &end->peer) == OK);
	if (config.initiates) {
		struct endpoint to = endpoint_of(other);
		engine_set_endpoint(end->engine, end->peer, &to.remote, d->now);
	}
}

void duo_open(struct duo *d)
{
	if (d->now == 0)
		d->now = USEC_PER_SEC;
	end_open(d, 0);
	end_open(d, 1);
	duo_add_peer(d, 0);
	duo_add_peer(d, 1);
}

static struct duo_datagrams *take_datagrams(struct duo_end *end)
{
	pthread_mutex_lock(&end->lock);
	struct duo_datagrams *d = end->in;
	if (d) {
		end->in = d->next;
		if (!end->in)
			end->in_tail = &end->in;
		end->n_in--;
	}
	pthread_mutex_unlock(&end->lock);
	return d;
}

static struct duo_events *take_event(struct duo_end *end)
{
	pthread_mutex_lock(&end->lock);
	struct duo_events *e = end->events;
	if (e) {
		end->events = e->next;
		if (!end->events)
			end->events_tail = &end->events;
		end->n_events--;
	}
	pthread_mutex_unlock(&end->lock);
	return e;
}

void duo_close(struct duo *d)
{
	for (int i = 0; i < 2; i++) {
		struct duo_end *end = &d->ends[i];
		struct duo_datagrams *datagrams;
		struct duo_events *event;
		engine_close(end->engine, d->now);
		engine_free(end->engine);
		identity_free(end->identity);
		while ((event = take_event(end)))
			free(event);
		while ((datagrams = take_datagrams(&d->ends[!i])))
			free(datagrams);
	}
	for (int i = 0; i < 2; i++) {
		struct duo_datagrams *datagrams;
		while ((datagrams = take_datagrams(&d->ends[i])))
			free(datagrams);
		pthread_mutex_destroy(&d->ends[i].lock);
	}
}

/* ---- work ---- */

bool duo_lane_work(struct duo *d, uint32_t number, uint32_t lane_number)
{
	struct duo_end *end = &d->ends[number];
	struct duo_datagrams *in = take_datagrams(end);
	if (!in)
		return false;
	struct lane *lane = engine_lane(end->engine, lane_number);
	lane_begin(lane, d->now);
	lane_datagrams(lane, &in->from, in->bytes, in->len, in->segment);
	lane_end(lane);
	free(in);
	return true;
}

bool duo_control_work(struct duo *d, uint32_t number)
{
	struct duo_end *end = &d->ends[number];
	struct duo_events *e;
	bool worked = false;
	while ((e = take_event(end))) {
		engine_event(end->engine, &e->event, false, d->now);
		free(e);
		worked = true;
	}
	engine_tick(end->engine, d->now);
	return worked;
}

void duo_run(struct duo *d, usec duration)
{
	usec until = d->now + duration;
	for (;;) {
		bool worked = false;
		for (uint32_t i = 0; i < 2; i++) {
			while (duo_lane_work(d, i, 0))
				worked = true;
			worked |= duo_control_work(d, i);
		}
		if (worked)
			continue;
		usec next[2];
		for (int i = 0; i < 2; i++)
			next[i] = engine_tick(d->ends[i].engine, d->now);
		usec due = next[0] < next[1] ? next[0] : next[1];
		if (d->ends[0].n_in || d->ends[1].n_in || due <= d->now)
			due = d->now + USEC_PER_MS;
		if (due >= until) {
			d->now = until;
			return;
		}
		d->now = due;
	}
}

bool duo_is_established(const struct duo *d, uint32_t end)
{
	struct peer_status status;
	return engine_peer_status(d->ends[end].engine, d->ends[end].peer, &status) && status.is_established;
}

void duo_packet(struct duo *d, uint32_t end, uint32_t lane_number, const struct virtio_net_hdr *header,
	const uint8_t *packet, size_t len)
{
	struct lane *lane = engine_lane(d->ends[end].engine, lane_number);
	uint8_t *copy = malloc(len);
	MUST(copy);
	memcpy(copy, packet, len);
	lane_begin(lane, d->now);
	lane_packet(lane, header, copy, len);
	lane_end(lane);
	free(copy);
}

size_t duo_udp(uint8_t *out, uint32_t end, bool v4, size_t payload, uint32_t stamp)
{
	size_t layer4 = v4 ? 20 : 40, len = layer4 + UDP_HEADER_LEN + payload;
	memset(out, 0, len);
	out[0] = v4 ? 0x45 : 0x60;
	out[v4 ? 8 : 7] = 64;
	out[v4 ? 9 : 6] = IP_PROTOCOL_UDP;
	for (uint32_t i = 0; i < 2; i++) { /* source, destination */
		uint8_t *at = out + (v4 ? 12 + 4 * i : 8 + 16 * i);
		at[0] = v4 ? 10 : 0xfd;
		at[v4 ? 3 : 15] = (uint8_t)(1 + (i ^ end));
	}
	be16_put(out + layer4, 4000);
	be16_put(out + layer4 + 2, 4000);
	be16_put(out + layer4 + 4, (uint16_t)(UDP_HEADER_LEN + payload));
	for (size_t i = 0; i < payload; i++)
		out[layer4 + UDP_HEADER_LEN + i] = (uint8_t)(stamp >> 8 * (i % 4));
	struct ip_packet ip;
	be16_put(out + (v4 ? 2 : 4), (uint16_t)(v4 ? len : len - 40));
	MUST(ip_parse(&ip, out, len) == OK);
	ip_set_length(out, &ip, len);
	uint16_t pseudo = ip_fold(ip_pseudo_sum(&ip, len - layer4));
	memcpy(out + layer4 + 6, &pseudo, 2);
	MUST(ip_complete_checksum(out, len, layer4, 6) == OK);
	return len;
}

size_t duo_frame(uint8_t *out, uint32_t end, uint8_t from, uint8_t to, bool v4, size_t payload, uint32_t stamp)
{
	memcpy(out, (const uint8_t[12]){2, 0, 0, 0, (uint8_t)!end, to, 2, 0, 0, 0, (uint8_t)end, from}, 12);
	if (to == 255)
		memset(out, 255, ETHER_ADDRESS_LEN);
	be16_put(out + 12, v4 ? 0x0800 : 0x86dd);
	return ETHER_HEADER_LEN + duo_udp(out + ETHER_HEADER_LEN, end, v4, payload, stamp);
}
