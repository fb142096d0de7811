#include "config/keys.h"

#include "config/lists.h"
#include "config/values.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const struct config_word layers[] = {
	{"3", 3, NULL},
	{"2", 2, NULL},
	{0},
};
static const struct config_word ciphers[] = {
	{"auto", CONFIG_CIPHER_AUTO, NULL},
	{"chacha20-poly1305", CONFIG_CIPHER_CHACHA20_POLY1305, NULL},
	{"aes-256-gcm", CONFIG_CIPHER_AES_256_GCM, NULL},
	{0},
};
static const struct config_word paddings[] = {
	{"buckets", CONFIG_PADDING_BUCKETS, NULL},
	{"none", CONFIG_PADDING_NONE, NULL},
	{"random", CONFIG_PADDING_RANDOM, NULL},
	{"constant", 0, "constant padding is not supported in this version: write buckets, random or none"},
	{0},
};
static const struct config_word protections[] = {
	{"pq", CONFIG_PROTECTION_PQ, NULL},
	{"otp", CONFIG_PROTECTION_OTP, NULL},
	{"pq+otp", CONFIG_PROTECTION_PQ_OTP, NULL},
	{0},
};
static const struct config_word answers[] = {{"yes", true, NULL}, {"no", false, NULL}, {0}};
static const struct config_word betweens[] = {
	{"yes", CONFIG_BETWEEN_YES, NULL},
	{"no", CONFIG_BETWEEN_NO, NULL},
	{0},
};

#define FIELD(field) .offset = offsetof(struct config, field), .width = sizeof(((struct config *)0)->field)
#define PEER_FIELD(field)                                                                                              \
	.offset = offsetof(struct config_peer, field), .width = sizeof(((struct config_peer *)0)->field)
#define INTERFACE(key) .section = SECTION_INTERFACE, .name = (key)
#define PEER(key) .section = SECTION_PEER, .name = (key)

