/* Peers added at run time, as rows. */
#include "scratch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct fault fault;

static struct store *open_new(void)
{
	struct store *store;
	scratch_clear();
	assert_int_equal(store_open(&store, "a.db", &fault), OK);
	return store;
}

static struct store_peer peer_of(uint8_t key, const char *name)
{
	struct store_peer peer = {.keepalive_s = 65535, .added_at = 12345};
	memset(peer.key_id, key, sizeof peer.key_id);
	(void)snprintf(peer.name, sizeof peer.name, "%s", name);
	(void)snprintf(peer.endpoint, sizeof peer.endpoint, "%s.example:51820", name);
	(void)snprintf(peer.allowed_ips, sizeof peer.allowed_ips, "10.9.0.%u/32, fd00::%x/128", key, key);
	return peer;
}

struct list {
	struct store_peer items[8];
	size_t n, stop_at;
};

static bool take(void *context, const struct store_peer *peer)
{
	struct list *list = context;
	assert_true(list->n < 8);
	list->items[list->n++] = *peer;
	return list->n != list->stop_at;
}

static void expect_peer(const struct store_peer *is, const struct store_peer *should)
{
	assert_memory_equal(is->key_id, should->key_id, sizeof is->key_id);
	assert_string_equal(is->name, should->name);
	assert_string_equal(is->endpoint, should->endpoint);
	assert_string_equal(is->allowed_ips, should->allowed_ips);
	assert_int_equal(is->keepalive_s, should->keepalive_s);
	assert_int_equal(is->added_at, should->added_at);
}

static void keeps_peers(void **state)
{
	struct store *store = open_new();
	struct store_peer b = peer_of(1, "b"), a = peer_of(2, "a");
	/* As long as it goes. */
	memset(a.allowed_ips, 'x', sizeof a.allowed_ips - 1);
	memset(a.endpoint, 'y', sizeof a.endpoint - 1);
	memset(a.name, 'a', sizeof a.name - 1);
	b.endpoint[0] = b.allowed_ips[0] = 0;
	b.keepalive_s = 0;
	assert_int_equal(store_peer_put(store, &b, &fault), OK);
	assert_int_equal(store_peer_put(store, &a, &fault), OK);
	store_close(store);
	assert_int_equal(store_open(&store, "a.db", &fault), OK);

	struct list list = {0};
	assert_int_equal(store_peers(store, take, &list, &fault), OK);
	assert_int_equal(list.n, 2);
	expect_peer(&list.items[0], &a);
	expect_peer(&list.items[1], &b);
	list = (struct list){.stop_at = 1};
	assert_int_equal(store_peers(store, take, &list, &fault), OK);
	assert_int_equal(list.n, 1);
	store_close(store);
}

static void refuses_a_second_one(void **state)
{
	struct store *store = open_new();
	struct store_peer peer = peer_of(1, "laptop"), named = peer_of(2, "laptop"), keyed = peer_of(1, "phone");
	assert_int_equal(store_peer_put(store, &peer, &fault), OK);
	assert_int_equal(store_peer_put(store, &named, &fault), ERR_EXISTS);
	assert_non_null(strstr(fault.text, "a peer named laptop was added before"));
	assert_int_equal(store_peer_put(store, &keyed, &fault), ERR_EXISTS);
	assert_non_null(strstr(fault.text, "the key of peer phone was added before under another name"));
	assert_int_equal(store_peer_put(store, &peer, &fault), ERR_EXISTS);

	struct list list = {0};
	assert_int_equal(store_peers(store, take, &list, &fault), OK);
	assert_int_equal(list.n, 1);
	expect_peer(&list.items[0], &peer);
	store_close(store);
}

static void removes_a_peer(void **state)
{
	struct store *store = open_new();
	struct store_peer peer = peer_of(1, "laptop");
	assert_int_equal(store_peer_put(store, &peer, &fault), OK);
	assert_int_equal(store_peer_delete(store, "phone", &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, "no peer named phone was added at run time"));
	assert_int_equal(store_peer_delete(store, "laptop", &fault), OK);
	assert_int_equal(store_peer_delete(store, "laptop", &fault), ERR_NOT_FOUND);
	assert_int_equal(store_peer_put(store, &peer, &fault), OK);
	store_close(store);
}

static void refuses_what_is_no_peer(void **state)
{
	struct store *store = open_new();
	struct store_peer peer = peer_of(1, "");
	assert_int_equal(store_peer_put(store, &peer, &fault), ERR_ARGUMENT);
	peer = peer_of(1, "a");
	memset(peer.name, 'x', sizeof peer.name);
	assert_int_equal(store_peer_put(store, &peer, &fault), ERR_ARGUMENT);
	peer = peer_of(1, "a");
	memset(peer.endpoint, 'x', sizeof peer.endpoint);
	assert_int_equal(store_peer_put(store, &peer, &fault), ERR_ARGUMENT);
	peer = peer_of(1, "a");
	memset(peer.allowed_ips, 'x', sizeof peer.allowed_ips);
	assert_int_equal(store_peer_put(store, &peer, &fault), ERR_ARGUMENT);
	peer = peer_of(1, "a");
	peer.added_at = -1;
	assert_int_equal(store_peer_put(store, &peer, &fault), ERR_ARGUMENT);

	struct list list = {0};
	assert_int_equal(store_peers(store, take, &list, &fault), OK);
	assert_int_equal(list.n, 0);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_peers),
		cmocka_unit_test(refuses_a_second_one),
		cmocka_unit_test(removes_a_peer),
		cmocka_unit_test(refuses_what_is_no_peer),
	};
	return cmocka_run_group_tests(tests, scratch_set_up, scratch_tear_down);
}
