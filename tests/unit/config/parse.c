/* Good and bad texts, and what is said about each mistake: its line, its key, a word of the message. */
#include "config/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ZEROS "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" /* base64 of 30 bytes */
#define ID_1 ZEROS "AAE="
#define ID_2 ZEROS "AAI="
#define TOP "[interface]\nPrivateKey = k\nAddress = 10.0.0.1/8\n"  /* lines 1 to 3 */
#define PEER "[peer a]\nKeyID = " ID_1 "\nAllowedIPs = 10.0.0.2\n" /* lines 4 to 6 below TOP */

static const char full[] = "\xef\xbb\xbf# all there is\r\n"
			   "[Interface]\r\n"
			   "  name = jorm-test_0.1   ; ours\n"
			   "layer = 3\n"
			   "PRIVATEKEY = keys/me # secret\n"
			   "Listen = [2001:db8::1]:10666\n"
			   "Address = 10.66.0.1/24, fd66::1/64\n"
			   "Address=192.168.7.7\n"
			   "Cipher = AES-256-gcm\n"
			   "Padding = none\n"
			   "MTU = 9000\n"
			   "Reauthenticate = 60\n"
			   "MaxPendingHandshakes = 65536\n"
			   "HandshakeRate = 1\n"
			   "FwMark = 0xCAFE\n"
			   "StateDirectory = /srv/state\n"
			   "ControlSocket = run/s.sock\n"
			   "ControlGroup = wheel-1\n"
			   "User = _vpn\n"
			   "Table = 4294967294\n"
			   "DNS = 10.66.0.1, fd66::1, example.org\n"
			   "DNS = a-b.c_d.x1\n"
			   "KillSwitch = YES\n"
			   "PreUp = true\n"
			   "PostUp = logger \"%i, up\" ; true # not ours\n"
			   "postup =\tip route add 10.9.0.0/16 dev %i\n"
			   "PreDown = a\n"
			   "PostDown = b=c,d\n"
			   "AuthorizedKeys = keys.d\n"
			   "Pool = 10.66.0.0/24, fd66::1/64\n"
			   "PushRoutes = 192.168.7.0/24, ::/0\n"
			   "PushDNS = 10.66.0.1, corp.example\n"
			   "PushMTU = 1380\n"
			   "PushKeepalive = 25\n"
			   "ClientToClient = no\n"
			   "Masquerade = yes\n"
			   "\n"
			   "[peer laptop]\n"
			   "\tKeyID = " ID_1 "\n"
			   "\tAllowedIPs = 10.66.0.2/32,fd66::2/128\n"
			   "\tAllowedIPs = 172.16.3.4/12\n"
			   "\tEndpoint = vpn.example.org:51820\n"
			   "\tKeepalive = 25\n"
			   "\tProtection = pq\n"
			   "\tPresharedKey = /etc/psk\n"
			   "\tAcceptAddress = no\n"
			   "\tAcceptRoutes = no\n"
			   "\tAcceptDNS = No\n"
			   "\tAcceptMTU = no\n"
			   "\tAcceptKeepalive = no\n"
			   "[ PEER  b ]\n"
			   "KeyID=" ID_2 "\n"
			   "AllowedIPs = 0.0.0.0/0, ::/0\n"
			   "Endpoint = [fe80::1%eth0]:9\n"
			   "Keepalive = off";

/* The number of errors; what was parsed is thrown away. */
static size_t errors_of(const char *text, size_t len)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	enum err e = config_parse(&config, "/x/t.conf", text, len, &diags);
	size_t errors = diags.errors;
	assert_int_equal(e == OK, errors == 0);
	assert_int_equal(config != NULL, e == OK);
	config_free(config);
	config_diagnostics_done(&diags);
	return errors;
}

