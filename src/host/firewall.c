#include "host/firewall.h"

#include "host/lookup.h"
#include "host/program.h"
#include "host/tunnel_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {
	[FIREWALL_KILL_SWITCH] = "kill", [FIREWALL_MASQUERADE] = "nat", [FIREWALL_RETURN] = "return"};

/* A script in the making. */
struct script {
	FILE *file;
	char *text; /* owned */
	size_t len;
	char table[TUNNEL_NAME_SIZE + 16];
};

static const char *table_name(enum firewall_table table, const char *instance, char out[static TUNNEL_NAME_SIZE + 16])
{
	char name[TUNNEL_NAME_SIZE];
	(void)snprintf(out, TUNNEL_NAME_SIZE + 16, "jorm_%s_%s", kinds[table], tunnel_name(instance, name));
	return out;
}

static enum err script_begin(
	struct script *script, enum firewall_table table, const char *instance, struct fault *fault)
{
	*script = (struct script){0};
	script->file = open_memstream(&script->text, &script->len);
	if (!script->file)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	const char *name = table_name(table, instance, script->table);
	/* "add" first, so that "delete" finds one whatever was there */
	fprintf(script->file, "add table inet %s\ndelete table inet %s\n", name, name);
	return OK;
}

static enum err script_run(struct script *script, const char *who, struct fault *fault)
{
	char nft[PATH_MAX];
	bool failed = fclose(script->file) != 0;
	enum err err;
	if (failed)
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	else if (!program_find("nft", nft))
		err = fault_set(
			fault, ERR_NOT_FOUND, "%s needs the program nft: install nftables (apt install nftables)", who);
	else
		err = program_must((const char *const[]){nft, "-f", "-", NULL}, script->text, fault);
	free(script->text);
	return err;
}

enum err firewall_kill_switch(const char *instance, const char *interface, uint32_t mark, struct fault *fault)
{
	struct script script;
	enum err err = script_begin(&script, FIREWALL_KILL_SWITCH, instance, fault);
	if (err)
		return err;
	/* 130 to 132 and 143: without them switches that snoop on MLD do not let neighbour discovery through.
	 * Rejected, not dropped, so that programs fail at once. The chain postrouting sees what others have led
	 * elsewhere after the first look. */
	fprintf(script.file,
		"table inet %s {\n"
		"	chain allowed {\n"
		"		oifname \"lo\" accept\n"
		"		oifname \"%s\" accept\n"
		"		meta mark 0x%08x meta l4proto udp accept\n"
		"		ip6 hoplimit 255 icmpv6 type { 133, 134, 135, 136 } accept\n"
		"		ip6 hoplimit 1 icmpv6 type { 130, 131, 132, 143 } accept\n"
		"		meta nfproto ipv4 udp sport 68 udp dport 67 accept\n"
		"		meta nfproto ipv6 udp sport 546 udp dport 547 accept\n"
		"		meta skuid %u udp dport 53 accept\n"
		"		meta skuid %u tcp dport 53 accept\n"
		"	}\n"
		"	chain output {\n"
		"		type filter hook output priority 0; policy drop;\n"
		"		jump allowed\n"
		"		counter reject with icmpx type admin-prohibited\n"
		"	}\n"
		"	chain forward {\n"
		"		type filter hook forward priority 0; policy drop;\n"
		"		oifname \"%s\" accept\n"
		"		iifname \"%s\" accept\n"
		"		counter drop\n"
		"	}\n"
		"	chain postrouting {\n"
		"		type filter hook postrouting priority 300; policy drop;\n"
		"		jump allowed\n"
		"		iifname \"%s\" accept\n"
		"		counter drop\n"
		"	}\n"
		"}\n",
		script.table, interface, mark, LOOKUP_UID, LOOKUP_UID, interface, interface, interface);
	return script_run(&script, "KillSwitch", fault);
}

static void masquerade_from(FILE *file, const struct config_prefixes *networks, const char *interface)
{
	char text[ADDR_TEXT_LEN];
	for (size_t i = 0; i < networks->count; i++) {
		const struct prefix *p = &networks->items[i];
		fprintf(file, "		oifname != { \"lo\", \"%s\" } %s saddr %s masquerade\n", interface,
			p->v4 ? "ip" : "ip6", prefix_format(p, text));
	}
}

enum err firewall_masquerade(const struct config *config, const char *interface, struct fault *fault)
{
	struct script script;
	enum err err = script_begin(&script, FIREWALL_MASQUERADE, config->instance, fault);
	if (err)
		return err;
	fprintf(script.file,
		"table inet %s {\n"
		"	chain postrouting {\n"
		"		type nat hook postrouting priority 100; policy accept;\n",
		script.table);
	masquerade_from(script.file, &config->addresses, interface);
	masquerade_from(script.file, &config->pools, interface);
	fprintf(script.file, "	}\n}\n");
	return script_run(&script, "Masquerade", fault);
}

enum err firewall_return(const char *instance, uint32_t mark, struct fault *fault)
{
	struct script script;
	enum err err = script_begin(&script, FIREWALL_RETURN, instance, fault);
	if (err)
		return err;
	/* mangle's priority: before the route is looked for, and before firewalld's own look at the way back */
	fprintf(script.file,
		"table inet %s {\n"
		"	chain prerouting {\n"
		"		type filter hook prerouting priority -150; policy accept;\n"
		"		meta l4proto udp socket mark 0x%08x meta mark set 0x%08x\n"
		"	}\n"
		"}\n",
		script.table, mark, mark);
	return script_run(&script, "a default route through the tunnel", fault);
}

enum err firewall_remove(enum firewall_table table, const char *instance, bool *ret_any, struct fault *fault)
{
	char nft[PATH_MAX], name[TUNNEL_NAME_SIZE + 16], said[64];
	int code = 0;
	if (!program_find("nft", nft))
		return OK;
	struct program list = {
		.argv = (const char *const[]){nft, "list", "table", "inet", table_name(table, instance, name), NULL},
		.output = said,
		.output_size = sizeof said,
		.limit_s = 15};
	enum err err = program_run(&list, &code, fault);
	if (err || code)
		return err;
	if (ret_any)
		*ret_any = true;
	return program_must((const char *const[]){nft, "delete", "table", "inet", name, NULL}, NULL, fault);
}
