#include "net/netlink.h"

#include <assert.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static_assert(NETLINK_NAME_SIZE == IFNAMSIZ, "interface names");

#define REQUEST_SIZE 512  /* the largest request below has some 100 bytes */
#define REPLY_SIZE 32768  /* what the kernel uses at most for one part of a dump */
#define DETAIL_SIZE 128   /* the kernel's explanation */
#define METRIC_IPV6 1024U /* what the kernel makes of "no metric" for IPv6 */

struct netlink {
	struct mnl_socket *socket;
	uint32_t sequence;
	char detail[DETAIL_SIZE]; /* the kernel's explanation of the last failure, or "" */
};

/* ---- one request and its answer ---- */

struct request {
	union {
		struct nlmsghdr header;
		uint8_t bytes[REQUEST_SIZE];
	};
};

/* Starts a request with a zeroed type-specific header of `len` bytes, which is returned. */
static void *request_init(struct request *request, uint16_t type, uint16_t flags, size_t len)
{
	memset(request, 0, sizeof *request);
	struct nlmsghdr *header = mnl_nlmsg_put_header(request);
	header->nlmsg_type = type;
	header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	return mnl_nlmsg_put_extra_header(header, len);
}

struct exchange {
	mnl_cb_t each; /* called for each message of the answer; may be NULL */
	void *context;
	int error; /* errno's value from the final message */
	char *detail;
};

static int exchange_message(const struct nlmsghdr *header, void *data)
{
	struct exchange *exchange = data;
	return exchange->each ? exchange->each(header, exchange->context) : MNL_CB_OK;
}

