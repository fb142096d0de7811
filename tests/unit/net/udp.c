/* src/net/udp.c: opening, its faults, and what sending does when the kernel refuses. */
#include "netns.h"

#include "net/udp.h"
#include "net/udp_batch.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* The linker lets the calls below pass through here, so that the kernel can be made to refuse. */
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
int __real_socket(int family, int type, int protocol);
int __wrap_socket(int family, int type, int protocol);

static int refusals, refusal_errno, sendmsg_calls;
static bool no_ipv6;

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
	sendmsg_calls++;
	if (refusals > 0) {
		refusals--;
		errno = refusal_errno;
		return -1;
	}
	return __real_sendmsg(fd, message, flags);
}

int __wrap_socket(int family, int type, int protocol)
{
	if (no_ipv6 && family == AF_INET6) {
		errno = EAFNOSUPPORT;
		return -1;
	}
	return __real_socket(family, type, protocol);
}

static void refuse(int times, int error)
{
	refusals = times;
	refusal_errno = error;
	sendmsg_calls = 0;
}

static struct udp *udp_new(const struct udp_config *config)
{
	struct udp *udp = NULL;
	struct fault fault = {0};
	if (udp_open(&udp, config, &fault))
		fail_msg("%s", fault.text);
	return udp;
}

/* Takes what comes within a second, up to `bytes`; returns the number of datagrams. */
static size_t drain(struct udp *udp, size_t bytes, struct udp_message *ret_last)
{
	struct udp_batch *batch = udp_batch_new(8, UDP_RECEIVE_SIZE);
	assert_non_null(batch);
	size_t datagrams = 0, got = 0;
	while (got < bytes) {
		struct pollfd readable = {.fd = udp_fd(udp), .events = POLLIN};
		if (poll(&readable, 1, 1000) != 1)
			break;
		assert_int_equal(udp_receive(udp, batch), OK);
		for (size_t i = 0; i < batch->n; i++) {
			struct udp_message *m = &batch->messages[i];
			got += m->len;
			datagrams += (m->len + m->segment - 1) / m->segment;
			*ret_last = *m;
			ret_last->data = NULL;
		}
	}
	assert_int_equal(got, bytes);
	udp_batch_free(batch);
	return datagrams;
}

static enum err fault_of(const struct udp_config *config, struct fault *fault)
{
	struct udp *udp = NULL;
	enum err err = udp_open(&udp, config, fault);
	assert_null(udp);
	return err;
}

static void test_a_second_daemon_is_refused(void **state)
{
	struct netlink *netlink = netns_enter();
	struct fault fault;
	struct udp *first = udp_new(&(struct udp_config){.bind = {.port = 10666}});
	assert_int_equal(udp_local_port(first), 10666);
	for (int joined = 0; joined < 2; joined++) {
		struct udp_config second[] = {{.bind = {.port = 10666}}, {.bind = netns_addr("127.0.0.1", 10666)},
			{.bind = netns_addr("::1", 10666)}};
		for (size_t i = 0; i < 3; i++) {
			assert_int_equal(fault_of(&second[i], &fault), ERR_EXISTS);
			assert_fault(&fault, ERR_EXISTS, "UDP port 10666 is in use");
		}
		if (joined)
			break;
		struct udp *worker = udp_new(&(struct udp_config){.join = first});
		assert_int_equal(udp_local_port(worker), 10666);
		assert_int_equal(fault_of(&second[0], &fault), ERR_EXISTS);
		udp_close(worker);
	}
	udp_close(first);
	netlink_close(netlink);
}

static void test_joined_sockets_share_the_peers(void **state)
{
	struct netlink *netlink = netns_enter();
	struct udp *workers[3];
	workers[0] = udp_new(&(struct udp_config){0});
	for (int i = 1; i < 3; i++)
		workers[i] = udp_new(&(struct udp_config){.join = workers[0]});
	struct udp_route route = {.remote = netns_addr("127.0.0.1", udp_local_port(workers[0]))};
	for (int i = 0; i < 60; i++) {
		struct udp *peer = udp_new(&(struct udp_config){0});
		assert_int_equal(udp_send(peer, &route, (const uint8_t *)"x", 1, 1), OK);
		udp_close(peer);
	}
	struct udp_batch *batch = udp_batch_new(64, 100);
	size_t sum = 0;
	netns_settle();
	for (int i = 0; i < 3; i++) {
		assert_int_equal(udp_receive(workers[i], batch), OK);
		assert_true(batch->n > 0);
		sum += batch->n;
		udp_close(workers[i]);
	}
	assert_int_equal(sum, 60);
	udp_batch_free(batch);
	netlink_close(netlink);
}

