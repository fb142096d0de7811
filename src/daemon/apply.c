/* What the tunnel means for the host: put together from the configuration, the peers and what servers handed out. */
#include "base/log.h"
#include "daemon/private.h"

#include <stdlib.h>
#include <string.h>

/* Growing lists; what does not fit any more because memory ran out is noted. */
struct plan {
	struct prefix *addresses, *routes;
	size_t n_addresses, n_routes;
	struct config_dns dns;
	bool default_v4, default_v6, is_short;
};

void daemon_dns_done(struct config_dns *dns)
{
	for (size_t i = 0; i < dns->domains.count; i++)
		free(dns->domains.items[i]);
	free(dns->domains.items);
	free(dns->servers);
	*dns = (struct config_dns){0};
}

static void plan_done(struct plan *plan)
{
	free(plan->addresses);
	free(plan->routes);
	daemon_dns_done(&plan->dns);
}

static void *add(struct plan *plan, void *list, size_t *count, size_t each, const void *item)
{
	void *larger = reallocarray(list, *count + 1, each);
	if (!larger) {
		plan->is_short = true;
		return list;
	}
	memcpy((char *)larger + *count * each, item, each);
	++*count;
	return larger;
}

static void add_prefix(struct plan *plan, struct prefix **list, size_t *count, const struct prefix *prefix)
{
	*list = add(plan, *list, count, sizeof *prefix, prefix);
}

static void add_server(struct plan *plan, const uint8_t ip[16])
{
	plan->dns.servers = add(plan, plan->dns.servers, &plan->dns.server_count, 16, ip);
}

static void add_domain(struct plan *plan, const char *domain)
{
	char *copy = strdup(domain);
	size_t before = plan->dns.domains.count;
	if (copy)
		plan->dns.domains.items =
			add(plan, plan->dns.domains.items, &plan->dns.domains.count, sizeof copy, &copy);
	if (plan->dns.domains.count == before) {
		plan->is_short = true;
		free(copy);
	}
}

/* What one peer has handed out. */
static void add_accepted(struct plan *plan, const struct accept *a)
{
	for (size_t i = 0; i < a->n_addresses; i++)
		add_prefix(plan, &plan->addresses, &plan->n_addresses, &a->addresses[i]);
	for (size_t i = 0; i < a->n_routes; i++)
		add_prefix(plan, &plan->routes, &plan->n_routes, &a->routes[i]);
	for (size_t i = 0; i < a->n_dns; i++)
		add_server(plan, a->dns[i]);
	for (size_t i = 0; i < a->n_domains; i++)
		add_domain(plan, a->domains[i]);
}

static enum err plan_make(struct plan *plan, struct daemon *d)
{
	const struct config *c = d->config;
	const struct prefix *prefixes;
	size_t n;
	*plan = (struct plan){0};
	enum err err = roster_prefixes(d->roster, &prefixes, &n);
	if (err != OK)
		return err;
	for (size_t i = 0; i < c->addresses.count; i++)
		add_prefix(plan, &plan->addresses, &plan->n_addresses, &c->addresses.items[i]);
	for (size_t i = 0; i < n; i++)
		add_prefix(plan, &plan->routes, &plan->n_routes, &prefixes[i]);
	for (size_t i = 0; i < c->dns.server_count; i++)
		add_server(plan, c->dns.servers[i]);
	for (size_t i = 0; i < c->dns.domains.count; i++)
		add_domain(plan, c->dns.domains.items[i]);
	for (uint32_t i = 0; i < engine_peer_count(d->engine); i++) {
		const struct accept *accepted = engine_accepted(d->engine, i);
		if (accepted)
			add_accepted(plan, accepted);
	}
	if (c->layer == 2)
		plan->n_routes = 0; /* without a gateway they lead nowhere */
	for (size_t i = 0; i < plan->n_routes; i++) {
		plan->default_v4 |= plan->routes[i].bits == 0 && plan->routes[i].v4;
		plan->default_v6 |= plan->routes[i].bits == 0 && !plan->routes[i].v4;
	}
	return plan->is_short ? ERR_NOMEM : OK;
}

/* DNS names were checked when the file was read and when the message was parsed; the host's settings follow them. */
static enum err tell_keeper(struct daemon *d, const struct plan *plan, struct fault *fault)
{
	bool own_table = d->config->table == CONFIG_TABLE_AUTO && (plan->default_v4 || plan->default_v6);
	struct keeper_facts facts = {
		.fwmark = d->mark,
		.table = own_table ? d->mark : 0,
		.default_v4 = plan->default_v4,
		.default_v6 = plan->default_v6,
		.dns = plan->dns,
	};
	strncpy(facts.interface, interface_name(d->interface), sizeof facts.interface - 1);
	enum err err = keeper_apply(d->keeper, &facts, fault);
	/* The switch comes first: it is there whatever else has failed, but not without nft. */
	if (err == OK)
		d->is_guarded = d->config->kill_switch;
	else if (err != ERR_NOT_FOUND)
		d->is_guarded |= d->config->kill_switch;
	return err;
}

static enum err set_interface(struct daemon *d, const struct plan *plan, struct fault *fault)
{
	uint32_t table = d->config->table;
	struct interface_wish wish = {
		.addresses = plan->addresses,
		.n_addresses = plan->n_addresses,
		.routes = plan->routes,
		.n_routes = plan->n_routes,
		.table = table == CONFIG_TABLE_OFF ? INTERFACE_NO_ROUTES : table,
		.default_table = table == CONFIG_TABLE_OFF    ? INTERFACE_NO_ROUTES
				 : table == CONFIG_TABLE_AUTO ? d->mark
							      : table,
	};
	return interface_set(d->interface, &wish, fault);
}

void daemon_set_mtu(struct daemon *d)
{
	struct fault fault;
	uint32_t mtu = d->config->mtu ? d->config->mtu : d->path_mtu;
	for (uint32_t i = 0; !d->config->mtu && i < engine_peer_count(d->engine); i++) {
		const struct accept *accepted = engine_accepted(d->engine, i);
		if (accepted && accepted->mtu && (!mtu || accepted->mtu < mtu))
			mtu = accepted->mtu;
	}
	if (!mtu || mtu == interface_mtu(d->interface))
		return;
	if (interface_set_mtu(d->interface, mtu, &fault) != OK)
		log_warning("%s", fault.text);
	else
		log_info("%s: MTU %u", interface_name(d->interface), mtu);
	d->report.mtu = interface_mtu(d->interface);
}

enum err daemon_apply(struct daemon *d, struct fault *fault)
{
	struct plan plan;
	d->must_apply = false;
	enum err err = plan_make(&plan, d);
	if (err != OK)
		err = fault_set(fault, err, "out of memory");
	/* The kill switch before the routes: nothing slips out between. */
	if (err == OK)
		err = tell_keeper(d, &plan, fault);
	if (err == OK)
		err = set_interface(d, &plan, fault);
	daemon_set_mtu(d);
	daemon_dns_done(&d->dns);
	d->dns = plan.dns;
	plan.dns = (struct config_dns){0};
	plan_done(&plan);
	return err;
}
