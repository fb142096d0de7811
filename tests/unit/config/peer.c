/* Peers that do not come from a file are as a file would have made them. */
#include "config/peer.h"

#include "config/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=" /* 31 zeros and a 1 */

static const uint8_t id[KEY_ID_LEN] = {[31] = 1};

static void assert_same(const struct config_peer *a, const struct config_peer *b)
{
	assert_string_equal(a->name, b->name);
	assert_memory_equal(a->key_id, b->key_id, KEY_ID_LEN);
	assert_int_equal(a->allowed_ips.count, b->allowed_ips.count);
	for (size_t i = 0; i < a->allowed_ips.count; i++)
		assert_memory_equal(&a->allowed_ips.items[i], &b->allowed_ips.items[i], sizeof(struct prefix));
	assert_int_equal(!a->endpoint, !b->endpoint);
	if (a->endpoint) {
		assert_string_equal(a->endpoint, b->endpoint);
		assert_string_equal(a->endpoint_host, b->endpoint_host);
	}
	assert_int_equal(a->endpoint_port, b->endpoint_port);
	assert_int_equal(a->keepalive_s, b->keepalive_s);
	assert_null(a->public_key);
	assert_null(a->preshared_key);
	assert_int_equal(a->accept_address, b->accept_address);
	assert_int_equal(a->accept_routes, b->accept_routes);
	assert_int_equal(a->accept_dns, b->accept_dns);
	assert_int_equal(a->accept_mtu, b->accept_mtu);
	assert_int_equal(a->accept_keepalive, b->accept_keepalive);
}

static void is_as_a_file_makes_it(void **state)
{
	static const struct {
		const char *section, *ips, *endpoint;
		uint16_t keepalive_s;
	} rows[] = {
		{"", NULL, NULL, 0},
		{"", "", "", 0},
		{"AllowedIPs = 10.0.0.2 ,fd66::/64\nAllowedIPs = 172.16.3.4/12\n",
			" 10.0.0.2 ,fd66::/64,172.16.3.4/12 ", NULL, 0},
		{"Endpoint = vpn.example.org:9\nKeepalive = 25\n", NULL, "vpn.example.org:9", 25},
		{"Endpoint = [fe80::1%eth0]:9\nAllowedIPs = ::/0\n", "::/0", " [fe80::1%eth0]:9", 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[512];
		struct config *config;
		struct config_peer peer;
		struct config_diagnostics diags = {0};
		struct fault fault = {0};
		snprintf(text, sizeof(text), "[interface]\nPrivateKey = k\n[peer p.1_x-y]\nKeyID = " ID "\n%s",
			rows[i].section);
		assert_int_equal(config_parse(&config, "/x/t.conf", text, strlen(text), &diags), OK);
		assert_int_equal(config_peer_from(&peer, "p.1_x-y", id, rows[i].ips, rows[i].endpoint,
					 rows[i].keepalive_s, &fault),
			OK);
		assert_same(&peer, &config->peers[0]);
		assert_true(peer.accept_address && peer.accept_keepalive);
		config_peer_done(&peer);
		config_free(config);
		config_diagnostics_done(&diags);
	}
}

static void names_what_is_wrong(void **state)
{
	static const struct {
		const char *name, *ips, *endpoint, *part;
	} rows[] = {
		{"", NULL, NULL, "1 to 63 letters"},
		{"a b", NULL, NULL, "1 to 63 letters"},
		{"a/b", NULL, NULL, "1 to 63 letters"},
		{"0123456789012345678901234567890123456789012345678901234567890123", NULL, NULL, "1 to 63 letters"},
		{"a", "10.0.0.1/33", NULL, "AllowedIPs: '10.0.0.1/33' is not"},
		{"a", "10.0.0.1,,::1", NULL, "AllowedIPs: an item of the list is empty"},
		{"a", "10.0.0.1,", NULL, "AllowedIPs: an item of the list is empty"},
		{"a", " ", NULL, "AllowedIPs: an item of the list is empty"},
		{"a", "10.0.0.1", "host", "Endpoint: the port is missing"},
		{"a", NULL, "h:1,i:2", "Endpoint: "},
	};
	static const struct config_peer none;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct config_peer peer;
		struct fault fault = {0};
		assert_int_equal(config_peer_from(&peer, rows[i].name, id, rows[i].ips, rows[i].endpoint, 0, &fault),
			ERR_FORMAT);
		assert_int_equal(fault.code, ERR_FORMAT);
		assert_memory_equal(&peer, &none, sizeof(peer));
		if (!strstr(fault.text, rows[i].part))
			print_message("said: %s\n", fault.text);
		assert_non_null(strstr(fault.text, rows[i].part));
	}
	/* whom the sentence does not interest */
	struct config_peer peer;
	assert_int_equal(config_peer_from(&peer, "a", id, "x", NULL, 0, NULL), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_as_a_file_makes_it),
		cmocka_unit_test(names_what_is_wrong),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
