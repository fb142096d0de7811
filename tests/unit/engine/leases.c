/* Who is given which address, case by case; leases_model.c has it at random. */
#include "seeded.h"

#include "engine/leases.h"

#include <stdio.h>
#include <string.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))
#define KEYS 40

static uint8_t key_ids[KEYS][KEY_ID_LEN];

static int make_key_ids(void **state)
{
	struct seeded seed = {3};
	seeded_bytes(&seed, key_ids, sizeof key_ids);
	return 0;
}

static struct prefix prefix_of(const char *text)
{
	struct prefix p;
	assert_err(prefix_parse(&p, text), OK);
	return p;
}

static bool nobody_is_known(void *context, const uint8_t key_id[KEY_ID_LEN])
{
	return false;
}
static bool all_are_known(void *context, const uint8_t key_id[KEY_ID_LEN])
{
	return true;
}

static const struct leases_asking keep_all = {.is_known = all_are_known};

static struct leases *with_pools(const char *first, const char *second)
{
	struct prefix pools[2] = {prefix_of(first)};
	struct leases *l;
	if (second)
		pools[1] = prefix_of(second);
	assert_err(leases_new(&l, pools, second ? 2 : 1), OK);
	return l;
}

/* The key's addresses as one text; "" when there is none left. */
static const char *given(struct leases *l, int key)
{
	static char text[2 * ADDR_TEXT_LEN];
	struct prefix got[LEASES_EACH];
	size_t n;
	enum err e = leases_give(l, key_ids[key], &keep_all, got, &n);
	assert_true(e == OK || (e == ERR_FULL && n == 0));
	text[0] = '\0';
	for (size_t i = 0, at = 0; i < n; i++) {
		char one[ADDR_TEXT_LEN];
		at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", i ? " " : "", prefix_format(&got[i], one));
	}
	return text;
}

static void test_both_families_and_always_the_same(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.1/24", "fd66::1/64");
	struct prefix own = prefix_of("10.66.0.1/32"), own6 = prefix_of("fd66::1/128");
	assert_err(leases_reserve(l, &own, NULL), OK);
	assert_err(leases_reserve(l, &own6, NULL), OK);
	assert_string_equal(given(l, 0), "10.66.0.2/32 fd66::2/128");
	assert_string_equal(given(l, 1), "10.66.0.3/32 fd66::3/128");
	assert_string_equal(given(l, 0), "10.66.0.2/32 fd66::2/128");
	leases_free(l);
	leases_free(NULL);
}

static void test_edges_of_a_pool(void **state)
{
	(void)state;
	static const char *const cases[][4] = {
		{"10.66.0.4/30", "10.66.0.5/32", "10.66.0.6/32", ""},
		{"10.66.0.4/31", "10.66.0.4/32", "10.66.0.5/32", ""},
		{"10.66.0.4/32", "10.66.0.4/32", "", ""},
		{"fd66::/126", "fd66::1/128", "fd66::2/128", "fd66::3/128"},
		{"fd66::/127", "fd66::/128", "fd66::1/128", ""},
		{"fd66::7/128", "fd66::7/128", "", ""},
		{"255.255.255.252/30", "255.255.255.253/32", "255.255.255.254/32", ""},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/128",
			"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", ""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct leases *l = with_pools(cases[i][0], NULL);
		for (int key = 0; key < 3; key++)
			assert_string_equal(given(l, key), cases[i][key + 1]);
		leases_free(l);
	}
}

static void test_when_one_family_is_full_nothing_changes(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.0/30", "fd66::/64");
	uint8_t key_id[KEY_ID_LEN];
	struct prefix address, got[LEASES_EACH];
	assert_string_equal(given(l, 0), "10.66.0.1/32 fd66::1/128");
	assert_string_equal(given(l, 1), "10.66.0.2/32 fd66::2/128");
	assert_string_equal(given(l, 2), "");
	assert_int_equal(leases_of(l, key_ids[2], got), 0);
	assert_true(leases_at(l, 3, key_id, &address));
	assert_false(leases_at(l, 4, key_id, &address));
	leases_free(l);
}

static void test_an_address_rests_before_it_is_given_again(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.0/29", NULL);
	struct prefix first = prefix_of("10.66.0.1"), last = prefix_of("10.66.0.6");
	assert_string_equal(given(l, 0), "10.66.0.1/32");
	assert_err(leases_free_address(l, &first), OK);
	assert_err(leases_free_address(l, &first), ERR_NOT_FOUND);
	for (int key = 1; key <= 5; key++)
		assert_int_equal(given(l, key)[8], '1' + key);
	assert_err(leases_free_address(l, &last), OK);
	assert_string_equal(given(l, 6), "10.66.0.1/32");
	assert_string_equal(given(l, 5), "10.66.0.6/32");
	assert_string_equal(given(l, 7), "");
	leases_free(l);
}

