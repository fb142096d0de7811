#include "compat/snek_exchange.h"

#include "base/secret.h"
#include "compat/snek_kyber.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#define LENGTH_LEN 4
/* What a client may send behind its last message, which the older server left unread. */
#define REST_MAX 65536

static_assert(KEM_PUBLIC_LEN == KEM_CIPHERTEXT_LEN, "both are announced by the same number");
static_assert(KEM_SECRET_LEN == SNEK_SECRET_LEN, "what the KEM gives is what the keys come from");

/* The socket, and who says when to give up. */
struct channel {
	int fd, stop_fd;
	usec deadline;
	const char *peer; /* "client" or "server" */
	struct fault *fault;
};

/* Until the socket is ready for `events`, or broken: which send and recv will say. `what`: for the fault. */
static enum err channel_wait(const struct channel *c, short events, const char *what)
{
	struct pollfd fds[] = {{.fd = c->fd, .events = events}, {.fd = c->stop_fd, .events = POLLIN}};
	for (;;) {
		const usec now = clock_now();
		if (now >= c->deadline)
			return fault_set(c->fault, ERR_AGAIN,
				"the time for the key exchange was over before %s: see whether the %s still runs and "
				"no firewall holds it up",
				what, c->peer);
		const usec left_ms = (c->deadline - now) / USEC_PER_MS + 1;
		const int n = poll(fds, 2, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
		if (n < 0 && errno != EINTR)
			return fault_errno(c->fault, "cannot wait for the %s (try again)", c->peer);
		if (n > 0 && fds[1].revents)
			return fault_set(c->fault, ERR_STATE, "the key exchange was stopped before %s", what);
		if (n > 0)
			return OK;
	}
}

static bool is_passing(int error)
{
	return error == EINTR || error == EAGAIN || error == EWOULDBLOCK;
}

static enum err channel_broken(const struct channel *c, const char *what)
{
	const char *why = strerror(errno);
	return fault_set(c->fault, ERR_IO, "the connection to the %s broke before %s (%s): let it try again", c->peer,
		what, why);
}

static enum err channel_send(const struct channel *c, const void *data, size_t len, const char *what)
{
	struct reader r = reader_of(data, len);
	while (reader_left(&r) > 0) {
		enum err e = channel_wait(c, POLLOUT, what);
		if (e != OK)
			return e;
		const ssize_t n = send(c->fd, r.data + r.at, reader_left(&r), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			(void)reader_take(&r, (size_t)n);
		else if (!is_passing(errno))
			return channel_broken(c, what);
	}
	return OK;
}

static enum err channel_receive(const struct channel *c, void *out, size_t len, const char *what)
{
	struct writer w = writer_of(out, len);
	while (w.at < w.size) {
		enum err e = channel_wait(c, POLLIN, what);
		if (e != OK)
			return e;
		const ssize_t n = recv(c->fd, w.data + w.at, w.size - w.at, MSG_DONTWAIT);
		if (n == 0)
			return fault_set(c->fault, ERR_IO,
				"the %s closed the connection before %s: look at what it says", c->peer, what);
		if (n > 0)
			(void)writer_room(&w, (size_t)n);
		else if (!is_passing(errno))
			return channel_broken(c, what);
	}
	return OK;
}

/* Until the client has closed its end. A reset is that as well: all that was wanted of it has come. */
static enum err channel_receive_end(const struct channel *c)
{
	uint8_t rest[256];
	for (size_t got = 0; got <= REST_MAX;) {
		enum err e = channel_wait(c, POLLIN, "the client closed its end");
		if (e != OK)
			return e;
		const ssize_t n = recv(c->fd, rest, sizeof rest, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && !is_passing(errno)))
			return OK;
		got += n > 0 ? (size_t)n : 0;
	}
	return fault_set(c->fault, ERR_FORMAT,
		"the client goes on sending behind its last message: check that it runs snek-vpn.py of version 3.0, or "
		"jorm "
		"snek-vpn");
}

/* A KEM key or a ciphertext: its length, and as many bytes. */
static enum err kem_send(const struct channel *c, const uint8_t bytes[static KEM_PUBLIC_LEN], const char *what)
{
	uint8_t message[LENGTH_LEN + KEM_PUBLIC_LEN];
	struct writer w = writer_of(message, sizeof message);
	writer_u32(&w, KEM_PUBLIC_LEN);
	writer_bytes(&w, bytes, KEM_PUBLIC_LEN);
	return channel_send(c, message, sizeof message, what);
}

static enum err kem_receive(const struct channel *c, uint8_t ret[static KEM_PUBLIC_LEN], const char *what)
{
	uint8_t length[LENGTH_LEN];
	enum err e = channel_receive(c, length, sizeof length, what);
	if (e != OK)
		return e;
	if (le32_get(length) != KEM_PUBLIC_LEN)
		return fault_set(c->fault, ERR_FORMAT,
			"the %s announces %u bytes where Kyber1024 has %d: check that it runs snek-vpn.py of version "
			"3.0, or "
			"jorm snek-vpn",
			c->peer, le32_get(length), KEM_PUBLIC_LEN);
	return channel_receive(c, ret, KEM_PUBLIC_LEN, what);
}

/* ---- client ---- */

/* Sends a fresh KEM key, and gets the secret that the server made with it. */
static enum err client_agree(const struct channel *c, const struct rng *rng, uint8_t ret_secret[static SNEK_SECRET_LEN])
{
	uint8_t seed[KEM_SEED_LEN], public_key[KEM_PUBLIC_LEN], ciphertext[KEM_CIPHERTEXT_LEN];
	struct kem_key *key = NULL;

