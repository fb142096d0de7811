#include "config/values.h"

#include "config/diag.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#define HOST_MAX 253                     /* RFC 1035's limit of a name, as text */
#define POSITION_MAX ((uint64_t)1 << 48) /* no pad is larger */
#define ACCOUNT_MAX 31                   /* a user's or a group's name, by what tools and kernels keep of it */

/* The field's integer, whatever its width. */
static void field_put(const struct config_value *v, uint32_t number)
{
	uint8_t byte = (uint8_t)number; /* of a bool, too: its words are 0 and 1 */
	uint16_t narrow = (uint16_t)number;
	if (v->key->width == sizeof(byte))
		memcpy(config_value_field(v), &byte, sizeof(byte));
	else if (v->key->width == sizeof(narrow))
		memcpy(config_value_field(v), &narrow, sizeof(narrow));
	else if (v->key->width == sizeof(number))
		memcpy(config_value_field(v), &number, sizeof(number));
}

static enum err no_memory(struct fault *fault)
{
	return fault_set(fault, ERR_NOMEM, "out of memory");
}

enum err value_ifname(struct config_value *v, struct fault *fault)
{
	size_t n = strlen(v->text);
	if (n >= CONFIG_IFNAME_LEN)
		return fault_set(
			fault, ERR_FORMAT, "a network interface's name has at most 15 characters, this one %zu", n);
	if (strcmp(v->text, ".") == 0 || strcmp(v->text, "..") == 0)
		return fault_set(fault, ERR_FORMAT, "%s cannot be an interface's name", v->text);
	for (const char *c = v->text; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return fault_set(fault, ERR_FORMAT,
				"an interface's name consists of letters, digits and the characters . _ -");
	}
	memcpy(config_value_field(v), v->text, n + 1);
	return OK;
}

/* "a, b or c": the words that are not refused. */
static const char *words_list(const struct config_word *words, char *out, size_t size)
{
	size_t at = 0;
	out[0] = '\0';
	for (const struct config_word *w = words; w->text; w++) {
		if (w->refusal)
			continue;
		bool last = true;
		for (const struct config_word *next = w + 1; next->text; next++)
			last = last && next->refusal;
		int n = snprintf(out + at, size - at, "%s%s", at == 0 ? "" : last ? " or " : ", ", w->text);
		at += (size_t)n < size - at ? (size_t)n : 0;
	}
	return out;
}

enum err value_word(struct config_value *v, struct fault *fault)
{
	char q[QUOTE_LEN], list[128];
	for (const struct config_word *w = v->key->words; w->text; w++) {
		if (strcasecmp(w->text, v->text) != 0)
			continue;
		if (w->refusal)
			return fault_set(fault, ERR_FORMAT, "%s", w->refusal);
		field_put(v, w->value);
		return OK;
	}
	return fault_set(fault, ERR_FORMAT, "'%s' is unknown here: write %s", quote(q, v->text),
		words_list(v->key->words, list, sizeof(list)));
}

