/*
 * Policy routing of default routes, as wg-quick does it: what does not carry the tunnel's mark looks into the tunnel's
 * table, after the host's own table has been asked for anything more precise than a default route. The routes in that
 * table are the daemon's and go with its interface; the rules are made here, with a protocol number of ours, since they
 * would outlive everybody.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

#define ROUTING_PROTOCOL 106 /* 'j'; not one of those in linux/rtnetlink.h or iproute2's rt_protos */

struct routing {
	uint32_t fwmark, table;
	bool v4, v6; /* which families have a default route */
};

/* Makes the rules of that table so. Idempotent. ERR_EXISTS: another tunnel has that default route; ERR_FULL: no three
 * neighbouring priorities are free below main's; ERR_PERMISSION, ERR_UNSUPPORTED, ERR_IO. */
enum err routing_set(const struct routing *routing, struct fault *fault);

/* Removes our rules of that table; *ret_any (may be NULL): there were some. */
enum err routing_unset(uint32_t table, bool *ret_any, struct fault *fault);