static int exchange_detail(const struct nlattr *attr, void *data)
{
	struct exchange *exchange = data;
	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG && mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		(void)snprintf(exchange->detail, DETAIL_SIZE, "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

/* Both ends of an answer, NLMSG_ERROR and NLMSG_DONE, start with a negative errno value. */
static int exchange_end(const struct nlmsghdr *header, void *data)
{
	struct exchange *exchange = data;
	int code = 0;
	if (mnl_nlmsg_get_payload_len(header) >= sizeof code)
		memcpy(&code, mnl_nlmsg_get_payload(header), sizeof code);
	exchange->error = -code;
	/* Without NLM_F_CAPPED the whole request stands before the explanation; the socket asks for it. */
	uint16_t both = NLM_F_ACK_TLVS | NLM_F_CAPPED;
	if (code && header->nlmsg_type == NLMSG_ERROR && (header->nlmsg_flags & both) == both)
		(void)mnl_attr_parse(header, sizeof(struct nlmsgerr), exchange_detail, exchange);
	return MNL_CB_STOP;
}

/* Sends a request and reads to the end of its answer. Returns 0 or errno's value. */
static int request_run(struct netlink *netlink, struct request *request, mnl_cb_t each, void *context)
{
	mnl_cb_t ends[] = {[NLMSG_ERROR] = exchange_end, [NLMSG_DONE] = exchange_end};
	union {
		struct nlmsghdr align;
		uint8_t bytes[REPLY_SIZE];
	} reply;
	struct exchange exchange = {.each = each, .context = context, .detail = netlink->detail};
	uint32_t sequence = ++netlink->sequence;
	unsigned int port = mnl_socket_get_portid(netlink->socket);

	netlink->detail[0] = '\0';
	request->header.nlmsg_seq = sequence;
	if (mnl_socket_sendto(netlink->socket, request, request->header.nlmsg_len) < 0)
		return errno;
	for (;;) {
		ssize_t len = mnl_socket_recvfrom(netlink->socket, &reply, sizeof reply);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return errno;
		int next = mnl_cb_run2(&reply, (size_t)len, sequence, port, exchange_message, &exchange, ends,
			sizeof ends / sizeof ends[0]);
		/* An answer to an earlier request that was given up. */
		if (next < 0 && errno == EPROTO)
			continue;
		if (next < 0)
			return errno;
		if (next == MNL_CB_STOP)
			return exchange.error;
	}
}

/* ---- faults ---- */

static int link_query(struct netlink *netlink, const char *name, uint32_t ifindex, struct netlink_link *ret);

/* For a fault: the interface's name, or its number if it is gone. */
static const char *name_of(struct netlink *netlink, uint32_t ifindex, char out[static NETLINK_NAME_SIZE])
{
	struct netlink_link link;
	if (link_query(netlink, NULL, ifindex, &link) == 0)
		memcpy(out, link.name, NETLINK_NAME_SIZE);
	else
		(void)snprintf(out, NETLINK_NAME_SIZE, "no. %u", ifindex);
	return out;
}

/* `what` with the interface's name after it, the reason, the kernel's explanation, the remedy. */
static enum err refused(struct netlink *netlink, int error, uint32_t ifindex, const char *what, struct fault *fault)
{
	char name[NETLINK_NAME_SIZE], detail[DETAIL_SIZE + 32] = "";
	if (netlink->detail[0])
		(void)snprintf(detail, sizeof detail, " (the kernel says: %s)", netlink->detail);
	(void)name_of(netlink, ifindex, name);
	errno = error;
	switch (error) {
	case EPERM:
		return fault_errno(fault,
			"cannot %s %s without CAP_NET_ADMIN; run as root or give the service that capability", what,
			name);
	case ENODEV:
	case ENXIO:
		return fault_set(fault, ERR_NOT_FOUND, "cannot %s %s: there is no such interface any more", what, name);
	case ENETDOWN:
		return fault_set(
			fault, ERR_STATE, "cannot %s %s: the interface is down; 'ip link set %s up'", what, name, name);
	default:
		return fault_errno(fault, "cannot %s %s%s", what, name, detail);
	}
}

/* As refused, for what concerns a prefix: IPv6 can be switched off. */
static enum err refused_prefix(struct netlink *netlink, int error, uint32_t ifindex, const char *verb,
	const struct prefix *prefix, const char *preposition, struct fault *fault)
{
	char text[ADDR_TEXT_LEN], what[ADDR_TEXT_LEN + 48], name[NETLINK_NAME_SIZE];
	(void)snprintf(what, sizeof what, "%s %s %s", verb, prefix_format(prefix, text), preposition);
	if (!prefix->v4 && (error == EACCES || error == EOPNOTSUPP || error == EAFNOSUPPORT))
		return fault_set(fault, ERR_UNSUPPORTED,
			"cannot %s %s: IPv6 is switched off there; switch it on (sysctl "
			"net.ipv6.conf.all.disable_ipv6=0) or "
			"leave IPv6 prefixes out",
			what, name_of(netlink, ifindex, name));
	return refused(netlink, error, ifindex, what, fault);
}

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
	struct request request;
	struct ifinfomsg *info = request_init(&request, RTM_GETLINK, 0, sizeof *info);
	if (name)
		mnl_attr_put_strz(&request.header, IFLA_IFNAME, name);
	else
		info->ifi_index = (int)ifindex;
	struct netlink_link link = {0};
	int error = request_run(netlink, &request, link_message, &link);
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
	struct request request;
	struct ifinfomsg *info = request_init(&request, RTM_NEWLINK, 0, sizeof *info);
	info->ifi_index = (int)ifindex;
	info->ifi_flags = info->ifi_change = IFF_UP;
	int error = request_run(netlink, &request, NULL, NULL);
	return error ? refused(netlink, error, ifindex, "set up", fault) : OK;
}

enum err netlink_link_set_mtu(struct netlink *netlink, uint32_t ifindex, uint32_t mtu, struct fault *fault)
{
	struct request request;
	struct ifinfomsg *info = request_init(&request, RTM_NEWLINK, 0, sizeof *info);
	info->ifi_index = (int)ifindex;
	mnl_attr_put_u32(&request.header, IFLA_MTU, mtu);
	int error = request_run(netlink, &request, NULL, NULL);
	if (!error)
		return OK;
	char what[48];
	(void)snprintf(what, sizeof what, "set an MTU of %u on", mtu);
	return refused(netlink, error, ifindex, what, fault);
}

/* ---- addresses ---- */

static void put_ip(struct request *request, uint16_t type, const uint8_t ip[16], bool v4)
{
	mnl_attr_put(&request->header, type, v4 ? 4 : 16, v4 ? ip + 12 : ip);
}

static void address_request(
	struct request *request, uint16_t type, uint16_t flags, uint32_t ifindex, const struct prefix *prefix)
{
	struct ifaddrmsg *info = request_init(request, type, flags, sizeof *info);
	info->ifa_family = prefix->v4 ? AF_INET : AF_INET6;
	info->ifa_prefixlen = prefix->bits;
	info->ifa_flags = prefix->v4 ? 0 : IFA_F_NODAD;
	info->ifa_index = ifindex;
	put_ip(request, IFA_LOCAL, prefix->ip, prefix->v4);
	put_ip(request, IFA_ADDRESS, prefix->ip, prefix->v4);
}

enum err netlink_address_add(
	struct netlink *netlink, uint32_t ifindex, const struct prefix *prefix, struct fault *fault)
{
	struct request request;
	address_request(&request, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, ifindex, prefix);
	int error = request_run(netlink, &request, NULL, NULL);
	return error ? refused_prefix(netlink, error, ifindex, "add the address", prefix, "to", fault) : OK;
}

enum err netlink_address_delete(
	struct netlink *netlink, uint32_t ifindex, const struct prefix *prefix, struct fault *fault)
{
	struct request request;
	address_request(&request, RTM_DELADDR, 0, ifindex, prefix);
	int error = request_run(netlink, &request, NULL, NULL);
	if (error == 0 || error == EADDRNOTAVAIL || error == ENODEV || error == ENXIO)
		return OK;
	return refused_prefix(netlink, error, ifindex, "remove the address", prefix, "from", fault);
}

/* ---- routes ---- */

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
	struct request *request, uint16_t type, uint16_t flags, const struct netlink_route *route)
{
	struct rtmsg *info = request_init(request, type, flags, sizeof *info);
	struct prefix network = network_of(&route->prefix);
	info->rtm_family = network.v4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = network.bits;
	put_ip(request, RTA_DST, network.ip, network.v4);
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
	struct request request;
	struct rtmsg *info = request_init(&request, RTM_GETROUTE, NLM_F_DUMP, sizeof *info);
	struct wanted wanted = {.route = route, .network = network_of(&route->prefix)};
	info->rtm_family = wanted.network.v4 ? AF_INET : AF_INET6;
	mnl_attr_put_u32(&request.header, RTA_OIF, route->ifindex);
	mnl_attr_put_u32(&request.header, RTA_TABLE, route_table(route));
	return request_run(netlink, &request, wanted_compare, &wanted) == 0 && wanted.found;
}

