#include "sim/inner.h"

#include "base/bytes.h"
#include "wire/ip.h"

#include <stdlib.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

#define PAYLOAD_MIN (INNER_MARKER_LEN + 4)
#define SEGMENTS_MAX 40
#define TCP_ACK 0x10
#define TCP_PSH 0x08
#define TCP_FIN 0x01

void ledger_init(struct delivery_ledger *l, struct world *w)
{
	*l = (struct delivery_ledger){.world = w, .random = random_fork(&w->random, 2)};
}

void ledger_done(struct delivery_ledger *l)
{
	free(l->parcels);
}

static uint32_t record(struct delivery_ledger *l, const struct parcel *p)
{
	if (l->count == l->size) {
		l->size = l->size ? 2 * l->size : 256;
		l->parcels = realloc(l->parcels, l->size * sizeof *l->parcels);
		if (!l->parcels)
			exit(2);
	}
	l->parcels[l->count] = *p;
	return l->count++;
}

/* ---- building ---- */

/* 4 or 16 bytes. */
static void write_address(uint8_t *out, uint32_t host, bool v4)
{
	const uint8_t four[4] = {10, 77, (uint8_t)host, 1};
	const uint8_t sixteen[16] = {0xfd, 0x77, [13] = (uint8_t)host, [15] = 1};
	memcpy(out, v4 ? four : sixteen, v4 ? sizeof four : sizeof sixteen);
}

struct prefix inner_prefix(uint32_t host, bool v4)
{
	struct prefix p = {.v4 = v4, .bits = v4 ? 24 : 112};
	if (v4)
		p.ip[10] = p.ip[11] = 0xff;
	write_address(v4 ? p.ip + 12 : p.ip, host, v4);
	p.ip[15] = 0;
	return p;
}

static uint8_t protocol_of(const struct parcel *p)
{
	if (p->kind == INNER_TCP)
		return IP_PROTOCOL_TCP;
	return p->kind == INNER_ICMP ? (p->v4 ? 1 : 58) : IP_PROTOCOL_UDP;
}

static size_t layer4_header_len(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_TCP ? TCP_HEADER_MIN : UDP_HEADER_LEN;
}

static size_t headers_len(const struct parcel *p)
{
	return (size_t)(p->v4 ? 20 : 40) + layer4_header_len(protocol_of(p));
}

static void fill_payload(uint8_t *out, size_t len, uint32_t id)
{
	struct stream_random contents = {id};
	memcpy(out, INNER_MARKER, INNER_MARKER_LEN);
	le32_put(out + INNER_MARKER_LEN, id);
	random_fill(&contents, out + PAYLOAD_MIN, len - PAYLOAD_MIN);
}

/* Headers for `payload` bytes; the layer-4 checksum is zero. Returns their length. */
static size_t write_headers(uint8_t *out, const struct parcel *p, size_t payload)
{
	uint8_t protocol = protocol_of(p);
	size_t ip = p->v4 ? 20 : 40, len = headers_len(p);
	memset(out, 0, len);
	if (p->v4) {
		out[0] = 0x45;
		out[6] = 0x40; /* do not fragment */
		out[8] = 64;
		out[9] = protocol;
		write_address(out + 12, p->source, true);
		write_address(out + 16, p->to, true);
	} else {
		out[0] = 0x60;
		out[6] = protocol;
		out[7] = 64;
		write_address(out + 8, p->source, false);
		write_address(out + 24, p->to, false);
	}
	uint8_t *layer4 = out + ip;
	be16_put(layer4, (uint16_t)(40000 + p->from * 10 + (int)p->kind));
	be16_put(layer4 + 2, (uint16_t)(5000 + p->to));
	if (protocol == IP_PROTOCOL_TCP) {
		be32_put(layer4 + 4, p->sequence);
		layer4[12] = 5 << 4;
		layer4[13] = p->tcp_flags;
		be16_put(layer4 + 14, 512);
	} else if (protocol == IP_PROTOCOL_UDP) {
		be16_put(layer4 + 4, (uint16_t)(UDP_HEADER_LEN + payload));
	} else {
		layer4[0] = p->v4 ? 8 : 128; /* echo request */
	}
	return len;
}

static size_t checksum_offset(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_TCP ? 16 : 6;
}

/* Lengths, IPv4's checksum, and the layer-4 one: complete, or only the pseudo-header's sum. */
static void finish_headers(uint8_t *out, size_t len, bool is_partial)
{
	struct ip_packet ip;
	bool v4 = out[0] >> 4 == 4;
	if (v4)
		be16_put(out + 2, (uint16_t)len);
	else
		be16_put(out + 4, (uint16_t)(len - 40));
	if (ip_parse(&ip, out, len) != OK)
		return;
	ip_set_length(out, &ip, len);
	if (ip_checksum_offset(ip.protocol) == 0)
		return;
	uint16_t pseudo = ip_fold(ip_pseudo_sum(&ip, len - ip.header_len));
	memcpy(out + ip.header_len + checksum_offset(ip.protocol), &pseudo, 2);
	if (!is_partial)
		(void)!ip_complete_checksum(out, len, ip.header_len, checksum_offset(ip.protocol));
}

