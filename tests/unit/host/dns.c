/* src/host/dns.c: what is asked of resolvectl and resolvconf, by programs in their place that write it down. */
#include "room.h"

#include "host/dns.h"
#include "host/keeper_message.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CALLS ROOM "/calls"

static uint8_t servers[2][16] = {
	{[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 53}, {0x20, 0x01, 0x0d, 0xb8, [15] = 0x53}};
static char corp[] = "corp.example", lab[] = "lab.example";
static char *names[] = {corp, lab};
static const struct config_dns both = {.servers = servers, .server_count = 2, .domains = {.items = names, .count = 2}};
static const struct config_dns servers_only = {.servers = servers, .server_count = 1};

static void fake(const char *name)
{
	char path[64], text[256];
	(void)snprintf(path, sizeof path, ROOM "/bin/%s", name);
	(void)snprintf(text, sizeof text,
		"#!/bin/sh\necho %s \"$@\" >>" CALLS "\ncase \"$*\" in *-a*) cat >>" CALLS ";; esac\n", name);
	room_write(path, text, 0755);
}

static void resolved_body(void)
{
	fake("resolvectl");
	fake("resolvconf");
	assert_int_equal(mkdir("/run/systemd", 0755), 0);
	assert_int_equal(mkdir("/run/systemd/resolve", 0755), 0);
	assert_int_equal(dns_set("lo", &both, true, NULL), OK);
	assert_string_equal(room_read(CALLS), "resolvectl dns lo 192.0.2.53 2001:db8::53\n"
					      "resolvectl domain lo corp.example lab.example ~.\n"
					      "resolvectl default-route lo true\n");
	room_write(CALLS, "", 0600);
	assert_int_equal(dns_set("lo", &both, false, NULL), OK);
	assert_string_equal(room_read(CALLS), "resolvectl dns lo 192.0.2.53 2001:db8::53\n"
					      "resolvectl domain lo corp.example lab.example\n"
					      "resolvectl default-route lo false\n");
	room_write(CALLS, "", 0600);
	assert_int_equal(dns_set("lo", &servers_only, false, NULL), OK);
	assert_string_equal(room_read(CALLS), "resolvectl dns lo 192.0.2.53\nresolvectl domain lo \n"
					      "resolvectl default-route lo true\n");
	room_write(CALLS, "", 0600);
	assert_int_equal(dns_unset("lo", NULL), OK);
	assert_int_equal(dns_unset("gone0", NULL), OK);
	assert_string_equal(room_read(CALLS), "resolvectl revert lo\n");

	room_write(ROOM "/bin/resolvectl", "#!/bin/sh\necho no bus today >&2\nexit 1\n", 0755);
	struct fault fault = {0};
	assert_int_equal(dns_set("lo", &both, true, &fault), ERR_IO);
	assert_fault(&fault, ERR_IO, "no bus today");
}

static void test_resolved(void **state)
{
	room_run(resolved_body);
}

static void resolvconf_body(void)
{
	fake("resolvectl"); /* without systemd-resolved it is of no use */
	fake("resolvconf");
	assert_int_equal(dns_set("snk7", &both, true, NULL), OK);
	assert_int_equal(dns_unset("snk7", NULL), OK);
	assert_string_equal(room_read(CALLS), "resolvconf -a snk7.jorm -m 0 -x\n"
					      "nameserver 192.0.2.53\nnameserver 2001:db8::53\n"
					      "search corp.example lab.example\n"
					      "resolvconf -d snk7.jorm\n");
}

static void test_resolvconf(void **state)
{
	room_run(resolvconf_body);
}

static void neither_body(void)
{
	struct fault fault = {0};
	(void)room_shell("for f in /usr/bin/resolvectl /usr/sbin/resolvconf /sbin/resolvconf; do [ ! -f $f ] || mount "
			 "--bind /dev/null $f; done");
	assert_int_equal(dns_set("lo", &both, true, &fault), ERR_UNSUPPORTED);
	assert_fault(&fault, ERR_UNSUPPORTED, "resolvectl");
	assert_fault(&fault, ERR_UNSUPPORTED, "openresolv");
	assert_int_equal(dns_unset("lo", &fault), OK);
}

static void test_neither(void **state)
{
	room_run(neither_body);
}

/* What changes while the tunnel is up: other servers, then none. */
static void changes_body(void)
{
	fake("resolvconf");
	struct config *config = room_config("office", "Name = snk7\n");
	struct keeper *keeper = room_keeper(config);
	struct keeper_facts facts = {.interface = "snk7", .dns = both};
	assert_int_equal(keeper_apply(keeper, &facts, NULL), OK);
	facts.dns = servers_only;
	assert_int_equal(keeper_apply(keeper, &facts, NULL), OK);
	facts.dns = (struct config_dns){0};
	assert_int_equal(keeper_apply(keeper, &facts, NULL), OK);
	assert_string_equal(room_read(CALLS),
		"resolvconf -a snk7.jorm -m 0 -x\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
		"search corp.example lab.example\n"
		"resolvconf -a snk7.jorm -m 0 -x\nnameserver 192.0.2.53\n"
		"resolvconf -d snk7.jorm\n");
	char bad[] = "-x";
	char *bad_names[] = {bad};
	struct fault fault = {0};
	facts.dns = (struct config_dns){.domains = {.items = bad_names, .count = 1}};
	assert_int_equal(keeper_apply(keeper, &facts, &fault), ERR_FORMAT);
	static uint8_t many[17][16];
	facts.dns = (struct config_dns){.servers = many, .server_count = 17};
	assert_int_equal(keeper_apply(keeper, &facts, &fault), ERR_TOO_BIG);
	assert_fault(&fault, ERR_TOO_BIG, "16");
	facts.dns = (struct config_dns){.servers = many, .server_count = 1};
	assert_int_equal(keeper_apply(keeper, &facts, &fault), ERR_FORMAT);
	keeper_stop(keeper, true);
	config_free(config);
}

static void test_changes_while_up(void **state)
{
	room_run(changes_body);
}

static void test_names_that_reach_a_command_line(void **state)
{
	static const char *const good[] = {"a", "example.org", "_tcp.x-1.example", "0.1"};
	static const char *const bad[] = {
		"", "-a", "a.-b", ".", "a.", ".a", "a..b", "a b", "a;b", "a/b", "~.", "\xc3\xa4"};
	char field[DOMAIN_SIZE];
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		(void)snprintf(field, sizeof field, "%s", good[i]);
		assert_true(message_is_domain(field));
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		(void)snprintf(field, sizeof field, "%s", bad[i]);
		assert_false(message_is_domain(field));
	}
	memset(field, 'a', sizeof field); /* without an end */
	assert_false(message_is_domain(field));
	field[64] = '\0';
	assert_false(message_is_domain(field));
	field[63] = '\0';
	assert_true(message_is_domain(field));
	char name[CONFIG_IFNAME_LEN] = "snk0";
	assert_true(message_is_interface(name));
	static const char *const bad_names[] = {"", "-a", "a b", "a/b", ".", "..", "a\"b", "a*"};
	for (size_t i = 0; i < sizeof bad_names / sizeof bad_names[0]; i++) {
		(void)snprintf(name, sizeof name, "%s", bad_names[i]);
		assert_false(message_is_interface(name));
	}
	memset(name, 'a', sizeof name);
	assert_false(message_is_interface(name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resolved),
		cmocka_unit_test(test_resolvconf),
		cmocka_unit_test(test_neither),
		cmocka_unit_test(test_changes_while_up),
		cmocka_unit_test(test_names_that_reach_a_command_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