static void count_dropped(void *context, const struct prefix *address)
{
	++*(int *)context;
}

static void test_the_oldest_lease_of_an_unknown_key_is_taken(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.0/29", NULL);
	struct prefix two = prefix_of("10.66.0.2"), got[LEASES_EACH], kept = prefix_of("10.66.0.4/32");
	size_t n;
	int dropped = 0;
	struct leases_asking asking = {.is_known = nobody_is_known, .dropped = count_dropped, .context = &dropped};
	assert_err(leases_put(l, key_ids[0], &two), OK);
	for (int key = 1; key < 6; key++)
		(void)given(l, key);
	assert_string_equal(given(l, 6), "");
	assert_err(leases_give(l, key_ids[6], &asking, got, &n), OK);
	assert_int_equal(n, 1);
	assert_memory_equal(got[0].ip, two.ip, 16); /* put first */
	assert_int_equal(dropped, 1);
	assert_int_equal(leases_of(l, key_ids[0], got), 0);

	/* not one that is kept for somebody else; and `dropped` may be missing */
	asking.dropped = NULL;
	assert_err(leases_reserve(l, &kept, NULL), OK);
	for (int key = 7; key < 30; key++) {
		assert_err(leases_give(l, key_ids[key], &asking, got, &n), OK);
		assert_int_not_equal(got[0].ip[15], 4);
	}
	leases_free(l);
}

static void test_a_static_address_is_given_to_its_key_only(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.0/29", NULL);
	struct prefix five = prefix_of("10.66.0.5/32"), wide = prefix_of("10.66.0.4/30");
	assert_err(leases_reserve(l, &five, key_ids[9]), OK);
	assert_err(leases_reserve(l, &wide, key_ids[8]), OK); /* but the longer one counts */
	assert_err(leases_put(l, key_ids[8], &five), ERR_EXISTS);
	for (int key = 1; key <= 3; key++)
		assert_int_equal(given(l, key)[8], '0' + key);
	assert_string_equal(given(l, 4), "");
	assert_string_equal(given(l, 9), "10.66.0.5/32");
	assert_string_equal(given(l, 8), "10.66.0.4/32");
	leases_unreserve(l, key_ids[8]);
	assert_string_equal(given(l, 4), "10.66.0.6/32");

	/* who has it keeps it, whatever is reserved later */
	struct prefix six = prefix_of("10.66.0.6/32");
	assert_err(leases_reserve(l, &six, NULL), OK);
	assert_string_equal(given(l, 4), "10.66.0.6/32");
	assert_err(leases_put(l, key_ids[4], &six), OK);
	assert_err(leases_free_address(l, &six), OK);
	assert_string_equal(given(l, 4), "");
	leases_free(l);
}

static void test_what_is_reserved_for_two_is_for_nobody(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.0/30", NULL);
	struct prefix one = prefix_of("10.66.0.1/32");
	assert_err(leases_reserve(l, &one, key_ids[1]), OK);
	assert_err(leases_reserve(l, &one, key_ids[2]), OK);
	assert_err(leases_reserve(l, &one, key_ids[2]), OK); /* once more is not another */
	assert_string_equal(given(l, 1), "10.66.0.2/32");
	assert_string_equal(given(l, 2), "");
	leases_unreserve(l, key_ids[1]);
	assert_string_equal(given(l, 2), "10.66.0.1/32");
	leases_free(l);
}

static void test_what_is_wider_than_a_pool_keeps_nothing_in_it(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.0/30", "fd66::/64");
	struct prefix all = prefix_of("0.0.0.0/0"), all6 = prefix_of("fd00::/8"), pool = prefix_of("10.66.0.0/30");
	assert_err(leases_reserve(l, &all, key_ids[1]), OK);
	assert_err(leases_reserve(l, &all6, key_ids[1]), OK);
	assert_string_equal(given(l, 2), "10.66.0.1/32 fd66::1/128");
	assert_string_equal(given(l, 1), "10.66.0.2/32 fd66::2/128");
	leases_free(l);

	l = with_pools("10.66.0.0/30", NULL);
	assert_err(leases_reserve(l, &pool, key_ids[1]), OK); /* all of it */
	assert_string_equal(given(l, 2), "");
	assert_string_equal(given(l, 1), "10.66.0.1/32");
	leases_free(l);
}