	rng_fill(rng, seed, sizeof seed);
	enum err e = kem_generate(&key, public_key, seed);
	secret_wipe(seed, sizeof seed);
	if (e != OK)
		return fault_set(c->fault, e, "cannot make a KEM key: %s", err_text(e));
	e = kem_send(c, public_key, "it had our KEM key");
	if (e == OK)
		e = kem_receive(c, ciphertext, "its ciphertext had come");
	if (e == OK && (e = snek_kyber_decapsulate(ret_secret, key, ciphertext)) != OK)
		e = fault_set(c->fault, e, "cannot decapsulate the server's ciphertext: %s", err_text(e));
	kem_free(key);
	return e;
}

/* Signs and sends the last message. */
static enum err client_prove(const struct channel *c, const struct identity *id, const struct rng *rng,
	const uint8_t secret[static SNEK_SECRET_LEN], uint8_t ret_data_key[static AEAD_KEY_LEN])
{
	uint8_t salt[SNEK_SALT_LEN], message[SNEK_META_LEN];
	struct snek_keys keys;

	rng_fill(rng, salt, sizeof salt);
	enum err e = snek_keys_derive(&keys, secret, salt);
	if (e == OK)
		e = snek_meta_build(message, id, &keys, salt, rng);
	if (e != OK)
		e = fault_set(c->fault, e, "cannot sign this end's key: %s", err_text(e));
	else
		e = channel_send(c, message, sizeof message, "it had our signature");
	if (e == OK)
		memcpy(ret_data_key, keys.data, AEAD_KEY_LEN);
	secret_wipe(&keys, sizeof keys);
	return e;
}

enum err snek_exchange_client(int fd, const struct identity *id, int stop_fd, usec deadline,
	uint8_t ret_data_key[static AEAD_KEY_LEN], struct fault *fault)
{
	const struct channel c = {fd, stop_fd, deadline, "server", fault};
	const struct rng rng = rng_system();
	uint8_t secret[SNEK_SECRET_LEN];

	secret_wipe(ret_data_key, AEAD_KEY_LEN);
	if (identity_public(id)->alg != SIG_ML_DSA_65)
		return fault_set(fault, ERR_ARGUMENT,
			"the key is %s, and the older program knows ML-DSA-65 only: make one with `jorm keygen DIR`",
			sig_alg_name(identity_public(id)->alg));
	enum err e = client_agree(&c, &rng, secret);
	if (e == OK)
		e = client_prove(&c, id, &rng, secret, ret_data_key);
	secret_wipe(secret, sizeof secret);
	return e;
}

/* ---- server ---- */

static enum err server_agree(const struct channel *c, uint8_t ret_secret[static SNEK_SECRET_LEN])
{
	uint8_t public_key[KEM_PUBLIC_LEN], ciphertext[KEM_CIPHERTEXT_LEN], entropy[KEM_ENTROPY_LEN];
	const struct rng rng = rng_system();

