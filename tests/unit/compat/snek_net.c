/* src/compat/snek_net.c on lo, and on an interface behind which nobody answers. */
#include "../net/netns.h"

#include "compat/snek_net.h"
#include "tun/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 10666
#define SOON (clock_now() + 10 * USEC_PER_SEC)

static size_t descriptors(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int listener_new(uint16_t port)
{
	struct fault fault = {0};
	int fd = -1;
	if (snek_listen(&fd, port, "-dp", &fault) != OK)
		fail_msg("%s", fault.text);
	return fd;
}

/* An eventfd that somebody writes to in a tenth of a second. */
struct later {
	int fd;
	pthread_t thread;
};

static void *later_main(void *context)
{
	const struct later *l = context;
	const uint64_t one = 1;
	(void)snek_wait(-1, -1, clock_now() + 100 * USEC_PER_MS);
	return write(l->fd, &one, sizeof one) == (ssize_t)sizeof one ? NULL : context;
}

static void later_begin(struct later *l)
{
	l->fd = eventfd(0, EFD_CLOEXEC);
	assert_true(l->fd >= 0);
	assert_int_equal(pthread_create(&l->thread, NULL, later_main, l), 0);
}

static void later_end(struct later *l)
{
	assert_int_equal(pthread_join(l->thread, NULL), 0);
	(void)close(l->fd);
}

static int stopped(void)
{
	int fd = eventfd(1, EFD_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* ---- names ---- */

static void test_addresses_are_names(void **state)
{
	struct addr found;
	struct fault fault = {0};
	assert_int_equal(snek_resolve(&found, "192.0.2.7", PORT, &fault), OK);
	const struct addr expected = netns_addr("192.0.2.7", PORT);
	assert_true(addr_equal(&found, &expected));
}

static void test_names_that_there_are_not(void **state)
{
	struct netlink *netlink = netns_enter(); /* where no name server is reached */
	char long_name[400];
	memset(long_name, 'a', sizeof long_name - 1);
	long_name[sizeof long_name - 1] = '\0';
	const char *const names[] = {"no.such.host.invalid", "::1", "192.0.2.300", "", long_name};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct addr found = {.port = 7};
		struct fault fault = {0};
		assert_int_equal(snek_resolve(&found, names[i], PORT, &fault), ERR_NOT_FOUND);
		assert_fault(&fault, ERR_NOT_FOUND, i < 4 ? names[i] : "aaaaaaaa");
		assert_int_equal(found.port, 7);
	}
	netlink_close(netlink);
}

/* ---- listening ---- */

static void test_a_port_is_taken(void **state)
{
	struct netlink *netlink = netns_enter();
	struct fault fault = {0};
	int first = listener_new(PORT), second = 77;
	const size_t before = descriptors();
	assert_int_equal(fcntl(first, F_GETFD), FD_CLOEXEC);
	assert_int_equal(snek_listen(&second, PORT, "-kp", &fault), ERR_EXISTS);
	assert_fault(&fault, ERR_EXISTS, "TCP port 10666");
	assert_fault(&fault, ERR_EXISTS, "-kp");
	assert_int_equal(second, 77);
	assert_int_equal(descriptors(), before);
	(void)close(first);
	/* Free at once, also with a connection that has just ended here. */
	first = listener_new(PORT);
	int client, server;
	struct addr remote;
	const struct addr there = netns_addr("127.0.0.1", PORT);
	assert_int_equal(snek_dial(&client, &there, -1, SOON), OK);
	assert_int_equal(snek_accept(&server, &remote, first, -1, SOON), OK);
	(void)close(server);
	(void)close(client);
	(void)close(first);
	(void)close(listener_new(PORT));
	netlink_close(netlink);
}

static bool low_port_is_refused(void)
{
	struct fault fault = {0};
	int fd;
	return netns_drop_root() && snek_listen(&fd, 443, "-kp", &fault) == ERR_PERMISSION &&
	       strstr(fault.text, "443") && strstr(fault.text, "root") && strstr(fault.text, "-kp");
}

static void test_a_low_port_needs_root(void **state)
{
	struct netlink *netlink = netns_enter();
	assert_true(netns_child(low_port_is_refused));
	netlink_close(netlink);
}

/* ---- connecting ---- */

static void test_both_ends_of_a_connection(void **state)
{
	struct netlink *netlink = netns_enter();
	int listener = listener_new(PORT), client, server;
	const struct addr there = netns_addr("127.0.0.1", PORT);
	struct addr remote, local;
	struct sockaddr_storage name;
	socklen_t len = sizeof name;
	char byte;
	assert_int_equal(snek_accept(&server, &remote, listener, -1, 0), ERR_AGAIN);
	assert_int_equal(snek_dial(&client, &there, -1, SOON), OK);
	assert_int_equal(snek_accept(&server, &remote, listener, -1, SOON), OK);
	assert_int_equal(getsockname(client, (struct sockaddr *)&name, &len), 0);
	assert_int_equal(addr_of_sockaddr(&local, &name), OK);
	assert_true(addr_equal(&remote, &local));
	const int both[] = {client, server};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(fcntl(both[i], F_GETFD), FD_CLOEXEC);
		assert_true(fcntl(both[i], F_GETFL) & O_NONBLOCK);
	}
	assert_int_equal(snek_wait(server, -1, 0), ERR_AGAIN);
	assert_int_equal(send(client, "x", 1, 0), 1);
	assert_int_equal(snek_wait(server, -1, SOON), OK);
	assert_int_equal(recv(server, &byte, 1, 0), 1);
	(void)close(client);
	(void)close(server);
	/* Who hung up before he was taken is taken all the same: it is for the reader to see. */
	assert_int_equal(snek_dial(&client, &there, -1, SOON), OK);
	assert_int_equal(send(client, "x", 1, 0), 1);
	(void)close(client);
	assert_int_equal(snek_accept(&server, &remote, listener, -1, SOON), OK);
	assert_int_equal(recv(server, &byte, 1, 0), 1);
	(void)close(server);
	(void)close(listener);
	netlink_close(netlink);
}

static void test_who_cannot_be_reached(void **state)
{
	struct netlink *netlink = netns_enter();
	const struct addr nobody = netns_addr("127.0.0.1", PORT), nowhere = netns_addr("192.0.2.1", PORT);
	const size_t before = descriptors();
	int fd = 77;
	assert_int_equal(snek_dial(&fd, &nobody, -1, SOON), ERR_AGAIN);
	assert_int_equal(errno, ECONNREFUSED);
	assert_int_equal(snek_dial(&fd, &nowhere, -1, SOON), ERR_AGAIN);
	assert_int_equal(errno, ENETUNREACH);
	assert_int_equal(fd, 77);
	assert_int_equal(descriptors(), before);
	netlink_close(netlink);
}

static void test_who_does_not_answer(void **state)
{
	struct netlink *netlink = netns_enter();
	struct tun *tun;
	struct later later;
	const struct addr silent = netns_addr("10.9.0.2", PORT);
	int fd = 77;
	assert_int_equal(tun_open(&tun, &(struct tun_config){.n_queues = 1, .layer = 3}, NULL), OK);
	assert_int_equal(netlink_link_set_up(netlink, tun_ifindex(tun), NULL), OK);
	netns_address(netlink, tun_ifindex(tun), "10.9.0.1/24");
	const size_t before = descriptors();
	usec began = clock_now();
	assert_int_equal(snek_dial(&fd, &silent, -1, began + 100 * USEC_PER_MS), ERR_AGAIN);
	assert_int_equal(errno, ETIMEDOUT);
	assert_true(clock_now() - began >= 100 * USEC_PER_MS && clock_now() - began < 5 * USEC_PER_SEC);
	assert_int_equal(descriptors(), before);
	later_begin(&later);
	began = clock_now();
	assert_int_equal(snek_dial(&fd, &silent, later.fd, began + 60 * USEC_PER_SEC), ERR_STATE);
	assert_true(clock_now() - began < 5 * USEC_PER_SEC);
	later_end(&later);
	assert_int_equal(fd, 77);
	assert_int_equal(descriptors(), before);
	tun_close(tun);
	netlink_close(netlink);
}

/* ---- waiting ---- */

static void test_waiting_ends(void **state)
{
	struct netlink *netlink = netns_enter();
	struct later later;
	struct addr remote;
	int listener = listener_new(PORT), fd = 77, stop = stopped();
	const usec began = clock_now();
	assert_int_equal(snek_wait(-1, -1, began + 50 * USEC_PER_MS), ERR_AGAIN);
	assert_true(clock_now() - began >= 50 * USEC_PER_MS);
	assert_int_equal(snek_wait(-1, -1, 0), ERR_AGAIN);
	/* To stop comes first, also when there is something to do and no time. */
	assert_int_equal(snek_wait(stop, stop, 0), ERR_STATE);
	assert_int_equal(snek_wait(stop, -1, 0), OK);
	assert_int_equal(snek_accept(&fd, &remote, listener, stop, SOON), ERR_STATE);
	later_begin(&later);
	assert_int_equal(snek_wait(-1, later.fd, USEC_NEVER), ERR_STATE);
	later_end(&later);
	later_begin(&later);
	assert_int_equal(snek_accept(&fd, &remote, listener, later.fd, USEC_NEVER), ERR_STATE);
	later_end(&later);
	assert_int_equal(snek_accept(&fd, &remote, listener, -1, clock_now() + 50 * USEC_PER_MS), ERR_AGAIN);
	assert_int_equal(fd, 77);
	(void)close(stop);
	(void)close(listener);
	netlink_close(netlink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_are_names),
		cmocka_unit_test(test_names_that_there_are_not),
		cmocka_unit_test(test_a_port_is_taken),
		cmocka_unit_test(test_a_low_port_needs_root),
		cmocka_unit_test(test_both_ends_of_a_connection),
		cmocka_unit_test(test_who_cannot_be_reached),
		cmocka_unit_test(test_who_does_not_answer),
		cmocka_unit_test(test_waiting_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