static void test_addresses_that_are_not_there(void **state)
{
	struct netlink *netlink = netns_enter();
	struct fault fault;
	assert_int_equal(fault_of(&(struct udp_config){.bind = netns_addr("192.0.2.1", 5)}, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "192.0.2.1:5");
	assert_int_equal(fault_of(&(struct udp_config){.bind = netns_addr("2001:db8::1", 5)}, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "[2001:db8::1]:5");
	struct udp_config local = {.bind = netns_addr("fe80::1", 5)};
	assert_int_equal(fault_of(&local, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "scope");
	local.bind.scope = 999;
	assert_int_equal(fault_of(&local, &fault), ERR_NOT_FOUND);
	netlink_close(netlink);
}

static bool unprivileged_is_refused(void)
{
	struct udp *udp;
	struct fault port, mark;
	return netns_drop_root() &&
	       udp_open(&udp, &(struct udp_config){.bind = {.port = 500}}, &port) == ERR_PERMISSION &&
	       strstr(port.text, "port 500") && strstr(port.text, "CAP_NET_BIND_SERVICE") &&
	       udp_open(&udp, &(struct udp_config){.mark = 77}, &mark) == ERR_PERMISSION &&
	       strstr(mark.text, "mark 77") && strstr(mark.text, "CAP_NET_ADMIN") &&
	       /* The buffer falls back to what the system allows. */
	       udp_open(&udp, &(struct udp_config){0}, NULL) == OK;
}

static void test_missing_capabilities_are_told(void **state)
{
	struct netlink *netlink = netns_enter();
	assert_true(netns_child(unprivileged_is_refused));
	netlink_close(netlink);
}

static void test_options(void **state)
{
	struct netlink *netlink = netns_enter();
	struct udp *udp = udp_new(&(struct udp_config){.mark = 0x5eed});
	int value = 0;
	socklen_t len = sizeof value;
	assert_int_equal(getsockopt(udp_fd(udp), SOL_SOCKET, SO_MARK, &value, &len), 0);
	assert_int_equal(value, 0x5eed);
	/* The kernel doubles what it is told. */
	assert_int_equal(getsockopt(udp_fd(udp), SOL_SOCKET, SO_RCVBUF, &value, &len), 0);
	assert_int_equal(value, 16 << 20);
	assert_int_equal(getsockopt(udp_fd(udp), IPPROTO_IP, IP_MTU_DISCOVER, &value, &len), 0);
	assert_int_equal(value, IP_PMTUDISC_PROBE);
	assert_true(udp_has_ipv6(udp));
	udp_close(udp);
	udp_close(NULL);
	netlink_close(netlink);
}

/* lo with an Ethernet's MTU, a receiver, a sender and where to send. */
struct fixture {
	struct netlink *netlink;
	struct udp *receiver, *sender;
	struct udp_route v4, v6;
	uint8_t data[UDP_SEND_MAX];
};

static struct fixture fixture_new(void)
{
	struct fixture f = {.netlink = netns_enter()};
	assert_int_equal(netlink_link_set_mtu(f.netlink, LOOPBACK, 1500, NULL), OK);
	f.receiver = udp_new(&(struct udp_config){0});
	f.sender = udp_new(&(struct udp_config){0});
	f.v4 = (struct udp_route){.remote = netns_addr("127.0.0.1", udp_local_port(f.receiver))};
	f.v6 = (struct udp_route){.remote = netns_addr("::1", udp_local_port(f.receiver))};
	return f;
}

static void fixture_free(struct fixture *f)
{
	udp_close(f->receiver);
	udp_close(f->sender);
	netlink_close(f->netlink);
}

static void test_too_big(void **state)
{
	struct fixture f = fixture_new();
	struct udp_message last;
	for (int fallback = 0; fallback < 2; fallback++) {
		const struct udp_route *routes[] = {&f.v4, &f.v6};
		for (size_t i = 0; i < 2; i++) {
			size_t most = i ? 1452 : 1472;
			assert_int_equal(udp_send(f.sender, routes[i], f.data, most + 1, most + 1), ERR_TOO_BIG);
			assert_int_equal(udp_send(f.sender, routes[i], f.data, 9000, most + 1), ERR_TOO_BIG);
			assert_int_equal(udp_send(f.sender, routes[i], f.data, most, most), OK);
			assert_int_equal(udp_send(f.sender, routes[i], f.data, 10 * most, most), OK);
			assert_int_equal(drain(f.receiver, 11 * most, &last), 11);
		}
		if (fallback)
			break;
		assert_true(udp_has_segment(f.sender));
		refuse(1, EIO);
		assert_int_equal(udp_send(f.sender, &f.v4, f.data, 30, 10), OK);
		assert_int_equal(drain(f.receiver, 30, &last), 3);
		assert_false(udp_has_segment(f.sender));
	}
	fixture_free(&f);
}

static void test_the_limits(void **state)
{
	struct fixture f = fixture_new();
	struct udp_message last;
	const size_t segment = 1000;
	assert_int_equal(udp_send(f.sender, &f.v4, f.data, 64 * segment, segment), OK);
	assert_int_equal(drain(f.receiver, 64 * segment, &last), 64);
	assert_int_equal(udp_send(f.sender, &f.v6, f.data, UDP_SEND_MAX, 1024), OK);
	assert_int_equal(drain(f.receiver, UDP_SEND_MAX, &last), 64);
	refuse(1, EIO);
	assert_int_equal(udp_send(f.sender, &f.v6, f.data, UDP_SEND_MAX, 1024), OK);
	assert_int_equal(drain(f.receiver, UDP_SEND_MAX, &last), 64);
	/* A last datagram that is shorter; a single one. */
	assert_int_equal(udp_send(f.sender, &f.v4, f.data, 2001, 1000), OK);
	assert_int_equal(drain(f.receiver, 2001, &last), 3);
	assert_int_equal(udp_send(f.sender, &f.v4, f.data, 1, 1000), OK);
	assert_int_equal(drain(f.receiver, 1, &last), 1);
	fixture_free(&f);
}

static void test_a_full_kernel_is_tried_twice(void **state)
{
	struct fixture f = fixture_new();
	struct udp_message last;
	const int errors[] = {EAGAIN, ENOBUFS};
	for (size_t i = 0; i < 2; i++) {
		refuse(1, errors[i]);
		assert_int_equal(udp_send(f.sender, &f.v4, f.data, 20, 10), OK);
		assert_int_equal(drain(f.receiver, 20, &last), 2);
		refuse(9, errors[i]);
		assert_int_equal(udp_send(f.sender, &f.v4, f.data, 20, 10), ERR_AGAIN);
		assert_int_equal(sendmsg_calls, 2);
	}
	refuse(0, 0);
	fixture_free(&f);
}

static void test_other_refusals_keep_errno(void **state)
{
	struct fixture f = fixture_new();
	const int errors[] = {EPERM, EHOSTUNREACH, ECONNREFUSED};
	for (size_t i = 0; i < 3; i++) {
		refuse(9, errors[i]);
		assert_int_equal(udp_send(f.sender, &f.v4, f.data, 10, 10), ERR_IO);
		assert_int_equal(errno, errors[i]);
	}
	refuse(0, 0);
	struct udp_route nowhere = {.remote = netns_addr("192.0.2.1", 9)};
	assert_int_equal(udp_send(f.sender, &nowhere, f.data, 10, 10), ERR_IO);
	assert_int_equal(errno, ENETUNREACH);
	nowhere.remote = netns_addr("2001:db8::1", 9);
	assert_int_equal(udp_send(f.sender, &nowhere, f.data, 20, 10), ERR_IO);
	assert_int_equal(errno, ENETUNREACH);
	fixture_free(&f);
}

/* The reply leaves from the address the peer used, not from the one that routing would choose. */
static void test_source_address(void **state)
{
	static const char *const pairs[][2] = {{"10.1.0.1", "10.1.0.2"}, {"fd00::1", "fd00::2"}};
	struct fixture f = fixture_new();
	struct udp_message at_peer, reply;
	for (size_t i = 0; i < 2; i++) {
		netns_address(f.netlink, LOOPBACK, pairs[i][0]);
		netns_address(f.netlink, LOOPBACK, pairs[i][1]);
		struct udp *peer = udp_new(&(struct udp_config){.bind = netns_addr(pairs[i][0], 0)});
		struct addr ours = netns_addr(pairs[i][1], udp_local_port(f.receiver));
		assert_int_equal(udp_send(peer, &(struct udp_route){.remote = ours}, f.data, 9, 9), OK);
		assert_int_equal(drain(f.receiver, 9, &at_peer), 1);
		assert_memory_equal(at_peer.local_ip, ours.ip, 16);
		assert_int_equal(at_peer.ifindex, LOOPBACK);

		struct udp_route back = {.remote = at_peer.remote};
		memcpy(back.local_ip, at_peer.local_ip, 16);
		for (uint32_t ifindex = 0; ifindex < 2; ifindex++) {
			back.ifindex = ifindex;
			assert_int_equal(udp_send(f.receiver, &back, f.data, 30, 10), OK);
			assert_int_equal(drain(peer, 30, &reply), 3);
			assert_true(addr_equal(&reply.remote, &ours));
		}
		memset(back.local_ip, 0, 16);
		assert_int_equal(udp_send(f.receiver, &back, f.data, 10, 10), OK);
		assert_int_equal(drain(peer, 10, &reply), 1);
		assert_memory_equal(reply.remote.ip, at_peer.remote.ip, 16);
		udp_close(peer);
	}
	fixture_free(&f);
}

static void test_a_stale_source_address_is_left_out(void **state)
{
	struct fixture f = fixture_new();
	struct udp_message last;
	struct addr gone4 = netns_addr("192.0.2.7", 0), gone6 = netns_addr("2001:db8::7", 0);
	for (int fallback = 0; fallback < 2; fallback++) {
		struct udp_route routes[] = {f.v4, f.v6, f.v4, f.v6, f.v4};
		memcpy(routes[0].local_ip, gone4.ip, 16);
		memcpy(routes[1].local_ip, gone6.ip, 16);
		routes[2].ifindex = routes[3].ifindex = 999;
		memcpy(routes[4].local_ip, gone6.ip, 16); /* not even the family fits */
		for (size_t i = 0; i < 5; i++) {
			assert_int_equal(udp_send(f.sender, &routes[i], f.data, 10, 10), OK);
			assert_int_equal(drain(f.receiver, 10, &last), 1);
			assert_int_equal(udp_send(f.sender, &routes[i], f.data, 50, 10), OK);
			assert_int_equal(drain(f.receiver, 50, &last), 5);
			assert_true(udp_has_segment(f.sender) == !fallback);
		}
		if (fallback)
			break;
		refuse(1, EIO);
		assert_int_equal(udp_send(f.sender, &f.v6, f.data, 20, 10), OK);
		assert_int_equal(drain(f.receiver, 20, &last), 2);
	}
	fixture_free(&f);
}

static void await_answer(struct udp *udp)
{
	struct pollfd polled = {.fd = udp_fd(udp)};
	assert_int_equal(poll(&polled, 1, 5000), 1);
	assert_true(polled.revents & POLLERR);
}

static void test_a_connected_socket_hears_that_nobody_is_there(void **state)
{
	struct fixture f = fixture_new();
	struct udp_batch *batch = udp_batch_new(1, 100);
	assert_int_equal(udp_connect(f.sender, &f.v4.remote), OK);
	assert_int_equal(udp_take_error(f.sender), 0);
	udp_close(f.receiver);
	f.receiver = NULL;
	for (int way = 0; way < 3; way++) {
		assert_int_equal(udp_send(f.sender, &f.v4, f.data, 10, 10), OK);
		await_answer(f.sender);
		if (way == 0) {
			assert_int_equal(udp_take_error(f.sender), ECONNREFUSED);
		} else {
			assert_int_equal(
				way == 1 ? udp_send(f.sender, &f.v4, f.data, 10, 10) : udp_receive(f.sender, batch),
				ERR_IO);
			assert_int_equal(errno, ECONNREFUSED);
		}
		assert_int_equal(udp_take_error(f.sender), 0); /* each answer once */
	}
	/* Who is not connected hears nothing. */
	struct udp *loose = udp_new(&(struct udp_config){.is_plain = true});
	assert_int_equal(udp_send(loose, &f.v4, f.data, 10, 10), OK);
	netns_settle();
	assert_int_equal(udp_take_error(loose), 0);
	udp_close(loose);
	udp_batch_free(batch);
	fixture_free(&f);
}

static void test_a_connected_socket_hears_its_peer_alone(void **state)
{
	struct fixture f = fixture_new();
	struct udp_message last;
	struct udp *other = udp_new(&(struct udp_config){0});
	const struct addr peer = netns_addr("127.0.0.1", udp_local_port(f.sender));
	assert_int_equal(udp_connect(f.receiver, &peer), OK);
	assert_int_equal(udp_send(other, &f.v4, f.data, 10, 10), OK);
	assert_int_equal(udp_send(f.sender, &f.v4, f.data, 20, 20), OK);
	assert_int_equal(drain(f.receiver, 20, &last), 1);
	assert_true(addr_equal(&last.remote, &peer));
	/* It shares its port with one that hears everybody else. */
	struct udp *rest = udp_new(&(struct udp_config){.join = f.receiver});
	assert_int_equal(udp_send(other, &f.v4, f.data, 30, 30), OK);
	assert_int_equal(udp_send(f.sender, &f.v4, f.data, 40, 40), OK);
	assert_int_equal(drain(rest, 30, &last), 1);
	assert_int_equal(drain(f.receiver, 40, &last), 1);
	udp_close(rest);
	udp_close(other);
	/* Nowhere to go. */
	const struct addr nowhere = netns_addr("192.0.2.1", 9);
	assert_int_equal(udp_connect(f.sender, &nowhere), ERR_IO);
	assert_int_equal(errno, ENETUNREACH);
	fixture_free(&f);
}

static void test_a_plain_socket_lets_ip_fragment(void **state)
{
	struct fixture f = fixture_new();
	struct udp_message last;
	struct udp *plain = udp_new(&(struct udp_config){.is_plain = true});
	int value = 0;
	socklen_t len = sizeof value;
	assert_int_equal(getsockopt(udp_fd(plain), IPPROTO_IP, IP_MTU_DISCOVER, &value, &len), 0);
	assert_int_equal(value, IP_PMTUDISC_DONT);
	assert_int_equal(udp_send(plain, &f.v4, f.data, 5000, 5000), OK);
	assert_int_equal(udp_send(plain, &f.v6, f.data, 5000, 5000), OK);
	assert_int_equal(drain(f.receiver, 10000, &last), 2);
	assert_int_equal(udp_send(f.sender, &f.v4, f.data, 5000, 5000), ERR_TOO_BIG);
	udp_close(plain);
	fixture_free(&f);
}

static void test_a_machine_without_ipv6(void **state)
{
	no_ipv6 = true;
	struct fixture f = fixture_new();
	struct udp_message last;
	struct fault fault;
	assert_false(udp_has_ipv6(f.sender));
	assert_int_equal(fault_of(&(struct udp_config){.bind = netns_addr("::1", 5)}, &fault), ERR_UNSUPPORTED);
	assert_fault(&fault, ERR_UNSUPPORTED, "no IPv6");
	assert_int_equal(udp_send(f.sender, &f.v6, f.data, 1, 1), ERR_IO);
	assert_int_equal(errno, EAFNOSUPPORT);
	assert_int_equal(udp_connect(f.sender, &f.v6.remote), ERR_IO);
	assert_int_equal(errno, EAFNOSUPPORT);

	netns_address(f.netlink, LOOPBACK, "10.1.0.2");
	struct addr second = netns_addr("10.1.0.2", udp_local_port(f.sender));
	memcpy(f.v4.local_ip, second.ip, 16);
	assert_int_equal(udp_send(f.sender, &f.v4, f.data, 100 * 10, 100), OK);
	assert_int_equal(drain(f.receiver, 100 * 10, &last), 10);
	assert_true(addr_equal(&last.remote, &second));
	assert_memory_equal(last.local_ip, f.v4.remote.ip, 16);
	assert_int_equal(last.ifindex, LOOPBACK);

	struct udp *joined = udp_new(&(struct udp_config){.join = f.receiver});
	assert_int_equal(fault_of(&(struct udp_config){.bind = f.v4.remote}, &fault), ERR_EXISTS);
	udp_close(joined);
	fixture_free(&f);
	no_ipv6 = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_second_daemon_is_refused),
		cmocka_unit_test(test_joined_sockets_share_the_peers),
		cmocka_unit_test(test_addresses_that_are_not_there),
		cmocka_unit_test(test_missing_capabilities_are_told),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_too_big),
		cmocka_unit_test(test_the_limits),
		cmocka_unit_test(test_a_full_kernel_is_tried_twice),
		cmocka_unit_test(test_other_refusals_keep_errno),
		cmocka_unit_test(test_source_address),
		cmocka_unit_test(test_a_stale_source_address_is_left_out),
		cmocka_unit_test(test_a_connected_socket_hears_that_nobody_is_there),
		cmocka_unit_test(test_a_connected_socket_hears_its_peer_alone),
		cmocka_unit_test(test_a_plain_socket_lets_ip_fragment),
		cmocka_unit_test(test_a_machine_without_ipv6),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
