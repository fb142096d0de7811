#include "transport/join.h"

#define TCP_ACK 0x10
#define TCP_PSH 0x08
#define IP_DONT_FRAGMENT 0x40 /* in the byte of flags */
#define SUPER_PACKET_MAX 65535
#define UDP_SEGMENTS_MAX 64 /* what kernels before 6.9 take */

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* One packet, seen as a possible segment. */
struct candidate {
	const uint8_t *packet, *layer4;                /* packet: with the link's header */
	size_t link_len, len, header_len, payload_len; /* header_len: of all headers */
	const struct ip_packet *ip;
	bool is_tcp, partial;
};

void joiner_init(struct joiner *j, struct join_output out, bool join_udp)
{
	*j = (struct joiner){.out = out, .join_udp = join_udp};
}

static void flow_deliver(struct joiner *j, struct join_flow *f)
{
	struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	struct iovec iov[JOIN_SEGMENTS + 2];
	size_t layer4 = f->link_len + f->ip.header_len;
	bool is_tcp = f->ip.protocol == IP_PROTOCOL_TCP;

	header.csum_start = (uint16_t)layer4;
	header.csum_offset = ip_checksum_offset(f->ip.protocol);
	if (f->segments > 1) {
		header.gso_type = !is_tcp    ? VIRTIO_NET_HDR_GSO_UDP_L4
				  : f->ip.v4 ? VIRTIO_NET_HDR_GSO_TCPV4
					     : VIRTIO_NET_HDR_GSO_TCPV6;
		header.gso_size = (uint16_t)f->payload_each;
		header.hdr_len = (uint16_t)f->header_len;
		ip_set_length(f->headers + f->link_len, &f->ip, f->len - f->link_len);
		if (!is_tcp)
			be16_put(f->headers + layer4 + 4, (uint16_t)(f->len - layer4));
	}
	uint16_t pseudo = ip_fold(ip_pseudo_sum(&f->ip, f->len - layer4));
	memcpy(f->headers + layer4 + header.csum_offset, &pseudo, 2);

	iov[0] = (struct iovec){.iov_base = &header, .iov_len = sizeof header};
	iov[1] = (struct iovec){.iov_base = f->headers, .iov_len = f->header_len};
	memcpy(iov + 2, f->payload, f->segments * sizeof *iov);
	uint32_t n = f->segments;
	f->segments = 0;
	j->out.deliver(j->out.context, iov, (int)n + 2);
}

void join_flush(struct joiner *j)
{
	for (uint32_t i = 0; i < JOIN_FLOWS; i++)
		if (j->flows[i].segments)
			flow_deliver(j, &j->flows[i]);
}

/* As it is, in one write. */
static void deliver_alone(struct joiner *j, const struct candidate *c)
{
	struct virtio_net_hdr header = {0};
	if (c->partial) {
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = (uint16_t)(c->link_len + c->ip->header_len);
		header.csum_offset = ip_checksum_offset(c->ip->protocol);
	}
	struct iovec iov[2] = {{.iov_base = &header, .iov_len = sizeof header},
		{.iov_base = (void *)(uintptr_t)c->packet, .iov_len = c->len}};
	j->out.deliver(j->out.context, iov, 2);
}

static bool checksum_is_right(const struct candidate *c)
{
	size_t layer4_len = c->len - c->link_len - c->ip->header_len;
	if (!c->is_tcp && c->layer4[6] == 0 && c->layer4[7] == 0)
		return false; /* UDP without a checksum must stay without one */
	return ip_fold(ip_sum(c->layer4, layer4_len, ip_pseudo_sum(c->ip, layer4_len))) == 0xffff;
}

/* Can this packet be part of a super-packet at all? Fills in what the comparison needs. */
static bool is_segment(const struct joiner *j, struct candidate *c)
{
	const struct ip_packet *ip = c->ip;
	size_t layer4 = c->link_len + ip->header_len;
	if (ip->is_fragment ||
		(ip->v4 && (ip->header_len != 20 || ip_fold(ip_sum(c->packet + c->link_len, 20, 0)) != 0xffff)))
		return false; /* a damaged header must not come out mended */
	c->layer4 = c->packet + layer4;
	if (ip->protocol == IP_PROTOCOL_TCP) {
		if (c->len < layer4 + TCP_HEADER_MIN)
			return false;
		c->is_tcp = true;
		c->header_len = layer4 + (size_t)(c->layer4[12] >> 4) * 4;
		if (c->header_len < layer4 + TCP_HEADER_MIN || (c->layer4[13] & ~TCP_PSH) != TCP_ACK)
			return false;
	} else if (ip->protocol == IP_PROTOCOL_UDP && j->join_udp) {
		c->header_len = layer4 + UDP_HEADER_LEN;
		if (c->len < c->header_len || be16_get(c->layer4 + 4) != c->len - layer4)
			return false;
	} else {
		return false;
	}
	if (c->header_len >= c->len || c->header_len > JOIN_HEADERS_MAX)
		return false;
	c->payload_len = c->len - c->header_len;
	return c->partial || checksum_is_right(c);
}

/* The same flow: link, addresses, protocol, ports. */
static bool same_flow(const struct join_flow *f, const struct candidate *c)
{
	const struct ip_packet *ip = c->ip;
	size_t address = ip->v4 ? 4 : 16, layer4 = c->link_len + ip->header_len;
	return f->segments && f->ip.v4 == ip->v4 && f->ip.protocol == ip->protocol && f->link_len == c->link_len &&
	       c->len >= layer4 + 4 && memcmp(f->ip.source, ip->source, 2 * address) == 0 &&
	       memcmp(f->headers + f->link_len + f->ip.header_len, c->packet + layer4, 4) == 0 &&
	       (c->link_len == 0 || memcmp(f->headers, c->packet, c->link_len) == 0);
}

