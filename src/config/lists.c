#include "config/lists.h"

#include "config/diag.h"
#include "config/values.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_MAX 4096 /* bytes of one */
#define COMMANDS_MAX 32  /* of a kind */
#define DNS_MAX 8        /* servers, and as many domains: an Accept tells no more */
#define DOMAIN_MAX 253   /* RFC 1035's limits, as text */
#define LABEL_MAX 63

static enum err no_memory(struct fault *fault)
{
	return fault_set(fault, ERR_NOMEM, "out of memory");
}

static enum err prefix_read(struct prefix *ret, const char *text, const char *example, struct fault *fault)
{
	char q[QUOTE_LEN];
	if (prefix_parse(ret, text) == OK)
		return OK;
	return fault_set(fault, ERR_FORMAT, "'%s' is not an address with a prefix length: write such as %s",
		quote(q, text), example);
}

/* Adds to the value's list, of at most key->max where that is set. */
static enum err prefix_append(const struct config_value *v, const struct prefix *p, struct fault *fault)
{
	struct config_prefixes *list = config_value_field(v);
	if (v->key->max && list->count >= v->key->max)
		return fault_set(fault, ERR_FULL, "there are more than %u: join some to larger ones", v->key->max);
	struct prefix *items = reallocarray(list->items, list->count + 1, sizeof(*items));
	if (!items)
		return no_memory(fault);
	items[list->count++] = *p;
	list->items = items;
	return OK;
}

/* Adds a network: without host bits; the value tells when there were some. */
static enum err network_append(struct config_value *v, struct prefix *p, struct fault *fault)
{
	bool normalised = prefix_has_host_bits(p);
	prefix_drop_host_bits(p);
	enum err e = prefix_append(v, p, fault);
	if (e == OK) {
		v->normalised = normalised;
		v->taken = *p;
	}
	return e;
}

enum err value_address(struct config_value *v, struct fault *fault)
{
	struct prefix p;
	enum err e = prefix_read(&p, v->text, "10.66.0.1/24 or fd66::1/64", fault);
	return e ? e : prefix_append(v, &p, fault);
}

enum err value_allowed_ip(struct config_value *v, struct fault *fault)
{
	struct prefix p;
	enum err e = prefix_read(&p, v->text, "10.66.0.2/32 or fd66::2/128", fault);
	return e ? e : network_append(v, &p, fault);
}

enum err value_push_route(struct config_value *v, struct fault *fault)
{
	struct prefix p;
	enum err e = prefix_read(&p, v->text, "192.168.7.0/24 or fd07::/48", fault);
	return e ? e : network_append(v, &p, fault);
}

enum err value_pool(struct config_value *v, struct fault *fault)
{
	struct prefix p;
	char q[QUOTE_LEN];
	enum err e = prefix_read(&p, v->text, "10.66.0.0/24 or fd66::/64", fault);
	if (e)
		return e;
	unsigned least = p.v4 ? 8 : 32, most = p.v4 ? 30 : 126;
	if (p.bits < least || p.bits > most)
		return fault_set(fault, ERR_FORMAT,
			"'%s' is no network to hand addresses out from: give it a prefix length from %u to %u",
			quote(q, v->text), least, most);
	return network_append(v, &p, fault);
}

/* May a resolver be given it: labels of letters, digits, - and _ with dots between them? */
static bool is_domain(const char *name)
{
	size_t n = strlen(name), label = 0;
	bool letters = false;
	if (n > DOMAIN_MAX)
		return false;
	for (const char *c = name; *c; c++) {
		if (*c == '.' ? label == 0 : (!isalnum((unsigned char)*c) && *c != '_' && (*c != '-' || label == 0)))
			return false;
		letters = letters || isalpha((unsigned char)*c);
		label = *c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX)
			return false;
	}
	/* without a letter it is a mistyped address */
	return label > 0 && letters;
}

static enum err string_append(struct config_strings *list, const char *text, struct fault *fault)
{
	char *copy = strdup(text);
	char **items = copy ? reallocarray(list->items, list->count + 1, sizeof(*items)) : NULL;
	if (!items) {
		free(copy);
		return no_memory(fault);
	}
	items[list->count++] = copy;
	list->items = items;
	return OK;
}

enum err value_dns(struct config_value *v, struct fault *fault)
{
	struct config_dns *dns = config_value_field(v);
	struct prefix ip;
	char q[QUOTE_LEN];
	bool is_server = value_ip_parse(&ip, v->text);
	if (!is_server && !is_domain(v->text))
		return fault_set(fault, ERR_FORMAT,
			"'%s' is neither a name server's IP address nor a search domain: write such as 10.66.0.1 or "
			"example.org",
			quote(q, v->text));
	if ((is_server ? dns->server_count : dns->domains.count) >= DNS_MAX)
		return fault_set(fault, ERR_FULL, "there are more than %d %s: remove some", DNS_MAX,
			is_server ? "name servers" : "search domains");
	if (!is_server)
		return string_append(&dns->domains, v->text, fault);
	uint8_t(*servers)[16] = reallocarray(dns->servers, dns->server_count + 1, sizeof(*servers));
	if (!servers)
		return no_memory(fault);
	memcpy(servers[dns->server_count++], ip.ip, sizeof(*servers));
	dns->servers = servers;
	return OK;
}

enum err value_command(struct config_value *v, struct fault *fault)
{
	struct config_strings *list = config_value_field(v);
	size_t n = strlen(v->text);
	if (n > COMMAND_MAX)
		return fault_set(fault, ERR_TOO_BIG,
			"the command has %zu bytes, at most %d are taken: put it into a script and call that", n,
			COMMAND_MAX);
	if (list->count >= COMMANDS_MAX)
		return fault_set(
			fault, ERR_FULL, "there are more than %d: put them into a script and call that", COMMANDS_MAX);
	return string_append(list, v->text, fault);
}

void config_strings_done(struct config_strings *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct config_strings){0};
}

void config_dns_done(struct config_dns *dns)
{
	free(dns->servers);
	config_strings_done(&dns->domains);
	*dns = (struct config_dns){0};
}
