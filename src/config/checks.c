#include "config/checks.h"

#include "config/diag.h"

#include <stdio.h>
#include <string.h>

struct checks {
	const struct config *config;
	unsigned interface_line;
	const unsigned *seen;
	struct config_diagnostics *diags;
};

/* Where a key of [interface] stands; where it does not, the section. */
static struct diag_place at_key(const struct checks *c, const char *key)
{
	unsigned line = c->seen[config_key_find(SECTION_INTERFACE, key) - config_keys];
	return (struct diag_place){.line = line ? line : c->interface_line, .section = "interface", .key = key};
}

/* Has a value of that key been refused? Its absence is then no news. */
static bool is_refused(const struct checks *c, const char *section, const char *key)
{
	for (size_t i = 0; i < c->diags->count; i++) {
		const struct config_diagnostic *d = &c->diags->items[i];
		if (!d->warning && strcmp(d->section, section) == 0 && strcmp(d->key, key) == 0)
			return true;
	}
	return false;
}

static bool has_family(const struct config_prefixes *list, bool v4)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->items[i].v4 == v4)
			return true;
	}
	return false;
}

/* The peer that has all of a family's addresses, or NULL. */
static const struct config_peer *default_peer(const struct config *config, bool v4)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct config_prefixes *list = &config->peers[i].allowed_ips;
		for (size_t j = 0; j < list->count; j++) {
			if (list->items[j].bits == 0 && list->items[j].v4 == v4)
				return &config->peers[i];
		}
	}
	return NULL;
}

/* Only a peer that is called can hand out anything. */
static bool someone_hands_out_addresses(const struct config *config)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		if (config->peers[i].endpoint && config->peers[i].accept_address)
			return true;
	}
	return false;
}

static bool is_layer2(const struct checks *c)
{
	return c->config->layer == 2;
}

static void address_check(const struct checks *c)
{
	/* At layer 2 it may be a port of a bridge, or get one by DHCP. */
	if (c->interface_line && !is_layer2(c) && !c->config->addresses.count &&
		!is_refused(c, "interface", "Address") && !someone_hands_out_addresses(c->config))
		diag_warning(c->diags, at_key(c, "Address"),
			"is missing, and no peer hands one out: give the interface one, such as 10.66.0.1/24");
}

static bool needs_key(const struct config *config)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		if (config->peers[i].protection != CONFIG_PROTECTION_OTP)
			return true;
	}
	return config->authorized_keys || (!config->peer_count && !config->pads);
}

static void private_key_check(const struct checks *c)
{
	if (!c->config->private_key && needs_key(c->config) && !is_refused(c, "interface", "PrivateKey"))
		diag_error(c->diags, at_key(c, "PrivateKey"), "is missing: %s",
			config_key_find(SECTION_INTERFACE, "PrivateKey")->help);
	if (c->config->authorized_keys && c->config->protection != CONFIG_PROTECTION_PQ)
		diag_error(c->diags, at_key(c, "AuthorizedKeys"),
			"a key in this folder has no pad, so its peer cannot have the Protection of this section: "
			"write "
			"Protection in the sections of peers, or give the folder of their pads (Pads)");
}

