/*
 * The tunnel's interface as the daemon keeps it: queues, addresses, routes, MTU, and whether it is
 * still there. All that is set vanishes with the interface, and that with the process.
 * Control thread, but for the queues.
 */
#pragma once

#include "config/config.h"
#include "crypto/sig.h"
#include "tun/tun.h"
#include "wire/ether.h"

struct interface;

/* Makes the interface, down and bare. Faults as tun_open's. */
enum err interface_open(struct interface **ret, const struct config *config, uint32_t queues, struct fault *fault);
/* At layer 2, before it is up: a MAC address that follows from the key ID (NULL: there is none) and the
 * configuration's name, so that it is the same at every start. Faults as tun_set_mac's; ERR_CRYPTO. */
enum err interface_choose_mac(struct interface *i, const struct config *config, const uint8_t key_id[KEY_ID_LEN],
	struct fault *fault);
/* The address that was chosen; zero at layer 3. */
const uint8_t *interface_mac(const struct interface *i);
/* Sets the MTU (0: what suits most paths) and brings it up. */
enum err interface_set_up(struct interface *i, uint32_t mtu, struct fault *fault);

/* The addresses (with host bits) and routes that it is to have. Everything is borrowed for the call. */
#define INTERFACE_NO_ROUTES UINT32_MAX
struct interface_wish {
	const struct prefix *addresses;
	size_t n_addresses;
	const struct prefix *routes; /* those that an address brings with it are left out */
	size_t n_routes;
	uint32_t table;         /* of the routes: 0 is main; or INTERFACE_NO_ROUTES */
	uint32_t default_table; /* of 0.0.0.0/0 and ::/0 */
};
/* Makes it so: adds what is missing, removes what was set by an earlier call and is no longer wished. Tries all;
 * returns the first error. */
enum err interface_set(struct interface *i, const struct interface_wish *wish, struct fault *fault);

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
