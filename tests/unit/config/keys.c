/* The table of keys: it is whole, and the manual knows all of it. */
#include "config/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MANUAL_MAX (1 << 16)

static void manual_read(char text[static MANUAL_MAX])
{
	FILE *f = fopen(MANUAL, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, MANUAL_MAX - 1, f);
	fclose(f);
	assert_in_range(n, 1000, MANUAL_MAX - 2);
	text[n] = '\0';
}

/* A key has its entry, in the part of its section, and its default stands there. */
static void manual_has_every_key(void **state)
{
	static char manual[MANUAL_MAX];
	manual_read(manual);
	const char *peers = strstr(manual, ".Ss A section of a peer");
	struct config_key_info key;
	assert_non_null(peers);
	size_t n = 0;
	for (; config_key_info(&key, n); n++) {
		char entry[64];
		snprintf(entry, sizeof(entry), "\n.It Cm %s No =", key.key);
		bool is_peer = strcmp(key.section, "peer") == 0;
		const char *at = strstr(is_peer ? peers : manual, entry);
		if (!at)
			print_message("jorm.conf(5) lacks %s\n", key.key);
		assert_non_null(at);
		assert_int_equal(at > peers, is_peer);
		const char *end = strstr(at + strlen(entry), "\n.It "), *unset = strstr(at, key.unset);
		if (end && (!unset || unset > end))
			print_message("jorm.conf(5): %s lacks its default, %s\n", key.key, key.unset);
		assert_true(unset && (!end || unset < end));
	}
	assert_int_equal(n, CONFIG_KEY_COUNT - 1);
	/* and nothing that is no key */
	for (const char *at = manual; (at = strstr(at, "\n.It Cm ")); at += strlen("\n.It Cm "))
		n--;
	assert_int_equal(n, 0);
}

static void finds_whatever_the_case(void **state)
{
	assert_ptr_equal(config_key_find(SECTION_INTERFACE, "pRIVATEkEY"), &config_keys[2]);
	assert_null(config_key_find(SECTION_PEER, "PrivateKey"));
	assert_null(config_key_find(SECTION_PEER, ""));
}

static void suggests_what_is_near(void **state)
{
	static const struct {
		enum config_section section;
		const char *wrong, *right;
	} rows[] = {
		{SECTION_INTERFACE, "Adress", "Address"},
		{SECTION_INTERFACE, "Private_Key", "PrivateKey"},
		{SECTION_INTERFACE, "ListenPort", "Listen"},
		{SECTION_INTERFACE, "mtuu", "MTU"},
		{SECTION_PEER, "AllowedIP", "AllowedIPs"},
		{SECTION_PEER, "PreSharedKeys", "PresharedKey"},
		{SECTION_PEER, "PersistentKeepalive", "Keepalive"},
		{SECTION_PEER, "KeyIDs", "KeyID"},
		{SECTION_PEER, "Xyzzy", NULL},
		{SECTION_PEER, "x", NULL},
		{SECTION_INTERFACE, "a-very-long-name-that-nobody-can-have-meant", NULL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct config_key *key = config_key_nearest(rows[i].section, rows[i].wrong);
		if (rows[i].right) {
			assert_non_null(key);
			assert_string_equal(key->name, rows[i].right);
		} else {
			assert_null(key);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(manual_has_every_key),
		cmocka_unit_test(finds_whatever_the_case),
		cmocka_unit_test(suggests_what_is_near),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
