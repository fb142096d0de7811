#include "net/netlink_route.h"

#include "net/netlink_request.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define METRIC_IPV6 1024U /* what the kernel makes of "no metric" for IPv6 */

static uint32_t route_table(const struct netlink_route *route)
{
	return route->table ? route->table : RT_TABLE_MAIN;
}

static struct prefix network_of(const struct prefix *prefix)
{
	struct prefix network = *prefix;
	for (unsigned int bit = prefix->bits + (prefix->v4 ? 96U : 0); bit < 128; bit++)
		network.ip[bit / 8] &= (uint8_t) ~(0x80U >> bit % 8);
	return network;
}

static struct rtmsg *route_request(
	struct netlink_request *request, uint16_t type, uint16_t flags, const struct netlink_route *route)
{
	struct rtmsg *info = netlink_request_init(request, type, flags, sizeof *info);
	struct prefix network = network_of(&route->prefix);
	info->rtm_family = network.v4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = network.bits;
	netlink_request_put_ip(request, RTA_DST, network.ip, network.v4);
	mnl_attr_put_u32(&request->header, RTA_OIF, route->ifindex);
	mnl_attr_put_u32(&request->header, RTA_TABLE, route_table(route));
	if (route->metric)
		mnl_attr_put_u32(&request->header, RTA_PRIORITY, route->metric);
	return info;
}

/* One route as the kernel tells it. */
struct found {
	struct prefix prefix;
	uint32_t ifindex, metric, table;
};