static void takes_every_key(void **state)
{
	struct config *c;
	struct config_diagnostics diags = {0};
	char text[ADDR_TEXT_LEN];
	assert_int_equal(config_parse(&c, "/etc/jorm/office.conf", full, strlen(full), &diags), OK);
	assert_string_equal(c->instance, "office");
	assert_string_equal(c->path, "/etc/jorm/office.conf");
	assert_string_equal(c->name, "jorm-test_0.1");
	assert_string_equal(c->private_key, "/etc/jorm/keys/me");
	assert_int_equal(c->private_key_line, 5);
	assert_string_equal(addr_format(&c->listen, text), "[2001:db8::1]:10666");
	assert_int_equal(c->addresses.count, 3);
	assert_string_equal(prefix_format(&c->addresses.items[0], text), "10.66.0.1/24");
	assert_string_equal(prefix_format(&c->addresses.items[2], text), "192.168.7.7/32");
	assert_int_equal(c->cipher, CONFIG_CIPHER_AES_256_GCM);
	assert_int_equal(c->padding, CONFIG_PADDING_NONE);
	assert_int_equal(c->mtu, 9000);
	assert_int_equal(c->reauthenticate_s, 60);
	assert_int_equal(c->max_pending_handshakes, 65536);
	assert_int_equal(c->handshake_rate, 1);
	assert_int_equal(c->fwmark, 0xcafe);
	assert_string_equal(c->state_directory, "/srv/state");
	assert_string_equal(c->control_socket, "/etc/jorm/run/s.sock");
	assert_int_equal(c->peer_count, 2);
	const struct config_peer *p = &c->peers[0];
	assert_string_equal(p->name, "laptop");
	assert_int_equal(p->line, 38);
	assert_int_equal(p->key_id[31], 1);
	assert_int_equal(p->allowed_ips.count, 3);
	assert_string_equal(prefix_format(&p->allowed_ips.items[2], text), "172.16.0.0/12");
	assert_string_equal(p->endpoint, "vpn.example.org:51820");
	assert_string_equal(p->endpoint_host, "vpn.example.org");
	assert_int_equal(p->endpoint_port, 51820);
	assert_int_equal(p->keepalive_s, 25);
	assert_string_equal(p->preshared_key, "/etc/psk");
	assert_string_equal(c->peers[1].endpoint_host, "fe80::1%eth0");
	assert_int_equal(c->peers[1].keepalive_s, 0);
	assert_int_equal(diags.count, 2); /* the host bits of fd66::1/64 and of 172.16.3.4/12 */
	assert_true(diags.items[0].warning && diags.items[1].warning);
	assert_int_equal(diags.items[0].line, 30);
	assert_int_equal(diags.items[1].line, 41);
	config_diagnostics_done(&diags);
	config_free(c);
}

static void takes_the_keys_of_a_server(void **state)
{
	struct config *c;
	struct config_diagnostics diags = {0};
	char text[ADDR_TEXT_LEN];
	assert_int_equal(config_parse(&c, "/etc/jorm/office.conf", full, strlen(full), &diags), OK);
	assert_string_equal(c->control_group, "wheel-1");
	assert_int_equal(c->control_group_line, 18);
	assert_string_equal(c->user, "_vpn");
	assert_string_equal(c->authorized_keys, "/etc/jorm/keys.d");
	assert_int_equal(c->pools.count, 2);
	assert_string_equal(prefix_format(&c->pools.items[1], text), "fd66::/64");
	assert_int_equal(c->push_routes.count, 2);
	assert_string_equal(prefix_format(&c->push_routes.items[1], text), "::/0");
	assert_int_equal(c->push_dns.server_count, 1);
	assert_string_equal(addr_format_ip(c->push_dns.servers[0], text), "10.66.0.1");
	assert_int_equal(c->push_dns.domains.count, 1);
	assert_string_equal(c->push_dns.domains.items[0], "corp.example");
	assert_int_equal(c->push_mtu, 1380);
	assert_int_equal(c->push_keepalive_s, 25);
	assert_int_equal(c->client_to_client, CONFIG_BETWEEN_NO);
	assert_true(c->masquerade);
	config_diagnostics_done(&diags);
	config_free(c);
}

