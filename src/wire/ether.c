#include "wire/ether.h"

#define TYPE_IPV4 0x0800
#define TYPE_IPV6 0x86dd
#define TYPE_TAG 0x8100         /* 802.1Q */
#define TYPE_SERVICE_TAG 0x88a8 /* 802.1ad */
#define VLAN_ID_MASK 0x0fff

/* In network byte order, unlike all that is ours. */
static uint16_t take_be16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);
	return p ? be16_get(p) : 0;
}

enum err ether_parse(struct ether_frame *ret, const uint8_t *frame, size_t len)
{
	struct reader r = reader_of(frame, len);
	struct ether_frame e = {.destination = reader_take(&r, ETHER_ADDRESS_LEN)};
	uint32_t ids[2] = {0};
	uint16_t first = 0;
	int tags = 0;
	e.source = reader_take(&r, ETHER_ADDRESS_LEN);
	e.type = take_be16(&r);
	while (!r.failed && tags < 2 && (e.type == TYPE_TAG || e.type == TYPE_SERVICE_TAG)) {
		first = tags ? first : e.type;
		ids[tags++] = take_be16(&r) & VLAN_ID_MASK;
		e.type = take_be16(&r);
	}
	if (r.failed)
		return ERR_FORMAT;
	e.header_len = (uint16_t)r.at;
	e.vlan = tags == 1 && first == TYPE_TAG ? ids[0] : ids[0] << 12 | ids[1];
	*ret = e;
	return OK;
}

enum err ether_ip(
	const struct ether_frame *ether, const uint8_t *frame, size_t len, struct ip_packet *ret, size_t *ret_len)
{
	const uint8_t *packet = frame + ether->header_len;
	size_t room = len - ether->header_len, claimed;
	if (ether->type == TYPE_IPV4 && room >= 20 && packet[0] >> 4 == 4)
		claimed = be16_get(packet + 2);
	else if (ether->type == TYPE_IPV6 && room >= 40 && packet[0] >> 4 == 6)
		claimed = (size_t)be16_get(packet + 4) + 40;
	else
		return ERR_FORMAT;
	if (claimed > room || ip_parse(ret, packet, claimed) != OK)
		return ERR_FORMAT;
	*ret_len = claimed;
	return OK;
}
