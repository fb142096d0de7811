#include "packets.h"

#include <string.h>

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

uint16_t naive_sum(const uint8_t *data, size_t len, uint32_t add)
{
	uint32_t sum = add;
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 ? data[i] : (uint32_t)data[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

uint16_t naive_pseudo(const uint8_t *packet, size_t len, size_t layer4, bool is_tcp)
{
	bool v4 = packet[0] >> 4 == 4;
	uint8_t header[40] = {0};
	size_t address = v4 ? 4 : 16;
	memcpy(header, packet + (v4 ? 12 : 8), 2 * address);
	header[2 * address + 1] = is_tcp ? 6 : 17;
	be16_put(header + 2 * address + 2, (uint16_t)(len - layer4));
	return naive_sum(header, 2 * address + 4, 0);
}

void naive_complete(uint8_t *packet, size_t len, size_t layer4, bool is_tcp)
{
	uint8_t *field = packet + layer4 + (is_tcp ? 16 : 6);
	be16_put(field, 0);
	uint16_t sum = naive_sum(packet + layer4, len - layer4, naive_pseudo(packet, len, layer4, is_tcp));
	be16_put(field, sum == 0xffff ? 0xffff : (uint16_t)~sum);
}

/* The IP header; returns its length, with options or an extension header. */
static size_t random_ip(struct super *s, struct seeded *seed, bool is_extended)
{
	uint8_t *p = s->packet;
	if (s->v4) {
		size_t len = is_extended ? 20 + 4 * (1 + (size_t)seeded_below(seed, 10)) : 20;
		memset(p + 20, 1, len - 20); /* "no operation" options */
		p[0] = (uint8_t)(0x40 | len / 4);
		p[6] = seeded_chance(seed, 50) ? 0x40 : 0;
		p[7] = 0;
		p[9] = s->is_tcp ? 6 : 17;
		return len;
	}
	p[0] = (uint8_t)(0x60 | (p[0] & 15));
	p[6] = s->is_tcp ? 6 : 17;
	if (!is_extended)
		return 40;
	memset(p + 40, 0, 8); /* hop-by-hop options: padding */
	p[40] = p[6];
	p[42] = 1;
	p[43] = 4;
	p[6] = 0;
	return 48;
}

static size_t random_layer4(struct super *s, struct seeded *seed, uint32_t shape)
{
	uint8_t *p = s->packet + s->layer4;
	if (!s->is_tcp)
		return 8;
	size_t len = 20 + (shape & SHAPE_OPTIONS ? 4 * (size_t)seeded_below(seed, 11) : 0);
	p[12] = (uint8_t)(len / 4 << 4);
	p[13] = 0x10;
	if (shape & SHAPE_FLAGS)
		p[13] |= (uint8_t)(seeded_next(seed) & 0xc9);
	else if (seeded_chance(seed, 30))
		p[13] |= 0x08;
	return len;
}

static void set_lengths(uint8_t *p, size_t len, size_t layer4, bool is_tcp)
{
	if (p[0] >> 4 == 4) {
		be16_put(p + 2, (uint16_t)len);
		be16_put(p + 10, 0);
		be16_put(p + 10, (uint16_t)~naive_sum(p, (size_t)(p[0] & 15) * 4, 0));
	} else {
		be16_put(p + 4, (uint16_t)(len - 40));
	}
	if (!is_tcp)
		be16_put(p + layer4 + 4, (uint16_t)(len - layer4));
}

void super_random(struct super *s, struct seeded *seed, uint32_t shape, uint32_t each_max)
{
	s->v4 = seeded_chance(seed, 50);
	s->is_tcp = seeded_chance(seed, 60);
	seeded_bytes(seed, s->packet, 200);
	s->layer4 = random_ip(s, seed, (shape & SHAPE_EXTENSION) && seeded_chance(seed, 30));
	s->header_len = s->layer4 + random_layer4(s, seed, shape);
	s->payload_each = 1 + seeded_below(seed, each_max);
	size_t room = (s->v4 ? 65535 : 65575) - s->header_len, payload = 1 + seeded_below(seed, (uint32_t)room);
	if (payload > 100 * s->payload_each)
		payload = 100 * s->payload_each - seeded_below(seed, (uint32_t)s->payload_each);
	s->count = (uint32_t)((payload + s->payload_each - 1) / s->payload_each);
	s->len = s->header_len + payload;
	seeded_bytes(seed, s->packet + s->header_len, payload);
	set_lengths(s->packet, s->len, s->layer4, s->is_tcp);
	s->virtio = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = s->count == 1 ? VIRTIO_NET_HDR_GSO_NONE
			    : !s->is_tcp  ? VIRTIO_NET_HDR_GSO_UDP_L4
			    : s->v4       ? VIRTIO_NET_HDR_GSO_TCPV4
					  : VIRTIO_NET_HDR_GSO_TCPV6,
		.gso_size = (uint16_t)(s->count == 1 ? 0 : s->payload_each),
		.hdr_len = (uint16_t)s->header_len,
		.csum_start = (uint16_t)s->layer4,
		.csum_offset = s->is_tcp ? 16 : 6,
	};
	if (s->is_tcp && s->count > 1 && s->packet[s->layer4 + 13] & 0x80)
		s->virtio.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	be16_put(s->packet + s->layer4 + s->virtio.csum_offset, naive_pseudo(s->packet, s->len, s->layer4, s->is_tcp));
}

size_t naive_segment(const struct super *s, uint32_t index, uint8_t *out)
{
	size_t from = s->header_len + index * s->payload_each;
	size_t payload = s->len - from < s->payload_each ? s->len - from : s->payload_each;
	size_t len = s->header_len + payload;
	bool is_last = index + 1 == s->count;
	memcpy(out, s->packet, s->header_len);
	memcpy(out + s->header_len, s->packet + from, payload);
	if (s->v4) /* each packet has an identification of its own */
		be16_put(out + 4, (uint16_t)(be16_get(s->packet + 4) + index));
	if (s->is_tcp) {
		uint8_t *tcp = out + s->layer4;
		be32_put(tcp + 4, be32_get(s->packet + s->layer4 + 4) + index * (uint32_t)s->payload_each);
		if (!is_last)
			tcp[13] &= (uint8_t)~0x09; /* FIN and PSH come with the last byte */
		if (index > 0)
			tcp[13] &= (uint8_t)~0x80; /* CWR is said once (RFC 3168, section 6.1.2) */
	}
	set_lengths(out, len, s->layer4, s->is_tcp);
	naive_complete(out, len, s->layer4, s->is_tcp);
	return len;
}
