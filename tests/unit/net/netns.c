#include "netns.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
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

void netns_address(struct netlink *netlink, uint32_t ifindex, const char *text)
{
	struct prefix prefix = netns_prefix(text);
	struct fault fault = {0};
	if (netlink_address_add(netlink, ifindex, &prefix, &fault))
		fail_msg("%s", fault.text);
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
