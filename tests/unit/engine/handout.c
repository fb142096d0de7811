/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "duo.h"

#include "engine/grace.h"

#include <string.h>

#define TAKE_ALL (TAKE_ADDRESS | TAKE_ROUTES | TAKE_DNS | TAKE_MTU | TAKE_KEEPALIVE)
#define A_WHILE (3 * USEC_PER_SEC)

static struct prefix prefix(const char *text)
{
	struct prefix p;
	if (prefix_parse(&p, text) != OK)
		fail_msg("%s", text);
	return p;
}

static bool has(const struct prefix *list, size_t n, const char *text)
{
	struct prefix wanted = prefix(text);
	for (size_t i = 0; i < n; i++)
		if (memcmp(&list[i], &wanted, sizeof wanted) == 0)
			return true;
	return false;
}

static bool has_route(const struct duo *d, const char *text)
{
	return has(d->ends[0].accepted.routes, d->ends[0].accepted.n_routes, text);
}

/* Client and server that hands out these routes, and a third peer of the client's with prefixes of its own. */
static void open_with_routes(struct duo *d, const char *const *routes, const char *others)
{
	*d = (struct duo){.takes_of_accept = TAKE_ALL};
	for (size_t i = 0; routes[i]; i++)
		d->push.routes[d->push.n_routes++] = prefix(routes[i]);
	duo_open(d);
	if (others) {
		struct prefix allowed = prefix(others);
		struct peer_config third = {.name = "third", .allowed_ips = &allowed, .n_allowed_ips = 1};
		uint32_t number;
		memset(third.key_id, 7, sizeof third.key_id);
		assert_int_equal(engine_add_peer(d->ends[0].engine, &third, &number), OK);
	}
	duo_run(d, A_WHILE);
	assert_true(duo_is_established(d, 0) && duo_is_established(d, 1));
}

static void addresses_and_all_the_rest_arrive(void **unused)
{
	(void)unused;
	const struct prefix pools[] = {prefix("10.66.0.0/24"), prefix("fd66::/64")};
	struct duo d = {.pools = pools, .n_pools = 2, .takes_of_accept = TAKE_ALL};
	d.push.routes[d.push.n_routes++] = prefix("10.99.0.0/16");
	memcpy(d.push.dns[d.push.n_dns++], prefix("10.66.0.1").ip, 16);
	memcpy(d.push.domains[d.push.n_domains++], "corp.example", sizeof "corp.example");
	d.push.mtu = 1400;
	d.push.keepalive_s = 20;
	duo_open(&d);
	duo_run(&d, A_WHILE);
	assert_true(duo_is_established(&d, 0) && duo_is_established(&d, 1));
	const struct accept *a = &d.ends[0].accepted;
	assert_int_equal(d.ends[0].n_accepted, 1);
	assert_int_equal(a->n_addresses, 2);
	assert_true(has(a->addresses, 2, "10.66.0.1/24") && has(a->addresses, 2, "fd66::1/64"));
	assert_true(has_route(&d, "10.99.0.0/16") && has_route(&d, "10.66.0.0/24") && has_route(&d, "fd66::/64"));
	assert_int_equal(a->n_dns, 1);
	assert_string_equal(a->domains[0], "corp.example");
	assert_int_equal(a->mtu, 1400);
	assert_int_equal(a->keepalive_s, 20);
	/* Both are on disk before they are used. */
	assert_int_equal(d.ends[1].n_kept, 2);
	duo_close(&d);
}

static void what_is_not_wanted_is_not_taken(void **unused)
{
	(void)unused;
	const struct prefix pool = prefix("10.66.0.0/24");
	struct duo d = {.pools = &pool, .n_pools = 1, .takes_of_accept = TAKE_ADDRESS};
	d.push.routes[d.push.n_routes++] = prefix("10.99.0.0/16");
	memcpy(d.push.dns[d.push.n_dns++], prefix("10.66.0.1").ip, 16);
	d.push.mtu = 1400;
	d.push.keepalive_s = 20;
	duo_open(&d);
	duo_run(&d, A_WHILE);
	const struct accept *a = &d.ends[0].accepted;
	assert_int_equal(a->n_addresses, 1);
	assert_true(has(a->addresses, 1, "10.66.0.1/32")); /* its network would be a route */
	assert_int_equal(a->n_routes + a->n_dns + a->mtu + a->keepalive_s, 0);
	duo_close(&d);
}

