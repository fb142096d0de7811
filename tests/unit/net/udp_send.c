/* src/net/udp_send.c: datagrams of any sizes in one call. What udp_send does is in udp.c. */
#include "netns.h"

#include "net/udp.h"
#include "net/udp_batch.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define N_MAX 200

/* The linker lets sendmmsg pass through here, so that the kernel can be made to refuse. */
int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags);

static int refusals, refusal_errno;
static size_t messages_tried; /* a run of datagrams is one */

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned int n, int flags)
{
	messages_tried += n;
	if (refusals > 0) {
		refusals--;
		errno = refusal_errno;
		return -1;
	}
	return __real_sendmmsg(fd, messages, n, flags);
}

static void refuse(int times, int error)
{
	refusals = times;
	refusal_errno = error;
	messages_tried = 0;
}

static struct udp *udp_new(const struct udp_config *config)
{
	struct udp *udp = NULL;
	struct fault fault = {0};
	if (udp_open(&udp, config, &fault))
		fail_msg("%s", fault.text);
	return udp;
}

/* lo with an Ethernet's MTU, a receiver, and a plain sender. */
struct fixture {
	struct netlink *netlink;
	struct udp *receiver, *sender;
	struct udp_route route;
	struct udp_batch *batch;
	struct iovec datagrams[N_MAX];
};

static struct fixture *fixture_new(void)
{
	struct fixture *f = calloc(1, sizeof *f);
	assert_non_null(f);
	f->netlink = netns_enter();
	assert_int_equal(netlink_link_set_mtu(f->netlink, LOOPBACK, 1500, NULL), OK);
	f->receiver = udp_new(&(struct udp_config){0});
	f->sender = udp_new(&(struct udp_config){.is_plain = true});
	f->route = (struct udp_route){.remote = netns_addr("127.0.0.1", udp_local_port(f->receiver))};
	f->batch = udp_batch_new(64, UDP_RECEIVE_SIZE);
	assert_non_null(f->batch);
	refuse(0, 0);
	return f;
}

static void fixture_free(struct fixture *f)
{
	for (size_t i = 0; i < N_MAX; i++)
		free(f->datagrams[i].iov_base);
	udp_batch_free(f->batch);
	udp_close(f->receiver);
	udp_close(f->sender);
	netlink_close(f->netlink);
	free(f);
}

/* Datagram i is of bytes that say which it is. */
static void prepare(struct fixture *f, const size_t *sizes, size_t n)
{
	assert_true(n <= N_MAX);
	for (size_t i = 0; i < n; i++) {
		free(f->datagrams[i].iov_base);
		f->datagrams[i] = (struct iovec){.iov_base = malloc(sizes[i]), .iov_len = sizes[i]};
		assert_non_null(f->datagrams[i].iov_base);
		memset(f->datagrams[i].iov_base, (int)i + 1, sizes[i]);
	}
}

static void prepare_equal(struct fixture *f, size_t size, size_t n)
{
	size_t sizes[N_MAX];
	for (size_t i = 0; i < n; i++)
		sizes[i] = size;
	prepare(f, sizes, n);
}

static void check_one(const struct iovec *sent, const uint8_t *data, size_t len)
{
	assert_int_equal(len, sent->iov_len);
	assert_memory_equal(data, sent->iov_base, len);
}

/* Those from `first` on arrive, n of them in their order, and nothing else. */
static void arrive(struct fixture *f, size_t first, size_t n)
{
	struct pollfd readable = {.fd = udp_fd(f->receiver), .events = POLLIN};
	size_t i = first;
	while (i < first + n) {
		if (poll(&readable, 1, 5000) != 1)
			fail_msg("datagram %zu has not come", i);
		assert_int_equal(udp_receive(f->receiver, f->batch), OK);
		for (size_t k = 0; k < f->batch->n; k++) {
			const struct udp_message *m = &f->batch->messages[k];
			for (size_t at = 0; at < m->len; at += m->segment) {
				assert_true(i < first + n);
				check_one(&f->datagrams[i++], m->data + at,
					m->len - at < m->segment ? m->len - at : m->segment);
			}
		}
	}
	netns_settle();
	assert_int_equal(udp_receive(f->receiver, f->batch), ERR_AGAIN);
}

