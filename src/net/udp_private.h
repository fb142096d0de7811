/* The inside of a socket, shared by its files. */
#pragma once

#include "net/udp.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

static const uint8_t ip_zero[16];
static const uint8_t ip_any_v4[16] = {[10] = 0xff, [11] = 0xff};

struct udp {
	int fd;
	uint16_t port;
	bool ipv6; /* AF_INET6, dual stack; otherwise AF_INET */
	bool gro;
	atomic_bool segment;        /* cleared by the sender that finds the network card cannot */
	_Atomic size_t segment_max; /* larger ones have been refused, so far only in udp_send_each */
};

/* A socket address of either family, as the socket needs it. */
union udp_name {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage storage;
};

/* False: an IPv6 address for an IPv4 socket. */
static inline bool udp_name_of(union udp_name *ret, socklen_t *ret_len, bool ipv6, const struct addr *addr)
{
	if (ipv6) {
		ret->v6 = addr_to_sockaddr(addr);
		*ret_len = sizeof ret->v6;
		return true;
	}
	if (!addr_is_v4(addr->ip))
		return false;
	ret->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(addr->port)};
	memcpy(&ret->v4.sin_addr, addr->ip + 12, 4);
	*ret_len = sizeof ret->v4;
	return true;
}