static void no_lease_no_session(void **unused)
{
	(void)unused;
	const struct prefix pool = prefix("10.66.0.0/24");
	struct duo d = {.pools = &pool, .n_pools = 1, .takes_of_accept = TAKE_ALL};
	duo_open(&d);
	d.ends[1].forgets = true; /* a full disk */
	duo_run(&d, A_WHILE);
	struct peer_status status;
	assert_false(duo_is_established(&d, 0) || duo_is_established(&d, 1));
	assert_true(engine_peer_status(d.ends[0].engine, d.ends[0].peer, &status));
	assert_non_null(strstr(status.rejected, "cannot record an address"));
	assert_non_null(strstr(d.ends[1].refused, "the disk is full"));
	d.ends[1].forgets = false;
	duo_run(&d, 30 * USEC_PER_SEC);
	assert_true(duo_is_established(&d, 0));
	duo_close(&d);
}

/* All traffic goes to a server only where the client's own configuration says so. */
static void the_world_is_not_taken(void **unused)
{
	(void)unused;
	static const char *const routes[] = {"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "2.0.0.0/7", "::/0", "2000::/3",
		"2002::/15", "10.0.0.0/8", "fc00::/7", "2001::/16", NULL};
	struct duo d;
	open_with_routes(&d, routes, NULL);
	assert_int_equal(d.ends[0].accepted.n_routes, 3);
	assert_true(has_route(&d, "10.0.0.0/8") && has_route(&d, "fc00::/7") && has_route(&d, "2001::/16"));
	assert_non_null(strstr(d.ends[0].refused, "too wide"));
	duo_close(&d);
}

static void another_peers_networks_are_not_taken(void **unused)
{
	(void)unused;
	static const char *const routes[] = {"10.77.0.0/16", "10.77.5.0/24", "10.77.5.5/32", "10.64.0.0/10", NULL};
	struct duo d;
	open_with_routes(&d, routes, "10.77.0.0/16");
	/* The wider one is fine: the other's stays his as the longer match. */
	assert_int_equal(d.ends[0].accepted.n_routes, 1);
	assert_true(has_route(&d, "10.64.0.0/10"));
	assert_non_null(strstr(d.ends[0].refused, "another peer has it"));
	duo_close(&d);
}

static void beside_another_peers_default_route_all_is_as_usual(void **unused)
{
	(void)unused;
	static const char *const routes[] = {"10.77.0.0/16", "0.0.0.0/1", NULL};
	struct duo d;
	open_with_routes(&d, routes, "0.0.0.0/0");
	assert_int_equal(d.ends[0].accepted.n_routes, 1);
	assert_true(has_route(&d, "10.77.0.0/16"));
	duo_close(&d);
}

/* The server is at 192.0.2.2. */
static void the_way_to_a_peer_is_not_taken(void **unused)
{
	(void)unused;
	static const char *const routes[] = {"192.0.2.0/24", "192.0.2.2/32", "192.0.3.0/24", NULL};
	struct duo d;
	open_with_routes(&d, routes, NULL);
	assert_int_equal(d.ends[0].accepted.n_routes, 1);
	assert_true(has_route(&d, "192.0.3.0/24"));
	assert_non_null(strstr(d.ends[0].refused, "an Endpoint lies in it"));
	duo_close(&d);
}

static void what_changes_is_told_at_once(void **unused)
{
	(void)unused;
	static const char *const routes[] = {"10.77.0.0/16", "10.78.0.0/16", NULL};
	struct duo d;
	open_with_routes(&d, routes, NULL);
	struct engine_config config = {.identity = d.ends[1].identity,
		.suites = CIPHER_ALL,
		.reauthenticate = 3600 * USEC_PER_SEC,
		.handshake_rate = 100};
	config.push.routes[config.push.n_routes++] = prefix("10.78.0.0/16");
	config.push.routes[config.push.n_routes++] = prefix("10.79.0.0/16");
	assert_int_equal(engine_reconfigure(d.ends[1].engine, &config, d.now), OK);
	duo_run(&d, USEC_PER_SEC);
	assert_int_equal(d.ends[0].n_accepted, 2);
	assert_true(has_route(&d, "10.78.0.0/16") && has_route(&d, "10.79.0.0/16") && !has_route(&d, "10.77.0.0/16"));
	assert_int_equal(engine_handshake_counts(d.ends[1].engine).established, 1);
	/* The same again is no news. */
	assert_int_equal(engine_reconfigure(d.ends[1].engine, &config, d.now), OK);
	duo_run(&d, USEC_PER_SEC);
	assert_int_equal(d.ends[0].n_accepted, 2);
	duo_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_and_all_the_rest_arrive),
		cmocka_unit_test(what_is_not_wanted_is_not_taken),
		cmocka_unit_test(no_lease_no_session),
		cmocka_unit_test(the_world_is_not_taken),
		cmocka_unit_test(another_peers_networks_are_not_taken),
		cmocka_unit_test(beside_another_peers_default_route_all_is_as_usual),
		cmocka_unit_test(the_way_to_a_peer_is_not_taken),
		cmocka_unit_test(what_changes_is_told_at_once),
	};
	grace_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grace_unregister_thread();
	return failed;
}
