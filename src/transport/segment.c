#include "transport/segment.h"

#include <arpa/inet.h>

#define PACKET_MAX 65535 /* what lengths on the wire can say */
#define TCP_FIN 0x01
#define TCP_PSH 0x08
#define TCP_CWR 0x80

/* Super-packets: where the headers end, and that one payload byte at least follows. */
static enum err measure_headers(struct segmenter *s, uint8_t gso_type)
{
	size_t layer4 = s->checksum_start;
	if (gso_type == VIRTIO_NET_HDR_GSO_UDP_L4) {
		if (s->checksum_offset != 6)
			return ERR_FORMAT;
		s->header_len = layer4 + UDP_HEADER_LEN;
	} else {
		if (s->checksum_offset != 16 || s->len < layer4 + TCP_HEADER_MIN)
			return ERR_FORMAT;
		size_t tcp = (size_t)(s->packet[layer4 + 12] >> 4) * 4;
		if (tcp < TCP_HEADER_MIN)
			return ERR_FORMAT;
		s->is_tcp = true;
		s->header_len = layer4 + tcp;
	}
	return s->header_len < s->len ? OK : ERR_FORMAT;
}

/* What the header says, compared with what is there. `is_ip`: s->ip is the parse of all that is behind the link's
 * header. */
static enum err take_header(struct segmenter *s, const struct virtio_net_hdr *header, bool is_ip)
{
	size_t len = s->len, layer4 = s->link_len + s->ip.header_len;
	s->needs_sum = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	s->checksum_start = header->csum_start;
	s->checksum_offset = header->csum_offset;
	if (s->needs_sum && (s->checksum_start < layer4 || (size_t)s->checksum_start + s->checksum_offset + 2 > len))
		return ERR_FORMAT;

	uint8_t gso_type = header->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	/* The receiver finds the checksum by parsing; where that gives another place, complete it here. */
	s->partial = s->needs_sum && is_ip && !s->ip.is_fragment && s->checksum_start == layer4 &&
		     ip_checksum_offset(s->ip.protocol) != 0 &&
		     s->checksum_offset == ip_checksum_offset(s->ip.protocol);
	if (gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return len <= PACKET_MAX ? OK : ERR_FORMAT;
	if (gso_type != VIRTIO_NET_HDR_GSO_TCPV4 && gso_type != VIRTIO_NET_HDR_GSO_TCPV6 &&
		gso_type != VIRTIO_NET_HDR_GSO_UDP_L4)
		return ERR_UNSUPPORTED;
	if (!is_ip || !s->needs_sum || header->gso_size == 0 || measure_headers(s, gso_type) != OK)
		return ERR_FORMAT;

	size_t payload = len - s->header_len;
	s->payload_each = header->gso_size;
	s->count = (uint32_t)((payload + s->payload_each - 1) / s->payload_each);
	s->largest = s->header_len + (payload < s->payload_each ? payload : s->payload_each);
	return s->largest <= PACKET_MAX ? OK : ERR_FORMAT;
}

enum err segmenter_init(struct segmenter *s, const struct virtio_net_hdr *header, const uint8_t *packet, size_t len)
{
	*s = (struct segmenter){.packet = packet, .len = len, .count = 1, .largest = len};
	if (ip_parse(&s->ip, packet, len) != OK)
		return ERR_FORMAT;
	return take_header(s, header, true);
}

enum err segmenter_init_frame(struct segmenter *s, const struct virtio_net_hdr *header, const struct ether_frame *ether,
	const uint8_t *frame, size_t len)
{
	struct ip_packet ip;
	size_t packet_len;
	*s = (struct segmenter){.packet = frame, .len = len, .count = 1, .largest = len, .link_len = ether->header_len};
	/* Behind a padded packet a checksum would be over the padding, too: such frames are as those that are not IP.
	 */
	bool is_ip = ether_ip(ether, frame, len, &ip, &packet_len) == OK && s->link_len + packet_len == len;
	if (is_ip)
		s->ip = ip;
	return take_header(s, header, is_ip);
}

/* The headers of segment `index`, which holds payload from `at` on (RFC 9293: sequence numbers,
 * CWR on the first, FIN and PSH on the last). */
static void fix_headers(const struct segmenter *s, uint8_t *out, size_t len, bool is_last)
{
	uint8_t *ip = out + s->link_len, *layer4 = out + s->checksum_start;
	if (s->ip.v4)
		be16_put(ip + 4, (uint16_t)(be16_get(ip + 4) + s->index));
	ip_set_length(ip, &s->ip, len - s->link_len);
	if (s->is_tcp) {
		be32_put(layer4 + 4, be32_get(layer4 + 4) + (uint32_t)s->at);
		uint8_t drop = (uint8_t)((is_last ? 0 : TCP_FIN | TCP_PSH) | (s->index ? TCP_CWR : 0));
		layer4[13] &= (uint8_t)~drop;
	} else {
		be16_put(layer4 + 4, (uint16_t)(len - s->checksum_start));
	}
	/* The pseudo-header's sum changes by the length alone. It is not made anew: behind extension headers or a
	 * source route the protocol and the destination that count stand elsewhere. */
	uint16_t sum, before = htons((uint16_t)(s->len - s->checksum_start));
	memcpy(&sum, layer4 + s->checksum_offset, 2);
	sum = ip_fold((uint64_t)sum + (uint16_t)~before + htons((uint16_t)(len - s->checksum_start)));
	memcpy(layer4 + s->checksum_offset, &sum, 2);
}

size_t segmenter_next(struct segmenter *s, uint8_t *out)
{
	if (s->index == s->count)
		return 0;
	size_t len = s->len;
	if (s->payload_each == 0) {
		memcpy(out, s->packet, len);
	} else {
		size_t left = s->len - s->header_len - s->at;
		size_t payload = left < s->payload_each ? left : s->payload_each;
		len = s->header_len + payload;
		memcpy(out, s->packet, s->header_len);
		memcpy(out + s->header_len, s->packet + s->header_len + s->at, payload);
		fix_headers(s, out, len, payload == left);
		s->at += payload;
	}
	s->index++;
	if (s->needs_sum && !s->partial)
		(void)!ip_complete_checksum(
			out, len, s->checksum_start, s->checksum_offset); /* bounds: segmenter_init */
	return len;
}