/* The packet as it must come out: whole, with complete checksums. */
static size_t build(const struct parcel *p, uint32_t id, uint8_t *out)
{
	size_t headers = write_headers(out, p, p->payload_len), len = headers + p->payload_len;
	fill_payload(out + headers, p->payload_len, id);
	finish_headers(out, len, false);
	if (p->kind == INNER_UDP_NO_CHECKSUM)
		memset(out + headers - 2, 0, 2);
	return len;
}

/* ---- sending ---- */

/* A super-packet: one parcel a segment. */
static void make_super(struct delivery_ledger *l, struct inner_packet *ret, struct parcel first, uint32_t largest)
{
	struct stream_random *r = &l->random;
	uint32_t each = (uint32_t)random_between(r, PAYLOAD_MIN, largest);
	uint32_t segments = (uint32_t)random_between(r, 2, SEGMENTS_MAX);
	uint32_t last = (uint32_t)random_between(r, PAYLOAD_MIN, each);
	while (headers_len(&first) + (segments - 1) * (size_t)each + last > INNER_MAX)
		segments--;
	size_t at = write_headers(ret->bytes, &first, 0);
	size_t headers = at;
	for (uint32_t i = 0; i < segments; i++) {
		struct parcel p = first;
		bool is_last = i == segments - 1;
		p.payload_len = (uint16_t)(is_last ? last : each);
		p.sequence = first.sequence + i * each;
		if (!is_last)
			p.tcp_flags &= (uint8_t) ~(TCP_PSH | TCP_FIN);
		uint32_t id = record(l, &p);
		fill_payload(ret->bytes + at, p.payload_len, id);
		at += p.payload_len;
	}
	if (first.kind == INNER_UDP)
		be16_put(ret->bytes + headers - 4, (uint16_t)(UDP_HEADER_LEN + at - headers));
	ret->len = at;
	finish_headers(ret->bytes, ret->len, true);
	ret->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	ret->header.gso_type = first.kind == INNER_UDP ? VIRTIO_NET_HDR_GSO_UDP_L4
			       : first.v4              ? VIRTIO_NET_HDR_GSO_TCPV4
						       : VIRTIO_NET_HDR_GSO_TCPV6;
	ret->header.gso_size = (uint16_t)each;
	ret->header.hdr_len = (uint16_t)headers;
	ret->header.csum_start = first.v4 ? 20 : 40;
	ret->header.csum_offset = (uint16_t)checksum_offset(protocol_of(&first));
}

void inner_make(struct delivery_ledger *l, struct inner_packet *ret, uint32_t from, uint32_t to, uint32_t largest)
{
	struct stream_random *r = &l->random;
	struct parcel p = {.from = (uint8_t)from, .to = (uint8_t)to, .source = (uint8_t)from, .sent_at = l->world->now};
	p.kind = (enum inner_kind)random_below(r, 4);
	p.v4 = random_chance(r, 500) || p.kind == INNER_UDP_NO_CHECKSUM;
	p.tcp_flags = (uint8_t)(TCP_ACK | (random_chance(r, 300) ? TCP_PSH : 0) | (random_chance(r, 50) ? TCP_FIN : 0));
	p.sequence = (uint32_t)random_u64(r);
	if (random_chance(r, 20))
		p.source = (uint8_t)((from + 1 + random_below(r, HOSTS_MAX)) % (HOSTS_MAX + 1));
	ret->header = (struct virtio_net_hdr){0};
	bool may_offload = p.kind == INNER_TCP || p.kind == INNER_UDP;
	if (may_offload && largest > 100 && random_chance(r, 250)) {
		make_super(l, ret, p, largest < 1400 ? largest : 1400);
		return;
	}
	/* Many of one size, so that parts of one packet might fit another. */
	p.payload_len = (uint16_t)(random_chance(r, 400) ? largest : random_between(r, PAYLOAD_MIN, largest));
	ret->len = build(&p, record(l, &p), ret->bytes);
	if (may_offload && random_chance(r, 500)) {
		ret->header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		ret->header.csum_start = p.v4 ? 20 : 40;
		ret->header.csum_offset = (uint16_t)checksum_offset(protocol_of(&p));
		finish_headers(ret->bytes, ret->len, true);
	}
}

/* ---- checking ---- */

