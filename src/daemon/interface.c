#include "daemon/interface.h"

#include "base/log.h"
#include "engine/lane.h"
#include "net/netlink.h"
#include "net/netlink_monitor.h"
#include "net/netlink_route.h"
#include "transport/path.h"

#include <stdlib.h>

#define MTU_USUAL 1500 /* of the outside, until a path has been probed */

struct interface {
	struct tun *tun;
	struct netlink *netlink;
	struct netlink_monitor *monitor;
	uint32_t mtu;
};

enum err interface_open(struct interface **ret, const struct config *config, uint32_t queues, struct fault *fault)
{
	struct interface *i = calloc(1, sizeof *i);
	if (!i)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	struct tun_config tun = {.name = config->name, .n_queues = queues, .layer = 3};
	enum err err = netlink_open(&i->netlink, fault);
	if (err == OK)
		err = tun_open(&i->tun, &tun, fault);
	if (err != OK) {
		interface_close(i);
		return err;
	}
	*ret = i;
	return OK;
}

void interface_close(struct interface *i)
{
	if (!i)
		return;
	netlink_monitor_close(i->monitor);
	tun_close(i->tun);
	netlink_close(i->netlink);
	free(i);
}

/* A prefix that an address of the interface brings with it needs no route of its own. */
static bool is_on_link(const struct config *config, const struct prefix *prefix)
{
	for (size_t i = 0; i < config->addresses.count; i++)
		if (config->addresses.items[i].bits <= prefix->bits &&
			prefix_contains(&config->addresses.items[i], prefix->ip))
			return true;
	return false;
}

static enum err add_routes(
	struct interface *i, const struct config *config, const struct config_peer *peer, struct fault *fault)
{
	for (size_t k = 0; k < peer->allowed_ips.count; k++) {
		const struct prefix *prefix = &peer->allowed_ips.items[k];
		struct netlink_route route = {.prefix = *prefix, .ifindex = tun_ifindex(i->tun)};
		if (is_on_link(config, prefix))
			continue;
		if (prefix->bits == 0) {
			/* As a plain route it would swallow the tunnel's own datagrams. */
			log_warning("peer %s: no route is set for %s; this version leaves a default route to you",
				peer->name, prefix->v4 ? "0.0.0.0/0" : "::/0");
			continue;
		}
		enum err err = netlink_route_add(i->netlink, &route, fault);
		if (err != OK)
			return err;
	}
	return OK;
}

enum err interface_set_up(struct interface *i, const struct config *config, struct fault *fault)
{
	uint32_t mtu = config->mtu ? config->mtu : path_plain_of_mtu(MTU_USUAL) - FRAME_HEADER_LEN;
	enum err err = interface_set_mtu(i, mtu, fault);
	for (size_t k = 0; err == OK && k < config->addresses.count; k++)
		err = netlink_address_add(i->netlink, tun_ifindex(i->tun), &config->addresses.items[k], fault);
	if (err == OK)
		err = netlink_link_set_up(i->netlink, tun_ifindex(i->tun), fault);
	for (size_t k = 0; err == OK && k < config->peer_count; k++)
		err = add_routes(i, config, &config->peers[k], fault);
	if (err == OK)
		err = netlink_monitor_open(&i->monitor, tun_ifindex(i->tun), fault);
	return err;
}

struct tun *interface_tun(struct interface *i)
{
	return i->tun;
}
uint32_t interface_queues(const struct interface *i)
{
	return tun_n_queues(i->tun);
}
const char *interface_name(const struct interface *i)
{
	return tun_name(i->tun);
}
uint32_t interface_mtu(const struct interface *i)
{
	return i->mtu;
}

/* Super-packets as large as one send to the outside carries, and no larger: a few segments more would
 * cost a send of their own each time. */
static void set_super_packet(struct interface *i, uint32_t mtu)
{
	uint32_t segments = LANE_SEND_MAX / (mtu + FRAME_HEADER_LEN + DATA_OVERHEAD);
	if (segments > LANE_SEGMENTS_MAX)
		segments = LANE_SEGMENTS_MAX;
	/* 60: IPv6 and TCP headers; 321: what Linux keeps free for the headers of every layer. */
	uint32_t bytes = segments * (mtu - 60) + 321;
	if (bytes < 65536 && netlink_link_set_gso_max(i->netlink, tun_ifindex(i->tun), bytes, NULL) != OK)
		log_debug("%s: the kernel keeps its own size of super-packets", tun_name(i->tun));
}

enum err interface_set_mtu(struct interface *i, uint32_t mtu, struct fault *fault)
{
	enum err err = netlink_link_set_mtu(i->netlink, tun_ifindex(i->tun), mtu, fault);
	if (err != OK)
		return err;
	i->mtu = mtu;
	set_super_packet(i, mtu);
	return OK;
}

uint32_t interface_outer_mtu(struct interface *i, const struct addr *remote, uint32_t mark)
{
	uint32_t mtu;
	return netlink_route_mtu(i->netlink, remote, mark, &mtu, NULL) == OK ? mtu : MTU_USUAL;
}

int interface_monitor_fd(const struct interface *i)
{
	return netlink_monitor_fd(i->monitor);
}

enum err interface_check(struct interface *i, struct fault *fault)
{
	enum netlink_event event;
	while (netlink_monitor_read(i->monitor, &event) == OK) {
		if (event == NETLINK_EVENT_GONE)
			return fault_set(fault, ERR_NOT_FOUND,
				"the interface %s was removed by somebody else; start the tunnel again",
				tun_name(i->tun));
		if (event == NETLINK_EVENT_DOWN)
			log_warning("%s was set down; packets wait until it is set up again (ip link set %s up)",
				tun_name(i->tun), tun_name(i->tun));
	}
	return OK;
}
