/*
 * src/compat/snek_attempt.c: this program is the server's main loop and its clients, which are at 127.0.0.1, 127.0.0.2
 * and so on.
 */
#include "../net/netns.h"

#include "base/rng.h"
#include "compat/snek_attempt.h"
#include "compat/snek_net.h"
#include "crypto/keyfile.h"
#include "net/udp_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define KEY_PORT 443
#define DATA_PORT 10666
#define WAIT (20 * USEC_PER_SEC)

/* The linker lets this pass through here, so that a thread can be refused. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context);

static bool has_threads = true;

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *context)
{
	return has_threads ? __real_pthread_create(thread, attr, fn, context) : EAGAIN;
}

static char folder[64]; /* of keys; an attempt keeps the pointer */

struct server {
	struct netlink *netlink;
	int probe_fd, stop_fd, event_fd;
	struct snek_attempts *attempts;
	struct identity *known, *unknown; /* of clients */
	size_t descriptors;               /* before anything was begun */
};

static size_t descriptors(void)
{
	size_t n = 0;
	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static struct identity *identity_new(uint8_t fill)
{
	uint8_t seed[SIG_SEED_LEN];
	struct identity *id = NULL;
	memset(seed, fill, sizeof seed);
	assert_int_equal(identity_generate(&id, SIG_ML_DSA_65, seed), OK);
	return id;
}

static struct server server_new(void)
{
	struct server s = {.netlink = netns_enter()};
	char from[128], to[128];
	struct fault fault = {0};
	(void)snprintf(folder, sizeof folder, "/tmp/jorm-snek-attempt-XXXXXX");
	assert_non_null(mkdtemp(folder));
	s.known = identity_new(1);
	s.unknown = identity_new(2);
	assert_int_equal(keyfile_write_pair(s.known, folder, &fault), OK);
	(void)snprintf(from, sizeof from, "%s/snek-cert.pub", folder);
	(void)snprintf(to, sizeof to, "%s/laptop.pub", folder);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(snek_listen(&s.probe_fd, DATA_PORT, "-dp", &fault), OK);
	s.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(s.stop_fd >= 0 && s.event_fd >= 0);
	const struct snek_attempts_config config = {.folder = folder,
		.key_port = KEY_PORT,
		.data_port = DATA_PORT,
		.stop_fd = s.stop_fd,
		.event_fd = s.event_fd};
	s.attempts = snek_attempts_new(&config);
	assert_non_null(s.attempts);
	s.descriptors = descriptors();
	return s;
}

static void stop(const struct server *s)
{
	assert_int_equal(write(s->stop_fd, &(uint64_t){1}, sizeof(uint64_t)), sizeof(uint64_t));
}

/* All attempts end at once, whatever they wait for. */
static void server_free(struct server *s)
{
	static const char *const names[] = {"laptop.pub", "snek-cert.priv"};
	char path[128];
	stop(s);
	const usec before = clock_now();
	snek_attempts_free(s->attempts);
	assert_true(clock_now() - before < 2 * USEC_PER_SEC);
	assert_int_equal(descriptors(), s->descriptors);
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(folder), 0);
	(void)close(s->probe_fd);
	(void)close(s->stop_fd);
	(void)close(s->event_fd);
	identity_free(s->known);
	identity_free(s->unknown);
	netlink_close(s->netlink);
}

/* ---- clients ---- */

/* The client's end of its probe's connection. */
static int probe_from(const struct server *s, unsigned int host, enum err expected)
{
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host)},
			   to = {.sin_family = AF_INET,
				   .sin_port = htons(DATA_PORT),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct addr remote;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), accepted;
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof from) == 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(snek_accept(&accepted, &remote, s->probe_fd, -1, clock_now() + WAIT), OK);
	assert_int_equal(snek_attempts_begin(s->attempts, accepted, &remote), expected);
	return fd;
}

static void say(int probe_fd, uint8_t byte)
{
	assert_int_equal(send(probe_fd, &byte, 1, MSG_NOSIGNAL), 1);
}

