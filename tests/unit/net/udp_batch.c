/* src/net/udp_batch.c: coalescing, contents, and datagrams that are left out. */
#include "netns.h"

#include "net/udp_batch.h"

#include <string.h>
#include <sys/socket.h>

struct fixture {
	struct netlink *netlink;
	struct udp *receiver, *sender;
	struct udp_route routes[2]; /* IPv4, IPv6 */
	struct udp_batch *batch;
	uint8_t data[UDP_SEND_MAX];
};

static void fixture_init(struct fixture *f, size_t n_messages, size_t bytes_each)
{
	*f = (struct fixture){.netlink = netns_enter()};
	assert_int_equal(netlink_link_set_mtu(f->netlink, LOOPBACK, 1500, NULL), OK);
	assert_int_equal(udp_open(&f->receiver, &(struct udp_config){0}, NULL), OK);
	assert_int_equal(udp_open(&f->sender, &(struct udp_config){0}, NULL), OK);
	f->routes[0].remote = netns_addr("127.0.0.1", udp_local_port(f->receiver));
	f->routes[1].remote = netns_addr("::1", udp_local_port(f->receiver));
	f->batch = udp_batch_new(n_messages, bytes_each);
	assert_non_null(f->batch);
	for (size_t i = 0; i < sizeof f->data; i++)
		f->data[i] = (uint8_t)(i * 31 >> 3);
}

static void fixture_done(struct fixture *f)
{
	udp_batch_free(f->batch);
	udp_close(f->receiver);
	udp_close(f->sender);
	netlink_close(f->netlink);
}

static void send_to(struct fixture *f, int route, size_t len, size_t segment)
{
	assert_int_equal(udp_send(f->sender, &f->routes[route], f->data, len, segment), OK);
}

static void test_segments_arrive_coalesced(void **state)
{
	struct fixture f;
	fixture_init(&f, 4, UDP_RECEIVE_SIZE);
	if (!udp_has_segment(f.sender) || !udp_has_gro(f.receiver)) {
		print_message("skipped: this kernel has no UDP segmentation or coalescing\n");
		fixture_done(&f);
		skip();
	}
	for (int route = 0; route < 2; route++) {
		send_to(&f, route, 30 * 1400 + 5, 1400);
		netns_settle();
		assert_int_equal(udp_receive(f.receiver, f.batch), OK);
		assert_int_equal(f.batch->n, 1);
		struct udp_message *m = &f.batch->messages[0];
		assert_int_equal(m->segment, 1400);
		assert_int_equal(m->len, 30 * 1400 + 5);
		assert_memory_equal(m->data, f.data, m->len);
		assert_int_equal(m->remote.port, udp_local_port(f.sender));
		assert_memory_equal(m->remote.ip, f.routes[route].remote.ip, 16);
		assert_memory_equal(m->local_ip, f.routes[route].remote.ip, 16);
	}
	fixture_done(&f);
}

static void test_a_batch_is_used_again(void **state)
{
	struct fixture f;
	fixture_init(&f, 3, UDP_RECEIVE_SIZE);
	assert_int_equal(udp_receive(f.receiver, f.batch), ERR_AGAIN);
	assert_int_equal(f.batch->n, 0);
	for (size_t i = 1; i <= 7; i++)
		send_to(&f, (int)i % 2, i * 100, 2000);
	netns_settle();
	size_t seen = 0;
	const size_t expected[] = {3, 3, 1};
	for (size_t round = 0; round < 3; round++) {
		assert_int_equal(udp_receive(f.receiver, f.batch), OK);
		assert_int_equal(f.batch->n, expected[round]);
		for (size_t i = 0; i < f.batch->n; i++) {
			struct udp_message *m = &f.batch->messages[i];
			seen++;
			assert_int_equal(m->len, seen * 100);
			assert_int_equal(m->segment, m->len);
			assert_memory_equal(m->data, f.data, m->len);
			assert_memory_equal(m->local_ip, f.routes[seen % 2].remote.ip, 16);
		}
	}
	assert_int_equal(udp_receive(f.receiver, f.batch), ERR_AGAIN);
	fixture_done(&f);
}

/* Between two good ones, so that the places of what is left out are seen to be used. */
static void test_empty_and_truncated_datagrams_are_left_out(void **state)
{
	struct fixture f;
	fixture_init(&f, 8, 100);
	struct sockaddr_in6 to = addr_to_sockaddr(&f.routes[0].remote);
	send_to(&f, 0, 50, 2000);
	assert_int_equal(sendto(udp_fd(f.sender), "", 0, 0, (struct sockaddr *)&to, sizeof to), 0);
	send_to(&f, 0, 101, 2000);
	send_to(&f, 0, 100, 2000);
	netns_settle();
	assert_int_equal(udp_receive(f.receiver, f.batch), OK);
	assert_int_equal(f.batch->n, 2);
	assert_int_equal(f.batch->messages[0].len, 50);
	assert_int_equal(f.batch->messages[1].len, 100);
	assert_memory_equal(f.batch->messages[1].data, f.data, 100);

	assert_int_equal(sendto(udp_fd(f.sender), "", 0, 0, (struct sockaddr *)&to, sizeof to), 0);
	netns_settle();
	assert_int_equal(udp_receive(f.receiver, f.batch), OK);
	assert_int_equal(f.batch->n, 0);
	fixture_done(&f);
}

static void test_the_largest_batch(void **state)
{
	struct udp_batch *batch = udp_batch_new(1024, 1);
	assert_non_null(batch);
	assert_int_equal(batch->capacity, 1024);
	assert_int_equal(batch->n, 0);
	udp_batch_free(batch);
	udp_batch_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_segments_arrive_coalesced),
		cmocka_unit_test(test_a_batch_is_used_again),
		cmocka_unit_test(test_empty_and_truncated_datagrams_are_left_out),
		cmocka_unit_test(test_the_largest_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