static void takes_the_keys_of_a_client(void **state)
{
	struct config *c;
	struct config_diagnostics diags = {0};
	char text[ADDR_TEXT_LEN];
	assert_int_equal(config_parse(&c, "/etc/jorm/office.conf", full, strlen(full), &diags), OK);
	assert_int_equal(c->table, 4294967294);
	assert_int_equal(c->dns.server_count, 2);
	assert_string_equal(addr_format_ip(c->dns.servers[1], text), "fd66::1");
	assert_int_equal(c->dns.domains.count, 2);
	assert_string_equal(c->dns.domains.items[1], "a-b.c_d.x1");
	assert_true(c->kill_switch);
	assert_int_equal(c->pre_up.count, 1);
	assert_int_equal(c->post_up.count, 2);
	assert_string_equal(c->post_up.items[0], "logger \"%i, up\" ; true # not ours");
	assert_string_equal(c->post_up.items[1], "ip route add 10.9.0.0/16 dev %i");
	assert_string_equal(c->pre_down.items[0], "a");
	assert_string_equal(c->post_down.items[0], "b=c,d");
	const struct config_peer *p = c->peers;
	assert_false(p[0].accept_address || p[0].accept_routes || p[0].accept_dns || p[0].accept_mtu ||
		     p[0].accept_keepalive);
	assert_true(p[1].accept_address && p[1].accept_routes && p[1].accept_dns && p[1].accept_mtu &&
		    p[1].accept_keepalive);
	config_diagnostics_done(&diags);
	config_free(c);
}

static void has_defaults(void **state)
{
	struct config *c;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_parse(&c, "/etc/jorm/office.conf", TOP PEER, strlen(TOP PEER), &diags), OK);
	assert_int_equal(diags.count, 0);
	assert_string_equal(c->name, "");
	assert_true(addr_is_unset(&c->listen));
	assert_int_equal(c->cipher, CONFIG_CIPHER_AUTO);
	assert_int_equal(c->padding, CONFIG_PADDING_BUCKETS);
	assert_int_equal(c->mtu, 0);
	assert_int_equal(c->reauthenticate_s, 3600);
	assert_int_equal(c->max_pending_handshakes, 1024);
	assert_int_equal(c->handshake_rate, 50);
	assert_int_equal(c->fwmark, 0);
	assert_string_equal(c->state_directory, "/var/lib/jorm");
	assert_string_equal(c->control_socket, "/run/jorm/office.sock");
	assert_null(c->control_group);
	assert_null(c->user);
	assert_null(c->authorized_keys);
	assert_int_equal(c->table, CONFIG_TABLE_AUTO);
	assert_int_equal(c->client_to_client, CONFIG_BETWEEN_HOST);
	assert_false(c->masquerade || c->kill_switch);
	assert_int_equal(c->push_mtu, 0);
	assert_int_equal(c->push_keepalive_s, 0);
	assert_null(c->peers[0].endpoint);
	assert_null(c->peers[0].preshared_key);
	assert_int_equal(c->peers[0].keepalive_s, 0);
	config_free(c);
}