static bool is_closed(int fd)
{
	char byte;
	assert_int_equal(snek_wait(fd, -1, clock_now() + WAIT), OK);
	return recv(fd, &byte, 1, 0) <= 0;
}

static int listen_for_key(void)
{
	struct fault fault = {0};
	int fd = -1;
	assert_int_equal(snek_listen(&fd, KEY_PORT, "-kp", &fault), OK);
	return fd;
}

static int take_key_connection(int listener)
{
	struct addr remote;
	int fd = -1;
	assert_int_equal(snek_accept(&fd, &remote, listener, -1, clock_now() + WAIT), OK);
	return fd;
}

static void exchange(int listener, const struct identity *id, uint8_t data_key[static AEAD_KEY_LEN])
{
	struct fault fault = {0};
	int fd = take_key_connection(listener);
	assert_int_equal(snek_exchange_client(fd, id, -1, clock_now() + WAIT, data_key, &fault), OK);
	(void)close(fd);
}

/* The next that has ended, for which there was an event. */
static struct snek_outcome await_any_outcome(const struct server *s)
{
	struct snek_outcome o;
	uint64_t n;
	while (snek_attempts_take(s->attempts, &o) != OK) {
		assert_int_equal(snek_wait(s->event_fd, -1, clock_now() + WAIT), OK);
		assert_int_equal(read(s->event_fd, &n, sizeof n), sizeof n);
	}
	return o;
}

static struct snek_outcome await_outcome(const struct server *s, enum err expected)
{
	const struct snek_outcome o = await_any_outcome(s);
	if (o.err != expected)
		fail_msg("%s, not %s: %s", err_text(o.err), err_text(expected), o.fault.text);
	if (expected != OK)
		assert_memory_equal(o.data_key, (uint8_t[AEAD_KEY_LEN]){0}, AEAD_KEY_LEN);
	return o;
}

static struct udp *udp_new(void)
{
	struct udp *udp = NULL;
	const struct udp_config config = {.bind = netns_addr("0.0.0.0", DATA_PORT), .is_plain = true};
	assert_int_equal(udp_open(&udp, &config, NULL), OK);
	return udp;
}

/* One byte, once, however long one waits for more; who sent it. */
static struct addr hello_receive(struct udp *udp)
{
	struct udp_batch *batch = udp_batch_new(8, 100);
	assert_non_null(batch);
	assert_int_equal(snek_wait(udp_fd(udp), -1, clock_now() + WAIT), OK);
	assert_int_equal(udp_receive(udp, batch), OK);
	assert_int_equal(batch->n, 1);
	assert_int_equal(batch->messages[0].len, 1);
	assert_int_equal(batch->messages[0].data[0], 0xff);
	const struct addr from = batch->messages[0].remote;
	assert_int_equal(snek_wait(udp_fd(udp), -1, clock_now() + 500 * USEC_PER_MS), ERR_AGAIN);
	udp_batch_free(batch);
	return from;
}

/* ---- sessions ---- */

static void test_a_session(void **state)
{
	struct server s = server_new();
	uint8_t data_key[AEAD_KEY_LEN];
	struct udp *hellos = udp_new();
	int listener = listen_for_key(), probe = probe_from(&s, 1, OK);
	say(probe, 0xff);
	exchange(listener, s.known, data_key);
	struct snek_outcome o = await_outcome(&s, OK);
	assert_true(o.was_asked);
	assert_string_equal(o.key_name, "laptop.pub");
	assert_memory_equal(o.data_key, data_key, sizeof data_key);
	const struct addr client = netns_addr("127.0.0.1", DATA_PORT);
	assert_true(addr_equal(&o.remote, &client));
	const struct addr from = hello_receive(hellos);
	assert_int_equal(from.port, udp_local_port(o.udp));
	/* Connected: it hears the client. */
	assert_int_equal(udp_send(hellos, &(struct udp_route){.remote = from}, (const uint8_t *)"x", 1, 1), OK);
	assert_int_equal(snek_wait(udp_fd(o.udp), -1, clock_now() + WAIT), OK);
	udp_close(o.udp);
	/* Who had a session need not wait for the next. */
	(void)close(probe);
	(void)close(probe_from(&s, 1, OK));
	udp_close(hellos);
	(void)close(listener);
	server_free(&s);
}

