#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

bool addr_is_v4(const uint8_t ip[16]) { return memcmp(ip, mapped, sizeof mapped) == 0; }

bool addr_is_unset(const struct addr *a) { return a->port == 0; }

const char *addr_format_ip(const uint8_t ip[16], char out[static ADDR_TEXT_LEN])
{
	if (addr_is_v4(ip))
		inet_ntop(AF_INET, ip + 12, out, ADDR_TEXT_LEN);
	else
		inet_ntop(AF_INET6, ip, out, ADDR_TEXT_LEN);
	return out;
}

const char *addr_format(const struct addr *a, char out[static ADDR_TEXT_LEN])
{
	char ip[ADDR_TEXT_LEN];
	addr_format_ip(a->ip, ip);
	if (addr_is_v4(a->ip))
		(void)snprintf(out, ADDR_TEXT_LEN, "%.16s:%u", ip, a->port);
	else if (a->scope)
		(void)snprintf(out, ADDR_TEXT_LEN, "[%.39s%%%u]:%u", ip, a->scope, a->port);
	else
		(void)snprintf(out, ADDR_TEXT_LEN, "[%.46s]:%u", ip, a->port);
	return out;
}

const char *prefix_format(const struct prefix *p, char out[static ADDR_TEXT_LEN])
{
	char ip[ADDR_TEXT_LEN];
	(void)snprintf(out, ADDR_TEXT_LEN, "%.46s/%u", addr_format_ip(p->ip, ip), p->bits);
	return out;
}

struct sockaddr_in6 addr_to_sockaddr(const struct addr *a)
{
	struct sockaddr_in6 sa = { .sin6_family = AF_INET6, .sin6_port = htons(a->port), .sin6_scope_id = a->scope };
	memcpy(&sa.sin6_addr, a->ip, 16);
	return sa;
}

enum err addr_of_sockaddr(struct addr *ret, const struct sockaddr_storage *sa)
{
	struct addr a = { 0 };
	if (sa->ss_family == AF_INET6) {
		const struct sockaddr_in6 *s = (const struct sockaddr_in6 *)(const void *)sa;
		memcpy(a.ip, &s->sin6_addr, 16);
		a.port = ntohs(s->sin6_port);
		if (a.ip[0] == 0xfe && (a.ip[1] & 0xc0) == 0x80)
			a.scope = s->sin6_scope_id;
	} else if (sa->ss_family == AF_INET) {
		const struct sockaddr_in *s = (const struct sockaddr_in *)(const void *)sa;
		memcpy(a.ip, mapped, sizeof mapped);
		memcpy(a.ip + 12, &s->sin_addr, 4);
		a.port = ntohs(s->sin_port);
	} else {
		return ERR_FORMAT;
	}
	*ret = a;
	return OK;
}

/* Bits of a 16-byte form that belong to the network. */
static unsigned bits_in_mapped(const struct prefix *p) { return p->v4 ? p->bits + 96U : p->bits; }

enum err prefix_parse(struct prefix *ret, const char *text)
{
	char ip[64];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	if (len == 0 || len >= sizeof ip)
		return ERR_FORMAT;
	memcpy(ip, text, len);
	ip[len] = '\0';

	struct prefix p = { 0 };
	if (inet_pton(AF_INET, ip, p.ip + 12) == 1) {
		memcpy(p.ip, mapped, sizeof mapped);
		p.v4 = true;
	} else if (inet_pton(AF_INET6, ip, p.ip) != 1 || addr_is_v4(p.ip)) {
		return ERR_FORMAT;
	}
	unsigned long max = p.v4 ? 32 : 128, bits = max;
	if (slash) {
		size_t digits = strspn(slash + 1, "0123456789");
		if (digits < 1 || digits > 3 || slash[1 + digits] != '\0')
			return ERR_FORMAT;
		bits = strtoul(slash + 1, NULL, 10);
		if (bits > max)
			return ERR_FORMAT;
	}
	p.bits = (uint8_t)bits;
	*ret = p;
	return OK;
}

bool prefix_has_host_bits(const struct prefix *p)
{
	for (unsigned bit = bits_in_mapped(p); bit < 128; bit++)
		if (p->ip[bit / 8] & (0x80U >> bit % 8))
			return true;
	return false;
}

void prefix_drop_host_bits(struct prefix *p)
{
	for (unsigned bit = bits_in_mapped(p); bit < 128; bit++)
		p->ip[bit / 8] &= (uint8_t)~(0x80U >> bit % 8);
}

bool prefix_contains(const struct prefix *p, const uint8_t ip[16])
{
	unsigned bits = bits_in_mapped(p);
	if (addr_is_v4(ip) != p->v4 || memcmp(p->ip, ip, bits / 8) != 0)
		return false;
	unsigned rest = bits % 8;
	return rest == 0 || ((p->ip[bits / 8] ^ ip[bits / 8]) & (uint8_t)(0xff00U >> rest)) == 0;
}
