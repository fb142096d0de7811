/* src/net/netlink_monitor.c: a tunnel in the test's own namespace is set up, down and removed. */
#include "netns.h"

#include "net/netlink_monitor.h"
#include "net/netlink_request.h"
#include "tun/tun.h"

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

static void link_set_down(struct netlink *netlink, uint32_t ifindex)
{
	struct netlink_request request;
	struct ifinfomsg *info = netlink_request_init(&request, RTM_NEWLINK, 0, sizeof *info);
	info->ifi_index = (int)ifindex;
	info->ifi_change = IFF_UP;
	assert_int_equal(netlink_request_run(netlink, &request, NULL, NULL), 0);
}

static void assert_event(struct netlink_monitor *monitor, enum netlink_event expected)
{
	struct pollfd readable = {.fd = netlink_monitor_fd(monitor), .events = POLLIN};
	enum netlink_event event;
	enum err err;
	/* Notices of other kinds wake the poll too. */
	while ((err = netlink_monitor_read(monitor, &event)) == ERR_AGAIN && poll(&readable, 1, 2000) == 1)
		;
	assert_int_equal(err, OK);
	assert_int_equal(event, expected);
}

static void assert_no_event(struct netlink_monitor *monitor)
{
	enum netlink_event event;
	assert_int_equal(netlink_monitor_read(monitor, &event), ERR_AGAIN);
}

static struct tun *tun_new(void)
{
	struct tun *tun = NULL;
	assert_int_equal(tun_open(&tun, &(struct tun_config){.name = "vpn", .n_queues = 1, .layer = 3}, NULL), OK);
	return tun;
}

static void test_a_life_is_told(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new();
	uint32_t ifindex = tun_ifindex(tun);
	struct netlink_monitor *monitor = NULL;
	assert_int_equal(netlink_monitor_open(&monitor, ifindex, NULL), OK);
	assert_event(monitor, NETLINK_EVENT_DOWN);
	assert_no_event(monitor);
	assert_int_equal(netlink_link_set_up(netlink, ifindex, NULL), OK);
	assert_event(monitor, NETLINK_EVENT_UP);
	assert_int_equal(netlink_link_set_mtu(netlink, ifindex, 1400, NULL), OK);
	assert_no_event(monitor);
	link_set_down(netlink, LOOPBACK);
	assert_no_event(monitor);
	link_set_down(netlink, ifindex);
	assert_event(monitor, NETLINK_EVENT_DOWN);
	tun_close(tun);
	assert_event(monitor, NETLINK_EVENT_GONE);
	assert_no_event(monitor);
	netlink_monitor_close(monitor);
	netlink_close(netlink);
}

static void test_what_is_gone_at_the_start_is_told(void **state)
{
	struct netlink *netlink = netns_enter();
	struct netlink_monitor *monitor = NULL;
	assert_int_equal(netlink_monitor_open(&monitor, 999, NULL), OK);
	assert_event(monitor, NETLINK_EVENT_GONE);
	assert_no_event(monitor);
	netlink_monitor_close(monitor);
	netlink_close(netlink);
}

/* More notices than fit: what they said is asked for. */
static void test_lost_notices_are_made_up_for(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new();
	uint32_t ifindex = tun_ifindex(tun);
	struct netlink_monitor *monitor = NULL;
	assert_int_equal(netlink_monitor_open(&monitor, ifindex, NULL), OK);
	assert_event(monitor, NETLINK_EVENT_DOWN);
	int bytes = 1;
	assert_int_equal(setsockopt(netlink_monitor_fd(monitor), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(netlink_link_set_mtu(netlink, ifindex, 1300 + i, NULL), OK);
	assert_int_equal(netlink_link_set_up(netlink, ifindex, NULL), OK);
	assert_event(monitor, NETLINK_EVENT_UP);
	assert_no_event(monitor);
	netlink_monitor_close(monitor);
	tun_close(tun);
	netlink_close(netlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_life_is_told),
		cmocka_unit_test(test_what_is_gone_at_the_start_is_told),
		cmocka_unit_test(test_lost_notices_are_made_up_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
