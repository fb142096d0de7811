/* src/host/routing.c: rules of policy routing, and what the kernel makes of them. */
#include "room.h"

#include "host/lookup.h"
#include "host/routing.h"

#include <stdio.h>
#include <string.h>

static const struct routing both = {.fwmark = 0x99, .table = 700, .v4 = true, .v6 = true};

static void assert_rules(const char *command, const char *wanted)
{
	assert_int_equal(room_shell(command), 0);
	if (strcmp(room_said, wanted) != 0)
		fail_msg("%s:\n%s", command, room_said);
}

#define RULES(priority_0, priority_1, priority_2, mark, table)                                                         \
	priority_0 ":\tfrom all uidrange 65530-65530 lookup main proto 106\n" priority_1                               \
		   ":\tfrom all lookup main suppress_prefixlength 0 proto 106\n" priority_2                            \
		   ":\tnot from all fwmark " mark " lookup " table " proto 106\n"
#define OURS "ip rule | grep 106"
#define OURS_V6 "ip -6 rule | grep 106"

static void comes_and_goes_body(void)
{
	bool any = false;
	assert_int_equal(LOOKUP_UID, 65530);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(routing_set(&both, NULL), OK);
		assert_rules(OURS, RULES("32763", "32764", "32765", "0x99", "700"));
		assert_rules(OURS_V6, RULES("32763", "32764", "32765", "0x99", "700"));
	}
	struct routing v4_only = both;
	v4_only.v6 = false;
	v4_only.fwmark = 0x9a;
	assert_int_equal(routing_set(&v4_only, NULL), OK);
	assert_rules(OURS, RULES("32760", "32761", "32762", "0x9a", "700"));
	assert_int_equal(room_shell(OURS_V6), 1);
	assert_int_equal(routing_unset(701, &any, NULL), OK);
	assert_false(any);
	assert_int_equal(routing_unset(700, &any, NULL), OK);
	assert_true(any);
	any = false;
	assert_int_equal(routing_unset(700, &any, NULL), OK);
	assert_false(any);
	assert_int_equal(room_shell(OURS), 1);
}

static void test_comes_and_goes(void **state)
{
	room_run(comes_and_goes_body);
}

/* Neighbours: other people's rules at our priorities, and another tunnel of ours. */
static void neighbours_body(void)
{
	struct routing other = {.fwmark = 0x55, .table = 800, .v4 = true};
	struct fault fault;
	assert_int_equal(room_shell("ip rule add fwmark 1 lookup 99 priority 32764"), 0);
	assert_int_equal(routing_set(&both, NULL), OK);
	assert_int_equal(routing_set(&other, &fault), ERR_EXISTS);
	assert_non_null(strstr(fault.text, "table is 700"));
	assert_rules(OURS, RULES("32761", "32762", "32763", "0x99", "700"));
	assert_int_equal(routing_unset(700, NULL, NULL), OK);
	assert_int_equal(routing_set(&other, NULL), OK);
	assert_rules(OURS, RULES("32761", "32762", "32763", "0x55", "800"));
	assert_int_equal(room_shell("ip rule | grep -c 'lookup 99'"), 0);
	assert_string_equal(room_said, "1\n");

	/* somebody has taken one of ours away: it is put back */
	assert_int_equal(room_shell("ip rule delete priority 32762"), 0);
	assert_int_equal(routing_set(&other, NULL), OK);
	assert_rules(OURS " | wc -l", "3\n");
	assert_int_equal(routing_unset(800, NULL, NULL), OK);
	assert_int_equal(room_shell(OURS), 1);
}

static void test_neighbours(void **state)
{
	room_run(neighbours_body);
}

/* Where packets go then. */
static void ways_body(void)
{
	assert_int_equal(
		room_shell("ip link add wire type veth peer name snk7 && ip link set wire up && ip link set snk7 up && "
			   "ip address add 192.0.2.1/24 dev wire && ip route add default via 192.0.2.254 && ip "
			   "address add 10.9.0.1/24 dev snk7 && ip route add default dev snk7 table 700"),
		0);
	assert_int_equal(routing_set(&both, NULL), OK);
	assert_int_equal(room_shell("ip route get 203.0.113.5 | grep 'dev snk7.*src 10.9.0.1'"), 0);
	assert_int_equal(room_shell("ip route get 203.0.113.5 mark 0x99 | grep 'dev wire.*src 192.0.2.1'"), 0);
	assert_int_equal(room_shell("ip route get 203.0.113.5 mark 0x98 | grep 'dev snk7'"), 0);
	assert_int_equal(room_shell("ip route get 203.0.113.5 uid 65530 | grep 'dev wire.*src 192.0.2.1'"), 0);
	assert_int_equal(room_shell("ip route get 192.0.2.7 | grep 'dev wire'"), 0); /* the own network stays near */
	assert_int_equal(room_shell("ip route get 127.0.0.1 | grep 'dev lo'"), 0);
	assert_int_equal(routing_unset(700, NULL, NULL), OK);
	assert_int_equal(room_shell("ip route get 203.0.113.5 | grep 'dev wire'"), 0);
}

static void test_ways_of_packets(void **state)
{
	room_run(ways_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_and_goes),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_ways_of_packets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
