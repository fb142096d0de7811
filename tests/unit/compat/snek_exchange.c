#include "seeded.h"

#include "base/secret.h"
#include "compat/snek_exchange.h"
#include "compat/snek_kyber.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define HELLO_LEN (4 + KEM_PUBLIC_LEN) /* a KEM key or a ciphertext, with its length */
#define SOON (clock_now() + 60 * USEC_PER_SEC)

/* The folder of authorised keys, with that of `id` in it. */
static char folder[] = "/tmp/jorm-exchange-XXXXXX";
static char key_path[sizeof folder + 16];
static struct identity *id, *stranger;
static struct fault fault;

static int setup(void **state)
{
	(void)state;
	const uint8_t seed[SIG_SEED_LEN] = {1}, other_seed[SIG_SEED_LEN] = {2};
	assert_int_equal(identity_generate(&id, SIG_ML_DSA_65, seed), OK);
	assert_int_equal(identity_generate(&stranger, SIG_ML_DSA_65, other_seed), OK);
	assert_non_null(mkdtemp(folder));
	(void)snprintf(key_path, sizeof key_path, "%s/alice.pub", folder);
	int fd = open(key_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, identity_public(id)->bytes, SIG_65_PUBLIC_LEN), SIG_65_PUBLIC_LEN);
	return close(fd);
}

static int teardown(void **state)
{
	(void)state;
	identity_free(id);
	identity_free(stranger);
	return unlink(key_path) == 0 && rmdir(folder) == 0 ? 0 : -1;
}

/* ---- one role in a thread of its own ---- */

struct party {
	pthread_t thread;
	const struct identity *id; /* NULL: the server */
	int fd, stop_fd, done_fd;
	usec deadline;
	enum err result;
	struct fault fault;
	uint8_t data_key[AEAD_KEY_LEN];
	char key_name[NAME_MAX + 1];
};

static void *party_run(void *arg)
{
	struct party *p = arg;
	p->result = p->id ? snek_exchange_client(p->fd, p->id, p->stop_fd, p->deadline, p->data_key, &p->fault)
			  : snek_exchange_server(
				    p->fd, folder, p->stop_fd, p->deadline, p->data_key, p->key_name, &p->fault);
	if (p->id) /* what the header asks of its caller */
		(void)shutdown(p->fd, SHUT_WR);
	(void)eventfd_write(p->done_fd, 1);
	return NULL;
}

static void party_start(struct party *p, const struct identity *of, int fd, usec deadline)
{
	*p = (struct party){.id = of, .fd = fd, .deadline = deadline};
	p->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	p->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(p->stop_fd >= 0 && p->done_fd >= 0);
	memset(p->data_key, 7, sizeof p->data_key);
	memset(p->key_name, 'x', sizeof p->key_name);
	assert_int_equal(pthread_create(&p->thread, NULL, party_run, p), 0);
}

static enum err party_join(struct party *p)
{
	assert_int_equal(pthread_join(p->thread, NULL), 0);
	assert_int_equal(close(p->stop_fd), 0);
	assert_int_equal(close(p->done_fd), 0);
	if (p->result == OK)
		return OK;
	assert_int_equal(p->fault.code, p->result);
	assert_true(p->fault.text[0]);
	assert_true(secret_is_zero(p->data_key, sizeof p->data_key));
	if (!p->id)
		assert_string_equal(p->key_name, "");
	return p->result;
}

/* Has the party ended, within ms? */
static bool party_is_done(const struct party *p, int ms)
{
	return poll(&(struct pollfd){.fd = p->done_fd, .events = POLLIN}, 1, ms) == 1;
}

static void pair(int fds[static 2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void pair_close(int fds[static 2])
{
	assert_int_equal(close(fds[0]), 0);
	if (fds[1] >= 0)
		assert_int_equal(close(fds[1]), 0);
}

static void put(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), len);
}

static void get(int fd, void *out, size_t len)
{
	assert_int_equal(recv(fd, out, len, MSG_WAITALL), len);
}

/* ---- both roles ---- */

