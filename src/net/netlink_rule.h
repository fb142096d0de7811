/*
 * rtnetlink: rules of policy routing (`ip rule`). The rules of netlink.h hold here too: idempotent, one thread at a
 * time. Rules outlive the process that made them, so each carries the protocol number of its maker.
 */
#pragma once

#include "base/err.h"
#include "net/netlink.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netlink_rule {
	uint32_t priority; /* the kernel tries the lower ones first */
	uint32_t table;    /* where it looks; 254 is main */
	uint32_t fwmark;   /* for packets with this mark; 0: whatever mark they have */
	uint32_t uid;      /* for packets of this user; 0: whosever they are */
	bool v4;
	bool invert;           /* for all other packets than those */
	bool suppress_default; /* a default route that is found there does not count */
	uint8_t protocol;      /* of the maker, as the kernel's RTPROT_... */
};

/* Adds or removes exactly this rule. ERR_UNSUPPORTED: the kernel has no policy routing, or no IPv6. */
enum err netlink_rule_add(struct netlink *netlink, const struct netlink_rule *rule, struct fault *fault);
enum err netlink_rule_delete(struct netlink *netlink, const struct netlink_rule *rule, struct fault *fault);

/* All rules of a family, in the order of priorities: *ret is the caller's, to be freed; NULL when there are none. What
 * a rule selects by besides mark is not told. */
enum err netlink_rule_list(
	struct netlink *netlink, bool v4, struct netlink_rule **ret, size_t *ret_count, struct fault *fault);
