/* src/net/netlink.c on interfaces in a namespace of the test's own. */
#include "netns.h"

#include "net/netlink_request.h"
#include "tun/tun.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct tun *tun_new(const char *name)
{
	struct tun *tun = NULL;
	struct fault fault = {0};
	if (tun_open(&tun, &(struct tun_config){.name = name, .n_queues = 1, .layer = 3}, &fault))
		fail_msg("%s", fault.text);
	return tun;
}

static void test_links_are_found_and_changed(void **state)
{
	struct netlink *netlink = netns_enter();
	struct netlink_link link;
	assert_int_equal(netlink_link_find(netlink, "lo", &link, NULL), OK);
	assert_int_equal(link.ifindex, LOOPBACK);
	assert_true(link.up);
	assert_int_equal(link.mtu, 65536);

	struct tun *tun = tun_new("vpn");
	assert_int_equal(netlink_link_find(netlink, "vpn", &link, NULL), OK);
	assert_int_equal(link.ifindex, tun_ifindex(tun));
	assert_false(link.up);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(netlink_link_set_up(netlink, link.ifindex, NULL), OK);
		assert_int_equal(netlink_link_set_mtu(netlink, link.ifindex, 1380, NULL), OK);
	}
	assert_int_equal(netlink_link_get(netlink, link.ifindex, &link, NULL), OK);
	assert_true(link.up);
	assert_int_equal(link.mtu, 1380);
	assert_string_equal(link.name, "vpn");
	tun_close(tun);
	netlink_close(netlink);
}

static void test_missing_links_are_told(void **state)
{
	struct netlink *netlink = netns_enter();
	struct netlink_link link = {.mtu = 7};
	struct fault fault;
	assert_int_equal(netlink_link_find(netlink, "vpn", &link, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "vpn");
	assert_int_equal(netlink_link_find(netlink, "", &link, NULL), ERR_NOT_FOUND);
	assert_int_equal(netlink_link_find(netlink, "a-name-that-is-too-long", &link, NULL), ERR_NOT_FOUND);
	assert_int_equal(netlink_link_get(netlink, 999, &link, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "999");
	assert_int_equal(netlink_link_get(netlink, 0, &link, NULL), ERR_NOT_FOUND);
	assert_int_equal(link.mtu, 7);

	assert_int_equal(netlink_link_set_up(netlink, 999, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "no. 999");
	assert_int_equal(netlink_link_set_mtu(netlink, 999, 1400, NULL), ERR_NOT_FOUND);
	struct prefix prefix = netns_prefix("10.0.0.1/24");
	assert_int_equal(netlink_address_add(netlink, 999, &prefix, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "10.0.0.1/24");
	assert_int_equal(netlink_address_delete(netlink, 999, &prefix, NULL), OK);
	netlink_close(netlink);
}

static void test_the_kernels_explanation_is_told(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new("vpn");
	struct fault fault;
	assert_int_equal(netlink_link_set_mtu(netlink, tun_ifindex(tun), 1U << 20, &fault), ERR_IO);
	assert_fault(&fault, ERR_IO, "an MTU of 1048576 on vpn");
	assert_fault(&fault, ERR_IO, "the kernel says: mtu greater than device maximum");
	tun_close(tun);
	netlink_close(netlink);
}

/* Is the address there, and usable (not tentative)? */
static bool ipv6_is_usable(const char *hex)
{
	char line[128], address[40];
	unsigned int flags;
	bool found = false;
	FILE *file = fopen("/proc/self/net/if_inet6", "r");
	assert_non_null(file);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "%39s %*x %*x %*x %x", address, &flags) == 2 && strcmp(address, hex) == 0)
			found = !(flags & IFA_F_TENTATIVE);
	assert_int_equal(fclose(file), 0);
	return found;
}

static void test_addresses_come_and_go(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new("vpn");
	struct prefix v4 = netns_prefix("10.66.0.1/24"), v6 = netns_prefix("fd66::1/64");
	assert_int_equal(netlink_link_set_up(netlink, tun_ifindex(tun), NULL), OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(netlink_address_add(netlink, tun_ifindex(tun), &v4, NULL), OK);
		assert_int_equal(netlink_address_add(netlink, tun_ifindex(tun), &v6, NULL), OK);
	}
	assert_true(ipv6_is_usable("fd660000000000000000000000000001"));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(netlink_address_delete(netlink, tun_ifindex(tun), &v4, NULL), OK);
		assert_int_equal(netlink_address_delete(netlink, tun_ifindex(tun), &v6, NULL), OK);
	}
	assert_false(ipv6_is_usable("fd660000000000000000000000000001"));
	tun_close(tun);
	netlink_close(netlink);
}

static void test_ipv6_switched_off_is_told(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun = tun_new("vpn");
	FILE *file = fopen("/proc/sys/net/ipv6/conf/vpn/disable_ipv6", "w");
	assert_non_null(file);
	assert_true(fputs("1", file) >= 0);
	assert_int_equal(fclose(file), 0);
	struct prefix v6 = netns_prefix("fd66::1/64");
	struct fault fault;
	assert_int_equal(netlink_address_add(netlink, tun_ifindex(tun), &v6, &fault), ERR_UNSUPPORTED);
	assert_fault(&fault, ERR_UNSUPPORTED, "fd66::1/64 to vpn");
	tun_close(tun);
	netlink_close(netlink);
}

static bool changes_are_refused(void)
{
	struct netlink *netlink;
	struct netlink_link link;
	struct fault fault;
	struct prefix v4 = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .bits = 8, .v4 = true};
	return netns_drop_root() && netlink_open(&netlink, NULL) == OK &&
	       netlink_link_get(netlink, LOOPBACK, &link, NULL) == OK &&
	       netlink_address_add(netlink, LOOPBACK, &v4, &fault) == ERR_PERMISSION &&
	       strstr(fault.text, "10.0.0.0/8 to lo") && strstr(fault.text, "CAP_NET_ADMIN");
}

static void test_changes_need_a_capability(void **state)
{
	struct netlink *netlink = netns_enter();
	assert_true(netns_child(changes_are_refused));
	netlink_close(netlink);
}

/* Answers to a request that was given up must not be taken for the next one's. */
static void test_an_old_answer_is_skipped(void **state)
{
	struct netlink *netlink = netns_enter();
	struct netlink_request request;
	struct ifinfomsg *info = netlink_request_init(&request, RTM_GETLINK, 0, sizeof *info);
	info->ifi_index = 999;
	request.header.nlmsg_seq = netlink->sequence;
	assert_true(mnl_socket_sendto(netlink->socket, &request, request.header.nlmsg_len) > 0);
	struct netlink_link link;
	assert_int_equal(netlink_link_get(netlink, LOOPBACK, &link, NULL), OK);
	assert_string_equal(link.name, "lo");
	netlink_close(netlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_links_are_found_and_changed),
		cmocka_unit_test(test_missing_links_are_told),
		cmocka_unit_test(test_the_kernels_explanation_is_told),
		cmocka_unit_test(test_addresses_come_and_go),
		cmocka_unit_test(test_ipv6_switched_off_is_told),
		cmocka_unit_test(test_changes_need_a_capability),
		cmocka_unit_test(test_an_old_answer_is_skipped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
