#include "compat/snek_exchange.h"
#include "compat/snek_net.h"
#include "compat/snek_private.h"

#include "base/log.h"
#include "base/secret.h"
#include "net/udp_batch.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The older program's patience. */
#define PROBE_TIME (5 * USEC_PER_SEC)
#define KEY_TIME (20 * USEC_PER_SEC)
#define HELLO_TIME (30 * USEC_PER_SEC)

/* How often a server is asked anew that has gone, or that has been silent for so long although we sent. */
#define RETRY_MIN USEC_PER_SEC
#define RETRY_MAX (60 * USEC_PER_SEC)
#define SILENCE_MIN (60 * USEC_PER_SEC)
#define SILENCE_MAX (30 * 60 * USEC_PER_SEC)

#define SAY_EVERY (10 * USEC_PER_SEC)
#define FORGOTTEN_MAX 100 /* connections and batches: a flood must not hold an attempt up */

struct client {
	struct snek *s;
	const struct identity *id;
	int key_fd;         /* listens for the server's connection */
	struct udp *hellos; /* has the data port, for what no session's socket takes */
	struct udp_batch *batch;
	struct addr server; /* where to ask; its port is the data port */
	usec said_at;       /* a line about strangers */
	uint8_t data_key[AEAD_KEY_LEN];
};