static void both_roles_agree(void **state)
{
	(void)state;
	uint8_t last[AEAD_KEY_LEN] = {0};
	for (int blocking = 0; blocking < 2; blocking++) {
		struct party client, server;
		int fds[2];
		pair(fds);
		for (int i = 0; i < 2 && !blocking; i++)
			assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
		party_start(&client, id, fds[0], SOON);
		party_start(&server, NULL, fds[1], USEC_NEVER);
		if (party_join(&client) != OK)
			fail_msg("client: %s", client.fault.text);
		if (party_join(&server) != OK)
			fail_msg("server: %s", server.fault.text);
		assert_memory_equal(client.data_key, server.data_key, AEAD_KEY_LEN);
		assert_memory_not_equal(client.data_key, last, AEAD_KEY_LEN);
		assert_string_equal(server.key_name, "alice.pub");
		memcpy(last, client.data_key, sizeof last);
		/* Nothing follows. */
		assert_int_equal(recv(fds[0], last, 1, MSG_DONTWAIT | MSG_PEEK), -1);
		pair_close(fds);
	}
}

static void strangers_are_refused(void **state)
{
	(void)state;
	struct party client, server;
	int fds[2];
	pair(fds);
	party_start(&client, stranger, fds[0], SOON);
	party_start(&server, NULL, fds[1], SOON);
	assert_int_equal(party_join(&client), OK); /* it is not told */
	assert_int_equal(party_join(&server), ERR_AUTH);
	assert_non_null(strstr(server.fault.text, folder));
	pair_close(fds);
}

static void other_keys_are_refused(void **state)
{
	(void)state;
	const uint8_t seed[SIG_SEED_LEN] = {3};
	uint8_t data_key[AEAD_KEY_LEN], byte;
	struct identity *other;
	int fds[2];
	assert_int_equal(identity_generate(&other, SIG_ML_DSA_87, seed), OK);
	pair(fds);
	assert_int_equal(snek_exchange_client(fds[0], other, -1, SOON, data_key, &fault), ERR_ARGUMENT);
	assert_non_null(strstr(fault.text, "jorm keygen"));
	assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1); /* before anything was sent */
	pair_close(fds);
	identity_free(other);
}

/* ---- a scripted server ---- */

/* The server's part by hand, with faults: what it answers to the KEM key. */
static void answer(uint8_t out[static HELLO_LEN], int fd)
{
	uint8_t hello[HELLO_LEN], secret[KEM_SECRET_LEN];
	const uint8_t entropy[KEM_ENTROPY_LEN] = {5};
	get(fd, hello, sizeof hello);
	assert_int_equal(le32_get(hello), KEM_PUBLIC_LEN);
	le32_put(out, KEM_CIPHERTEXT_LEN);
	assert_int_equal(snek_kyber_encapsulate(out + 4, secret, hello + 4, entropy), OK);
}

static void wrong_lengths_are_refused(void **state)
{
	(void)state;
	static const uint32_t lengths[] = {0, 1, 1567, 1569, 0x20060000, 0x7fffffff, 0xffffffff};
	for (size_t i = 0; i < 2 * sizeof lengths / sizeof *lengths; i++) {
		uint8_t hello[HELLO_LEN] = {0}, data_key[AEAD_KEY_LEN];
		char name[NAME_MAX + 1];
		int fds[2];
		pair(fds);
		le32_put(hello, lengths[i / 2]);
		put(fds[1], hello, sizeof hello);
		memset(data_key, 7, sizeof data_key);
		assert_int_equal(i % 2 ? snek_exchange_client(fds[0], id, -1, SOON, data_key, &fault)
				       : snek_exchange_server(fds[0], folder, -1, SOON, data_key, name, &fault),
			ERR_FORMAT);
		assert_non_null(strstr(fault.text, "1568"));
		assert_true(secret_is_zero(data_key, sizeof data_key));
		/* Refused by the length alone: what follows is not read. */
		assert_int_equal(recv(fds[0], hello, sizeof hello, 0), KEM_PUBLIC_LEN);
		pair_close(fds);
	}
}