	enum err e = kem_receive(c, public_key, "its KEM key had come");
	if (e != OK)
		return e;
	rng_fill(&rng, entropy, sizeof entropy);
	e = snek_kyber_encapsulate(ciphertext, ret_secret, public_key, entropy);
	secret_wipe(entropy, sizeof entropy);
	if (e == ERR_FORMAT)
		return fault_set(c->fault, e,
			"the client's KEM key is no Kyber1024 key: check that it runs snek-vpn.py of version 3.0, or "
			"jorm "
			"snek-vpn");
	if (e != OK)
		return fault_set(c->fault, e, "cannot encapsulate to the client's KEM key: %s", err_text(e));
	return kem_send(c, ciphertext, "it had our ciphertext");
}

/* The client's last message, whole: freed by the caller. */
static enum err meta_receive(const struct channel *c, uint8_t **ret, size_t *ret_len)
{
	static const char what[] = "its signature had come";
	uint8_t head[SNEK_META_HEAD_LEN];
	size_t n = 0;

	*ret = NULL;
	enum err e = channel_receive(c, head, sizeof head, what);
	if (e == OK)
		e = snek_meta_length(&n, head, c->fault);
	if (e != OK)
		return e;
	*ret_len = sizeof head + n;
	*ret = malloc(*ret_len);
	if (!*ret)
		return fault_set(c->fault, ERR_NOMEM, "no memory for the client's signature");
	struct writer w = writer_of(*ret, *ret_len);
	writer_bytes(&w, head, sizeof head);
	return channel_receive(c, writer_room(&w, n), n, what);
}

/* The keys of the session, and the client's signature over them. */
static enum err server_keys(struct snek_keys *ret, uint8_t ret_sig[static SIG_65_LEN], const struct channel *c,
	const uint8_t secret[static SNEK_SECRET_LEN])
{
	uint8_t *message;
	size_t len = 0;
	enum err e = meta_receive(c, &message, &len);
	if (e == OK && (e = snek_keys_derive(ret, secret, message)) != OK)
		e = fault_set(c->fault, e, "cannot derive the session's keys: %s", err_text(e));
	if (e == OK)
		e = snek_meta_open(ret_sig, ret, message, len, c->fault);
	free(message);
	return e;
}

enum err snek_exchange_server(int fd, const char *folder, int stop_fd, usec deadline,
	uint8_t ret_data_key[static AEAD_KEY_LEN], char ret_key_name[static NAME_MAX + 1], struct fault *fault)
{
	const struct channel c = {fd, stop_fd, deadline, "client", fault};
	uint8_t secret[SNEK_SECRET_LEN], sig[SIG_65_LEN];
	struct snek_keys keys = {0};

	secret_wipe(ret_data_key, AEAD_KEY_LEN);
	ret_key_name[0] = '\0';
	enum err e = server_agree(&c, secret);
	if (e == OK)
		e = server_keys(&keys, sig, &c, secret);
	if (e == OK)
		e = snek_authorized_find(ret_key_name, folder, keys.data, sig, fault);
	if (e == OK)
		e = channel_receive_end(&c);
	if (e == OK)
		memcpy(ret_data_key, keys.data, AEAD_KEY_LEN);
	else
		ret_key_name[0] = '\0';
	secret_wipe(&keys, sizeof keys);
	secret_wipe(secret, sizeof secret);
	return e;
}
