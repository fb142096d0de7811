#include "config/peer.h"

#include "config/keys.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

bool config_peer_name_ok(const char *name)
{
	size_t n = strlen(name);
	for (const char *c = name; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return false;
	}
	return n > 0 && n < CONFIG_PEER_NAME_LEN;
}

void config_peer_done(struct config_peer *peer)
{
	free(peer->public_key);
	free(peer->allowed_ips.items);
	free(peer->endpoint);
	free(peer->endpoint_host);
	free(peer->preshared_key);
	free(peer->pad);
	*peer = (struct config_peer){0};
}

/* One value into its field; `text` is trimmed in place. */
static enum err value_take(struct config_peer *peer, const struct config_key *key, char *text, struct fault *fault)
{
	struct fault why = {0};
	while (isspace((unsigned char)*text))
		text++;
	for (size_t n = strlen(text); n > 0 && isspace((unsigned char)text[n - 1]); n--)
		text[n - 1] = '\0';
	if (!*text)
		return fault_set(fault, ERR_FORMAT, "%s: an item of the list is empty: remove a comma", key->name);
	struct config_value v = {.key = key, .text = text, .folder = "/", .object = peer};
	enum err e = key->parse(&v, &why);
	if (e)
		(void)fault_set(fault, e == ERR_NOMEM ? e : ERR_FORMAT, "%s: %s", key->name, why.text);
	return e == OK || e == ERR_NOMEM ? e : ERR_FORMAT;
}

static enum err key_take(struct config_peer *peer, const char *name, const char *text, struct fault *fault)
{
	const struct config_key *key = config_key_find(SECTION_PEER, name);
	char *copy = strdup(text);
	if (!copy)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err e = OK;
	for (char *item = copy, *comma; item && e == OK; item = comma) {
		comma = key->list ? strchr(item, ',') : NULL;
		if (comma)
			*comma++ = '\0';
		e = value_take(peer, key, item, fault);
	}
	free(copy);
	return e;
}

/* What a section without keys would say. */
static enum err defaults_take(struct config_peer *peer, struct fault *fault)
{
	enum err e = OK;
	for (const struct config_key *k = config_keys; k->name && e == OK; k++) {
		if (k->section == SECTION_PEER && k->unset)
			e = key_take(peer, k->name, k->unset, fault);
	}
	return e;
}

enum err config_peer_from(struct config_peer *ret, const char *name, const uint8_t key_id[KEY_ID_LEN],
	const char *allowed_ips, const char *endpoint, uint16_t keepalive_s, struct fault *fault)
{
	*ret = (struct config_peer){0};
	if (!config_peer_name_ok(name))
		return fault_set(fault, ERR_FORMAT,
			"a peer needs a name of 1 to %d letters, digits and . _ - such as laptop",
			CONFIG_PEER_NAME_LEN - 1);
	enum err e = defaults_take(ret, fault);
	if (e == OK && allowed_ips && *allowed_ips)
		e = key_take(ret, "AllowedIPs", allowed_ips, fault);
	if (e == OK && endpoint && *endpoint)
		e = key_take(ret, "Endpoint", endpoint, fault);
	if (e) {
		config_peer_done(ret);
		return e;
	}
	memcpy(ret->name, name, strlen(name) + 1);
	memcpy(ret->key_id, key_id, sizeof(ret->key_id));
	ret->keepalive_s = keepalive_s;
	return OK;
}