static void check_one(struct delivery_ledger *l, uint32_t at, uint8_t *packet, size_t len)
{
	static uint8_t expected[INNER_MAX + 1];
	struct world *w = l->world;
	struct ip_packet ip;
	if (ip_parse(&ip, packet, len) != OK || len < ip.header_len + layer4_header_len(ip.protocol) + PAYLOAD_MIN) {
		world_fail(w, "host %u was given a malformed packet of %zu bytes", at, len);
		return;
	}
	const uint8_t *payload = packet + ip.header_len + layer4_header_len(ip.protocol);
	uint32_t id = le32_get(payload + INNER_MARKER_LEN);
	if (memcmp(payload, INNER_MARKER, INNER_MARKER_LEN) != 0 || id >= l->count) {
		world_fail(w, "host %u was given a packet that nobody sent (%zu bytes)", at, len);
		return;
	}
	struct parcel *p = &l->parcels[id];
	size_t expected_len = build(p, id, expected);
	if (ip.v4 && ip_fold(ip_sum(packet, ip.header_len, 0)) != 0xffff)
		world_fail(w, "packet %u came out with a wrong IPv4 checksum", id);
	if (ip.v4) { /* the identification, and with it the checksum, may be another after cutting and joining */
		memcpy(packet + 4, expected + 4, 2);
		memcpy(packet + 10, expected + 10, 2);
	}
	if (len != expected_len || memcmp(packet, expected, len) != 0)
		world_fail(w, "packet %u came out changed (%zu bytes, sent %zu, kind %d)", id, len, expected_len,
			(int)p->kind);
	else if (p->to != at)
		world_fail(w, "packet %u for host %u came out at host %u", id, p->to, at);
	else if (p->source != p->from)
		world_fail(w, "packet %u came out under another's source address", id);
	else if (p->is_delivered)
		world_fail(w, "packet %u came out twice", id);
	p->is_delivered = true;
	l->delivered++;
	if (p->sent_at >= l->since)
		l->heard[p->from][p->to] = w->now;
}

/* A segment of a super-packet, cut as a kernel does it. */
static size_t cut(const struct inner_packet *super, size_t at, size_t each, uint32_t index, uint8_t *out)
{
	size_t headers = super->header.hdr_len, layer4 = super->header.csum_start;
	size_t left = super->len - at, payload = left < each ? left : each;
	bool is_tcp = super->header.gso_type != VIRTIO_NET_HDR_GSO_UDP_L4;
	memcpy(out, super->bytes, headers);
	memcpy(out + headers, super->bytes + at, payload);
	if (is_tcp) {
		be32_put(out + layer4 + 4, be32_get(out + layer4 + 4) + index * (uint32_t)each);
		if (payload < left)
			out[layer4 + 13] &= (uint8_t) ~(TCP_PSH | TCP_FIN);
	} else {
		be16_put(out + layer4 + 4, (uint16_t)(UDP_HEADER_LEN + payload));
	}
	finish_headers(out, headers + payload, false);
	return headers + payload;
}

static bool is_sound_super(const struct inner_packet *p)
{
	const struct virtio_net_hdr *h = &p->header;
	size_t layer4_len = h->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4 ? UDP_HEADER_LEN : TCP_HEADER_MIN;
	return (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && h->gso_size && h->hdr_len == h->csum_start + layer4_len &&
	       h->csum_start == (p->bytes[0] >> 4 == 4 ? 20 : 40) && p->len > h->hdr_len + (size_t)h->gso_size;
}

void inner_check(struct delivery_ledger *l, uint32_t at, const struct iovec *iov, int n)
{
	static struct inner_packet whole;
	static uint8_t one[INNER_MAX];
	if (n < 2 || iov[0].iov_len != sizeof whole.header) {
		world_fail(l->world, "host %u: a write without a virtio header", at);
		return;
	}
	memcpy(&whole.header, iov[0].iov_base, sizeof whole.header);
	whole.len = 0;
	for (int i = 1; i < n && whole.len + iov[i].iov_len <= INNER_MAX; i++) {
		memcpy(whole.bytes + whole.len, iov[i].iov_base, iov[i].iov_len);
		whole.len += iov[i].iov_len;
	}
	if (whole.header.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		const struct virtio_net_hdr *h = &whole.header;
		if ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) &&
			ip_complete_checksum(whole.bytes, whole.len, h->csum_start, h->csum_offset) != OK)
			world_fail(l->world, "host %u: a checksum outside the packet", at);
		check_one(l, at, whole.bytes, whole.len);
		return;
	}
	if (!is_sound_super(&whole)) {
		world_fail(l->world, "host %u was given a malformed super-packet", at);
		return;
	}
	uint32_t index = 0;
	for (size_t from = whole.header.hdr_len; from < whole.len; from += whole.header.gso_size) {
		size_t len = cut(&whole, from, whole.header.gso_size, index++, one);
		check_one(l, at, one, len);
	}
}