static void test_leases_from_before(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.0/24", "fd66::/64");
	struct prefix five = prefix_of("10.66.0.5"), six = prefix_of("10.66.0.6");
	struct prefix outside = prefix_of("10.67.0.5"), broadcast = prefix_of("10.66.0.255"),
		      first6 = prefix_of("fd66::");
	assert_err(leases_put(l, key_ids[0], &five), OK);
	assert_err(leases_put(l, key_ids[0], &five), OK);
	assert_err(leases_put(l, key_ids[1], &five), ERR_EXISTS);
	assert_err(leases_put(l, key_ids[0], &six), ERR_EXISTS);
	assert_err(leases_put(l, key_ids[1], &outside), ERR_NOT_FOUND);
	assert_err(leases_put(l, key_ids[1], &broadcast), ERR_NOT_FOUND);
	assert_err(leases_put(l, key_ids[1], &first6), ERR_NOT_FOUND);
	assert_string_equal(given(l, 0), "10.66.0.5/32 fd66::1/128");
	leases_free(l);
}

static void test_pools_change(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.0/24", "fd66::/64");
	struct prefix pools[2] = {prefix_of("10.66.0.0/25"), prefix_of("10.67.0.0/24")};
	struct prefix high = prefix_of("10.66.0.200"), edge = prefix_of("10.66.0.127"), got[LEASES_EACH];
	int dropped = 0;
	assert_err(leases_put(l, key_ids[0], &high), OK);
	assert_err(leases_put(l, key_ids[1], &edge), OK);
	assert_string_equal(given(l, 2), "10.66.0.1/32 fd66::1/128");
	assert_err(leases_set_pools(l, pools, 2, count_dropped, &dropped), OK);
	assert_int_equal(dropped, 3); /* .200, .127 that is now the broadcast address, and the IPv6 one */
	assert_int_equal(leases_of(l, key_ids[2], got), 1);
	assert_err(leases_set_pools(l, NULL, 0, NULL, NULL), OK);
	assert_string_equal(given(l, 2), "");
	leases_free(l);
}

static void test_the_pool_of_an_address(void **state)
{
	(void)state;
	struct leases *l = with_pools("10.66.0.9/24", "fd66::/64");
	struct prefix address = prefix_of("10.66.0.77");
	assert_int_equal(leases_pool_of(l, &address)->bits, 24);
	assert_false(prefix_has_host_bits(leases_pool_of(l, &address)));
	address = prefix_of("fd66::77");
	assert_int_equal(leases_pool_of(l, &address)->bits, 64);
	address = prefix_of("10.66.1.77");
	assert_null(leases_pool_of(l, &address));
	leases_free(l);
}

/* A number for each address would not fit into any machine; nor is a kept half walked through. */
static void test_huge_pools(void **state)
{
	(void)state;
	struct leases *l = with_pools("fd66::/64", "10.0.0.0/8");
	struct prefix half = prefix_of("fd66::/65"), quarter = prefix_of("10.0.0.0/9"),
		      inner = prefix_of("fd66::4:0/112");
	assert_err(leases_reserve(l, &half, NULL), OK);
	assert_err(leases_reserve(l, &quarter, key_ids[9]), OK);
	assert_err(leases_reserve(l, &inner, key_ids[9]), OK);
	assert_string_equal(given(l, 0), "10.128.0.0/32 fd66::8000:0:0:0/128");
	assert_string_equal(given(l, 1), "10.128.0.1/32 fd66::8000:0:0:1/128");
	assert_string_equal(given(l, 9), "10.0.0.1/32 fd66::4:0/128");
	leases_free(l);

	l = with_pools("::/0", NULL);
	assert_string_equal(given(l, 0), "::1/128");
	leases_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_families_and_always_the_same),
		cmocka_unit_test(test_edges_of_a_pool),
		cmocka_unit_test(test_when_one_family_is_full_nothing_changes),
		cmocka_unit_test(test_an_address_rests_before_it_is_given_again),
		cmocka_unit_test(test_the_oldest_lease_of_an_unknown_key_is_taken),
		cmocka_unit_test(test_a_static_address_is_given_to_its_key_only),
		cmocka_unit_test(test_what_is_reserved_for_two_is_for_nobody),
		cmocka_unit_test(test_what_is_wider_than_a_pool_keeps_nothing_in_it),
		cmocka_unit_test(test_leases_from_before),
		cmocka_unit_test(test_pools_change),
		cmocka_unit_test(test_the_pool_of_an_address),
		cmocka_unit_test(test_huge_pools),
	};
	return cmocka_run_group_tests(tests, make_key_ids, NULL);
}
