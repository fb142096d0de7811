#include "host/routing.h"

#include "host/lookup.h"
#include "net/netlink_rule.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>

#define MAIN_PRIORITY 32766U /* of the kernel's own rule for the main table */

struct rules {
	struct netlink_rule *items; /* owned */
	size_t count;
};

static bool is_ours(const struct netlink_rule *rule, uint32_t table)
{
	return rule->protocol == ROUTING_PROTOCOL && rule->table == table;
}

#define GROUP 3 /* rules, at neighbouring priorities */

/* Main for the keeper's own look-ups, which must not need the tunnel; main's precise routes for all; the tunnel's. */
static void group_make(struct netlink_rule rules[static GROUP], const struct routing *routing, bool v4, uint32_t first)
{
	for (uint32_t i = 0; i < GROUP; i++)
		rules[i] = (struct netlink_rule){
			.v4 = v4, .priority = first + i, .table = RT_TABLE_MAIN, .protocol = ROUTING_PROTOCOL};
	rules[0].uid = LOOKUP_UID;
	rules[1].suppress_default = true;
	rules[2].table = routing->table;
	rules[2].fwmark = routing->fwmark;
	rules[2].invert = true;
}

static bool rule_is(const struct netlink_rule *a, const struct netlink_rule *b)
{
	return a->priority == b->priority && a->table == b->table && a->fwmark == b->fwmark && a->uid == b->uid &&
	       a->invert == b->invert && a->suppress_default == b->suppress_default && a->protocol == b->protocol;
}

static bool is_there(const struct rules *rules, const struct netlink_rule *wanted)
{
	for (size_t i = 0; i < rules->count; i++) {
		if (rule_is(&rules->items[i], wanted))
			return true;
	}
	return false;
}

/* The group to which our rule of the tunnel's table belongs. */
static void group_of(struct netlink_rule rules[static GROUP], const struct netlink_rule *last)
{
	group_make(rules, &(struct routing){.fwmark = last->fwmark, .table = last->table}, last->v4,
		last->priority - (GROUP - 1));
}

static enum err family_unset(
	struct netlink *netlink, const struct rules *rules, uint32_t table, bool *ret_any, struct fault *fault)
{
	struct netlink_rule group[GROUP];
	enum err err = OK;
	for (size_t i = 0; !err && i < rules->count; i++) {
		if (!is_ours(&rules->items[i], table))
			continue;
		if (ret_any)
			*ret_any = true;
		/* the tunnel's own goes last, and comes first: by it the others are found after a crash */
		group_of(group, &rules->items[i]);
		for (size_t k = 0; !err && k < GROUP - 1; k++) {
			if (is_there(rules, &group[k]))
				err = netlink_rule_delete(netlink, &group[k], fault);
		}
		if (!err)
			err = netlink_rule_delete(netlink, &rules->items[i], fault);
	}
	return err;
}

/* Exactly one group, and a whole one. */
static bool is_set(const struct rules *rules, const struct routing *routing)
{
	struct netlink_rule group[GROUP];
	size_t found = 0, whole = 0;
	for (size_t i = 0; i < rules->count; i++) {
		const struct netlink_rule *rule = &rules->items[i];
		if (!is_ours(rule, routing->table))
			continue;
		group_make(group, routing, rule->v4, rule->priority - (GROUP - 1));
		found++;
		whole += is_there(rules, &group[0]) && is_there(rules, &group[1]) && is_there(rules, &group[2]);
	}
	return found == 1 && whole == 1;
}

static bool is_free(const struct rules *rules, uint32_t first)
{
	for (size_t i = 0; i < rules->count; i++) {
		if (rules->items[i].priority >= first && rules->items[i].priority < first + GROUP)
			return false;
	}
	return true;
}

static enum err family_add(
	struct netlink *netlink, const struct rules *rules, const struct routing *routing, bool v4, struct fault *fault)
{
	struct netlink_rule group[GROUP];
	uint32_t first = MAIN_PRIORITY - GROUP;
	while (first > 0 && !is_free(rules, first))
		first--;
	if (first == 0)
		return fault_set(fault, ERR_FULL,
			"no %d neighbouring priorities are free for rules of policy routing; 'ip rule' lists them",
			GROUP);
	enum err err = OK;
	group_make(group, routing, v4, first);
	for (size_t i = GROUP; !err && i-- > 0;)
		err = netlink_rule_add(netlink, &group[i], fault);
	return err;
}

/* Two that take everything would lead each other's datagrams in a circle. */
static enum err others_refuse(const struct rules *rules, uint32_t table, bool v4, struct fault *fault)
{
	for (size_t i = 0; i < rules->count; i++) {
		const struct netlink_rule *rule = &rules->items[i];
		if (rule->protocol == ROUTING_PROTOCOL && rule->invert && rule->table != table)
			return fault_set(fault, ERR_EXISTS,
				"another tunnel of this host takes all of IPv%d already (its table is %u, see 'ip "
				"rule'): take it down first (jorm down), or set Table = off for this one",
				v4 ? 4 : 6, rule->table);
	}
	return OK;
}

static enum err family_make(
	struct netlink *netlink, const struct routing *routing, bool v4, bool *ret_any, struct fault *fault)
{
	struct rules rules = {0};
	bool wanted = v4 ? routing->v4 : routing->v6;
	enum err err = netlink_rule_list(netlink, v4, &rules.items, &rules.count, fault);
	if (!err && !(wanted && is_set(&rules, routing))) {
		if (wanted)
			err = others_refuse(&rules, routing->table, v4, fault);
		/* first the new ones, so that there is no moment without */
		if (!err && wanted)
			err = family_add(netlink, &rules, routing, v4, fault);
		if (!err)
			err = family_unset(netlink, &rules, routing->table, ret_any, fault);
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