/* The older client opens its UDP port when it has closed the connection. Until then there is none to take a hello. */
static void test_a_client_whose_port_comes_late(void **state)
{
	struct server s = server_new();
	uint8_t data_key[AEAD_KEY_LEN];
	int listener = listen_for_key(), probe = probe_from(&s, 1, OK);
	say(probe, 0xff);
	exchange(listener, s.known, data_key);
	assert_int_equal(snek_wait(s.event_fd, -1, clock_now() + 500 * USEC_PER_MS), ERR_AGAIN);
	struct udp *hellos = udp_new();
	(void)hello_receive(hellos);
	struct snek_outcome o = await_outcome(&s, OK);
	udp_close(o.udp);
	udp_close(hellos);
	(void)close(probe);
	(void)close(listener);
	server_free(&s);
}

static void test_an_unknown_key(void **state)
{
	struct server s = server_new();
	uint8_t data_key[AEAD_KEY_LEN];
	struct udp *hellos = udp_new();
	int listener = listen_for_key(), probe = probe_from(&s, 1, OK);
	say(probe, 0xff);
	exchange(listener, s.unknown, data_key);
	const struct snek_outcome o = await_outcome(&s, ERR_AUTH);
	assert_fault(&o.fault, ERR_AUTH, folder);
	assert_true(o.was_asked && !o.udp && !o.key_name[0]);
	assert_int_equal(snek_wait(udp_fd(hellos), -1, clock_now() + 300 * USEC_PER_MS), ERR_AGAIN);
	udp_close(hellos);
	(void)close(probe);
	(void)close(listener);
	server_free(&s);
}

static void test_a_client_that_hangs_up(void **state)
{
	struct server s = server_new();
	int listener = listen_for_key(), probe = probe_from(&s, 1, OK);
	say(probe, 0xff);
	(void)close(take_key_connection(listener));
	const struct snek_outcome o = await_outcome(&s, ERR_IO);
	assert_true(o.was_asked && !o.udp && o.fault.text[0]);
	(void)close(probe);
	(void)close(listener);
	server_free(&s);
}

/* ---- strangers ---- */

/* What is no probe asks for nothing: there is no line about it in the log. */
static void test_what_is_no_probe(void **state)
{
	struct server s = server_new();
	int listener = listen_for_key(), other = probe_from(&s, 1, OK), mute = probe_from(&s, 2, OK);
	say(other, 0);
	(void)close(mute);
	for (int i = 0; i < 2; i++) {
		const struct snek_outcome o = await_outcome(&s, ERR_FORMAT);
		assert_false(o.was_asked);
	}
	assert_true(is_closed(other));
	/* Nobody was called back. */
	assert_int_equal(snek_wait(listener, -1, 0), ERR_AGAIN);
	struct snek_outcome none;
	assert_int_equal(snek_attempts_take(s.attempts, &none), ERR_AGAIN);
	(void)close(other);
	(void)close(listener);
	server_free(&s);
}

static void test_who_says_nothing_is_given_up(void **state)
{
	struct server s = server_new();
	const usec before = clock_now();
	int probe = probe_from(&s, 1, OK);
	const struct snek_outcome o = await_outcome(&s, ERR_AGAIN);
	assert_false(o.was_asked);
	assert_true(clock_now() - before >= 4 * USEC_PER_SEC);
	assert_true(is_closed(probe));
	(void)close(probe);
	server_free(&s);
}

static void test_one_an_address_and_so_many_in_all(void **state)
{
	struct server s = server_new();
	int probes[SNEK_ATTEMPTS_MAX];
	probes[0] = probe_from(&s, 1, OK);
	int again = probe_from(&s, 1, ERR_FULL);
	assert_true(is_closed(again));
	(void)close(again);
	for (unsigned int i = 1; i < SNEK_ATTEMPTS_MAX; i++)
		probes[i] = probe_from(&s, 1 + i, OK);
	again = probe_from(&s, 100, ERR_FULL);
	assert_true(is_closed(again));
	(void)close(again);
	/* Who goes makes room. */
	say(probes[3], 1);
	(void)await_any_outcome(&s);
	again = probe_from(&s, 100, OK);
	(void)close(again);
	for (size_t i = 0; i < SNEK_ATTEMPTS_MAX; i++)
		(void)close(probes[i]);
	server_free(&s);
}

