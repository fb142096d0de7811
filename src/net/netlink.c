#include "net/netlink.h"

#include "net/netlink_request.h"

#include <assert.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static_assert(NETLINK_NAME_SIZE == IFNAMSIZ, "interface names");

/* ---- opening ---- */

enum err netlink_open(struct netlink **ret, struct fault *fault)
{
	struct netlink *netlink = calloc(1, sizeof *netlink);
	if (!netlink)
		return fault_set(fault, ERR_NOMEM, "no memory for a netlink socket");
	netlink->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!netlink->socket || mnl_socket_bind(netlink->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		enum err err = fault_errno(fault, "cannot open a netlink socket");
		netlink_close(netlink);
		return err;
	}
	/* Explanations, short acknowledgements, and dumps filtered by the kernel: better, not needed. */
	int on = 1;
	(void)mnl_socket_setsockopt(netlink->socket, NETLINK_EXT_ACK, &on, sizeof on);
	(void)mnl_socket_setsockopt(netlink->socket, NETLINK_CAP_ACK, &on, sizeof on);
	(void)mnl_socket_setsockopt(netlink->socket, NETLINK_GET_STRICT_CHK, &on, sizeof on);
	*ret = netlink;
	return OK;
}

void netlink_close(struct netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->socket)
		(void)mnl_socket_close(netlink->socket);
	free(netlink);
}

/* ---- interfaces ---- */

static int link_attr(const struct nlattr *attr, void *data)
{
	struct netlink_link *link = data;
	if (mnl_attr_get_type(attr) == IFLA_MTU && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
		link->mtu = mnl_attr_get_u32(attr);
	if (mnl_attr_get_type(attr) == IFLA_IFNAME && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		(void)snprintf(link->name, sizeof link->name, "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

static int link_message(const struct nlmsghdr *header, void *data)
{
	struct netlink_link *link = data;
	if (header->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(header) < sizeof(struct ifinfomsg))
		return MNL_CB_OK;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	link->ifindex = (uint32_t)info->ifi_index;
	link->up = info->ifi_flags & IFF_UP;
	(void)mnl_attr_parse(header, sizeof *info, link_attr, link);
	return MNL_CB_OK;
}

/* By name if it is not NULL, otherwise by index. */
static int link_query(struct netlink *netlink, const char *name, uint32_t ifindex, struct netlink_link *ret)
{
	struct netlink_request request;
	struct ifinfomsg *info = netlink_request_init(&request, RTM_GETLINK, 0, sizeof *info);
	if (name)
		mnl_attr_put_strz(&request.header, IFLA_IFNAME, name);
	else
		info->ifi_index = (int)ifindex;
	struct netlink_link link = {0};
	int error = netlink_request_run(netlink, &request, link_message, &link);
	if (!error)
		*ret = link;
	return error;
}

enum err netlink_link_find(struct netlink *netlink, const char *name, struct netlink_link *ret, struct fault *fault)
{
	/* The kernel reads longer names as alternative ones. */
	int error = *name && strlen(name) < NETLINK_NAME_SIZE ? link_query(netlink, name, 0, ret) : ENODEV;
	if (error == ENODEV)
		return fault_set(
			fault, ERR_NOT_FOUND, "there is no interface %.40s; 'ip link' lists what there is", name);
	errno = error;
	return error ? fault_errno(fault, "cannot ask the kernel about interface %s", name) : OK;
}

enum err netlink_link_get(struct netlink *netlink, uint32_t ifindex, struct netlink_link *ret, struct fault *fault)
{
	int error = ifindex ? link_query(netlink, NULL, ifindex, ret) : ENODEV;
	if (error == ENODEV)
		return fault_set(fault, ERR_NOT_FOUND,
			"there is no interface with index %u; 'ip link' lists what there is", ifindex);
	errno = error;
	return error ? fault_errno(fault, "cannot ask the kernel about interface %u", ifindex) : OK;
}

enum err netlink_link_set_up(struct netlink *netlink, uint32_t ifindex, struct fault *fault)
{
	struct netlink_request request;
	struct ifinfomsg *info = netlink_request_init(&request, RTM_NEWLINK, 0, sizeof *info);
	info->ifi_index = (int)ifindex;
	info->ifi_flags = info->ifi_change = IFF_UP;
	int error = netlink_request_run(netlink, &request, NULL, NULL);
	return error ? netlink_refused(netlink, error, ifindex, "set up", fault) : OK;
}

static enum err set_number(struct netlink *netlink, uint32_t ifindex, uint16_t attribute, uint32_t value, const char *name,
	struct fault *fault)
{
	struct netlink_request request;
	struct ifinfomsg *info = netlink_request_init(&request, RTM_NEWLINK, 0, sizeof *info);
	info->ifi_index = (int)ifindex;
	mnl_attr_put_u32(&request.header, attribute, value);
	int error = netlink_request_run(netlink, &request, NULL, NULL);
	if (!error)
		return OK;
	char what[64];
	(void)snprintf(what, sizeof what, "set %s of %u on", name, value);
	return netlink_refused(netlink, error, ifindex, what, fault);
}

enum err netlink_link_set_mtu(struct netlink *netlink, uint32_t ifindex, uint32_t mtu, struct fault *fault)
{
	return set_number(netlink, ifindex, IFLA_MTU, mtu, "an MTU", fault);
}

enum err netlink_link_set_gso_max(struct netlink *netlink, uint32_t ifindex, uint32_t bytes, struct fault *fault)
{
	return set_number(netlink, ifindex, IFLA_GSO_MAX_SIZE, bytes, "a largest super-packet", fault);
}

/* ---- addresses ---- */

static void address_request(
	struct netlink_request *request, uint16_t type, uint16_t flags, uint32_t ifindex, const struct prefix *prefix)
{
	struct ifaddrmsg *info = netlink_request_init(request, type, flags, sizeof *info);
	info->ifa_family = prefix->v4 ? AF_INET : AF_INET6;
	info->ifa_prefixlen = prefix->bits;
	info->ifa_flags = prefix->v4 ? 0 : IFA_F_NODAD;
	info->ifa_index = ifindex;
	netlink_request_put_ip(request, IFA_LOCAL, prefix->ip, prefix->v4);
	netlink_request_put_ip(request, IFA_ADDRESS, prefix->ip, prefix->v4);
}

enum err netlink_address_add(
	struct netlink *netlink, uint32_t ifindex, const struct prefix *prefix, struct fault *fault)
{
	struct netlink_request request;
	address_request(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ifindex, prefix);
	int error = netlink_request_run(netlink, &request, NULL, NULL);
	return error ? netlink_refused_prefix(netlink, error, ifindex, "add the address", prefix, "to", fault) : OK;
}

enum err netlink_address_delete(
	struct netlink *netlink, uint32_t ifindex, const struct prefix *prefix, struct fault *fault)
{
	struct netlink_request request;
	address_request(&request, RTM_DELADDR, 0, ifindex, prefix);
	int error = netlink_request_run(netlink, &request, NULL, NULL);
	if (error == 0 || error == EADDRNOTAVAIL || error == ENODEV || error == ENXIO)
		return OK;
	return netlink_refused_prefix(netlink, error, ifindex, "remove the address", prefix, "from", fault);
}
