/* src/net/netlink_rule.c in a namespace of the test's own. */
#include "netns.h"

#include "net/netlink_rule.h"

#include <stdlib.h>
#include <string.h>

static const struct netlink_rule samples[] = {
	{.priority = 100, .table = 254, .suppress_default = true, .protocol = 106},
	{.priority = 101, .table = 4000000000U, .fwmark = 0x99, .invert = true, .protocol = 106},
	{.priority = 102, .table = 77, .uid = 65530, .protocol = 200},
	{.priority = 103, .table = 256, .fwmark = 0xffffffff, .protocol = 4},
};
#define N_SAMPLES (sizeof samples / sizeof samples[0])

/* How many rules are exactly like this one; *ret_all: how many there are. */
static size_t count(struct netlink *netlink, const struct netlink_rule *wanted, size_t *ret_all)
{
	struct netlink_rule *rules = NULL;
	size_t n = 0, found = 0;
	assert_int_equal(netlink_rule_list(netlink, wanted->v4, &rules, &n, NULL), OK);
	for (size_t i = 0; i < n; i++) {
		const struct netlink_rule *r = &rules[i];
		assert_true(i == 0 || rules[i - 1].priority <= r->priority);
		assert_int_equal(r->v4, wanted->v4);
		found += r->priority == wanted->priority && r->table == wanted->table && r->fwmark == wanted->fwmark &&
			 r->uid == wanted->uid && r->invert == wanted->invert &&
			 r->suppress_default == wanted->suppress_default && r->protocol == wanted->protocol;
	}
	free(rules);
	*ret_all = n;
	return found;
}

static void test_rules_come_and_go(void **state)
{
	struct netlink *netlink = netns_enter();
	size_t all = 0, kernels = 0;
	for (size_t i = 0; i < 2 * N_SAMPLES; i++) {
		struct netlink_rule rule = samples[i / 2], other = samples[i / 2];
		rule.v4 = other.v4 = i % 2;
		assert_int_equal(count(netlink, &rule, &kernels), 0);
		for (int twice = 0; twice < 2; twice++) {
			struct fault fault = {0};
			if (netlink_rule_add(netlink, &rule, &fault))
				fail_msg("%s", fault.text);
			assert_int_equal(count(netlink, &rule, &all), 1);
			assert_int_equal(all, kernels + 1);
		}
		/* one that differs is another one */
		other.table++;
		assert_int_equal(netlink_rule_delete(netlink, &other, NULL), OK);
		other = rule;
		other.protocol++;
		assert_int_equal(netlink_rule_delete(netlink, &other, NULL), OK);
		assert_int_equal(count(netlink, &rule, &all), 1);
		for (int twice = 0; twice < 2; twice++)
			assert_int_equal(netlink_rule_delete(netlink, &rule, NULL), OK);
		assert_int_equal(count(netlink, &rule, &all), 0);
		assert_int_equal(all, kernels);
	}
	netlink_close(netlink);
}

static void test_the_kernels_own_rules_are_listed(void **state)
{
	struct netlink *netlink = netns_enter();
	const struct netlink_rule for_main = {.v4 = true, .priority = 32766, .table = 254, .protocol = 2};
	size_t all = 0;
	assert_int_equal(count(netlink, &for_main, &all), 1);
	assert_int_equal(all, 3);
	netlink_close(netlink);
}

static bool without_rights(void)
{
	struct netlink *netlink = NULL;
	struct netlink_rule *rules = NULL;
	size_t n = 0;
	struct fault fault = {0};
	struct netlink_rule rule = samples[1];
	rule.v4 = true;
	bool good = netns_drop_root() && netlink_open(&netlink, NULL) == OK &&
		    netlink_rule_add(netlink, &rule, &fault) == ERR_PERMISSION && strstr(fault.text, "4000000000") &&
		    netlink_rule_delete(netlink, &rule, &fault) == ERR_PERMISSION &&
		    netlink_rule_list(netlink, true, &rules, &n, &fault) == OK && n == 3;
	free(rules);
	netlink_close(netlink);
	return good;
}

static void test_changes_need_rights(void **state)
{
	netlink_close(netns_enter());
	assert_true(netns_child(without_rights));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules_come_and_go),
		cmocka_unit_test(test_the_kernels_own_rules_are_listed),
		cmocka_unit_test(test_changes_need_rights),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
