#include "daemon/interface.h"

#include "base/log.h"
#include "crypto/kdf.h"
#include "engine/lane.h"
#include "net/netlink.h"
#include "net/netlink_monitor.h"
#include "net/netlink_route.h"
#include "transport/path.h"

#include <stdlib.h>
#include <string.h>

#define MTU_USUAL 1500 /* of the outside, until a path has been probed */

/* Sorted. */
struct route_list {
	struct netlink_route *items;
	size_t count;
};

struct interface {
	struct tun *tun;
	struct route_list addresses, routes; /* that are set */
	struct netlink *netlink;
	struct netlink_monitor *monitor;
	uint32_t mtu;
	uint32_t link_len; /* of the Ethernet header; 0 at layer 3 */
	uint8_t mac[ETHER_ADDRESS_LEN];
};

enum err interface_open(struct interface **ret, const struct config *config, uint32_t queues, struct fault *fault)
{
	struct interface *i = calloc(1, sizeof *i);
	if (!i)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	struct tun_config tun = {.name = config->name, .n_queues = queues, .layer = config->layer};
	enum err err = netlink_open(&i->netlink, fault);
	if (config->layer == 2)
		i->link_len = ETHER_HEADER_LEN;
	if (err == OK)
		err = tun_open(&i->tun, &tun, fault);
	if (err != OK) {
		interface_close(i);
		return err;
	}
	*ret = i;
	return OK;
}

/* Leases, firewalls and neighbours know a station by its address: it stays the same. The configuration's name is in
 * it, because one key may serve several tunnels, which may end in one bridge. */
enum err interface_choose_mac(
	struct interface *i, const struct config *config, const uint8_t key_id[KEY_ID_LEN], struct fault *fault)
{
	uint8_t hash[HASH_SHA256_LEN];
	struct view id = VIEW(key_id, key_id ? KEY_ID_LEN : 0), name = VIEW(config->instance, strlen(config->instance));
	if (config->layer != 2)
		return OK;
	if (HASH_SHA256(hash, VIEW_TEXT("jorm interface"), id, name) != OK)
		return fault_set(fault, ERR_CRYPTO, "cannot make the interface's MAC address: out of memory?");
	memcpy(i->mac, hash, ETHER_ADDRESS_LEN);
	i->mac[0] = (uint8_t)((i->mac[0] & 0xfc) | 2); /* one station's, locally administered */
	return tun_set_mac(i->tun, i->mac, fault);
}

void interface_close(struct interface *i)
{
	if (!i)
		return;
	netlink_monitor_close(i->monitor);
	tun_close(i->tun);
	free(i->addresses.items);
	free(i->routes.items);
	netlink_close(i->netlink);
	free(i);
}

/* ---- addresses and routes: what is set follows what is wished ---- */

/* Any order will do, as long as it is one. */
static int compare_routes(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct netlink_route));
}

static bool list_has(const struct route_list *list, const struct netlink_route *route)
{
	return list->count && bsearch(route, list->items, list->count, sizeof *route, compare_routes);
}

/* A prefix that an address of the interface brings with it needs no route of its own. */
static bool is_on_link(const struct interface_wish *wish, const struct prefix *prefix)
{
	for (size_t i = 0; i < wish->n_addresses; i++)
		if (wish->addresses[i].bits <= prefix->bits && prefix_contains(&wish->addresses[i], prefix->ip))
			return true;
	return false;
}

/* Addresses and routes of the wish in one form: `route` of an address has the prefix with its host bits. */
static enum err list_make(struct route_list *ret, const struct interface_wish *wish, uint32_t ifindex, bool addresses)
{
	size_t n = addresses ? wish->n_addresses : wish->n_routes;
	*ret = (struct route_list){.items = calloc(n + 1, sizeof *ret->items)};
	if (!ret->items)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct prefix *prefix = addresses ? &wish->addresses[i] : &wish->routes[i];
		uint32_t table = prefix->bits ? wish->table : wish->default_table;
		if (!addresses && (table == INTERFACE_NO_ROUTES || (table == 0 && is_on_link(wish, prefix))))
			continue;
		struct netlink_route *route = &ret->items[ret->count++];
		memset(route, 0, sizeof *route); /* padding is compared, too */
		route->prefix = *prefix;
		route->ifindex = ifindex;
		route->table = addresses ? 0 : table;
	}
	qsort(ret->items, ret->count, sizeof *ret->items, compare_routes);
	return OK;
}

static enum err change(
	struct interface *i, const struct netlink_route *route, bool address, bool add, struct fault *fault)
{
	if (address)
		return (add ? netlink_address_add : netlink_address_delete)(
			i->netlink, route->ifindex, &route->prefix, fault);
	return (add ? netlink_route_add : netlink_route_delete)(i->netlink, route, fault);
}

/* Removes what is no longer wished, adds what is new. All is tried; the first error is returned, and what could not be
 * added is wished again next time. */
static enum err list_apply(
	struct interface *i, struct route_list *set, struct route_list *wished, bool address, struct fault *fault)
{
	enum err first = OK;
	for (size_t k = 0; k < set->count; k++) {
		if (list_has(wished, &set->items[k]))
			continue;
		enum err err = change(i, &set->items[k], address, false, first == OK ? fault : NULL);
		first = first == OK ? err : first;
	}
	size_t kept = 0;
	for (size_t k = 0; k < wished->count; k++) {
		bool repeated = k && compare_routes(&wished->items[k], &wished->items[k - 1]) == 0;
		enum err err = OK;
		if (!repeated && !list_has(set, &wished->items[k]))
			err = change(i, &wished->items[k], address, true, first == OK ? fault : NULL);
		first = first == OK ? err : first;
		if (err == OK && !repeated)
			wished->items[kept++] = wished->items[k];
	}
	wished->count = kept;
	free(set->items);
	*set = *wished;
	return first;
}

enum err interface_set(struct interface *i, const struct interface_wish *wish, struct fault *fault)
{
	uint32_t ifindex = tun_ifindex(i->tun);
	struct route_list addresses, routes;
	if (list_make(&addresses, wish, ifindex, true) != OK)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	if (list_make(&routes, wish, ifindex, false) != OK) {
		free(addresses.items);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	enum err err = list_apply(i, &i->addresses, &addresses, true, fault);
	enum err second = list_apply(i, &i->routes, &routes, false, err == OK ? fault : NULL);
	return err == OK ? second : err;
}

enum err interface_set_up(struct interface *i, uint32_t mtu, struct fault *fault)
{
	enum err err =
		interface_set_mtu(i, mtu ? mtu : path_plain_of_mtu(MTU_USUAL) - FRAME_HEADER_LEN - i->link_len, fault);
	if (err == OK)
		err = netlink_link_set_up(i->netlink, tun_ifindex(i->tun), fault);
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
const uint8_t *interface_mac(const struct interface *i)
{
	return i->mac;
}
uint32_t interface_mtu(const struct interface *i)
{
	return i->mtu;
}

/* Super-packets as large as one send to the outside carries, and no larger: a few segments more would
 * cost a send of their own each time. */
static void set_super_packet(struct interface *i, uint32_t mtu)
{
	uint32_t segments = LANE_SEND_MAX / (i->link_len + mtu + FRAME_HEADER_LEN + DATA_OVERHEAD);
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