enum err netlink_route_add(struct netlink *netlink, const struct netlink_route *route, struct fault *fault)
{
	struct request request;
	/* Not NLM_F_REPLACE: that would replace another interface's route, the default one for instance. */
	struct rtmsg *info = route_request(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, route);
	info->rtm_protocol = RTPROT_STATIC;
	info->rtm_type = RTN_UNICAST;
	info->rtm_scope = route->prefix.v4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	int error = request_run(netlink, &request, NULL, NULL);
	if (error == 0 || (error == EEXIST && route_is_there(netlink, route)))
		return OK;
	if (error == EEXIST) {
		char text[ADDR_TEXT_LEN], name[NETLINK_NAME_SIZE];
		struct prefix network = network_of(&route->prefix);
		return fault_set(fault, ERR_EXISTS,
			"cannot add the route %s through %s: another interface has that route with the same metric "
			"(%u); remove "
			"it or set another Metric",
			prefix_format(&network, text), name_of(netlink, route->ifindex, name), route->metric);
	}
	return refused_prefix(netlink, error, route->ifindex, "add the route", &route->prefix, "through", fault);
}

enum err netlink_route_delete(struct netlink *netlink, const struct netlink_route *route, struct fault *fault)
{
	struct request request;
	struct rtmsg *info = route_request(&request, RTM_DELROUTE, 0, route);
	info->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	int error = request_run(netlink, &request, NULL, NULL);
	if (error == 0 || error == ESRCH || error == ENODEV || error == ENXIO)
		return OK;
	return refused_prefix(netlink, error, route->ifindex, "remove the route", &route->prefix, "through", fault);
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
	struct request request;
	struct rtmsg *info = request_init(&request, RTM_GETROUTE, 0, sizeof *info);
	bool v4 = addr_is_v4(destination->ip);
	info->rtm_family = v4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = v4 ? 32 : 128;
	put_ip(&request, RTA_DST, destination->ip, v4);
	if (mark)
		mnl_attr_put_u32(&request.header, RTA_MARK, mark);
	if (destination->scope)
		mnl_attr_put_u32(&request.header, RTA_OIF, destination->scope);

	char text[ADDR_TEXT_LEN];
	struct found found = {0};
	int error = request_run(netlink, &request, first_found, &found);
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
