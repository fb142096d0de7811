#include "net/netlink_monitor.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct netlink_monitor {
	struct mnl_socket *socket;
	uint32_t ifindex;
	enum netlink_event now;      /* what the kernel said last */
	enum netlink_event reported; /* what the caller knows */
	bool told, known;            /* is there a `now`, a `reported`? */
	bool lost;                   /* the kernel dropped notices */
};

/* The answer arrives among the notices. */
static int state_ask(struct netlink_monitor *monitor)
{
	union {
		struct nlmsghdr header;
		uint8_t bytes[128];
	} request = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(&request);
	header->nlmsg_type = RTM_GETLINK;
	header->nlmsg_flags = NLM_F_REQUEST;
	struct ifinfomsg *info = mnl_nlmsg_put_extra_header(header, sizeof *info);
	info->ifi_index = (int)monitor->ifindex;
	return mnl_socket_sendto(monitor->socket, &request, header->nlmsg_len) < 0 ? -1 : 0;
}

enum err netlink_monitor_open(struct netlink_monitor **ret, uint32_t ifindex, struct fault *fault)
{
	struct netlink_monitor *monitor = calloc(1, sizeof *monitor);
	if (!monitor)
		return fault_set(fault, ERR_NOMEM, "no memory to watch an interface");
	monitor->ifindex = ifindex;
	monitor->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!monitor->socket || mnl_socket_bind(monitor->socket, RTMGRP_LINK, MNL_SOCKET_AUTOPID) < 0 ||
		state_ask(monitor) < 0) {
		enum err err = fault_errno(fault, "cannot watch interface no. %u through netlink", ifindex);
		netlink_monitor_close(monitor);
		return err;
	}
	*ret = monitor;
	return OK;
}

void netlink_monitor_close(struct netlink_monitor *monitor)
{
	if (!monitor)
		return;
	if (monitor->socket)
		(void)mnl_socket_close(monitor->socket);
	free(monitor);
}

int netlink_monitor_fd(const struct netlink_monitor *monitor)
{
	return mnl_socket_get_fd(monitor->socket);
}

static void now_set(struct netlink_monitor *monitor, enum netlink_event event)
{
	/* An interface that is gone does not return: a new one of its name has another index. */
	if (monitor->told && monitor->now == NETLINK_EVENT_GONE)
		return;
	monitor->now = event;
	monitor->told = true;
}

static void message_apply(struct netlink_monitor *monitor, const struct nlmsghdr *header)
{
	size_t len = mnl_nlmsg_get_payload_len(header);
	if (header->nlmsg_type == NLMSG_ERROR) {
		int code = 0;
		if (len >= sizeof code)
			memcpy(&code, mnl_nlmsg_get_payload(header), sizeof code);
		if (code == -ENODEV)
			now_set(monitor, NETLINK_EVENT_GONE);
		return;
	}
	if ((header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK) || len < sizeof(struct ifinfomsg))
		return;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(header);
	/* Another family: a bridge's port leaves the bridge, not the machine. */
	if (info->ifi_index != (int)monitor->ifindex || info->ifi_family != AF_UNSPEC)
		return;
	if (header->nlmsg_type == RTM_DELLINK)
		now_set(monitor, NETLINK_EVENT_GONE);
	else
		now_set(monitor, info->ifi_flags & IFF_UP ? NETLINK_EVENT_UP : NETLINK_EVENT_DOWN);
}

enum err netlink_monitor_read(struct netlink_monitor *monitor, enum netlink_event *ret)
{
	union {
		struct nlmsghdr align;
		uint8_t bytes[32768];
	} buffer;
	for (;;) {
		if (monitor->told && (!monitor->known || monitor->now != monitor->reported)) {
			monitor->known = true;
			*ret = monitor->reported = monitor->now;
			return OK;
		}
		ssize_t got = mnl_socket_recvfrom(monitor->socket, &buffer, sizeof buffer);
		if (got < 0 && errno == ENOBUFS) {
			monitor->lost = true;
			continue;
		}
		if (got < 0 && errno == EAGAIN) {
			if (!monitor->lost)
				return ERR_AGAIN;
			/* Only now is there room for the answer to what the lost notices would have said. */
			if (state_ask(monitor) < 0)
				return ERR_IO;
			monitor->lost = false;
			continue;
		}
		if (got < 0 && errno != EINTR)
			return ERR_IO;
		int left = (int)got;
		for (const struct nlmsghdr *header = &buffer.align; mnl_nlmsg_ok(header, left);
			header = mnl_nlmsg_next(header, &left))
			message_apply(monitor, header);
	}
}