#define WANTS_MAX 8
static const struct mistake {
	const char *text;
	struct {
		unsigned line;
		const char *key, *part; /* of the message; after a ~ it is a warning */
	} wants[WANTS_MAX];
} mistakes[] = {
	{"", {{0, "", "no [interface]"}, {0, "PrivateKey", "missing"}, {0, "", "~no [peer"}}},
	{"[interface]\n" PEER, {{1, "PrivateKey", "jorm keygen"}, {1, "Address", "~missing"}}},
	{"Name = x\nMTU = y\n" TOP PEER, {{1, "", "[interface]"}}},
	{TOP "[interface]\nPrivateKey = l\n", {{0, "", "~no [peer"}, {4, "", "line 1"}, {5, "PrivateKey", "line 2"}}},
	{TOP PEER "[host b]\nfoo = 1\n", {{7, "", "[peer NAME]"}}},
	{TOP PEER "[interface x]\n", {{7, "", "[peer NAME]"}}},
	{TOP PEER "[peer b\n", {{7, "", "one line"}}},
	{TOP PEER "[peer b] x\n", {{7, "", "one line"}}},
	{TOP "[peer]\nKeyID = " ID_1 "\nAllowedIPs = ::1\n", {{4, "", "needs a name"}}},
	{TOP "[peer a b]\nKeyID = " ID_1 "\nAllowedIPs = ::1\n", {{4, "", "needs a name"}}},
	{TOP PEER "[peer a]\nKeyID = " ID_2 "\nAllowedIPs = ::1\n", {{7, "", "line 4"}}},
	{TOP PEER "[peer b]\nKeyID = " ID_1 "\nAllowedIPs = ::1\n", {{8, "KeyID", "peer a"}}},
	{TOP PEER "[peer b]\nKeyID = " ID_2 "\nAllowedIPs = ::1,10.0.0.2/32\n",
		{{9, "AllowedIPs", "peer a in line 6"}}},
	{TOP PEER "AllowedIPs = 10.0.0.2\n", {{7, "AllowedIPs", "~twice"}}},
	{TOP "[peer a]\n", {{4, "KeyID", "missing"}, {4, "AllowedIPs", "~no packet"}}},
	{TOP PEER "KeyID = " ID_1, {{7, "KeyID", "line 5"}}},
	{TOP PEER "keyid = " ID_1, {{7, "KeyID", "line 5"}}},
	{TOP PEER "PersistentKeepalive = 5", {{7, "PersistentKeepalive", "Keepalive?"}}},
	{TOP PEER "Keepalife = 5", {{7, "Keepalife", "Keepalive?"}}},
	{TOP PEER "Listen = 5", {{7, "Listen", "[interface]"}}},
	{TOP PEER "x\x1b[31m = 5", {{7, "x?[31m", "no such key"}}},
	{TOP PEER "Keepalive", {{7, "", "Key = value"}}},
	{TOP PEER "= 5", {{7, "", "Key = value"}}},
	{TOP PEER "Keepalive =  # none", {{7, "Keepalive", "no value"}}},
	{TOP PEER "Keepalive = 65536", {{7, "Keepalive", "0 to 65535"}}},
	{TOP PEER "Keepalive = -1", {{7, "Keepalive", "whole number"}}},
	{TOP PEER "Keepalive = 5s", {{7, "Keepalive", "whole number"}}},
	{TOP PEER "Protection = none", {{7, "Protection", "pq, otp or pq+otp"}}},
	{TOP PEER "Endpoint = host", {{7, "Endpoint", "port is missing"}}},
	{TOP PEER "Endpoint = [::1]", {{7, "Endpoint", "port is missing"}}},
	{TOP PEER "Endpoint = fe80::1:3", {{7, "Endpoint", "brackets"}}},
	{TOP PEER "Endpoint = [::1", {{7, "Endpoint", "brackets"}}},
	{TOP PEER "Endpoint = [::1]3", {{7, "Endpoint", "brackets"}}},
	{TOP PEER "Endpoint = :3", {{7, "Endpoint", "host"}}},
	{TOP PEER "Endpoint = h:0", {{7, "Endpoint", "port 0"}}},
	{TOP PEER "Endpoint = h:70000", {{7, "Endpoint", "not a port"}}},
	{TOP PEER "Endpoint = 1.2.3:4", {{7, "Endpoint", "neither"}}},
	{TOP PEER "Endpoint = a b:4", {{7, "Endpoint", "neither"}}},
	{TOP PEER "PresharedKey = " ID_1, {{7, "PresharedKey", "mode 0600"}}},
	{TOP PEER "PresharedKey = ~/psk", {{7, "PresharedKey", "whole path"}}},
	{TOP PEER "PublicKey = /nonexistent/key", {{7, "PublicKey", "/nonexistent/key"}}},
	{TOP "[peer a]\nAllowedIPs = ::1\nKeyID = abc", {{6, "KeyID", "44"}}},
	{TOP "[peer a]\nKeyID = " ID_1 "\nAllowedIPs = ::1/129,10.0.0.0/8,,x",
		{{6, "AllowedIPs", "::1/129"}, {6, "AllowedIPs", "comma"}, {6, "AllowedIPs", "'x'"}}},
	{TOP "MTU = 1279\nLayer = 4\nPadding = constant\nCipher = rc4\nName = a/b\nFwMark = 0x100000000\n" PEER,
		{{4, "MTU", "1280 to 65535, nor auto"}, {5, "Layer", "write 3 or 2"}, {6, "Padding", "not supported"},
			{7, "Cipher", "auto, chacha20-poly1305 or aes-256-gcm"}, {8, "Name", "letters"},
			{9, "FwMark", "off"}}},
	{TOP "Name = abcdefghijklmnop\n" PEER, {{4, "Name", "15"}}},
	{TOP "Name = ..\n" PEER, {{4, "Name", ".."}}},
	{TOP "Listen = 65536\n" PEER, {{4, "Listen", "0 to 65535"}}},
	{TOP "Listen = example.org:1\n" PEER, {{4, "Listen", "address"}}},
	{TOP "Address = 10.0.0.1/24/3\n" PEER, {{4, "Address", "prefix length"}}},
	{TOP "Reauthenticate = 59\nHandshakeRate = 0\nMaxPendingHandshakes = 0\n" PEER,
		{{4, "Reauthenticate", "60"}, {5, "HandshakeRate", "1 to"}, {6, "MaxPendingHandshakes", "1 to"}}},
	{TOP "ControlSocket = /" ZEROS ZEROS ZEROS "\n" PEER, {{4, "ControlSocket", "shorter"}}},
	{TOP "ControlGroup = 1000\nUser = a b\n" PEER, {{4, "ControlGroup", "no number"}, {5, "User", "letters"}}},
	{TOP "User = abcdefghijklmnopqrstuvwxyz012345\n" PEER, {{4, "User", "at most 31"}}},
	{TOP "User = -x\nUser = root\n" PEER, {{4, "User", "letter"}, {5, "User", "line 4"}}},
	{TOP "Table = 0\n" PEER, {{4, "Table", "1 to 4294967294"}}},
	{TOP "Table = 4294967295\n" PEER, {{4, "Table", "1 to 4294967294"}}},
	{TOP "Table = main\n" PEER, {{4, "Table", "auto, off"}}},
	{TOP "DNS = 10.0.0.300, fd66::1/64, -a.b, a..b, a., .a, a b, a/b\n" PEER,
		{{4, "DNS", "'10.0.0.300'"}, {4, "DNS", "'fd66::1/64'"}, {4, "DNS", "'-a.b'"}, {4, "DNS", "'a..b'"},
			{4, "DNS", "'a.'"}, {4, "DNS", "'.a'"}, {4, "DNS", "'a b'"}, {4, "DNS", "'a/b'"}}},
	{TOP "DNS = " ZEROS ZEROS "\n" PEER, {{4, "DNS", "neither"}}},
	{TOP "DNS = 1.1.1.1,::1,::2,::3,::4,::5,::6,::7,::8\n" PEER, {{4, "DNS", "more than 8 name servers"}}},
	{TOP "PushDNS = a,b,c,d,e,f,g,h,i\n" PEER, {{4, "PushDNS", "more than 8 search domains"}}},
	{TOP "PushRoutes = 10.0.0.0/33\nPushMTU = 1279\nPushKeepalive = 65536\n" PEER,
		{{4, "PushRoutes", "prefix length"}, {5, "PushMTU", "1280"}, {6, "PushKeepalive", "65535"}}},
	{TOP "PushRoutes = 10.1.2.3/8\n" PEER, {{4, "PushRoutes", "~taken as 10.0.0.0/8"}}},
	{TOP "KillSwitch = true\nMasquerade = 1\nClientToClient = maybe\n" PEER "AcceptDNS = on\n",
		{{4, "KillSwitch", "yes or no"}, {5, "Masquerade", "yes or no"}, {6, "ClientToClient", "yes or no"},
			{10, "AcceptDNS", "yes or no"}}},
	{TOP "PostUp = # nothing\nPreUp =  \n" PEER, {{5, "PreUp", "no value"}}},
	{TOP "PostUp\n" PEER, {{4, "", "Key = value"}}},
	{TOP "AuthorizedKeys = " ID_1 "\n" PEER, {{4, "AuthorizedKeys", "key"}}},

	/* what keys mean together */
	{"[interface]\nPrivateKey = k\n" PEER, {{1, "Address", "~no peer hands one out"}}},
	{"[interface]\nPrivateKey = k\nAddress = x\n" PEER, {{3, "Address", "'x'"}}},
	{"[interface]\nPrivateKey = k\n" PEER "Endpoint = h:1\n", {{0}}},
	{"[interface]\nPrivateKey = k\n" PEER "Endpoint = h:1\nAcceptAddress = no\n", {{1, "Address", "~missing"}}},
	{TOP "[peer a]\nKeyID = " ID_1, {{4, "AllowedIPs", "~no packet"}}},
	{TOP "[peer a]\nEndpoint = h:1\nKeyID = " ID_1, {{0}}},
	{TOP "[peer a]\nEndpoint = h:1\nAcceptRoutes = no\nKeyID = " ID_1, {{4, "AllowedIPs", "~no packet"}}},
	{TOP "Pool = 10.0.0.0/8\n[peer a]\nKeyID = " ID_1, {{0}}},
	{TOP "AuthorizedKeys = d\nPool = 10.0.0.0/8\n", {{0}}},
	{TOP "AuthorizedKeys = d\n", {{4, "AuthorizedKeys", "~no Pool"}}},
	{TOP "Pool = 10.0.0.0/30, 10.0.0.0/31, 12.0.0.0/7, 10.0.0.1, x\n" PEER,
		{{4, "Pool", "8 to 30"}, {4, "Pool", "8 to 30"}, {4, "Pool", "8 to 30"}, {4, "Pool", "'x'"}}},
	{TOP "Address = ::1\nPool = fd00::/31, fd01::/127, fd02::/126\n" PEER,
		{{5, "Pool", "32 to 126"}, {5, "Pool", "32 to 126"}}},
	{TOP "Pool = 10.0.0.0/24, 10.1.0.0/24, 10.0.0.0/16\n" PEER, {{4, "Pool", "10.0.0.0/16 overlaps 10.0.0.0/24"}}},
	{TOP "Pool = 10.0.0.0/24\nPool = 10.0.0.128/25\n" PEER, {{5, "Pool", "overlaps"}}},
	{TOP "Pool = fd66::/64\n" PEER, {{4, "Pool", "add one to Address, such as fd66::1/64"}}},
	{"[interface]\nPrivateKey = k\nPool = 10.0.0.0/24\n" PEER "Endpoint = h:1\n",
		{{3, "Pool", "add one to Address, such as 10.66.0.1/24"}}},
	{TOP "Layer = 2\n[peer a]\nKeyID = " ID_1, {{0}}},
	{TOP "Layer = 2\n" PEER, {{5, "AllowedIPs", "MAC addresses"}}},
	{PEER "[interface]\nPrivateKey = k\nLayer = 2\n", {{1, "AllowedIPs", "remove it"}}},
	{"[interface]\nPrivateKey = k\nLayer = 2\nAuthorizedKeys = d\n", {{0}}},
	{TOP "Layer = 2\nPool = 10.0.0.0/24\nMasquerade = yes\nClientToClient = no\nMTU = 65521\n[peer a]\nKeyID = " ID_1,
		{{0}}},
	{TOP "Layer = 2\nKillSwitch = yes\nPushRoutes = 10.1.0.0/16\nMTU = 65522\nPushMTU = 65535\n[peer a]\nKeyID = " ID_1,
		{{5, "KillSwitch", "Layer = 3"}, {6, "PushRoutes", "gateway"}, {7, "MTU", "65521"},
			{8, "PushMTU", "65521"}}},
	{TOP PEER "AllowedIPs = 0.0.0.0/0, ::/0\n", {{0}}},
	{TOP PEER "AllowedIPs = 0.0.0.0/0\n", {{4, "AllowedIPs", "~IPv6 goes outside the tunnel: add ::/0"}}},
	{TOP PEER "AllowedIPs = ::/0\n", {{4, "AllowedIPs", "~IPv4 goes outside the tunnel: add 0.0.0.0/0"}}},
	{TOP "KillSwitch = yes\n" PEER "AllowedIPs = ::/0\n", {{0}}},
	{TOP "KillSwitch = yes\n" PEER, {{4, "KillSwitch", "~the networks of the tunnel, and nothing else"}}},
	{TOP "KillSwitch = yes\n" PEER "Endpoint = h:1\n", {{4, "KillSwitch", "~and nothing else"}}},
	{TOP "Table = off\n" PEER, {{0}}},
	{TOP "Table = off\n" PEER "AllowedIPs = ::/0\n", {{4, "Table", "~leads nothing into the tunnel"}}},
	{TOP "Table = off\nKillSwitch = yes\n" PEER "AllowedIPs = ::/0\n", {{4, "Table", "~nothing leaves"}}},
	{TOP PEER "\xff\n# \xc0\x80\n# \xed\xa0\x80\n# \xf4\x90\x80\x80\n# \xe2\x82\xac\xf0\x9f\x90\x8d",
		{{7, "", "UTF-8"}, {8, "", "UTF-8"}, {9, "", "UTF-8"}, {10, "", "UTF-8"}}},
};