/* What names the peer, and what its pad is good for. */
static void protection_check(const struct checks *c, const struct config_peer *peer, const char *section)
{
	struct diag_place place = {.line = peer->line, .section = section, .key = "KeyID"};
	bool is_otp = peer->protection == CONFIG_PROTECTION_OTP, has_key = peer->key_id_line || peer->public_key_line;
	if (!is_otp && !has_key)
		diag_error(c->diags, place,
			"is missing: write KeyID = what jorm keyid prints on the peer, or PublicKey = FILE");
	if (is_otp && has_key) {
		place.line = peer->key_id_line ? peer->key_id_line : peer->public_key_line;
		place.key = peer->key_id_line ? "KeyID" : "PublicKey";
		diag_error(c->diags, place,
			"a peer with Protection = otp has no key, it is known by its pad: remove this, or write "
			"Protection = pq+otp for both");
	}
	place.line = peer->preshared_key_line;
	place.key = "PresharedKey";
	if (is_otp && peer->preshared_key)
		diag_error(c->diags, place,
			"has no place where the pad alone is the key: remove this, or write Protection = pq+otp");
	place.line = peer->protection_line ? peer->protection_line : peer->line;
	place.key = "Pad";
	if (peer->protection != CONFIG_PROTECTION_PQ && !peer->pad && !is_refused(c, section, "Pad"))
		diag_error(c->diags, place,
			"is missing: Protection = %s needs the file of a pad, as jorm pad new makes one",
			is_otp ? "otp" : "pq+otp");
	place.line = peer->pad_offset_line;
	place.key = "PadOffset";
	if (peer->pad_offset && !peer->pad && !is_refused(c, section, "Pad"))
		diag_error(c->diags, place,
			"there is no Pad of which anything could be skipped: remove this, or give one");
}

static void protections_check(const struct checks *c)
{
	private_key_check(c);
	for (size_t i = 0; i < c->config->peer_count; i++) {
		const struct config_peer *peer = &c->config->peers[i];
		char section[CONFIG_PEER_NAME_LEN + 8];
		snprintf(section, sizeof(section), "peer%s%s", peer->name[0] ? " " : "", peer->name);
		protection_check(c, peer, section);
	}
}

/* Whoever is called may hand out routes; whoever calls may get an address of a pool. */
static void peers_check(const struct checks *c)
{
	const struct config *config = c->config;
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct config_peer *peer = &config->peers[i];
		char section[CONFIG_PEER_NAME_LEN + 8];
		snprintf(section, sizeof(section), "peer%s%s", peer->name[0] ? " " : "", peer->name);
		if (is_layer2(c) || peer->allowed_ips.count || (peer->endpoint && peer->accept_routes) ||
			config->pools.count || is_refused(c, section, "AllowedIPs"))
			continue;
		diag_warning(c->diags, (struct diag_place){.line = peer->line, .section = section, .key = "AllowedIPs"},
			"is missing: no packet can go to this peer or come from it");
	}
	if (!config->peer_count && !config->authorized_keys && !config->pads)
		diag_warning(c->diags, (struct diag_place){0},
			"there is no [peer NAME] section, no AuthorizedKeys and no Pads: nobody can connect");
}

static void pools_check(const struct checks *c)
{
	const struct config_prefixes *pools = &c->config->pools;
	char a[ADDR_TEXT_LEN], b[ADDR_TEXT_LEN];
	for (size_t i = 0; i < pools->count; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct prefix *p = &pools->items[j], *q = &pools->items[i];
			if (p->v4 == q->v4 && (prefix_contains(p, q->ip) || prefix_contains(q, p->ip)))
				diag_error(c->diags, at_key(c, "Pool"),
					"%s overlaps %s: an address is in one pool only, so remove one of the two",
					prefix_format(q, a), prefix_format(p, b));
		}
	}
	for (int v4 = 1; v4 >= 0; v4--) {
		if (has_family(pools, v4) && !has_family(&c->config->addresses, v4) &&
			!is_refused(c, "interface", "Address"))
			diag_error(c->diags, at_key(c, "Pool"),
				"hands out %s addresses, but this host has none in the tunnel: add one to Address, "
				"such as %s",
				v4 ? "IPv4" : "IPv6", v4 ? "10.66.0.1/24" : "fd66::1/64");
	}
	if (is_layer2(c))
		return; /* stations are reached without an address of ours */
	if (c->config->authorized_keys && !pools->count && !is_refused(c, "interface", "Pool"))
		diag_warning(c->diags, at_key(c, "AuthorizedKeys"),
			"there is no Pool: a key in this folder that has no [peer NAME] section gets no address, and "
			"no packet can go to it");
	if (c->config->pads && !pools->count && !is_refused(c, "interface", "Pool"))
		diag_warning(c->diags, at_key(c, "Pads"),
			"there is no Pool: who has a pad in this folder and no [peer NAME] section gets no address, "
			"and "
			"no packet can go there");
}