/* All of text is digits of a number that is no larger than max. */
static bool number_parse(uint32_t *ret, const char *text, int base, uint32_t max)
{
	char *end;
	if (!isxdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	unsigned long long n = strtoull(text, &end, base);
	if (errno || *end || n > max)
		return false;
	*ret = (uint32_t)n;
	return true;
}

enum err value_number(struct config_value *v, struct fault *fault)
{
	const struct config_key *key = v->key;
	const char *word = isdigit((unsigned char)key->unset[0]) ? NULL : key->unset;
	uint32_t n = 0;
	if (word && strcasecmp(word, v->text) == 0) {
		field_put(v, 0);
		return OK;
	}
	if (!number_parse(&n, v->text, 10, key->max) || n < key->min) {
		char q[QUOTE_LEN];
		return fault_set(fault, ERR_FORMAT, "'%s' is not a whole number from %u to %u%s%s", quote(q, v->text),
			key->min, key->max, word ? ", nor " : "", word ? word : "");
	}
	field_put(v, n);
	return OK;
}

enum err value_position(struct config_value *v, struct fault *fault)
{
	char q[QUOTE_LEN], *end;
	errno = 0;
	unsigned long long n = strtoull(v->text, &end, 10);
	if (!isdigit((unsigned char)v->text[0]) || errno || *end || n > POSITION_MAX)
		return fault_set(fault, ERR_FORMAT, "'%s' is not a whole number of bytes, from 0 to %" PRIu64,
			quote(q, v->text), POSITION_MAX);
	uint64_t position = n;
	memcpy(config_value_field(v), &position, sizeof(position));
	return OK;
}

enum err value_mark(struct config_value *v, struct fault *fault)
{
	uint32_t n = 0;
	bool hex = strncasecmp(v->text, "0x", 2) == 0;
	if (strcasecmp(v->text, "off") != 0 && !number_parse(&n, v->text + (hex ? 2 : 0), hex ? 16 : 10, UINT32_MAX)) {
		char q[QUOTE_LEN];
		return fault_set(fault, ERR_FORMAT, "'%s' is not a mark: write a number up to 0xffffffff, or off",
			quote(q, v->text));
	}
	field_put(v, n);
	return OK;
}

enum err value_table(struct config_value *v, struct fault *fault)
{
	uint32_t n = CONFIG_TABLE_AUTO;
	if (strcasecmp(v->text, "off") == 0) {
		n = CONFIG_TABLE_OFF;
	} else if (strcasecmp(v->text, "auto") != 0 && (!number_parse(&n, v->text, 10, UINT32_MAX - 1) || n == 0)) {
		char q[QUOTE_LEN];
		return fault_set(fault, ERR_FORMAT,
			"'%s' is not a routing table: write auto, off or a number from 1 to %u", quote(q, v->text),
			UINT32_MAX - 1);
	}
	field_put(v, n);
	return OK;
}

enum err value_account(struct config_value *v, struct fault *fault)
{
	char q[QUOTE_LEN];
	bool good = strlen(v->text) <= ACCOUNT_MAX && !isdigit((unsigned char)v->text[0]) && v->text[0] != '-';
	for (const char *c = v->text; *c && good; c++)
		good = isalnum((unsigned char)*c) || strchr("._-", *c);
	if (!good)
		return fault_set(fault, ERR_FORMAT,
			"'%s' cannot be a name here: write one of at most %d letters, digits and . _ - that begins "
			"with a letter, no number",
			quote(q, v->text), ACCOUNT_MAX);
	char *name = strdup(v->text);
	if (!name)
		return no_memory(fault);
	char **field = config_value_field(v);
	free(*field);
	*field = name;
	return OK;
}

enum err value_path(struct config_value *v, struct fault *fault)
{
	uint8_t key[KEY_ID_LEN];
	/* people who come from WireGuard write the key here; repeating it would put a secret on the screen */
	bool is_key = key_id_parse(key, v->text) == OK;
	explicit_bzero(key, sizeof(key));
	if (is_key)
		return fault_set(fault, ERR_FORMAT,
			"this is a key, not the name of a file: put it into a file of mode 0600 and name that file "
			"here");
	if (v->text[0] == '~')
		return fault_set(fault, ERR_FORMAT, "~ is not expanded here: write the whole path");
	char *path;
	if (asprintf(&path, "%s%s", v->text[0] == '/' ? "" : v->folder, v->text) < 0)
		return no_memory(fault);
	if (strlen(path) >= PATH_MAX) {
		free(path);
		return fault_set(
			fault, ERR_FORMAT, "the path is longer than the system's limit of %d bytes", PATH_MAX - 1);
	}
	char **field = config_value_field(v);
	free(*field);
	*field = path;
	return OK;
}

enum err value_socket(struct config_value *v, struct fault *fault)
{
	size_t n = strlen(v->text) + (v->text[0] == '/' ? 0 : strlen(v->folder));
	size_t max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
	if (n > max)
		return fault_set(fault, ERR_FORMAT,
			"the path has %zu bytes, a socket's has at most %zu: give a shorter ControlSocket", n, max);
	return value_path(v, fault);
}

/* host:port or [IPv6]:port into its two parts. The fault names the way it should be. */
static enum err host_port_split(
	const char *text, char host[static HOST_MAX + 1], uint16_t *ret_port, struct fault *fault)
{
	const char *start = text, *end = strrchr(text, ':'), *port = end;
	if (text[0] == '[') {
		start = text + 1;
		end = strchr(text, ']');
		port = end ? end + 1 : NULL;
		if (!end || (*port && *port != ':'))
			return fault_set(
				fault, ERR_FORMAT, "brackets stand around an IPv6 address only: [2001:db8::1]:10666");
	} else if (end && memchr(text, ':', (size_t)(end - text))) {
		return fault_set(
			fault, ERR_FORMAT, "an IPv6 address stands in brackets, before the port: [2001:db8::1]:10666");
	}
	if (!port || !*port)
		return fault_set(
			fault, ERR_FORMAT, "the port is missing: write host:port, such as vpn.example.org:10666");
	size_t n = (size_t)(end - start);
	if (n == 0 || n > HOST_MAX)
		return fault_set(fault, ERR_FORMAT, "the host before the port is %s: write host:port",
			n ? "too long" : "missing");
	uint32_t number;
	if (!number_parse(&number, port + 1, 10, UINT16_MAX)) {
		char q[QUOTE_LEN];
		return fault_set(
			fault, ERR_FORMAT, "'%s' is not a port: write a number from 1 to 65535", quote(q, port + 1));
	}
	memcpy(host, start, n);
	host[n] = '\0';
	*ret_port = (uint16_t)number;
	return OK;
}

bool value_ip_parse(struct prefix *ret, const char *text)
{
	return !strchr(text, '/') && prefix_parse(ret, text) == OK;
}

enum err value_listen(struct config_value *v, struct fault *fault)
{
	struct addr listen = {0};
	char host[HOST_MAX + 1], q[QUOTE_LEN];
	struct prefix ip;
	if (!strchr(v->text, ':')) {
		uint32_t port;
		if (!number_parse(&port, v->text, 10, UINT16_MAX))
			return fault_set(fault, ERR_FORMAT,
				"'%s' is not a port: write a number from 0 to 65535, or address:port",
				quote(q, v->text));
		listen.port = (uint16_t)port;
	} else {
		enum err e = host_port_split(v->text, host, &listen.port, fault);
		if (e)
			return e;
		if (!value_ip_parse(&ip, host))
			return fault_set(fault, ERR_FORMAT,
				"'%s' is not an address of this host: write a port, IPv4:port or [IPv6]:port",
				quote(q, host));
		memcpy(listen.ip, ip.ip, sizeof(listen.ip));
	}
	memcpy(config_value_field(v), &listen, sizeof(listen));
	return OK;
}

enum err value_key_id(struct config_value *v, struct fault *fault)
{
	uint8_t id[KEY_ID_LEN];
	size_t n = strlen(v->text);
	if (key_id_parse(id, v->text) != OK)
		return fault_set(fault, ERR_FORMAT,
			"not a key ID (%zu characters; one has %d, base64): copy what jorm keyid prints on the peer", n,
			KEY_ID_TEXT_LEN - 1);
	memcpy(config_value_field(v), id, sizeof(id));
	return OK;
}

/* A name or an address; what is neither would only fail later, in the resolver, with less to say. */
static bool host_is_plausible(const char *host, bool bracketed)
{
	char ip[HOST_MAX + 1];
	struct prefix p;
	snprintf(ip, sizeof(ip), "%s", host);
	if (bracketed) {
		char *scope = strchr(ip, '%');
		if (scope)
			*scope = '\0';
		return value_ip_parse(&p, ip) && !p.v4;
	}
	if (host[strspn(host, "0123456789.")] == '\0')
		return value_ip_parse(&p, host);
	for (const char *c = host; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return false;
	}
	return true;
}

enum err value_endpoint(struct config_value *v, struct fault *fault)
{
	struct config_peer *peer = v->object;
	char host[HOST_MAX + 1], q[QUOTE_LEN];
	uint16_t port;
	enum err e = host_port_split(v->text, host, &port, fault);
	if (e)
		return e;
	if (!host_is_plausible(host, v->text[0] == '['))
		return fault_set(fault, ERR_FORMAT, "'%s' is neither a host's name nor an address", quote(q, host));
	if (port == 0)
		return fault_set(fault, ERR_FORMAT, "port 0 cannot be called: write the peer's Listen port");
	char *endpoint = strdup(v->text), *endpoint_host = strdup(host);
	if (!endpoint || !endpoint_host) {
		free(endpoint);
		free(endpoint_host);
		return no_memory(fault);
	}
	peer->endpoint = endpoint;
	peer->endpoint_host = endpoint_host;
	peer->endpoint_port = port;
	return OK;
}
