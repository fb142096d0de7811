/* src/net/netlink_route.c on interfaces in a namespace of the test's own. */
#include "netns.h"

#include "net/netlink_request.h"
#include "net/netlink_route.h"
#include "tun/tun.h"

#include <linux/fib_rules.h>
#include <string.h>
#include <sys/socket.h>

/* Two tunnels, up, with the addresses 10.1.0.1/24 and 10.2.0.1/24. */
struct fixture {
	struct netlink *netlink;
	struct tun *tuns[2];
	uint32_t ifindex[2];
};

static struct fixture fixture_new(void)
{
	static const char *const names[] = {"one", "two"}, *const addresses[] = {"10.1.0.1/24", "10.2.0.1/24"};
	struct fixture f = {.netlink = netns_enter()};
	for (int i = 0; i < 2; i++) {
		struct tun_config config = {.name = names[i], .n_queues = 1, .layer = 3};
		assert_int_equal(tun_open(&f.tuns[i], &config, NULL), OK);
		f.ifindex[i] = tun_ifindex(f.tuns[i]);
		assert_int_equal(netlink_link_set_mtu(f.netlink, f.ifindex[i], 1380 + (uint32_t)i, NULL), OK);
		assert_int_equal(netlink_link_set_up(f.netlink, f.ifindex[i], NULL), OK);
		netns_address(f.netlink, f.ifindex[i], addresses[i]);
	}
	return f;
}

static void fixture_free(struct fixture *f)
{
	tun_close(f->tuns[0]);
	tun_close(f->tuns[1]);
	netlink_close(f->netlink);
}

static enum err mtu_to(struct fixture *f, const char *ip, uint32_t mark, uint32_t *ret)
{
	struct addr addr = netns_addr(ip, 0);
	return netlink_route_mtu(f->netlink, &addr, mark, ret, NULL);
}

static void test_routes_come_and_go(void **state)
{
	static const char *const prefixes[] = {"0.0.0.0/0", "::/0", "172.16.5.4/12", "fd66:1::2/48", "192.0.2.1"};
	struct fixture f = fixture_new();
	for (size_t i = 0; i < 5 * 3; i++) {
		struct netlink_route route = {.prefix = netns_prefix(prefixes[i / 3]), .ifindex = f.ifindex[0]};
		route.metric = i % 3 ? 50 : 0;
		route.table = i % 3 == 2 ? 1000 : 0;
		for (int twice = 0; twice < 2; twice++) {
			struct fault fault = {0};
			if (netlink_route_add(f.netlink, &route, &fault))
				fail_msg("%s", fault.text);
		}
		for (int twice = 0; twice < 2; twice++)
			assert_int_equal(netlink_route_delete(f.netlink, &route, NULL), OK);
	}
	uint32_t mtu;
	assert_int_equal(mtu_to(&f, "192.0.2.1", 0, &mtu), ERR_NOT_FOUND);
	fixture_free(&f);
}

static void test_anothers_route_is_left_alone(void **state)
{
	struct fixture f = fixture_new();
	static const char *const prefixes[] = {"0.0.0.0/0", "fd66::/16"};
	for (int i = 0; i < 2; i++) {
		struct netlink_route route = {.prefix = netns_prefix(prefixes[i]), .ifindex = f.ifindex[0]};
		struct fault fault;
		uint32_t mtu = 0;
		assert_int_equal(netlink_route_add(f.netlink, &route, NULL), OK);
		route.ifindex = f.ifindex[1];
		assert_int_equal(netlink_route_add(f.netlink, &route, &fault), ERR_EXISTS);
		assert_fault(&fault, ERR_EXISTS, prefixes[i]);
		assert_fault(&fault, ERR_EXISTS, "two");
		assert_int_equal(mtu_to(&f, i ? "fd66::5" : "192.0.2.1", 0, &mtu), OK);
		assert_int_equal(mtu, 1380);
		assert_int_equal(netlink_route_delete(f.netlink, &route, NULL), OK);
		route.metric = 5;
		assert_int_equal(netlink_route_add(f.netlink, &route, NULL), OK);
	}
	fixture_free(&f);
}