/* clang-format off */
const struct config_key config_keys[CONFIG_KEY_COUNT] = {
	{ INTERFACE("Name"), .parse = value_ifname, FIELD(name),
		.help = "name of the network interface; the first free snk# when not given" },
	{ INTERFACE("Layer"), .parse = value_word, .words = layers, FIELD(layer), .unset = "3",
		.help = "what the tunnel carries: 3 for IP packets, 2 for Ethernet frames" },
	{ INTERFACE("PrivateKey"), .parse = value_path, FIELD(private_key),
		.help = "file of this host's private key, made by jorm keygen" },
	{ INTERFACE("Listen"), .parse = value_listen, FIELD(listen), .unset = "0",
		.help = "UDP port, or address:port; 0 for any free port" },
	{ INTERFACE("Address"), .parse = value_address, FIELD(addresses), .list = true,
		.help = "addresses of the interface inside the tunnel, with their prefix lengths" },
	{ INTERFACE("Cipher"), .parse = value_word, .words = ciphers, FIELD(cipher), .unset = "auto",
		.help = "auto, chacha20-poly1305 or aes-256-gcm" },
	{ INTERFACE("Padding"), .parse = value_word, .words = paddings, FIELD(padding), .unset = "buckets",
		.help = "buckets hides the sizes of packets, random blurs them, none does not" },
	{ INTERFACE("Protection"), .parse = value_word, .words = protections, FIELD(protection), .unset = "pq",
		.help = "what holds the links of peers that do not say it themselves: pq, otp or pq+otp" },
	{ INTERFACE("MTU"), .parse = value_number, FIELD(mtu), .min = 1280, .max = 65535, .unset = "auto",
		.help = "auto, or 1280 to 65535: the interface's largest packet" },
	{ INTERFACE("Reauthenticate"), .parse = value_number, FIELD(reauthenticate_s), .min = 60, .max = 604800,
		.unset = "3600", .help = "seconds until a peer has to prove its identity again" },
	{ INTERFACE("Rekey"), .parse = value_number, FIELD(rekey_s), .min = 5, .max = 120, .unset = "120",
		.help = "seconds of use after which a session's keys are replaced" },
	{ INTERFACE("MaxPendingHandshakes"), .parse = value_number, FIELD(max_pending_handshakes), .min = 1, .max = 65536,
		.unset = "1024", .help = "unfinished handshakes that are kept at a time" },
	{ INTERFACE("HandshakeRate"), .parse = value_number, FIELD(handshake_rate), .min = 1, .max = 100000, .unset = "50",
		.help = "handshakes a second that one source address may start" },
	{ INTERFACE("FwMark"), .parse = value_mark, FIELD(fwmark), .unset = "off",
		.help = "mark of the encrypted datagrams for policy routing, decimal or 0x...; off for none" },
	{ INTERFACE("StateDirectory"), .parse = value_path, FIELD(state_directory), .unset = "/var/lib/jorm",
		.help = "folder of what has to outlive a restart, and of the log" },
	{ INTERFACE("ControlSocket"), .parse = value_socket, FIELD(control_socket), .unset = "/run/jorm/NAME.sock",
		.help = "socket over which jorm status and jorm down reach the daemon" },
	{ INTERFACE("ControlGroup"), .parse = value_account, FIELD(control_group),
		.help = "group whose members may use the control socket; only root when not given" },
	{ INTERFACE("User"), .parse = value_account, FIELD(user),
		.help = "user whom the daemon runs as after set-up; jorm, where there is one, when not given" },
	{ INTERFACE("Table"), .parse = value_table, FIELD(table), .unset = "auto",
		.help = "routing table of the tunnel's routes: auto, off or a number" },
	{ INTERFACE("DNS"), .parse = value_dns, FIELD(dns), .list = true,
		.help = "name servers and search domains of this host while the tunnel is up" },
	{ INTERFACE("KillSwitch"), .parse = value_word, .words = answers, FIELD(kill_switch), .unset = "no",
		.help = "yes: nothing leaves this host except through the tunnel, also while it is down" },
	{ INTERFACE("PreUp"), .parse = value_command, FIELD(pre_up), .command = true,
		.help = "shell command before the tunnel is set up" },
	{ INTERFACE("PostUp"), .parse = value_command, FIELD(post_up), .command = true,
		.help = "shell command after the tunnel was set up" },
	{ INTERFACE("PreDown"), .parse = value_command, FIELD(pre_down), .command = true,
		.help = "shell command before the tunnel is taken down" },
	{ INTERFACE("PostDown"), .parse = value_command, FIELD(post_down), .command = true,
		.help = "shell command after the tunnel was taken down" },
	{ INTERFACE("AuthorizedKeys"), .parse = value_path, FIELD(authorized_keys),
		.help = "folder of public keys, NAME.pub: each is a peer" },
	{ INTERFACE("Pads"), .parse = value_path, FIELD(pads),
		.help = "folder of one-time pads, NAME.pad: each is a peer with Protection = otp" },
	{ INTERFACE("Burn"), .parse = value_word, .words = answers, FIELD(burn), .unset = "no",
		.help = "yes: used pad is overwritten with random bytes" },
	{ INTERFACE("MaxZeroRun"), .parse = value_number, FIELD(max_zero_run), .min = 1, .max = 255, .unset = "off",
		.help = "zero bytes of pad in a row that are used in a packet; off: any number" },
	{ INTERFACE("AllowWeakPad"), .parse = value_word, .words = answers, FIELD(allow_weak_pad), .unset = "no",
		.help = "yes: a pad that looks constant is taken all the same" },
	{ INTERFACE("Pool"), .parse = value_pool, FIELD(pools), .list = true, .max = 64,
		.help = "networks from which clients get their addresses" },
	{ INTERFACE("PushRoutes"), .parse = value_push_route, FIELD(push_routes), .list = true, .max = 64,
		.help = "networks that clients are told to reach through this host" },
	{ INTERFACE("PushDNS"), .parse = value_dns, FIELD(push_dns), .list = true,
		.help = "name servers and search domains that clients are told of" },
	{ INTERFACE("PushMTU"), .parse = value_number, FIELD(push_mtu), .min = 1280, .max = 65535, .unset = "off",
		.help = "MTU that clients are told to use; off: none" },
	{ INTERFACE("PushKeepalive"), .parse = value_number, FIELD(push_keepalive_s), .min = 0, .max = 65535, .unset = "off",
		.help = "Keepalive that clients are told to use, in seconds; off: none" },
	{ INTERFACE("ClientToClient"), .parse = value_word, .words = betweens, FIELD(client_to_client),
		.help = "yes: peers reach each other through this host; no: they do not; as the host forwards when not given" },
	{ INTERFACE("Masquerade"), .parse = value_word, .words = answers, FIELD(masquerade), .unset = "no",
		.help = "yes: peers reach other networks under this host's address" },

	{ PEER("KeyID"), .parse = value_key_id, PEER_FIELD(key_id),
		.help = "the peer's key ID, 44 characters, as jorm keyid prints it" },
	{ PEER("PublicKey"), .parse = value_path, PEER_FIELD(public_key),
		.help = "file of the peer's public key, in place of KeyID" },
	{ PEER("AllowedIPs"), .parse = value_allowed_ip, PEER_FIELD(allowed_ips), .list = true,
		.help = "addresses behind the peer: what goes to it and what may come from it" },
	{ PEER("Endpoint"), .parse = value_endpoint, PEER_FIELD(endpoint),
		.help = "host:port where the peer is reached; without it the peer has to call" },
	{ PEER("Keepalive"), .parse = value_number, PEER_FIELD(keepalive_s), .min = 0, .max = 65535, .unset = "off",
		.help = "seconds of silence after which the peer is asked for a sign of life, which also keeps a NAT's mapping open; off for none" },
	{ PEER("Protection"), .parse = value_word, .words = protections, PEER_FIELD(protection),
		.help = "pq: post-quantum key exchange and AEAD; otp: one-time pad; pq+otp: both; as [interface] says when not given" },
	{ PEER("Pad"), .parse = value_path, PEER_FIELD(pad),
		.help = "file of the one-time pad that this peer alone has, too" },
	{ PEER("PadOffset"), .parse = value_position, PEER_FIELD(pad_offset), .unset = "0",
		.help = "bytes of this host's part of the pad that are skipped" },
	{ PEER("PresharedKey"), .parse = value_path, PEER_FIELD(preshared_key),
		.help = "file of a key that both ends share, mixed into every handshake" },
	{ PEER("AcceptAddress"), .parse = value_word, .words = answers, PEER_FIELD(accept_address), .unset = "yes",
		.help = "whether addresses that the peer hands out are taken" },
	{ PEER("AcceptRoutes"), .parse = value_word, .words = answers, PEER_FIELD(accept_routes), .unset = "yes",
		.help = "whether routes that the peer hands out are taken" },
	{ PEER("AcceptDNS"), .parse = value_word, .words = answers, PEER_FIELD(accept_dns), .unset = "yes",
		.help = "whether name servers and search domains that the peer hands out are taken" },
	{ PEER("AcceptMTU"), .parse = value_word, .words = answers, PEER_FIELD(accept_mtu), .unset = "yes",
		.help = "whether an MTU that the peer hands out is taken" },
	{ PEER("AcceptKeepalive"), .parse = value_word, .words = answers, PEER_FIELD(accept_keepalive), .unset = "yes",
		.help = "whether a keepalive that the peer hands out is taken" },
	{ 0 },
};
/* clang-format on */

