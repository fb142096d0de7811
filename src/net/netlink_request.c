#include "net/netlink_request.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REPLY_SIZE 32768 /* what the kernel uses at most for one part of a dump */

void *netlink_request_init(struct netlink_request *request, uint16_t type, uint16_t flags, size_t len)
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
		(void)snprintf(exchange->detail, NETLINK_DETAIL_SIZE, "%s", mnl_attr_get_str(attr));
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

int netlink_request_run(struct netlink *netlink, struct netlink_request *request, mnl_cb_t each, void *context)
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

void netlink_request_put_ip(struct netlink_request *request, uint16_t type, const uint8_t ip[16], bool v4)
{
	mnl_attr_put(&request->header, type, v4 ? 4 : 16, v4 ? ip + 12 : ip);
}

const char *netlink_name_of(struct netlink *netlink, uint32_t ifindex, char out[static NETLINK_NAME_SIZE])
{
	struct netlink_link link;
	if (netlink_link_get(netlink, ifindex, &link, NULL) == OK)
		memcpy(out, link.name, NETLINK_NAME_SIZE);
	else
		(void)snprintf(out, NETLINK_NAME_SIZE, "no. %u", ifindex);
	return out;
}

enum err netlink_refused(struct netlink *netlink, int error, uint32_t ifindex, const char *what, struct fault *fault)
{
	char name[NETLINK_NAME_SIZE], detail[NETLINK_DETAIL_SIZE + 32] = "";
	if (netlink->detail[0])
		(void)snprintf(detail, sizeof detail, " (the kernel says: %s)", netlink->detail);
	(void)netlink_name_of(netlink, ifindex, name);
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

enum err netlink_refused_prefix(struct netlink *netlink, int error, uint32_t ifindex, const char *verb,
	const struct prefix *prefix, const char *preposition, struct fault *fault)
{
	char text[ADDR_TEXT_LEN], what[ADDR_TEXT_LEN + 48], name[NETLINK_NAME_SIZE];
	(void)snprintf(what, sizeof what, "%s %s %s", verb, prefix_format(prefix, text), preposition);
	if (!prefix->v4 && (error == EACCES || error == EOPNOTSUPP || error == EAFNOSUPPORT))
		return fault_set(fault, ERR_UNSUPPORTED,
			"cannot %s %s: IPv6 is switched off there; switch it on "
			"(sysctl net.ipv6.conf.all.disable_ipv6=0) or leave IPv6 prefixes out",
			what, netlink_name_of(netlink, ifindex, name));
	return netlink_refused(netlink, error, ifindex, what, fault);
}