static enum err send_them(struct fixture *f, size_t n)
{
	return udp_send_each(f->sender, &f->route, f->datagrams, n);
}

/* ---- what goes out, and in how many messages ---- */

static void test_any_sizes(void **state)
{
	static const size_t sizes[] = {
		1000, 1000, 1000, 400, 400, 1, 2, 1573, 53, 1573, 53, 105, 297, 297, 105, 105, 1};
	const size_t n = sizeof sizes / sizeof *sizes;
	struct fixture *f = fixture_new();
	prepare(f, sizes, n);
	assert_int_equal(send_them(f, n), OK);
	arrive(f, 0, n);
	/* In the other family, too, and none at all. */
	f->route.remote = netns_addr("::1", udp_local_port(f->receiver));
	assert_int_equal(send_them(f, n), OK);
	arrive(f, 0, n);
	assert_int_equal(send_them(f, 0), OK);
	arrive(f, 0, 0);
	fixture_free(f);
}

/* More than one system call takes. */
static void test_many(void **state)
{
	size_t sizes[N_MAX];
	struct fixture *f = fixture_new();
	for (size_t i = 0; i < N_MAX; i++)
		sizes[i] = 1 + i * 7 % 1300;
	prepare(f, sizes, N_MAX);
	assert_int_equal(send_them(f, N_MAX), OK);
	arrive(f, 0, N_MAX);
	fixture_free(f);
}

static void test_neighbours_of_one_size_go_together(void **state)
{
	static const size_t mixed[] = {100, 100, 100, 60, 60, 60, 200};
	struct fixture *f = fixture_new();
	if (!udp_has_segment(f->sender))
		skip();
	prepare(f, mixed, 7);
	assert_int_equal(send_them(f, 7), OK);
	/* 3 * 100 and a shorter last one; 2 * 60; 200: a longer one has to begin anew. */
	assert_int_equal(messages_tried, 3);
	arrive(f, 0, 7);
	refuse(0, 0);
	prepare_equal(f, 1000, 64);
	assert_int_equal(send_them(f, 64), OK);
	assert_int_equal(messages_tried, 1);
	arrive(f, 0, 64);
	/* 65507 bytes are the most in one. */
	refuse(0, 0);
	prepare_equal(f, 1400, 50);
	assert_int_equal(send_them(f, 50), OK);
	assert_int_equal(messages_tried, 2);
	arrive(f, 0, 50);
	fixture_free(f);
}

/* ---- sizes that a path does not take ---- */

static void test_larger_than_the_mtu(void **state)
{
	static const size_t sizes[] = {100, 1573, 4000, 100, 1473};
	struct fixture *f = fixture_new();
	prepare(f, sizes, 5);
	assert_int_equal(send_them(f, 5), OK);
	arrive(f, 0, 5); /* IP puts the pieces together */
	/* Not of a socket that is not plain; the others go out. */
	udp_close(f->sender);
	f->sender = udp_new(&(struct udp_config){0});
	prepare(f, (const size_t[]){1573, 100}, 2);
	assert_int_equal(send_them(f, 2), ERR_TOO_BIG);
	arrive(f, 1, 1);
	fixture_free(f);
}

/* A run of those cannot be segmented: it is learnt once, for this size and larger ones. */
static void test_runs_larger_than_the_mtu(void **state)
{
	struct fixture *f = fixture_new();
	if (!udp_has_segment(f->sender))
		skip();
	prepare_equal(f, 1573, 4);
	assert_int_equal(send_them(f, 4), OK);
	assert_int_equal(messages_tried, 1 + 4);
	arrive(f, 0, 4);
	refuse(0, 0);
	assert_int_equal(send_them(f, 4), OK);
	assert_int_equal(messages_tried, 4);
	arrive(f, 0, 4);
	refuse(0, 0);
	prepare_equal(f, 1400, 4);
	assert_int_equal(send_them(f, 4), OK);
	assert_int_equal(messages_tried, 1);
	arrive(f, 0, 4);
	assert_true(udp_has_segment(f->sender));
	fixture_free(f);
}

