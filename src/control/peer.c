#include "control/peer.h"

#include "config/peer.h"

#include <stdio.h>
#include <string.h>

/* The members as they stand in the body; NULL: not given. */
struct members {
	const char *name, *key_id, *endpoint;
	const json_t *allowed_ips;
	json_int_t keepalive;
};

/* NULL is fine. */
static enum err text_take(const char **ret, const char *key, const json_t *value, struct fault *fault)
{
	if (!value || json_is_null(value))
		return OK;
	if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
		return fault_set(fault, ERR_FORMAT, "%s: a text is expected", key);
	*ret = json_string_value(value);
	return OK;
}

static enum err member_take(struct members *m, const char *key, const json_t *value, struct fault *fault)
{
	if (strcmp(key, "name") == 0)
		return text_take(&m->name, key, value, fault);
	if (strcmp(key, "key_id") == 0)
		return text_take(&m->key_id, key, value, fault);
	if (strcmp(key, "endpoint") == 0)
		return text_take(&m->endpoint, key, value, fault);
	if (strcmp(key, "allowed_ips") == 0) {
		if (!json_is_array(value) && !json_is_null(value))
			return fault_set(fault, ERR_FORMAT, "allowed_ips: a list of prefixes is expected");
		m->allowed_ips = value;
		return OK;
	}
	if (strcmp(key, "keepalive") == 0) {
		json_int_t n = json_is_null(value) ? 0 : json_integer_value(value);
		if ((!json_is_integer(value) && !json_is_null(value)) || n < 0 || n > UINT16_MAX)
			return fault_set(fault, ERR_FORMAT, "keepalive: a number of seconds up to 65535 is expected");
		m->keepalive = n;
		return OK;
	}
	return fault_set(fault, ERR_FORMAT,
		"there is an unknown member: a peer has name, key_id, allowed_ips, endpoint and keepalive");
}

static enum err members_take(struct members *m, const json_t *body, struct fault *fault)
{
	const char *key;
	json_t *value;
	enum err e = OK;
	*m = (struct members){0};
	if (!json_is_object(body))
		return fault_set(fault, ERR_FORMAT, "a JSON object with the peer's name and key_id is expected");
	json_object_foreach((json_t *)body, key, value)
	{
		e = member_take(m, key, value, fault);
		if (e)
			return e;
	}
	if (!m->name || !m->key_id)
		return fault_set(fault, ERR_FORMAT, "%s is missing", m->name ? "key_id" : "name");
	return OK;
}

/* "a, b": as the value of AllowedIPs would be. */
static enum err prefixes_join(char out[static CONTROL_ALLOWED_IPS_LEN], const json_t *list, struct fault *fault)
{
	size_t i, at = 0;
	const json_t *item;
	out[0] = '\0';
	json_array_foreach(list, i, item)
	{
		const char *text = NULL;
		enum err e = text_take(&text, "allowed_ips", item, fault);
		if (e)
			return e;
		/* the comma would make two of one */
		if (!text || !*text || strchr(text, ','))
			return fault_set(fault, ERR_FORMAT,
				"allowed_ips: each item is one prefix, such as 10.66.0.2/32 or fd66::2/128");
		at += (size_t)snprintf(out + at, CONTROL_ALLOWED_IPS_LEN - at, "%s%s", at ? ", " : "", text);
		if (at >= CONTROL_ALLOWED_IPS_LEN)
			return fault_set(fault, ERR_FORMAT, "allowed_ips: these are too many for one peer");
	}
	return OK;
}

/* What was understood, which may be longer than what was written: a bare address gets its length. */
static enum err prefixes_format(struct control_peer *p, struct fault *fault)
{
	const struct config_prefixes *list = &p->config.allowed_ips;
	size_t at = 0;
	p->allowed_ips[0] = '\0';
	for (size_t i = 0; i < list->count; i++) {
		char text[ADDR_TEXT_LEN];
		at += (size_t)snprintf(p->allowed_ips + at, sizeof(p->allowed_ips) - at, "%s%s", at ? ", " : "",
			prefix_format(&list->items[i], text));
		if (at >= sizeof(p->allowed_ips))
			return fault_set(fault, ERR_FORMAT, "allowed_ips: these are too many for one peer");
	}
	return OK;
}

enum err control_peer_parse(struct control_peer *ret, const json_t *body, struct fault *fault)
{
	struct members m;
	uint8_t key_id[KEY_ID_LEN];
	*ret = (struct control_peer){0};
	enum err e = members_take(&m, body, fault);
	if (e == OK && key_id_parse(key_id, m.key_id) != OK)
		e = fault_set(fault, ERR_FORMAT,
			"key_id: this is none: it has %d characters and is what jorm keyid prints on the peer",
			KEY_ID_TEXT_LEN - 1);
	if (e == OK && m.endpoint && strlen(m.endpoint) >= CONTROL_ENDPOINT_LEN)
		e = fault_set(fault, ERR_FORMAT, "endpoint: it is too long");
	if (e == OK)
		e = prefixes_join(ret->allowed_ips, m.allowed_ips, fault);
	if (e == OK)
		e = config_peer_from(
			&ret->config, m.name, key_id, ret->allowed_ips, m.endpoint, (uint16_t)m.keepalive, fault);
	if (e == OK)
		e = prefixes_format(ret, fault);
	if (e)
		control_peer_done(ret);
	return e;
}

void control_peer_done(struct control_peer *peer)
{
	config_peer_done(&peer->config);
	*peer = (struct control_peer){0};
}