static int found_attr(const struct nlattr *attr, void *data)
{
	struct found *found = data;
	switch (mnl_attr_get_type(attr)) {
	case RTA_DST:
		if (mnl_attr_get_payload_len(attr) == (found->prefix.v4 ? 4 : 16))
			memcpy(found->prefix.ip + (found->prefix.v4 ? 12 : 0), mnl_attr_get_payload(attr),
				mnl_attr_get_payload_len(attr));
		return MNL_CB_OK;
	case RTA_OIF:
	case RTA_PRIORITY:
	case RTA_TABLE:
		break;
	default:
		return MNL_CB_OK;
	}
	if (mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return MNL_CB_OK;
	uint32_t *into = mnl_attr_get_type(attr) == RTA_OIF     ? &found->ifindex
			 : mnl_attr_get_type(attr) == RTA_TABLE ? &found->table
								: &found->metric;
	*into = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static bool found_parse(struct found *ret, const struct nlmsghdr *header)
{
	if (header->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(header) < sizeof(struct rtmsg))
		return false;
	const struct rtmsg *info = mnl_nlmsg_get_payload(header);
	*ret = (struct found){
		.prefix = {.bits = info->rtm_dst_len, .v4 = info->rtm_family == AF_INET}, .table = info->rtm_table};
	if (ret->prefix.v4)
		ret->prefix.ip[10] = ret->prefix.ip[11] = 0xff;
	(void)mnl_attr_parse(header, sizeof *info, found_attr, ret);
	return true;
}

struct wanted {
	const struct netlink_route *route;
	struct prefix network;
	bool found;
};

static int wanted_compare(const struct nlmsghdr *header, void *data)
{
	struct wanted *wanted = data;
	struct found found;
	if (!found_parse(&found, header))
		return MNL_CB_OK;
	uint32_t metric = wanted->route->metric || wanted->network.v4 ? wanted->route->metric : METRIC_IPV6;
	wanted->found |= found.ifindex == wanted->route->ifindex && found.table == route_table(wanted->route) &&
			 found.metric == metric && found.prefix.bits == wanted->network.bits &&
			 found.prefix.v4 == wanted->network.v4 && memcmp(found.prefix.ip, wanted->network.ip, 16) == 0;
	return MNL_CB_OK;
}

/* Is exactly this route there, through this interface? */
static bool route_is_there(struct netlink *netlink, const struct netlink_route *route)
{
	struct netlink_request request;
	struct rtmsg *info = netlink_request_init(&request, RTM_GETROUTE, NLM_F_DUMP, sizeof *info);
	struct wanted wanted = {.route = route, .network = network_of(&route->prefix)};
	info->rtm_family = wanted.network.v4 ? AF_INET : AF_INET6;
	mnl_attr_put_u32(&request.header, RTA_OIF, route->ifindex);
	mnl_attr_put_u32(&request.header, RTA_TABLE, route_table(route));
	return netlink_request_run(netlink, &request, wanted_compare, &wanted) == 0 && wanted.found;
}

enum err netlink_route_add(struct netlink *netlink, const struct netlink_route *route, struct fault *fault)
{
	struct netlink_request request;
	/* Not NLM_F_REPLACE: that would replace another interface's route, the default one for instance. */
	struct rtmsg *info = route_request(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
	info->rtm_protocol = RTPROT_STATIC;
	info->rtm_type = RTN_UNICAST;
	info->rtm_scope = route->prefix.v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	int error = netlink_request_run(netlink, &request, NULL, NULL);
	if (error == 0 || (error == EEXIST && route_is_there(netlink, route)))
		return OK;
	if (error == EEXIST) {
		char text[ADDR_TEXT_LEN], name[NETLINK_NAME_SIZE];
		struct prefix network = network_of(&route->prefix);
		return fault_set(fault, ERR_EXISTS,
			"cannot add the route %s through %s: another interface has it with the same metric, %u; remove "
			"that one, or leave this one out of AllowedIPs",
			prefix_format(&network, text), netlink_name_of(netlink, route->ifindex, name), route->metric);
	}
	return netlink_refused_prefix(
		netlink, error, route->ifindex, "add the route", &route->prefix, "through", fault);
}

enum err netlink_route_delete(struct netlink *netlink, const struct netlink_route *route, struct fault *fault)
{
	struct netlink_request request;
	struct rtmsg *info = route_request(&request, RTM_DELROUTE, 0, route);
	info->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	int error = netlink_request_run(netlink, &request, NULL, NULL);
	if (error == 0 || error == ESRCH || error == ENODEV || error == ENXIO)
		return OK;
	return netlink_refused_prefix(
		netlink, error, route->ifindex, "remove the route", &route->prefix, "through", fault);
}

static int first_found(const struct nlmsghdr *header, void *data)
{
	struct found *found = data;
	(void)found_parse(found, header);
	return MNL_CB_OK;
}

enum err netlink_route_mtu(
	struct netlink *netlink, const struct addr *destination, uint32_t mark, uint32_t *ret_mtu, struct fault *fault)
{
	struct netlink_request request;
	struct rtmsg *info = netlink_request_init(&request, RTM_GETROUTE, 0, sizeof *info);
	bool v4 = addr_is_v4(destination->ip);
	info->rtm_family = v4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = v4 ? 32 : 128;
	netlink_request_put_ip(&request, RTA_DST, destination->ip, v4);
	if (mark)
		mnl_attr_put_u32(&request.header, RTA_MARK, mark);
	if (destination->scope)
		mnl_attr_put_u32(&request.header, RTA_OIF, destination->scope);

	char text[ADDR_TEXT_LEN];
	struct found found = {0};
	int error = netlink_request_run(netlink, &request, first_found, &found);
	if (error == ENETUNREACH || error == EHOSTUNREACH || error == ENODEV || (!error && !found.ifindex))
		return fault_set(fault, ERR_NOT_FOUND,
			"there is no route to %s; 'ip route get' tells what the kernel would do",
			addr_format_ip(destination->ip, text));
	errno = error;
	if (error)
		return fault_errno(fault, "cannot ask the kernel for the route to %s%s%s",
			addr_format_ip(destination->ip, text), netlink->detail[0] ? ": " : "", netlink->detail);
	struct netlink_link link;
	enum err err = netlink_link_get(netlink, found.ifindex, &link, fault);
	if (!err)
		*ret_mtu = link.mtu;
	return err;
}
