#include "host/dns.h"

#include "host/program.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESOLVED_FOLDER "/run/systemd/resolve"
#define ENTRY_SIZE (CONFIG_IFNAME_LEN + 8)

static bool resolved_find(char program[static PATH_MAX])
{
	return access(RESOLVED_FOLDER, F_OK) == 0 && program_find("resolvectl", program);
}

static enum err resolved_servers(
	const char *program, const char *interface, const struct config_dns *dns, struct fault *fault)
{
	char text[DNS_SERVERS_MAX][ADDR_TEXT_LEN];
	const char *argv[DNS_SERVERS_MAX + 5] = {program, "dns", interface};
	size_t n = 3;
	for (size_t i = 0; i < dns->server_count; i++)
		argv[n++] = addr_format_ip(dns->servers[i], text[i]);
	if (!dns->server_count)
		argv[n++] = "";
	return program_must(argv, NULL, fault);
}

static enum err resolved_domains(
	const char *program, const char *interface, const struct config_dns *dns, bool is_default, struct fault *fault)
{
	const char *argv[DNS_DOMAINS_MAX + 6] = {program, "domain", interface};
	size_t n = 3;
	for (size_t i = 0; i < dns->domains.count; i++)
		argv[n++] = dns->domains.items[i];
	if (is_default)
		argv[n++] = "~.";
	if (n == 3)
		argv[n++] = "";
	return program_must(argv, NULL, fault);
}

static enum err resolved_set(
	const char *program, const char *interface, const struct config_dns *dns, bool is_default, struct fault *fault)
{
	/* without a domain of their own the servers would never be asked */
	const char *for_all = is_default || !dns->domains.count ? "true" : "false";
	enum err err = resolved_servers(program, interface, dns, fault);
	if (!err)
		err = resolved_domains(program, interface, dns, is_default, fault);
	if (!err)
		err = program_must(
			(const char *const[]){program, "default-route", interface, for_all, NULL}, NULL, fault);
	return err;
}

static const char *entry_of(const char *interface, char out[static ENTRY_SIZE])
{
	(void)snprintf(out, ENTRY_SIZE, "%s.jorm", interface);
	return out;
}

static enum err resolvconf_set(
	const char *program, const char *interface, const struct config_dns *dns, struct fault *fault)
{
	char *input = NULL, text[ADDR_TEXT_LEN], entry[ENTRY_SIZE];
	size_t len = 0;
	FILE *file = open_memstream(&input, &len);
	if (!file)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	for (size_t i = 0; i < dns->server_count; i++)
		fprintf(file, "nameserver %s\n", addr_format_ip(dns->servers[i], text));
	for (size_t i = 0; i < dns->domains.count; i++)
		fprintf(file, "%s%s", i ? " " : "search ", dns->domains.items[i]);
	if (dns->domains.count)
		fprintf(file, "\n");
	enum err err = fclose(file) ? fault_set(fault, ERR_NOMEM, "out of memory") : OK;
	const char *const argv[] = {program, "-a", entry_of(interface, entry), "-m", "0", "-x", NULL};
	if (!err)
		err = program_must(argv, input, fault);
	free(input);
	return err;
}

enum err dns_set(const char *interface, const struct config_dns *dns, bool is_default, struct fault *fault)
{
	char program[PATH_MAX];
	if (resolved_find(program))
		return resolved_set(program, interface, dns, is_default, fault);
	if (program_find("resolvconf", program))
		return resolvconf_set(program, interface, dns, fault);
	return fault_set(fault, ERR_UNSUPPORTED,
		"the tunnel's name servers are not used: neither systemd-resolved (resolvectl) nor resolvconf is "
		"there; "
		"install one (apt install systemd-resolved, or openresolv), or write the servers into "
		"/etc/resolv.conf");
}

enum err dns_unset(const char *interface, struct fault *fault)
{
	char program[PATH_MAX], entry[ENTRY_SIZE];
	if (resolved_find(program)) {
		/* with the interface its settings have gone, too */
		if (!if_nametoindex(interface))
			return OK;
		return program_must((const char *const[]){program, "revert", interface, NULL}, NULL, fault);
	}
	if (program_find("resolvconf", program))
		return program_must(
			(const char *const[]){program, "-d", entry_of(interface, entry), NULL}, NULL, fault);
	return OK;
}