const struct config_key *config_key_find(enum config_section section, const char *name)
{
	for (const struct config_key *k = config_keys; k->name; k++) {
		if (k->section == section && strcasecmp(k->name, name) == 0)
			return k;
	}
	return NULL;
}

#define DISTANCE_MAX_LEN 31

/* Levenshtein's distance without regard to case; names are short. */
static size_t distance(const char *a, const char *b)
{
	size_t row[DISTANCE_MAX_LEN + 1];
	size_t b_len = strlen(b);
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < b_len; j++) {
			bool same = tolower((unsigned char)a[i]) == tolower((unsigned char)b[j]);
			size_t best = diagonal + (same ? 0 : 1);
			if (row[j] + 1 < best)
				best = row[j] + 1;
			diagonal = row[j + 1];
			row[j + 1] = diagonal + 1 < best ? diagonal + 1 : best;
		}
	}
	return row[b_len];
}

const struct config_key *config_key_nearest(enum config_section section, const char *name)
{
	const struct config_key *nearest = NULL;
	size_t least = DISTANCE_MAX_LEN;
	if (strlen(name) > DISTANCE_MAX_LEN)
		return NULL;
	for (const struct config_key *k = config_keys; k->name; k++) {
		if (k->section != section)
			continue;
		/* ListenPort and PersistentKeepalive, as people who come from WireGuard write */
		if (strcasestr(name, k->name))
			return k;
		size_t d = distance(k->name, name);
		if (d < least) {
			least = d;
			nearest = k;
		}
	}
	return least <= 3 && least * 2 < strlen(name) + 1 ? nearest : NULL;
}

bool config_key_info(struct config_key_info *ret, size_t index)
{
	if (index >= CONFIG_KEY_COUNT - 1)
		return false;
	const struct config_key *k = &config_keys[index];
	*ret = (struct config_key_info){.section = k->section == SECTION_PEER ? "peer" : "interface",
		.key = k->name,
		.unset = k->unset ? k->unset : "",
		.help = k->help};
	return true;
}
