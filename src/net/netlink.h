/*
 * rtnetlink: interfaces and their addresses. Routes are netlink_route.h, notices of an interface
 * that goes away netlink_monitor.h.
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

/* ERR_NOT_FOUND: no such interface, in all functions that change something. Other errors: ERR_IO. */
enum err netlink_link_set_up(struct netlink *netlink, uint32_t ifindex, struct fault *fault);
enum err netlink_link_set_mtu(struct netlink *netlink, uint32_t ifindex, uint32_t mtu, struct fault *fault);
/* The largest super-packet that the interface is handed, in bytes. Kernels may know larger or smaller limits: ERR_IO. */
enum err netlink_link_set_gso_max(struct netlink *netlink, uint32_t ifindex, uint32_t bytes, struct fault *fault);

/*
 * Adds or removes an interface's address; `prefix` is the address with its network's length. There
 * is no duplicate address detection: a tunnel has no neighbours. An IPv6 address can be bound to at
 * once; the kernel receives for it some moments later, from a thread of its own.
 *   ERR_UNSUPPORTED  IPv6 is switched off for the interface
 */
enum err netlink_address_add(
	struct netlink *netlink, uint32_t ifindex, const struct prefix *prefix, struct fault *fault);
enum err netlink_address_delete(
	struct netlink *netlink, uint32_t ifindex, const struct prefix *prefix, struct fault *fault);
