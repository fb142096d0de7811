/*
 * rtnetlink: routes through an interface, and the MTU towards a destination. The rules of
 * netlink.h hold here too: idempotent, faults with names, one thread at a time.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "net/netlink.h"

#include <stdint.h>

struct netlink_route {
	struct prefix prefix; /* host bits are ignored */
	uint32_t ifindex;
	uint32_t metric; /* 0: the kernel's default */
	uint32_t table;  /* 0: main */
};

/*
 * Adds or removes "prefix via this interface".
 *   ERR_EXISTS       (add) another interface has the prefix with the same metric and table; it is left alone
 *   ERR_STATE        (add) the interface is down
 *   ERR_UNSUPPORTED  (add) IPv6 is switched off for the interface
 */
enum err netlink_route_add(struct netlink *netlink, const struct netlink_route *route, struct fault *fault);
enum err netlink_route_delete(struct netlink *netlink, const struct netlink_route *route, struct fault *fault);

/*
 * The MTU of the interface through which datagrams to `destination` leave (its port is ignored),
 * not what the kernel believes of the path. `mark` is the firewall mark they will carry; 0: none.
 *   ERR_NOT_FOUND  no route
 */
enum err netlink_route_mtu(
	struct netlink *netlink, const struct addr *destination, uint32_t mark, uint32_t *ret_mtu, struct fault *fault);
