#include "net/netlink_rule.h"

#include "net/netlink_request.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void rule_request(
	struct netlink_request *request, uint16_t type, uint16_t flags, const struct netlink_rule *rule)
{
	struct fib_rule_hdr *info = netlink_request_init(request, type, flags, sizeof *info);
	info->family = rule->v4 ? AF_INET : AF_INET6;
	info->action = FR_ACT_TO_TBL;
	info->flags = rule->invert ? FIB_RULE_INVERT : 0;
	info->table = rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(&request->header, FRA_PRIORITY, rule->priority);
	mnl_attr_put_u32(&request->header, FRA_TABLE, rule->table);
	mnl_attr_put_u8(&request->header, FRA_PROTOCOL, rule->protocol);
	if (rule->fwmark)
		mnl_attr_put_u32(&request->header, FRA_FWMARK, rule->fwmark);
	if (rule->uid)
		mnl_attr_put(&request->header, FRA_UID_RANGE, sizeof(struct fib_rule_uid_range),
			&(struct fib_rule_uid_range){.start = rule->uid, .end = rule->uid});
	if (rule->suppress_default)
		mnl_attr_put_u32(&request->header, FRA_SUPPRESS_PREFIXLEN, 0);
}

static enum err rule_refused(
	struct netlink *netlink, int error, const char *verb, const struct netlink_rule *rule, struct fault *fault)
{
	const char *family = rule->v4 ? "IPv4" : "IPv6";
	if (error == EAFNOSUPPORT || error == EOPNOTSUPP)
		return fault_set(fault, ERR_UNSUPPORTED,
			"cannot %s a rule of policy routing for %s: this kernel has none; leave the default route of "
			"that family out of AllowedIPs",
			verb, family);
	errno = error;
	return fault_errno(fault, "cannot %s the %s rule of policy routing for table %u%s%s%s", verb, family,
		rule->table, netlink->detail[0] ? " (the kernel says: " : "", netlink->detail,
		netlink->detail[0] ? ")" : "");
}

enum err netlink_rule_add(struct netlink *netlink, const struct netlink_rule *rule, struct fault *fault)
{
	struct netlink_request request;
	rule_request(&request, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule);
	int error = netlink_request_run(netlink, &request, NULL, NULL);
	return error && error != EEXIST ? rule_refused(netlink, error, "add", rule, fault) : OK;
}

enum err netlink_rule_delete(struct netlink *netlink, const struct netlink_rule *rule, struct fault *fault)
{
	struct netlink_request request;
	rule_request(&request, RTM_DELRULE, 0, rule);
	int error = netlink_request_run(netlink, &request, NULL, NULL);
	bool gone = error == ENOENT || error == EAFNOSUPPORT || error == EOPNOTSUPP;
	return error && !gone ? rule_refused(netlink, error, "remove", rule, fault) : OK;
}

struct gathered {
	struct netlink_rule *items;
	size_t count;
	bool no_memory;
};

static int rule_attr(const struct nlattr *attr, void *data)
{
	struct netlink_rule *rule = data;
	uint16_t type = mnl_attr_get_type(attr);
	if (type == FRA_PROTOCOL && mnl_attr_validate(attr, MNL_TYPE_U8) >= 0)
		rule->protocol = mnl_attr_get_u8(attr);
	if (type == FRA_UID_RANGE && mnl_attr_get_payload_len(attr) == sizeof(struct fib_rule_uid_range)) {
		struct fib_rule_uid_range range;
		memcpy(&range, mnl_attr_get_payload(attr), sizeof range);
		rule->uid = range.start == range.end ? range.start : 0;
	}
	if ((type != FRA_PRIORITY && type != FRA_TABLE && type != FRA_FWMARK && type != FRA_SUPPRESS_PREFIXLEN) ||
		mnl_attr_validate(attr, MNL_TYPE_U32) < 0)
		return MNL_CB_OK;
	uint32_t value = mnl_attr_get_u32(attr);
	if (type == FRA_PRIORITY)
		rule->priority = value;
	else if (type == FRA_TABLE)
		rule->table = value;
	else if (type == FRA_FWMARK)
		rule->fwmark = value;
	else
		rule->suppress_default = value == 0;
	return MNL_CB_OK;
}

static int rule_message(const struct nlmsghdr *header, void *data)
{
	struct gathered *all = data;
	if (header->nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(header) < sizeof(struct fib_rule_hdr))
		return MNL_CB_OK;
	const struct fib_rule_hdr *info = mnl_nlmsg_get_payload(header);
	struct netlink_rule *items = reallocarray(all->items, all->count + 1, sizeof *items);
	if (!items) {
		all->no_memory = true; /* and on to the end of the answer */
		return MNL_CB_OK;
	}
	all->items = items;
	struct netlink_rule *rule = &items[all->count++];
	*rule = (struct netlink_rule){
		.v4 = info->family == AF_INET, .invert = info->flags & FIB_RULE_INVERT, .table = info->table};
	(void)mnl_attr_parse(header, sizeof *info, rule_attr, rule);
	return MNL_CB_OK;
}

enum err netlink_rule_list(
	struct netlink *netlink, bool v4, struct netlink_rule **ret, size_t *ret_count, struct fault *fault)
{
	struct netlink_request request;
	struct fib_rule_hdr *info = netlink_request_init(&request, RTM_GETRULE, NLM_F_DUMP, sizeof *info);
	info->family = v4 ? AF_INET : AF_INET6;
	struct gathered all = {0};
	int error = netlink_request_run(netlink, &request, rule_message, &all);
	if (error == EAFNOSUPPORT || error == EOPNOTSUPP)
		error = 0; /* a kernel without the family has no rules of it */
	if (!error && !all.no_memory) {
		*ret = all.items;
		*ret_count = all.count;
		return OK;
	}
	free(all.items);
	if (all.no_memory)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	errno = error;
	return fault_errno(fault, "cannot ask the kernel for the rules of policy routing");
}