static void test_faults(void **state)
{
	struct fixture f = fixture_new();
	struct fault fault;
	struct netlink_route route = {.prefix = netns_prefix("10.9.0.0/16"), .ifindex = 999};
	assert_int_equal(netlink_route_add(f.netlink, &route, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "10.9.0.0/16");
	assert_int_equal(netlink_route_delete(f.netlink, &route, &fault), OK);

	struct tun *tun = NULL;
	assert_int_equal(tun_open(&tun, &(struct tun_config){.name = "three", .n_queues = 1, .layer = 3}, NULL), OK);
	route.ifindex = tun_ifindex(tun);
	assert_int_equal(netlink_route_add(f.netlink, &route, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, "three");
	tun_close(tun);

	struct addr nowhere = netns_addr("192.0.2.1", 0);
	uint32_t mtu = 7;
	assert_int_equal(netlink_route_mtu(f.netlink, &nowhere, 0, &mtu, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "192.0.2.1");
	nowhere = netns_addr("2001:db8::1", 0);
	assert_int_equal(netlink_route_mtu(f.netlink, &nowhere, 0, &mtu, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "2001:db8::1");
	assert_int_equal(mtu, 7);
	fixture_free(&f);
}

static void test_routes_vanish_with_the_interface(void **state)
{
	struct fixture f = fixture_new();
	struct netlink_route route = {.prefix = netns_prefix("0.0.0.0/0"), .ifindex = f.ifindex[0]};
	uint32_t mtu = 0;
	assert_int_equal(netlink_route_add(f.netlink, &route, NULL), OK);
	assert_int_equal(mtu_to(&f, "192.0.2.1", 0, &mtu), OK);
	tun_close(f.tuns[0]);
	f.tuns[0] = NULL;
	assert_int_equal(mtu_to(&f, "192.0.2.1", 0, &mtu), ERR_NOT_FOUND);
	fixture_free(&f);
}

/* ip rule add fwmark MARK table TABLE */
static void rule_add(struct netlink *netlink, uint32_t mark, uint8_t table)
{
	struct netlink_request request;
	struct fib_rule_hdr *info =
		netlink_request_init(&request, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, sizeof *info);
	info->family = AF_INET;
	info->action = FR_ACT_TO_TBL;
	info->table = table;
	mnl_attr_put_u32(&request.header, FRA_FWMARK, mark);
	assert_int_equal(netlink_request_run(netlink, &request, NULL, NULL), 0);
}

static void test_mtu_is_the_outgoing_interfaces(void **state)
{
	struct fixture f = fixture_new();
	uint32_t mtu = 0;
	assert_int_equal(mtu_to(&f, "127.0.0.1", 0, &mtu), OK);
	assert_int_equal(mtu, 65536);
	assert_int_equal(mtu_to(&f, "::1", 0, &mtu), OK);
	assert_int_equal(mtu, 65536);
	assert_int_equal(mtu_to(&f, "10.1.0.9", 0, &mtu), OK);
	assert_int_equal(mtu, 1380);
	assert_int_equal(mtu_to(&f, "10.2.0.9", 0, &mtu), OK);
	assert_int_equal(mtu, 1381);

	struct addr local = netns_addr("fe80::5", 0);
	local.scope = f.ifindex[1];
	assert_int_equal(netlink_route_mtu(f.netlink, &local, 0, &mtu, NULL), OK);
	assert_int_equal(mtu, 1381);

	/* The VPN has the default route, its own datagrams leave otherwise. */
	struct netlink_route vpn = {.prefix = netns_prefix("0.0.0.0/0"), .ifindex = f.ifindex[0]};
	struct netlink_route out = {.prefix = netns_prefix("0.0.0.0/0"), .ifindex = f.ifindex[1], .table = 77};
	assert_int_equal(netlink_route_add(f.netlink, &vpn, NULL), OK);
	assert_int_equal(netlink_route_add(f.netlink, &out, NULL), OK);
	rule_add(f.netlink, 0x5eed, 77);
	assert_int_equal(mtu_to(&f, "192.0.2.1", 0, &mtu), OK);
	assert_int_equal(mtu, 1380);
	assert_int_equal(mtu_to(&f, "192.0.2.1", 0x5eed, &mtu), OK);
	assert_int_equal(mtu, 1381);
	fixture_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes_come_and_go),
		cmocka_unit_test(test_anothers_route_is_left_alone),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_routes_vanish_with_the_interface),
		cmocka_unit_test(test_mtu_is_the_outgoing_interfaces),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
