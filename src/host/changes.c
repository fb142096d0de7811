#include "host/changes.h"

#include "host/dns.h"
#include "host/firewall.h"
#include "host/routing.h"
#include "host/switches.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- making ---- */

static enum err kill_switch_apply(
	struct changes *changes, const struct config *config, const struct keeper_facts *facts, struct fault *fault)
{
	if (config->kill_switch && !facts->fwmark)
		return fault_set(fault, ERR_STATE, "KillSwitch needs a mark on the tunnel's own datagrams: set FwMark");
	enum err err = config->kill_switch
			       ? firewall_kill_switch(config->instance, facts->interface, facts->fwmark, fault)
			       /* an earlier daemon may have left one */
			       : firewall_remove(FIREWALL_KILL_SWITCH, config->instance, NULL, fault);
	if (!err)
		changes->kill_switch = config->kill_switch;
	return err;
}

static enum err masquerade_apply(
	struct changes *changes, const struct config *config, const struct keeper_facts *facts, struct fault *fault)
{
	enum err err = OK;
	if (config->masquerade)
		err = firewall_masquerade(config, facts->interface, fault);
	else if (changes->masquerade)
		err = firewall_remove(FIREWALL_MASQUERADE, config->instance, NULL, fault);
	if (!err)
		changes->masquerade = config->masquerade;
	return err;
}

static unsigned families_of(const struct config_prefixes *networks)
{
	unsigned families = 0;
	for (size_t i = 0; i < networks->count; i++)
		families |= networks->items[i].v4 ? SWITCH_FORWARD_V4 : SWITCH_FORWARD_V6;
	return families;
}

static enum err switches_apply(
	struct changes *changes, const struct config *config, const struct keeper_facts *facts, struct fault *fault)
{
	unsigned wanted = 0;
	/* At layer 2 it is not this host's kernel that leads frames from peer to peer. */
	bool forwards = config->client_to_client == CONFIG_BETWEEN_YES && config->layer != 2;
	if (config->masquerade || forwards)
		wanted = families_of(&config->addresses) | families_of(&config->pools);
	if (facts->table && facts->default_v4)
		wanted |= SWITCH_VALID_MARK;
	if (!wanted && !changes->switches)
		return OK;
	changes->switches = true;
	return switches_need(wanted, fault);
}

static enum err routing_apply(struct changes *changes, const struct keeper_facts *facts, struct fault *fault)
{
	uint32_t old = changes->table;
	struct routing routing = {
		.fwmark = facts->fwmark, .table = facts->table, .v4 = facts->default_v4, .v6 = facts->default_v6};
	enum err err = OK;
	if (facts->table) {
		changes->table = facts->table;
		err = routing_set(&routing, fault);
	}
	if (!err && old && old != facts->table)
		err = routing_unset(old, NULL, fault);
	if (!err)
		changes->table = facts->table;
	return err;
}

/* Most hosts do without. */
static void return_apply(
	struct changes *changes, const struct config *config, const struct keeper_facts *facts, struct fault *warning)
{
	uint32_t wanted = facts->table && (facts->default_v4 || facts->default_v6) ? facts->fwmark : 0;
	struct fault own = {0};
	if (wanted == changes->return_mark)
		return;
	enum err err = wanted ? firewall_return(config->instance, wanted, &own)
			      : firewall_remove(FIREWALL_RETURN, config->instance, NULL, &own);
	changes->return_mark = wanted;
	if (err)
		(void)fault_set(warning, err,
			"where net.ipv4.conf.*.rp_filter is 1, set it to 2, or nothing comes through this tunnel: "
			"%.250s",
			own.text);
}

