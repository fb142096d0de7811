/*
 * Addresses. IPv4 is kept as IPv4-mapped IPv6 (::ffff:a.b.c.d), so that every table, comparison
 * and socket has one form. Plain data, no ownership.
 */
#pragma once

#include "base/err.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* A UDP address: host byte order port, scope = interface index for link-local addresses. */
struct addr {
	uint8_t ip[16];
	uint16_t port;
	uint32_t scope;
};

/* An IP network. bits counts within the family: 0..32 for IPv4, 0..128 for IPv6. */
struct prefix {
	uint8_t ip[16];
	uint8_t bits;
	bool v4;
};

#define ADDR_TEXT_LEN 64 /* "[ipv6%scope]:port" and NUL */

static inline bool addr_equal(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && a->scope == b->scope && memcmp(a->ip, b->ip, 16) == 0;
}
bool addr_is_v4(const uint8_t ip[16]);
bool addr_is_unset(const struct addr *a); /* port 0 */

/* "192.0.2.1:51820" or "[2001:db8::1]:51820"; returns out. */
const char *addr_format(const struct addr *a, char out[static ADDR_TEXT_LEN]);
/* The IP alone, without port. */
const char *addr_format_ip(const uint8_t ip[16], char out[static ADDR_TEXT_LEN]);
/* "10.0.0.0/8"; returns out. */
const char *prefix_format(const struct prefix *p, char out[static ADDR_TEXT_LEN]);

/* Between struct addr and socket addresses. IPv4 goes out as a v4-mapped sockaddr_in6.
 * addr_of_sockaddr: ERR_FORMAT for other families. */
struct sockaddr_in6 addr_to_sockaddr(const struct addr *a);
enum err addr_of_sockaddr(struct addr *ret, const struct sockaddr_storage *sa);

/* "10.0.0.0/8", "fd00::/64", a bare address means /32 or /128. Keeps host bits (an interface
 * address has them); prefix_has_host_bits tells. ERR_FORMAT otherwise, *ret unchanged. */
enum err prefix_parse(struct prefix *ret, const char *text);
bool prefix_has_host_bits(const struct prefix *p);
void prefix_drop_host_bits(struct prefix *p);
bool prefix_contains(const struct prefix *p, const uint8_t ip[16]);