/* The client's end, when the server says only so much of a message and then closes, wholly or its half. */
static void client_notices_early_ends(void **state)
{
	(void)state;
	uint8_t hello[HELLO_LEN] = {0}, data_key[AEAD_KEY_LEN];
	le32_put(hello, KEM_CIPHERTEXT_LEN);
	for (size_t len = 0; len < HELLO_LEN; len++) {
		int fds[2];
		pair(fds);
		put(fds[1], hello, len);
		if (len % 2) {
			assert_int_equal(close(fds[1]), 0);
			fds[1] = -1;
		} else {
			assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
		}
		memset(data_key, 7, sizeof data_key);
		assert_int_equal(snek_exchange_client(fds[0], id, -1, SOON, data_key, &fault), ERR_IO);
		assert_non_null(strstr(fault.text, "server"));
		assert_true(secret_is_zero(data_key, sizeof data_key));
		pair_close(fds);
	}
}

/* A KEM key that can be used, for whoever has no use for what comes back. */
static void some_hello(uint8_t out[static HELLO_LEN])
{
	const uint8_t seed[KEM_SEED_LEN] = {9};
	struct kem_key *key;
	le32_put(out, KEM_PUBLIC_LEN);
	assert_int_equal(kem_generate(&key, out + 4, seed), OK);
	kem_free(key);
}

static enum err serve(int fd, usec deadline)
{
	uint8_t data_key[AEAD_KEY_LEN];
	char name[NAME_MAX + 1];
	memset(data_key, 7, sizeof data_key);
	enum err e = snek_exchange_server(fd, folder, -1, deadline, data_key, name, &fault);
	if (e != OK) {
		assert_int_equal(fault.code, e);
		assert_true(secret_is_zero(data_key, sizeof data_key));
		assert_string_equal(name, "");
	}
	return e;
}

static void server_notices_early_ends(void **state)
{
	(void)state;
	uint8_t script[HELLO_LEN + SNEK_META_LEN] = {0};
	some_hello(script);
	le32_put(script + HELLO_LEN + SNEK_META_HEAD_LEN - 4, SNEK_META_LEN - SNEK_META_HEAD_LEN);
	for (size_t len = 0; len < sizeof script; len += len < HELLO_LEN + 40 || len + 20 > sizeof script ? 1 : 59) {
		int fds[2];
		pair(fds);
		put(fds[1], script, len);
		assert_int_equal(shutdown(fds[1], SHUT_WR), 0);
		assert_int_equal(serve(fds[0], SOON), ERR_IO);
		assert_non_null(strstr(fault.text, "client"));
		pair_close(fds);
	}
	/* Whole, it is no message; and where nobody takes the ciphertext, no signal ends the program. */
	int fds[2];
	pair(fds);
	put(fds[1], script, sizeof script);
	assert_int_equal(serve(fds[0], SOON), ERR_AUTH);
	pair_close(fds);
	pair(fds);
	put(fds[1], script, HELLO_LEN);
	assert_int_equal(close(fds[1]), 0);
	fds[1] = -1;
	assert_int_equal(serve(fds[0], SOON), ERR_IO);
	pair_close(fds);
}

static void server_refuses_bad_messages(void **state)
{
	(void)state;
	uint8_t script[HELLO_LEN + SNEK_META_HEAD_LEN] = {0};
	static const uint32_t lengths[] = {0, 15, SNEK_META_MAX + 1, 0xffffffff};
	int fds[2];
	some_hello(script);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		pair(fds);
		le32_put(script + sizeof script - 4, lengths[i]);
		put(fds[1], script, sizeof script);
		assert_int_equal(serve(fds[0], SOON), ERR_FORMAT);
		pair_close(fds);
	}
	/* A KEM key that is none, of the right length. */
	pair(fds);
	memset(script + 4, 0xff, KEM_PUBLIC_LEN);
	put(fds[1], script, sizeof script);
	assert_int_equal(serve(fds[0], SOON), ERR_FORMAT);
	assert_non_null(strstr(fault.text, "Kyber1024"));
	pair_close(fds);
}