static void names_every_mistake(void **state)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];
		struct config *config;
		struct config_diagnostics diags = {0};
		enum err e = config_parse(&config, "/x/t.conf", m->text, strlen(m->text), &diags);
		size_t wanted = 0, errors = 0;
		while (wanted < WANTS_MAX && m->wants[wanted].key)
			wanted++;
		if (diags.count != wanted)
			print_message("in: %s\n", m->text);
		assert_int_equal(diags.count, wanted);
		for (size_t j = 0; j < wanted; j++) {
			const struct config_diagnostic *d = &diags.items[j];
			bool warning = m->wants[j].part[0] == '~';
			const char *part = m->wants[j].part + warning;
			if (d->line != m->wants[j].line || !strstr(d->text, part))
				print_message("in: %s\nsaid %u: %s\n", m->text, d->line, d->text);
			assert_int_equal(d->line, m->wants[j].line);
			assert_string_equal(d->key, m->wants[j].key);
			assert_non_null(strstr(d->text, part));
			assert_int_equal(d->warning, warning);
			errors += !d->warning;
		}
		assert_int_equal(diags.errors, errors);
		assert_int_equal(e, errors ? ERR_FORMAT : OK);
		config_free(config);
		config_diagnostics_done(&diags);
	}
}

/* A key that stands where a file's name should stand is a secret that must not be shown. */
static void does_not_repeat_a_key(void **state)
{
	static const char text[] = "[interface]\nPrivateKey = " ID_2 "\n" PEER "PresharedKey = " ID_2 "\n";
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_parse(&config, "/x/t.conf", text, strlen(text), &diags), ERR_FORMAT);
	assert_int_equal(diags.errors, 2);
	for (size_t i = 0; i < diags.count; i++)
		assert_null(strstr(diags.items[i].text, "AAI"));
	config_diagnostics_done(&diags);
}

