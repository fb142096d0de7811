/*
 * The tunnel's interface as the daemon keeps it: queues, addresses, routes, MTU, and whether it is
 * still there. All that is set vanishes with the interface, and that with the process.
 * Control thread, but for the queues.
 */
#pragma once

#include "config/config.h"
#include "tun/tun.h"

struct interface;

/* Makes the interface, down and bare. Faults as tun_open's. */
enum err interface_open(struct interface **ret, const struct config *config, uint32_t queues, struct fault *fault);
/* Sets MTU, addresses and routes for the peers' AllowedIPs, and brings it up. */
enum err interface_set_up(struct interface *i, const struct config *config, struct fault *fault);
void interface_close(struct interface *i); /* NULL is fine */

struct tun *interface_tun(struct interface *i);
uint32_t interface_queues(const struct interface *i);
const char *interface_name(const struct interface *i);
uint32_t interface_mtu(const struct interface *i);
enum err interface_set_mtu(struct interface *i, uint32_t mtu, struct fault *fault);

/* The MTU of the interface that leads to an address; 1500 if nothing does. */
uint32_t interface_outer_mtu(struct interface *i, const struct addr *remote, uint32_t mark);

int interface_monitor_fd(const struct interface *i);
/* Reads what the monitor has. ERR_NOT_FOUND: somebody removed the interface; the daemon cannot go on. */
enum err interface_check(struct interface *i, struct fault *fault);
