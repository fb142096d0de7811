#include "host/routing.h"

#include "net/netlink_rule.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>

#define MAIN_PRIORITY 32766U /* of the kernel's own rule for the main table */

struct rules {
	struct netlink_rule *items; /* owned */
	size_t count;
};

static const struct netlink_rule *rule_at(const struct rules *rules, uint32_t priority, bool ours)
{
	for (size_t i = 0; i < rules->count; i++) {
		if (rules->items[i].priority == priority && (!ours || rules->items[i].protocol == ROUTING_PROTOCOL))
			return &rules->items[i];
	}
	return NULL;
}

static bool is_ours(const struct netlink_rule *rule, uint32_t table)
{
	return rule->protocol == ROUTING_PROTOCOL && rule->table == table;
}

/* The pair is one after the other: first main's precise routes, then the tunnel's table. */
static struct netlink_rule rule_for_main(bool v4, uint32_t priority)
{
	return (struct netlink_rule){.v4 = v4,
		.priority = priority,
		.table = RT_TABLE_MAIN,
		.suppress_default = true,
		.protocol = ROUTING_PROTOCOL};
}

static struct netlink_rule rule_for_tunnel(const struct routing *routing, bool v4, uint32_t priority)
{
	return (struct netlink_rule){.v4 = v4,
		.priority = priority,
		.table = routing->table,
		.fwmark = routing->fwmark,
		.invert = true,
		.protocol = ROUTING_PROTOCOL};
}

static enum err family_unset(
	struct netlink *netlink, const struct rules *rules, uint32_t table, bool *ret_any, struct fault *fault)
{
	enum err err = OK;
	for (size_t i = 0; !err && i < rules->count; i++) {
		const struct netlink_rule *rule = &rules->items[i];
		if (!is_ours(rule, table))
			continue;
		if (ret_any)
			*ret_any = true;
		const struct netlink_rule *before = rule_at(rules, rule->priority - 1, true);
		err = netlink_rule_delete(netlink, rule, fault);
		if (!err && before && before->suppress_default)
			err = netlink_rule_delete(netlink, before, fault);
	}
	return err;
}

static bool is_set(const struct rules *rules, const struct routing *routing)
{
	size_t found = 0, good = 0;
	for (size_t i = 0; i < rules->count; i++) {
		const struct netlink_rule *rule = &rules->items[i];
		if (!is_ours(rule, routing->table))
			continue;
		const struct netlink_rule *before = rule_at(rules, rule->priority - 1, true);
		found++;
		good += rule->invert && rule->fwmark == routing->fwmark && before && before->suppress_default;
	}
	return found == 1 && good == 1;
}

static enum err family_add(
	struct netlink *netlink, const struct rules *rules, const struct routing *routing, bool v4, struct fault *fault)
{
	uint32_t first = MAIN_PRIORITY - 2;
	while (first > 0 && (rule_at(rules, first, false) || rule_at(rules, first + 1, false)))
		first--;
	if (first == 0)
		return fault_set(fault, ERR_FULL,
			"there are no two free priorities for rules of policy routing; 'ip rule' lists what is there");
	struct netlink_rule for_main = rule_for_main(v4, first), for_tunnel = rule_for_tunnel(routing, v4, first + 1);
	enum err err = netlink_rule_add(netlink, &for_main, fault);
	return err ? err : netlink_rule_add(netlink, &for_tunnel, fault);
}

static enum err family_make(
	struct netlink *netlink, const struct routing *routing, bool v4, bool *ret_any, struct fault *fault)
{
	struct rules rules = {0};
	bool wanted = v4 ? routing->v4 : routing->v6;
	enum err err = netlink_rule_list(netlink, v4, &rules.items, &rules.count, fault);
	if (!err && !(wanted && is_set(&rules, routing))) {
		err = family_unset(netlink, &rules, routing->table, ret_any, fault);
		if (!err && wanted)
			err = family_add(netlink, &rules, routing, v4, fault);
	}
	free(rules.items);
	return err;
}

static enum err both_make(const struct routing *routing, bool *ret_any, struct fault *fault)
{
	struct netlink *netlink = NULL;
	enum err err = netlink_open(&netlink, fault);
	if (!err)
		err = family_make(netlink, routing, true, ret_any, fault);
	if (!err)
		err = family_make(netlink, routing, false, ret_any, fault);
	netlink_close(netlink);
	return err;
}

enum err routing_set(const struct routing *routing, struct fault *fault)
{
	return both_make(routing, NULL, fault);
}

enum err routing_unset(uint32_t table, bool *ret_any, struct fault *fault)
{
	return both_make(&(struct routing){.table = table}, ret_any, fault);
}