/* Would the kernel, cutting the joined packet again, give back this very segment? */
static bool continues(const struct join_flow *f, const struct candidate *c)
{
	const uint8_t *h = f->headers + f->link_len, *p = c->packet + c->link_len;
	if (f->is_closed || f->segments == JOIN_SEGMENTS || f->header_len != c->header_len ||
		c->payload_len > f->payload_each || f->len + c->payload_len > SUPER_PACKET_MAX)
		return false;
	/* A packet that may be fragmented is known by its identification (RFC 6864); cut again, they count up. */
	if (c->ip->v4 && !(p[6] & IP_DONT_FRAGMENT) && be16_get(p + 4) != (uint16_t)(be16_get(h + 4) + f->segments))
		return false;
	/* IPv4: version, TOS; flags, offset, TTL, protocol. IPv6: version, class, label; next, hops. */
	bool ip_equal = c->ip->v4 ? memcmp(h, p, 2) == 0 && memcmp(h + 6, p + 6, 4) == 0
				  : memcmp(h, p, 4) == 0 && memcmp(h + 6, p + 6, 2) == 0;
	if (!ip_equal)
		return false;
	if (!c->is_tcp)
		return f->segments < UDP_SEGMENTS_MAX;
	const uint8_t *ht = h + f->ip.header_len, *pt = c->layer4;
	size_t tcp_len = c->header_len - c->link_len - f->ip.header_len;
	return be32_get(pt + 4) == f->next_sequence && memcmp(ht + 8, pt + 8, 5) == 0 && /* ack, offset */
	       memcmp(ht + 14, pt + 14, 2) == 0 &&                                       /* window */
	       memcmp(ht + 18, pt + 18, tcp_len - 18) == 0;                              /* urgent, options */
}

static void flow_begin(struct join_flow *f, const struct candidate *c)
{
	memcpy(f->headers, c->packet, c->header_len);
	f->ip = *c->ip;
	f->ip.source = f->headers + (c->ip->source - c->packet);
	f->ip.destination = f->headers + (c->ip->destination - c->packet);
	f->link_len = c->link_len;
	f->header_len = c->header_len;
	f->payload_each = c->payload_len;
	f->len = c->header_len;
	f->segments = 0;
	f->is_closed = false;
}

static void flow_append(struct join_flow *f, const struct candidate *c)
{
	f->payload[f->segments++] =
		(struct iovec){.iov_base = (void *)(uintptr_t)(c->packet + c->header_len), .iov_len = c->payload_len};
	f->len += c->payload_len;
	if (c->payload_len < f->payload_each)
		f->is_closed = true;
	if (c->is_tcp) {
		f->next_sequence = be32_get(c->layer4 + 4) + (uint32_t)c->payload_len;
		if (c->layer4[13] & TCP_PSH) {
			f->headers[f->link_len + f->ip.header_len + 13] |= TCP_PSH;
			f->is_closed = true;
		}
	}
}

static struct join_flow *find_flow(struct joiner *j, const struct candidate *c)
{
	if (same_flow(&j->flows[j->last], c))
		return &j->flows[j->last];
	for (uint32_t i = 0; i < JOIN_FLOWS; i++)
		if (same_flow(&j->flows[i], c)) {
			j->last = i;
			return &j->flows[i];
		}
	return NULL;
}

static struct join_flow *take_free_flow(struct joiner *j)
{
	for (uint32_t i = 0; i < JOIN_FLOWS; i++)
		if (!j->flows[i].segments) {
			j->last = i;
			return &j->flows[i];
		}
	j->last = j->victim++ % JOIN_FLOWS;
	flow_deliver(j, &j->flows[j->last]);
	return &j->flows[j->last];
}

/* `is_whole`: there is nothing behind the IP packet. */
static enum err join(struct joiner *j, struct candidate *c, bool is_whole)
{
	size_t layer4 = c->link_len + c->ip->header_len;
	uint8_t offset = ip_checksum_offset(c->ip->protocol);
	if (c->partial && (!is_whole || c->ip->is_fragment || offset == 0 || c->len < layer4 + offset + 2))
		return ERR_FORMAT;

	struct join_flow *f = find_flow(j, c);
	bool joinable = is_whole && is_segment(j, c);
	if (f && joinable && continues(f, c)) {
		flow_append(f, c);
		return OK;
	}
	if (f)
		flow_deliver(j, f); /* order within a flow is kept */
	if (!joinable) {
		deliver_alone(j, c);
		return OK;
	}
	if (!f)
		f = take_free_flow(j);
	flow_begin(f, c);
	flow_append(f, c);
	return OK;
}

enum err join_packet(struct joiner *j, const uint8_t *packet, size_t len, const struct ip_packet *ip, bool partial)
{
	struct candidate c = {.packet = packet, .len = len, .ip = ip, .partial = partial};
	return join(j, &c, true);
}

enum err join_frame(struct joiner *j, const uint8_t *frame, size_t len, const struct ether_frame *ether, bool partial)
{
	struct ip_packet ip;
	size_t packet_len;
	struct candidate c = {
		.packet = frame, .len = len, .link_len = ether->header_len, .ip = &ip, .partial = partial};
	if (ether_ip(ether, frame, len, &ip, &packet_len) == OK)
		return join(j, &c, c.link_len + packet_len == len);
	if (partial)
		return ERR_FORMAT;
	deliver_alone(j, &c);
	return OK;
}
