#include "wire/ip.h"

#include <arpa/inet.h>

static enum err parse_v4(struct ip_packet *ip, const uint8_t *p, size_t len)
{
	if (len < 20)
		return ERR_FORMAT;
	ip->header_len = (uint16_t)((p[0] & 15) * 4);
	if (ip->header_len < 20 || ip->header_len > len || be16_get(p + 2) != len)
		return ERR_FORMAT;
	ip->v4 = true;
	ip->is_fragment = (be16_get(p + 6) & 0x3fff) != 0;
	ip->protocol = p[9];
	ip->source = p + 12;
	ip->destination = p + 16;
	return OK;
}

static enum err parse_v6(struct ip_packet *ip, const uint8_t *p, size_t len)
{
	if (len < 40 || (size_t)be16_get(p + 4) + 40 != len)
		return ERR_FORMAT;
	ip->v4 = false;
	ip->is_fragment = false;
	ip->protocol = p[6];
	ip->header_len = 40;
	ip->source = p + 8;
	ip->destination = p + 24;
	return OK;
}

enum err ip_parse(struct ip_packet *ret, const uint8_t *packet, size_t len)
{
	if (len == 0)
		return ERR_FORMAT;
	if (packet[0] >> 4 == 4)
		return parse_v4(ret, packet, len);
	if (packet[0] >> 4 == 6)
		return parse_v6(ret, packet, len);
	return ERR_FORMAT;
}

void ip_address(uint8_t out[static 16], bool v4, const uint8_t *address)
{
	if (v4) {
		memset(out, 0, 10);
		out[10] = out[11] = 0xff;
		memcpy(out + 12, address, 4);
	} else {
		memcpy(out, address, 16);
	}
}

uint64_t ip_sum(const uint8_t *data, size_t len, uint64_t add)
{
	/* 32-bit words into 64-bit sums: no carry is lost before 16 GiB, and compilers vectorise it. */
	uint64_t sum = add;
	size_t i = 0;
	for (; i + 4 <= len; i += 4) {
		uint32_t word;
		memcpy(&word, data + i, 4);
		sum += word;
	}
	if (i + 2 <= len) {
		uint16_t word;
		memcpy(&word, data + i, 2);
		sum += word;
		i += 2;
	}
	if (i < len) {
		uint8_t last[2] = {data[i], 0};
		uint16_t word;
		memcpy(&word, last, 2);
		sum += word;
	}
	return sum;
}

uint16_t ip_fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

uint64_t ip_pseudo_sum(const struct ip_packet *ip, size_t layer4_len)
{
	size_t address = ip->v4 ? 4 : 16;
	uint64_t sum = (uint64_t)htons(ip->protocol) + htons((uint16_t)layer4_len);
	return ip_sum(ip->destination, address, ip_sum(ip->source, address, sum));
}

uint8_t ip_checksum_offset(uint8_t protocol)
{
	return protocol == IP_PROTOCOL_TCP ? 16 : protocol == IP_PROTOCOL_UDP ? 6 : 0;
}

void ip_set_length(uint8_t *packet, const struct ip_packet *ip, size_t len)
{
	if (!ip->v4) {
		be16_put(packet + 4, (uint16_t)(len - 40));
		return;
	}
	be16_put(packet + 2, (uint16_t)len);
	memset(packet + 10, 0, 2);
	uint16_t checksum = (uint16_t)~ip_fold(ip_sum(packet, ip->header_len, 0));
	memcpy(packet + 10, &checksum, 2);
}

enum err ip_complete_checksum(uint8_t *packet, size_t len, size_t start, size_t offset)
{
	if (start > len || offset + 2 > len - start)
		return ERR_FORMAT;
	uint16_t checksum = (uint16_t)~ip_fold(ip_sum(packet + start, len - start, 0));
	if (checksum == 0)
		checksum = 0xffff; /* zero means "none" in UDP; the two are equal in ones' complement */
	memcpy(packet + start + offset, &checksum, 2);
	return OK;
}