/* Its next attempt is not refused, but begins later than another's. */
static void test_who_failed_has_to_wait(void **state)
{
	struct server s = server_new();
	int listener = listen_for_key();
	const usec before = clock_now();
	(void)close(probe_from(&s, 1, OK));
	(void)await_any_outcome(&s);
	int again = probe_from(&s, 1, OK), other = probe_from(&s, 2, OK);
	say(again, 0xff);
	say(other, 0xff);
	int first = take_key_connection(listener);
	assert_true(clock_now() - before < 1500 * USEC_PER_MS);
	int second = take_key_connection(listener);
	assert_true(clock_now() - before >= 2 * USEC_PER_SEC);
	const int fds[] = {again, other, first, second, listener};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		(void)close(fds[i]);
	server_free(&s);
}

/* ---- stopping ---- */

/* Each of them waits for something else. */
static void test_all_stop_at_once(void **state)
{
	struct server s = server_new();
	uint8_t data_key[AEAD_KEY_LEN];
	int listener = listen_for_key(), mute = probe_from(&s, 1, OK);
	/* For its UDP port. */
	int late = probe_from(&s, 2, OK);
	say(late, 0xff);
	exchange(listener, s.known, data_key);
	/* For what it sends. */
	int slow = probe_from(&s, 3, OK);
	say(slow, 0xff);
	int key = take_key_connection(listener);
	/* For its TCP port. */
	(void)close(listener);
	int closed = probe_from(&s, 4, OK);
	say(closed, 0xff);
	assert_int_equal(snek_wait(-1, -1, clock_now() + 300 * USEC_PER_MS), ERR_AGAIN);
	stop(&s);
	for (int i = 0; i < 4; i++) {
		const struct snek_outcome o = await_outcome(&s, ERR_STATE);
		assert_null(o.udp);
	}
	const int fds[] = {mute, late, slow, key, closed};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		(void)close(fds[i]);
	server_free(&s);
}

/* An outcome that nobody took. */
static void test_what_was_not_taken_is_freed(void **state)
{
	struct server s = server_new();
	uint8_t data_key[AEAD_KEY_LEN];
	struct udp *hellos = udp_new();
	int listener = listen_for_key(), probe = probe_from(&s, 1, OK);
	say(probe, 0xff);
	exchange(listener, s.known, data_key);
	(void)hello_receive(hellos);
	assert_int_equal(snek_wait(s.event_fd, -1, clock_now() + WAIT), OK);
	udp_close(hellos);
	(void)close(probe);
	(void)close(listener);
	server_free(&s); /* finds a descriptor too many */
	snek_attempts_free(NULL);
}

static void test_no_thread(void **state)
{
	struct server s = server_new();
	has_threads = false;
	int probe = probe_from(&s, 1, ERR_NOMEM);
	has_threads = true;
	assert_true(is_closed(probe));
	(void)close(probe);
	/* It was not its fault. */
	probe = probe_from(&s, 1, OK);
	(void)close(probe);
	server_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_session),
		cmocka_unit_test(test_a_client_whose_port_comes_late),
		cmocka_unit_test(test_an_unknown_key),
		cmocka_unit_test(test_a_client_that_hangs_up),
		cmocka_unit_test(test_what_is_no_probe),
		cmocka_unit_test(test_who_says_nothing_is_given_up),
		cmocka_unit_test(test_one_an_address_and_so_many_in_all),
		cmocka_unit_test(test_who_failed_has_to_wait),
		cmocka_unit_test(test_all_stop_at_once),
		cmocka_unit_test(test_what_was_not_taken_is_freed),
		cmocka_unit_test(test_no_thread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
