/*
 * The kill switch, masquerading and the way back of a full tunnel's own datagrams, as tables of nftables: one of each
 * kind for a tunnel, replaced as a whole in one transaction by the program nft (docs/decisions/0013). Knows no state:
 * what is there is asked of the kernel.
 */
#pragma once

#include "base/err.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

enum firewall_table { FIREWALL_KILL_SWITCH, FIREWALL_MASQUERADE, FIREWALL_RETURN };

/*
 * Nothing leaves this host, or passes through it, but by `interface`, with `mark` (not 0) as a UDP datagram, or for the
 * network's own upkeep (neighbour discovery, DHCP), or to ask a name server for the Endpoint (host/lookup.h).
 * ERR_NOT_FOUND: there is no program nft; ERR_IO: it refused.
 */
enum err firewall_kill_switch(const char *instance, const char *interface, uint32_t mark, struct fault *fault);

/* What comes from the tunnel's networks (Address, Pool) and leaves by another interface gets that one's address. */
enum err firewall_masquerade(const struct config *config, const char *interface, struct fault *fault);

/*
 * What comes in for a UDP socket with `mark` gets that mark. A host that takes a packet only from where it would send
 * the answer (net.ipv4.conf.*.rp_filter = 1, or a rule with nftables' fib) would else drop all that a peer sends,
 * since without the mark the way to the peer leads into the tunnel.
 */
enum err firewall_return(const char *instance, uint32_t mark, struct fault *fault);

/* OK also when there was none, or there is no nft; *ret_any (may be NULL) is set when there was one. */
enum err firewall_remove(enum firewall_table table, const char *instance, bool *ret_any, struct fault *fault);