/* A flipped bit of the ciphertext: both go on, with different secrets, and the server finds out. */
static void flipped_ciphertexts_are_noticed(void **state)
{
	(void)state;
	struct party client, server;
	uint8_t hello[HELLO_LEN], message[SNEK_META_LEN];
	int to_client[2], to_server[2];
	pair(to_client);
	pair(to_server);
	party_start(&client, id, to_client[0], SOON);
	party_start(&server, NULL, to_server[0], SOON);
	get(to_client[1], hello, sizeof hello);
	put(to_server[1], hello, sizeof hello);
	get(to_server[1], hello, sizeof hello);
	hello[700] ^= 1;
	put(to_client[1], hello, sizeof hello);
	get(to_client[1], message, sizeof message);
	put(to_server[1], message, sizeof message);
	assert_int_equal(party_join(&client), OK);
	assert_int_equal(party_join(&server), ERR_AUTH);
	pair_close(to_client);
	pair_close(to_server);
}

/* ---- time ---- */

static void silence_ends_at_the_deadline(void **state)
{
	(void)state;
	uint8_t hello[HELLO_LEN], data_key[AEAD_KEY_LEN];
	int fds[2];
	some_hello(hello);
	for (int i = 0; i < 4; i++) {
		const usec begin = clock_now(), deadline = begin + (i == 3 ? 0 : 40 * USEC_PER_MS);
		pair(fds);
		if (i == 1)
			put(fds[1], hello, sizeof hello); /* the server then waits for the next message */
		assert_int_equal(i < 2 ? serve(fds[0], deadline)
				       : snek_exchange_client(fds[0], id, -1, deadline, data_key, &fault),
			ERR_AGAIN);
		assert_true(clock_now() >= deadline && clock_now() < begin + 30 * USEC_PER_SEC);
		assert_non_null(strstr(fault.text, "firewall"));
		pair_close(fds);
	}
}

/* A byte now and then does not prolong it. */
static void trickling_does_not_prolong(void **state)
{
	(void)state;
	struct party server;
	uint8_t hello[HELLO_LEN];
	size_t sent = 0;
	int fds[2];
	some_hello(hello);
	pair(fds);
	const usec begin = clock_now();
	put(fds[1], hello, ++sent);
	party_start(&server, NULL, fds[0], begin + 200 * USEC_PER_MS);
	while (!party_is_done(&server, 2)) {
		put(fds[1], &hello[sent], sent < HELLO_LEN - 1 ? 1 : 0);
		sent += sent < HELLO_LEN - 1;
		assert_true(clock_now() < begin + 30 * USEC_PER_SEC);
	}
	assert_int_equal(party_join(&server), ERR_AGAIN);
	pair_close(fds);
}

/* A peer that takes nothing: what is to be sent does not fit into the socket. */
static void full_sockets_end_at_the_deadline(void **state)
{
	(void)state;
	uint8_t data_key[AEAD_KEY_LEN], byte = 0;
	int fds[2];
	pair(fds);
	while (send(fds[0], &byte, 1, MSG_DONTWAIT) == 1)
		;
	assert_int_equal(
		snek_exchange_client(fds[0], id, -1, clock_now() + 20 * USEC_PER_MS, data_key, &fault), ERR_AGAIN);
	pair_close(fds);
}

/* Each byte on its own is as good as all at once. */
static void bytes_may_come_one_by_one(void **state)
{
	(void)state;
	struct party client;
	uint8_t hello[HELLO_LEN], message[SNEK_META_LEN];
	int fds[2];
	pair(fds);
	party_start(&client, id, fds[0], SOON);
	answer(hello, fds[1]);
	for (size_t i = 0; i < sizeof hello; i++)
		put(fds[1], &hello[i], 1);
	get(fds[1], message, sizeof message);
	assert_int_equal(party_join(&client), OK);
	pair_close(fds);
}