static enum err dns_apply(
	struct changes *changes, const struct keeper_facts *facts, struct fault *warning, struct fault *fault)
{
	struct fault own = {0};
	enum err err = OK;
	if (facts->dns.server_count || facts->dns.domains.count) {
		bool is_default = facts->default_v4 || facts->default_v6;
		changes->dns = true;
		err = dns_set(facts->interface, &facts->dns, is_default, &own);
		if (err == ERR_UNSUPPORTED) {
			changes->dns = false;
			*warning = own;
			return OK;
		}
	} else if (changes->dns) {
		changes->dns = false;
		err = dns_unset(facts->interface, &own);
	}
	return err ? fault_set(fault, err, "DNS: %s", own.text) : OK;
}

enum err changes_apply(struct changes *changes, const struct config *config, const struct keeper_facts *facts,
	struct fault *ret_warning, struct fault *fault)
{
	/* what a crash of everything would leave is written down before it is done */
	memcpy(changes->record.interface, facts->interface, sizeof changes->record.interface);
	if (facts->table)
		changes->record.table = facts->table;
	changes->record.dns |= facts->dns.server_count || facts->dns.domains.count;
	enum err err = record_write(&changes->record, fault);
	if (!err)
		err = kill_switch_apply(changes, config, facts, fault);
	if (!err)
		err = masquerade_apply(changes, config, facts, fault);
	if (!err)
		err = switches_apply(changes, config, facts, fault);
	if (!err)
		return_apply(changes, config, facts, ret_warning);
	if (!err)
		err = routing_apply(changes, facts, fault);
	if (!err)
		err = dns_apply(changes, facts, ret_warning, fault);
	return err;
}

/* ---- undoing ---- */

void changes_undo(struct changes *changes, const char *instance, bool lift, void (*warn)(const char *text))
{
	struct fault fault = {0};
	if (changes->dns && dns_unset(changes->record.interface, &fault))
		warn(fault.text);
	if (changes->table && routing_unset(changes->table, NULL, &fault))
		warn(fault.text);
	if (changes->switches && switches_need(0, &fault))
		warn(fault.text);
	if (changes->masquerade && firewall_remove(FIREWALL_MASQUERADE, instance, NULL, &fault))
		warn(fault.text);
	if (changes->return_mark && firewall_remove(FIREWALL_RETURN, instance, NULL, &fault))
		warn(fault.text);
	if (lift && firewall_remove(FIREWALL_KILL_SWITCH, instance, NULL, &fault))
		warn(fault.text);
	struct record record = changes->record;
	*changes = (struct changes){.record = record};
}

enum err changes_sweep(struct record *record, const char *instance, bool *ret_any, struct fault *fault)
{
	enum err err = OK;
	if (record->fd >= 0 && *record->interface) {
		*ret_any = true;
		if (record->dns)
			err = dns_unset(record->interface, fault);
		if (!err && record->table)
			err = routing_unset(record->table, NULL, fault);
	}
	if (!err) {
		/* the table's number may be another tunnel's by now */
		record->interface[0] = '\0';
		record->table = 0;
		record->dns = false;
		err = switches_sweep(ret_any, fault);
	}
	if (!err)
		err = firewall_remove(FIREWALL_MASQUERADE, instance, ret_any, fault);
	if (!err)
		err = firewall_remove(FIREWALL_RETURN, instance, ret_any, fault);
	return err;
}

bool changes_remove_socket(const char *path)
{
	char lock_path[PATH_MAX];
	struct stat held, named;
	if (snprintf(lock_path, sizeof lock_path, "%s.lock", path) >= (int)sizeof lock_path)
		return false;
	int lock = open(lock_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	/* a daemon holds it while it lives */
	bool dead = lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0 && fstat(lock, &held) == 0 &&
		    lstat(lock_path, &named) == 0 && held.st_ino == named.st_ino;
	bool any = false;
	if (dead && lstat(path, &named) == 0 && S_ISSOCK(named.st_mode))
		any = unlink(path) == 0;
	if (dead)
		any |= unlink(lock_path) == 0;
	if (lock >= 0)
		close(lock);
	return any;
}