/* What leaves the host beside the tunnel although it looks as if nothing did. */
static void default_routes_check(const struct checks *c)
{
	const struct config_peer *v4 = default_peer(c->config, true), *v6 = default_peer(c->config, false);
	const struct config_peer *peer = v4 ? v4 : v6;
	char section[CONFIG_PEER_NAME_LEN + 8];
	bool off = c->config->table == CONFIG_TABLE_OFF;
	if (c->config->kill_switch && !peer)
		diag_warning(c->diags, at_key(c, "KillSwitch"),
			"no peer has 0.0.0.0/0 or ::/0 in its AllowedIPs: this host then reaches the networks of the "
			"tunnel, and nothing else");
	if (off && (c->config->kill_switch || peer))
		diag_warning(c->diags, at_key(c, "Table"),
			"sets no routes, so that %s: set them yourself, as in PostUp",
			c->config->kill_switch ? "nothing leaves this host, with KillSwitch"
					       : "0.0.0.0/0 or ::/0 in AllowedIPs leads nothing into the tunnel");
	if (off || c->config->kill_switch || !peer || (v4 && v6))
		return;
	snprintf(section, sizeof(section), "peer %s", peer->name);
	diag_warning(c->diags, (struct diag_place){.line = peer->line, .section = section, .key = "AllowedIPs"},
		"takes all of %s, but %s goes outside the tunnel: add %s, or KillSwitch = yes to [interface]",
		v4 ? "IPv4" : "IPv6", v4 ? "IPv6" : "IPv4", v4 ? "::/0" : "0.0.0.0/0");
}

/* The largest frame is 65535 bytes with its header, as an IP packet is without. */
#define LAYER2_MTU_MAX (65535 - 14)

/* What has no meaning for Ethernet frames. */
static void layer2_check(const struct checks *c)
{
	const struct config *config = c->config;
	for (size_t i = 0; i < config->peer_count; i++) {
		const struct config_peer *peer = &config->peers[i];
		char section[CONFIG_PEER_NAME_LEN + 8];
		snprintf(section, sizeof(section), "peer %s", peer->name);
		if (peer->allowed_ips.count)
			diag_error(c->diags,
				(struct diag_place){.line = peer->line, .section = section, .key = "AllowedIPs"},
				"has no meaning with Layer = 2, where it is learned which MAC addresses are behind a "
				"peer: remove it");
	}
	if (config->kill_switch)
		diag_error(c->diags, at_key(c, "KillSwitch"),
			"works with Layer = 3 only: with Layer = 2 no default route leads into the tunnel. Remove it, "
			"or write Layer = 3");
	if (config->push_routes.count)
		diag_error(c->diags, at_key(c, "PushRoutes"),
			"has no meaning with Layer = 2, where a route needs a gateway: hand it out by DHCP or router "
			"advertisements, or write Layer = 3");
	if (config->mtu > LAYER2_MTU_MAX)
		diag_error(c->diags, at_key(c, "MTU"), "is at most %d with Layer = 2: frames have a header of 14 bytes",
			LAYER2_MTU_MAX);
	if (config->push_mtu > LAYER2_MTU_MAX)
		diag_error(c->diags, at_key(c, "PushMTU"),
			"is at most %d with Layer = 2: frames have a header of 14 bytes", LAYER2_MTU_MAX);
}

void checks_run(const struct config *config, unsigned interface_line, const unsigned seen[static CONFIG_KEY_COUNT],
	struct config_diagnostics *diags)
{
	const struct checks c = {.config = config, .interface_line = interface_line, .seen = seen, .diags = diags};
	protections_check(&c);
	address_check(&c);
	peers_check(&c);
	pools_check(&c);
	if (is_layer2(&c))
		layer2_check(&c);
	else
		default_routes_check(&c);
}