static bool same_host(const struct addr *a, const struct addr *b)
{
	return memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

/* Is it from whom we asked? At most a line in ten seconds about others, however many there are. */
static bool is_expected(struct client *c, const struct addr *remote, const char *what)
{
	char text[ADDR_TEXT_LEN];
	const usec now = clock_now();
	if (c->s->options->any_source || same_host(remote, &c->server))
		return true;
	if (c->said_at && now < c->said_at + SAY_EVERY)
		return false;
	log_warning("%s from %s, which is not the server, is ignored (--any-source takes it)", what,
		addr_format_ip(remote->ip, text));
	c->said_at = now;
	return false;
}

/* ---- one attempt, in its steps ---- */

/* What came before the probe is of somebody else, or of a session that is over. */
static void forget_earlier(struct client *c)
{
	struct addr remote;
	int fd;
	for (int i = 0; i < FORGOTTEN_MAX && snek_accept(&fd, &remote, c->key_fd, -1, 0) == OK; i++)
		(void)close(fd);
	for (int i = 0; i < FORGOTTEN_MAX && udp_receive(c->hellos, c->batch) == OK; i++)
		;
}

static enum err probe(struct client *c, struct fault *fault)
{
	char text[ADDR_TEXT_LEN];
	int fd;
	enum err err = snek_dial(&fd, &c->server, c->s->stop_fd, clock_now() + PROBE_TIME);
	if (err == ERR_STATE)
		return err;
	if (err != OK)
		return fault_errno(fault,
			"Failed to probe data port on receiver: %s (is the server running there, and its -dp the "
			"same?)",
			addr_format(&c->server, text));
	/* With the end of the connection in the same segment: an older server that closes it first cannot have its port
	 * again for a minute, and dies of that. */
	err = send(fd, &(uint8_t){0xff}, 1, MSG_NOSIGNAL | MSG_MORE) == 1
		      ? OK
		      : fault_errno(fault, "cannot send the probe to %s", addr_format(&c->server, text));
	(void)close(fd);
	return err;
}

static enum err exchange(struct client *c, struct fault *fault)
{
	const usec deadline = clock_now() + KEY_TIME;
	struct addr remote;
	int fd = -1;
	enum err err;
	do {
		if (fd >= 0)
			(void)close(fd);
		err = snek_accept(&fd, &remote, c->key_fd, c->s->stop_fd, deadline);
	} while (err == OK && !is_expected(c, &remote, "a key connection"));
	if (err == ERR_STATE)
		return err;
	if (err != OK)
		return fault_set(fault, err,
			"the server did not connect to TCP port %u of this host within 20 s (a firewall or NAT in "
			"between? is its -kp the same?)",
			c->s->options->key_port);
	err = snek_exchange_client(fd, c->id, c->s->stop_fd, clock_now() + KEY_TIME, c->data_key, fault);
	(void)close(fd);
	return err;
}

/* A hello may be lost while the server's first packets are not. */
struct listening {
	struct snek_sender *sender;
	struct snek_receiver *receiver;
};

static void ignore_packet(void *context, const uint8_t *packet, size_t len) {}

static void ignore_flush(void *context) {}

static bool is_hello(struct listening *l, const struct udp_message *m)
{
	const struct snek_output output = {.deliver = ignore_packet, .flush = ignore_flush};
	if (m->segment == 1)
		return true;
	for (size_t at = 0; at < m->len; at += m->segment)
		snek_receive(l->receiver, m->data + at, m->len - at < m->segment ? m->len - at : m->segment,
			clock_now(), &output);
	bool is = snek_receiver_counters(l->receiver)->delivered > 0;
	snek_receiver_release(l->receiver);
	return is;
}

static enum err listening_begin(struct listening *l, const struct client *c, struct fault *fault)
{
	const struct rng rng = rng_system();
	enum err err = snek_sender_new(&l->sender, c->data_key, &rng);
	if (err == OK)
		err = snek_receiver_new(&l->receiver, c->data_key, l->sender);
	return err == OK ? OK : fault_set(fault, err, "cannot set up a session: %s", err_text(err));
}

static enum err await_hello(struct client *c, struct addr *ret_remote, struct fault *fault)
{
	const usec deadline = clock_now() + HELLO_TIME;
	struct listening l = {0};
	enum err err = listening_begin(&l, c, fault);
	bool found = false;
	while (err == OK && !found) {
		err = snek_wait(udp_fd(c->hellos), c->s->stop_fd, deadline);
		if (err != OK)
			break;
		(void)!udp_receive(c->hellos, c->batch);
		for (size_t i = 0; i < c->batch->n && !found; i++) {
			const struct udp_message *m = &c->batch->messages[i];
			found = is_expected(c, &m->remote, "a datagram") && is_hello(&l, m);
			if (found)
				*ret_remote = m->remote;
		}
	}
	snek_receiver_free(l.receiver);
	snek_sender_free(l.sender);
	if (err == ERR_AGAIN)
		return fault_set(fault, err,
			"Connection failed! (bad auth?) The server sent nothing to UDP port %u of this host: does it "
			"have this key's .pub file, and does no firewall stop it?",
			c->s->options->data_port);
	return err;
}

/* A socket of its own, which takes the peer's datagrams only, beside the one that hellos come to. */
static enum err open_session(struct client *c, const struct addr *remote, struct fault *fault)
{
	char text[ADDR_TEXT_LEN];
	struct udp *udp;
	enum err err = udp_open(&udp, &(struct udp_config){.join = c->hellos, .is_plain = true}, fault);
	if (err != OK)
		return err;
	if (udp_connect(udp, remote) != OK) {
		err = fault_errno(fault, "cannot send to %s", addr_format(remote, text));
		udp_close(udp);
		return err;
	}
	err = snek_begin(c->s, udp, remote, c->data_key, fault);
	if (err == OK)
		printf("[+] Connected to %s\n", addr_format(remote, text));
	return err;
}

/* The session before goes on until the new one begins. */
static enum err attempt(struct client *c, struct fault *fault)
{
	struct addr remote;
	*fault = (struct fault){0};
	forget_earlier(c);
	enum err err = probe(c, fault);
	if (err == OK)
		err = exchange(c, fault);
	if (err == OK) {
		printf("[+] Waiting for connection on port %u...\n", c->s->options->data_port);
		err = await_hello(c, &remote, fault);
	}
	if (err == OK)
		err = open_session(c, &remote, fault);
	secret_wipe(c->data_key, sizeof c->data_key);
	return err;
}

/* ---- for ever ---- */

/* Its address may have changed. Without an answer it is asked where it was. */
static void look_up(struct client *c)
{
	struct addr found;
	struct fault why = {0};
	if (snek_resolve(&found, c->s->options->connect, c->s->options->data_port, &why) == OK)
		c->server = found;
	else
		log_warning("%s; trying the address that it had", why.text);
}

/* Until there is a session again. The first failures are said, and then one a while. */
static enum err reconnect(struct client *c, struct fault *fault)
{
	for (usec pause = RETRY_MIN;; pause = pause * 2 < RETRY_MAX ? pause * 2 : RETRY_MAX) {
		look_up(c);
		enum err err = attempt(c, fault);
		if (err == OK || err == ERR_STATE)
			return err;
		log_warning("%s; trying again in %u s", fault->text, (unsigned int)(pause / USEC_PER_SEC));
		const usec deadline = clock_now() + pause;
		while ((err = snek_watch(c->s, -1, deadline, fault)) == OK)
			;
		if (err != ERR_AGAIN)
			return err;
	}
}

/* Nothing tells a server that cannot hear us from one that has nothing to say; so it is asked, more seldom each time.
 * The older program's refuses while its session lasts, which costs neither end anything. */
static enum err ask_silent(struct client *c, usec *silence, struct fault *fault)
{
	const usec heard_at = snek_link_heard_at(c->s->link);
	if (clock_now() < heard_at + *silence)
		*silence = SILENCE_MIN;
	else if (snek_link_has_sent(c->s->link)) {
		look_up(c);
		enum err err = attempt(c, fault);
		if (err == ERR_STATE)
			return err;
		log_debug("the server has been silent for %u s; asked anew: %s",
			(unsigned int)((clock_now() - heard_at) / USEC_PER_SEC), err ? fault->text : "it answers");
		*silence = err == OK ? SILENCE_MIN : *silence * 2 < SILENCE_MAX ? *silence * 2 : SILENCE_MAX;
	}
	return OK;
}

static enum err carry_on(struct client *c, struct fault *fault)
{
	usec silence = SILENCE_MIN;
	for (;;) {
		enum err err = c->s->link ? snek_watch(c->s, -1, clock_now() + silence, fault) : reconnect(c, fault);
		if (err == ERR_AGAIN && c->s->link)
			err = ask_silent(c, &silence, fault);
		if (err != OK && err != ERR_AGAIN)
			return err;
	}
}

enum err snek_connect(struct snek *s, const struct identity *id, struct fault *fault)
{
	const struct snek_options *o = s->options;
	struct client c = {.s = s, .id = id, .key_fd = -1, .batch = udp_batch_new(1, UDP_RECEIVE_SIZE)};
	const struct udp_config config = {
		.bind = {.ip = {[10] = 0xff, [11] = 0xff}, .port = o->data_port}, .is_plain = true};
	enum err err = c.batch ? OK : fault_set(fault, ERR_NOMEM, "no memory to receive with (free some)");
	/* Before rights are given up: the C library loads code for it. */
	if (err == OK)
		err = snek_resolve(&c.server, o->connect, o->data_port, fault);
	/* Before anything is asked: on a fast link the answer would come first. */
	if (err == OK)
		err = snek_listen(&c.key_fd, o->key_port, "-kp", fault);
	if (err == OK)
		err = udp_open(&c.hellos, &config, fault);
	if (err == OK && o->confine)
		err = o->confine(o, fault);
	if (err == OK) {
		printf("[+] Connecting to %s:%u...\n", o->connect, o->key_port);
		err = attempt(&c, fault);
	}
	if (err == OK)
		err = carry_on(&c, fault);
	if (c.key_fd >= 0)
		(void)close(c.key_fd);
	udp_close(c.hellos);
	udp_batch_free(c.batch);
	return err;
}