static void refuses_binary_and_large_files(void **state)
{
	static const char nul[] = TOP "Name = a\0b\n" PEER;
	assert_int_equal(errors_of(nul, sizeof(nul) - 1), 1);
	char *large = malloc(CONFIG_FILE_MAX + 1);
	assert_non_null(large);
	memset(large, '#', CONFIG_FILE_MAX + 1);
	memcpy(large, TOP PEER, strlen(TOP PEER));
	assert_int_equal(errors_of(large, CONFIG_FILE_MAX), 0);
	assert_int_equal(errors_of(large, CONFIG_FILE_MAX + 1), 1);
	/* a million mistakes are not a million diagnostics */
	memset(large, '\n', CONFIG_FILE_MAX);
	for (size_t i = 0; i < CONFIG_FILE_MAX; i += 2)
		large[i] = 'x';
	memcpy(large, TOP, strlen(TOP));
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_parse(&config, "/x/t.conf", large, CONFIG_FILE_MAX, &diags), ERR_FORMAT);
	assert_in_range(diags.count, 100, 300);
	config_diagnostics_done(&diags);
	free(large);
}

/* Lines have no limit of their own; a list of many prefixes arrives whole. */
static void takes_long_lines(void **state)
{
	char *text = malloc(100000);
	assert_non_null(text);
	size_t n = (size_t)snprintf(text, 100000, "%s[peer a]\nKeyID = %s\nAllowedIPs = 10.0.0.0/32", TOP, ID_1);
	for (unsigned i = 1; i < 4000; i++)
		n += (size_t)snprintf(text + n, 100000 - n, ", 10.0.%u.%u/32", i / 256, i % 256);
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_parse(&config, "/x/t.conf", text, n, &diags), OK);
	assert_int_equal(config->peers[0].allowed_ips.count, 4000);
	config_free(config);
	config_diagnostics_done(&diags);
	free(text);
}