/* The server's side of a good exchange, as far as the client's last message; the client keeps its end open. */
static void open_exchange(int fds[static 2], struct party *client, struct party *server)
{
	uint8_t hello[HELLO_LEN], message[SNEK_META_LEN];
	int between[2];
	pair(fds);
	pair(between);
	party_start(client, id, between[0], SOON);
	party_start(server, NULL, fds[0], SOON);
	get(between[1], hello, sizeof hello);
	put(fds[1], hello, sizeof hello);
	get(fds[1], hello, sizeof hello);
	put(between[1], hello, sizeof hello);
	get(between[1], message, sizeof message);
	put(fds[1], message, sizeof message);
	assert_int_equal(party_join(client), OK);
	pair_close(between);
}

static void server_waits_for_the_end(void **state)
{
	(void)state;
	struct party client, server;
	int fds[2];
	/* It does not come: a good signature alone is not enough. */
	open_exchange(fds, &client, &server);
	assert_false(party_is_done(&server, 20));
	assert_int_equal(eventfd_write(server.stop_fd, 1), 0);
	assert_int_equal(party_join(&server), ERR_STATE);
	assert_non_null(strstr(server.fault.text, "closed its end"));
	pair_close(fds);
	/* It comes, after bytes that nobody asked for. */
	open_exchange(fds, &client, &server);
	assert_false(party_is_done(&server, 20));
	put(fds[1], "and so on", 9);
	assert_int_equal(close(fds[1]), 0);
	fds[1] = -1;
	assert_int_equal(party_join(&server), OK);
	assert_memory_equal(server.data_key, client.data_key, AEAD_KEY_LEN);
	pair_close(fds);
	/* They do not end. */
	open_exchange(fds, &client, &server);
	uint8_t rest[1024] = {0};
	for (int i = 0; i < 1024 && send(fds[1], rest, sizeof rest, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0; i++)
		if (party_is_done(&server, 1))
			break;
	assert_int_equal(party_join(&server), ERR_FORMAT);
	pair_close(fds);
}

static void stopping_ends_it_at_once(void **state)
{
	(void)state;
	struct party p;
	uint8_t hello[HELLO_LEN];
	int fds[2];
	some_hello(hello);
	for (int i = 0; i < 2; i++) {
		pair(fds);
		party_start(&p, i ? id : NULL, fds[0], USEC_NEVER);
		if (!i)
			put(fds[1], hello, sizeof hello);
		get(fds[1], hello, sizeof hello); /* now it waits for the next message */
		assert_int_equal(eventfd_write(p.stop_fd, 1), 0);
		assert_true(party_is_done(&p, 30000));
		assert_int_equal(poll(&(struct pollfd){.fd = p.stop_fd, .events = POLLIN}, 1, 0), 1); /* still there */
		assert_int_equal(party_join(&p), ERR_STATE);
		pair_close(fds);
	}
}

/* A stop that was there before goes before what could be done. */
static void stopped_beforehand_does_nothing(void **state)
{
	(void)state;
	uint8_t data_key[AEAD_KEY_LEN], byte;
	int fds[2], stop = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	pair(fds);
	assert_int_equal(snek_exchange_client(fds[0], id, stop, SOON, data_key, &fault), ERR_STATE);
	assert_int_equal(recv(fds[1], &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(snek_exchange_client(fds[0], id, stop, SOON, data_key, NULL), ERR_STATE);
	assert_int_equal(close(stop), 0);
	pair_close(fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_roles_agree),
		cmocka_unit_test(strangers_are_refused),
		cmocka_unit_test(other_keys_are_refused),
		cmocka_unit_test(wrong_lengths_are_refused),
		cmocka_unit_test(client_notices_early_ends),
		cmocka_unit_test(server_notices_early_ends),
		cmocka_unit_test(server_refuses_bad_messages),
		cmocka_unit_test(flipped_ciphertexts_are_noticed),
		cmocka_unit_test(silence_ends_at_the_deadline),
		cmocka_unit_test(trickling_does_not_prolong),
		cmocka_unit_test(full_sockets_end_at_the_deadline),
		cmocka_unit_test(bytes_may_come_one_by_one),
		cmocka_unit_test(server_waits_for_the_end),
		cmocka_unit_test(stopping_ends_it_at_once),
		cmocka_unit_test(stopped_beforehand_does_nothing),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
