/* The keeper as a daemon sees it, with a real host around it: a room of the test's own. */
#include "room.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void apply(struct keeper *keeper, const struct keeper_facts *facts)
{
	struct fault fault = {0};
	if (keeper_apply(keeper, facts, &fault))
		fail_msg("%s", fault.text);
}

static void kill_switch_body(void)
{
	struct config *config = room_config("office", "Name = snk7\nKillSwitch = yes\nFwMark = 0x99\n");
	struct keeper *keeper = room_keeper(config);
	struct keeper_facts facts = {.interface = "snk7", .fwmark = 0x99};
	for (int twice = 0; twice < 2; twice++) {
		apply(keeper, &facts);
		assert_int_equal(room_shell("nft list table inet jorm_kill_office"), 0);
		assert_non_null(strstr(room_said, "oifname \"snk7\" accept"));
		assert_non_null(strstr(room_said, "0x00000099"));
	}
	keeper_stop(keeper, false);
	assert_int_equal(room_shell("nft list table inet jorm_kill_office"), 0);
	keeper = room_keeper(config);
	assert_int_equal(room_shell("nft list table inet jorm_kill_office"), 0);
	keeper_stop(keeper, true);
	assert_int_equal(room_shell("nft list table inet jorm_kill_office"), 1);
	config_free(config);
}

static void test_kill_switch(void **state)
{
	room_run(kill_switch_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kill_switch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
