/* src/host/tunnel_name.c */
#include "seeded.h"

#include "host/tunnel_name.h"

#include <string.h>

static void test_names(void **state)
{
	char a[TUNNEL_NAME_SIZE], b[TUNNEL_NAME_SIZE], instance[256];
	assert_string_equal(tunnel_name("office", a), "office");
	assert_string_equal(tunnel_name("my-vpn.2", a), "my_2dvpn_2e2");
	assert_string_equal(tunnel_name("a_2d", a), "a_5f2d");
	assert_string_equal(tunnel_name("a;}\xff", a), "a_3b_7d_ff");
	memset(instance, 'x', sizeof instance - 1);
	instance[sizeof instance - 1] = '\0';
	assert_int_equal(strlen(tunnel_name(instance, a)), 18);
	instance[254] = 'y';
	assert_string_not_equal(tunnel_name(instance, b), a);
	instance[64] = '\0';
	assert_string_equal(tunnel_name(instance, a), instance);
	memset(instance, '-', 65);
	assert_true(strlen(tunnel_name(instance, a)) < TUNNEL_NAME_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