/* A network card without checksum offload: never again. */
static void test_no_segmentation(void **state)
{
	struct fixture *f = fixture_new();
	if (!udp_has_segment(f->sender))
		skip();
	prepare_equal(f, 100, 4);
	refuse(1, EIO);
	assert_int_equal(send_them(f, 4), OK);
	assert_false(udp_has_segment(f->sender));
	assert_int_equal(messages_tried, 1 + 4);
	arrive(f, 0, 4);
	/* Of a single one it says nothing. */
	refuse(1, EIO);
	assert_int_equal(send_them(f, 1), ERR_IO);
	assert_int_equal(errno, EIO);
	arrive(f, 0, 0);
	fixture_free(f);
}

/* ---- what the kernel refuses for a while ---- */

static void test_a_full_queue(void **state)
{
	static const size_t sizes[] = {100, 200, 300};
	struct fixture *f = fixture_new();
	prepare(f, sizes, 3);
	refuse(1, ENOBUFS);
	assert_int_equal(send_them(f, 3), OK); /* there was room again */
	arrive(f, 0, 3);
	refuse(2, ENOBUFS);
	assert_int_equal(send_them(f, 3), ERR_AGAIN);
	arrive(f, 1, 2); /* the first one alone is lost */
	refuse(100, ENOBUFS);
	assert_int_equal(send_them(f, 3), ERR_AGAIN);
	assert_int_equal(refusals, 100 - 6); /* twice each, and no more */
	refuse(0, 0);
	arrive(f, 0, 0);
	fixture_free(f);
}

static void test_a_full_socket(void **state)
{
	static const size_t sizes[] = {100, 200, 300};
	struct fixture *f = fixture_new();
	prepare(f, sizes, 3);
	refuse(1, EAGAIN);
	assert_int_equal(send_them(f, 3), ERR_AGAIN);
	arrive(f, 0, 0);
	fixture_free(f);
}

static void test_other_errors(void **state)
{
	static const size_t sizes[] = {100, 200, 300};
	struct fixture *f = fixture_new();
	prepare(f, sizes, 3);
	refuse(1, EPERM);
	assert_int_equal(send_them(f, 3), ERR_IO);
	assert_int_equal(errno, EPERM);
	arrive(f, 1, 2);
	refuse(1, EINTR);
	assert_int_equal(send_them(f, 3), OK);
	arrive(f, 0, 3);
	/* The first of several is what is told. */
	refuse(1, EPERM);
	f->route.remote = netns_addr("192.0.2.1", 9);
	assert_int_equal(send_them(f, 3), ERR_IO);
	assert_int_equal(errno, EPERM);
	refuse(0, 0);
	assert_int_equal(send_them(f, 3), ERR_IO);
	assert_int_equal(errno, ENETUNREACH);
	fixture_free(f);
}

/* ---- nobody there ---- */

static void await_answer(struct udp *udp)
{
	struct pollfd polled = {.fd = udp_fd(udp)};
	assert_int_equal(poll(&polled, 1, 5000), 1);
	assert_true(polled.revents & POLLERR);
}

static void test_nobody_has_the_port(void **state)
{
	static const size_t sizes[] = {100, 200, 300};
	struct fixture *f = fixture_new();
	const struct addr there = f->route.remote;
	prepare(f, sizes, 3);
	udp_close(f->receiver);
	assert_int_equal(udp_connect(f->sender, &there), OK);
	assert_int_equal(send_them(f, 1), OK);
	await_answer(f->sender);
	/* Somebody, now: the answer is told, and all of these go out. */
	f->receiver = udp_new(&(struct udp_config){.bind = {.port = there.port}});
	assert_int_equal(send_them(f, 3), ERR_IO);
	assert_int_equal(errno, ECONNREFUSED);
	arrive(f, 0, 3);
	assert_int_equal(send_them(f, 3), OK);
	arrive(f, 0, 3);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_sizes),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_neighbours_of_one_size_go_together),
		cmocka_unit_test(test_larger_than_the_mtu),
		cmocka_unit_test(test_runs_larger_than_the_mtu),
		cmocka_unit_test(test_no_segmentation),
		cmocka_unit_test(test_a_full_queue),
		cmocka_unit_test(test_a_full_socket),
		cmocka_unit_test(test_other_errors),
		cmocka_unit_test(test_nobody_has_the_port),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
