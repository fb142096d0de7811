/*
 * rtnetlink: interfaces, addresses and routes, on request; and a monitor that tells when an
 * interface goes away.
 *
 * All changes are idempotent: what is there already, or gone already, is success. Everything set
 * on an interface of ours (src/tun) vanishes with it, so nothing has to be undone at the end.
 * Changes need CAP_NET_ADMIN (ERR_PERMISSION), questions do not. Faults name the interface and
 * the prefix, and carry the kernel's own explanation where it gives one.
 *
 * `struct netlink` is one socket with its sequence number: one thread at a time.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define NETLINK_NAME_SIZE 16 /* an interface's name with the final NUL */

struct netlink;

enum err netlink_open(struct netlink **ret, struct fault *fault); /* ERR_NOMEM, ERR_IO, ERR_PERMISSION */
void netlink_close(struct netlink *netlink);                      /* NULL is allowed */

struct netlink_link {
	uint32_t ifindex;
	uint32_t mtu;
	bool up; /* administratively: IFF_UP */
	char name[NETLINK_NAME_SIZE];
};

/* The interface of that name or index. ERR_NOT_FOUND (a question without a fault: pass NULL). */
enum err netlink_link_find(struct netlink *netlink, const char *name, struct netlink_link *ret, struct fault *fault);
enum err netlink_link_get(struct netlink *netlink, uint32_t ifindex, struct netlink_link *ret, struct fault *fault);

/* ERR_NOT_FOUND: no such interface, in all functions below. Other errors: ERR_IO. */
enum err netlink_link_set_up(struct netlink *netlink, uint32_t ifindex, struct fault *fault);
enum err netlink_link_set_mtu(struct netlink *netlink, uint32_t ifindex, uint32_t mtu, struct fault *fault);

/*
 * Adds or removes an interface's address; `prefix` is the address with its network's length. An
 * IPv6 address can be used at once (no duplicate address detection: a tunnel has no neighbours).
 *   ERR_UNSUPPORTED  IPv6 is switched off for the interface
 */
enum err netlink_address_add(
	struct netlink *netlink, uint32_t ifindex, const struct prefix *prefix, struct fault *fault);
enum err netlink_address_delete(
	struct netlink *netlink, uint32_t ifindex, const struct prefix *prefix, struct fault *fault);

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
