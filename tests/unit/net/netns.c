#include "netns.h"

#include "net/netlink_request.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct netlink *netns_enter(void)
{
	if (unshare(CLONE_NEWNET) < 0) {
		print_message("skipped: making a network namespace needs root\n");
		skip();
	}
	struct netlink *netlink = NULL;
	assert_int_equal(netlink_open(&netlink, NULL), OK);
	assert_int_equal(netlink_link_set_up(netlink, LOOPBACK, NULL), OK);
	return netlink;
}

void netns_settle(void)
{
	(void)usleep(20000);
}

bool netns_child(bool (*body)(void))
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body() ? 0 : 1);
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool netns_drop_root(void)
{
	return setgid(65534) == 0 && setuid(65534) == 0;
}

struct prefix netns_prefix(const char *text)
{
	struct prefix prefix;
	assert_int_equal(prefix_parse(&prefix, text), OK);
	return prefix;
}

static int route_type(const struct nlmsghdr *header, void *data)
{
	*(uint8_t *)data = ((const struct rtmsg *)mnl_nlmsg_get_payload(header))->rtm_type;
	return MNL_CB_OK;
}

static bool address_is_local(struct netlink *netlink, const struct prefix *prefix)
{
	struct netlink_request request;
	struct rtmsg *info = netlink_request_init(&request, RTM_GETROUTE, 0, sizeof *info);
	uint8_t type = RTN_UNSPEC;
	info->rtm_family = prefix->v4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = prefix->v4 ? 32 : 128;
	netlink_request_put_ip(&request, RTA_DST, prefix->ip, prefix->v4);
	return netlink_request_run(netlink, &request, route_type, &type) == 0 && type == RTN_LOCAL;
}

void netns_address(struct netlink *netlink, uint32_t ifindex, const char *text)
{
	struct prefix prefix = netns_prefix(text);
	struct fault fault = {0};
	if (netlink_address_add(netlink, ifindex, &prefix, &fault))
		fail_msg("%s", fault.text);
	for (int i = 0; i < 500 && !address_is_local(netlink, &prefix); i++)
		(void)usleep(2000);
	assert_true(address_is_local(netlink, &prefix));
}

struct addr netns_addr(const char *ip, uint16_t port)
{
	struct prefix prefix = netns_prefix(ip);
	struct addr addr = {.port = port};
	memcpy(addr.ip, prefix.ip, 16);
	return addr;
}

void assert_fault(const struct fault *fault, enum err code, const char *text)
{
	if (fault->code != code || !strstr(fault->text, text))
		fail_msg("'%s' in a fault of code %d expected, got %d: '%s'", text, (int)code, (int)fault->code,
			fault->text);
}