static void takes_thousands_of_peers(void **state)
{
	const size_t count = 3000;
	char *text = malloc(CONFIG_FILE_MAX), id[KEY_ID_TEXT_LEN];
	assert_non_null(text);
	size_t n = (size_t)snprintf(text, CONFIG_FILE_MAX, "%s", TOP);
	for (unsigned i = 0; i < count; i++) {
		uint8_t key[KEY_ID_LEN] = {1, (uint8_t)i, (uint8_t)(i >> 8)};
		n += (size_t)snprintf(text + n, CONFIG_FILE_MAX - n,
			"[peer p%u]\nKeyID = %s\nAllowedIPs = 10.1.%u.%u\n", i, key_id_format(key, id), i / 256,
			i % 256);
	}
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_parse(&config, "/x/t.conf", text, n, &diags), OK);
	assert_int_equal(config->peer_count, count);
	assert_string_equal(config->peers[count - 1].name, "p2999");
	config_free(config);
	config_diagnostics_done(&diags);
	free(text);
}

/* The text stands in memory of exactly its size, so that a sanitizer sees a read beyond it. */
static void survives_every_truncation(void **state)
{
	for (size_t len = 0; len <= strlen(full); len++) {
		char *exact = malloc(len ? len : 1);
		assert_non_null(exact);
		memcpy(exact, full, len);
		errors_of(exact, len);
		free(exact);
	}
}

/* Any generator will do; a seed makes failures come back. */
static uint32_t next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

static void survives_mutations(void **state)
{
	uint32_t seed = 4;
	char text[sizeof(full)];
	size_t refused = 0;
	for (int round = 0; round < 5000; round++) {
		memcpy(text, full, sizeof(full));
		for (uint32_t n = 1 + next(&seed) % 8; n > 0; n--)
			text[next(&seed) % (sizeof(full) - 1)] = (char)next(&seed);
		refused += errors_of(text, sizeof(full) - 1) != 0;
	}
	assert_in_range(refused, 2500, 5000);
}

static void makes_relative_paths_absolute(void **state)
{
	struct config *config;
	struct config_diagnostics diags = {0};
	assert_int_equal(config_parse(&config, "some/where.conf", TOP PEER, strlen(TOP PEER), &diags), OK);
	assert_int_equal(config->private_key[0], '/');
	assert_non_null(strstr(config->private_key, "/some/k"));
	assert_string_equal(config->instance, "where");
	config_free(config);
	config_diagnostics_done(&diags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_every_key),
		cmocka_unit_test(takes_the_keys_of_a_server),
		cmocka_unit_test(takes_the_keys_of_a_client),
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(names_every_mistake),
		cmocka_unit_test(does_not_repeat_a_key),
		cmocka_unit_test(refuses_binary_and_large_files),
		cmocka_unit_test(takes_long_lines),
		cmocka_unit_test(takes_thousands_of_peers),
		cmocka_unit_test(survives_every_truncation),
		cmocka_unit_test(survives_mutations),
		cmocka_unit_test(makes_relative_paths_absolute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
