#include "compat/snek_attempt.h"

#include "base/secret.h"
#include "compat/snek_net.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PROBE_TIME (5 * USEC_PER_SEC)
/* The older client listens after its probe, and for 20 s. */
#define DIAL_TIME (20 * USEC_PER_SEC)
#define DIAL_PAUSE (100 * USEC_PER_MS)
#define KEY_TIME (20 * USEC_PER_SEC)
/* It opens its UDP port when it has closed the connection, and does not live to see a second hello. */
#define HELLO_PAUSE (100 * USEC_PER_MS)
#define HELLO_TRIES 20

/* Addresses whose attempts came to nothing have to wait; the older client has the patience. */
#define BLAMED_MAX 64
#define BLAMED_TIME (2 * USEC_PER_SEC)

enum phase { PHASE_FREE, PHASE_RUNS, PHASE_ENDED };

struct attempt {
	const struct snek_attempts_config *config;
	pthread_t thread;
	_Atomic enum phase phase; /* the thread sets PHASE_ENDED, as its last act */
	int probe_fd;
	usec not_before; /* it goes on after its probe */
	struct snek_outcome outcome;
};

struct blamed {
	uint8_t ip[16];
	usec until;
};

struct snek_attempts {
	struct snek_attempts_config config;
	struct attempt all[SNEK_ATTEMPTS_MAX];
	struct blamed blamed[BLAMED_MAX];
	size_t next_blamed;
};

/* ---- in the thread ---- */

static enum err take_probe(struct attempt *a)
{
	uint8_t byte = 0;
	enum err err = snek_wait(a->probe_fd, a->config->stop_fd, clock_now() + PROBE_TIME);
	if (err == OK && (recv(a->probe_fd, &byte, 1, MSG_DONTWAIT) != 1 || byte != 0xff))
		err = ERR_FORMAT;
	if (err == OK && snek_wait(-1, a->config->stop_fd, a->not_before) == ERR_STATE)
		err = ERR_STATE;
	return err;
}

static enum err dial_back(struct attempt *a, int *ret_fd)
{
	struct snek_outcome *o = &a->outcome;
	struct addr to = o->remote;
	const usec deadline = clock_now() + DIAL_TIME;
	enum err err;
	to.port = a->config->key_port;
	while ((err = snek_dial(ret_fd, &to, a->config->stop_fd, deadline)) == ERR_AGAIN && clock_now() < deadline) {
		int error = errno;
		if (snek_wait(-1, a->config->stop_fd, clock_now() + DIAL_PAUSE) == ERR_STATE)
			return ERR_STATE;
		errno = error;
	}
	if (err != OK && err != ERR_STATE)
		err = fault_errno(&o->fault,
			"cannot connect back to its TCP port %u (the client must be reachable there: no NAT or "
			"firewall in between, and the same -kp)",
			to.port);
	return err;
}

static enum err exchange(struct attempt *a)
{
	struct snek_outcome *o = &a->outcome;
	int fd;
	enum err err = dial_back(a, &fd);
	if (err != OK)
		return err;
	err = snek_exchange_server(
		fd, a->config->folder, a->config->stop_fd, clock_now() + KEY_TIME, o->data_key, o->key_name, &o->fault);
	(void)close(fd);
	return err;
}

/* One byte, once: again only when the answer was that nobody had the port open yet. */
static enum err say_hello(struct attempt *a)
{
	struct snek_outcome *o = &a->outcome;
	const struct udp_route route = {.remote = o->remote};
	int error = ECONNREFUSED;
	for (int i = 0; i < HELLO_TRIES && error == ECONNREFUSED; i++) {
		if (snek_wait(-1, a->config->stop_fd, clock_now() + HELLO_PAUSE) == ERR_STATE)
			return ERR_STATE;
		if (udp_send(o->udp, &route, &(uint8_t){0xff}, 1, 1) != OK) {
			error = errno;
			continue;
		}
		if (snek_wait(-1, a->config->stop_fd, clock_now() + HELLO_PAUSE) == ERR_STATE)
			return ERR_STATE;
		error = udp_take_error(o->udp);
	}
	errno = error;
	return error == 0 ? OK
			  : fault_errno(
				    &o->fault, "cannot send to its UDP port %u (is its -dp the same?)", o->remote.port);
}

static enum err open_session(struct attempt *a)
{
	struct snek_outcome *o = &a->outcome;
	const struct udp_config config = {.bind = {.ip = {[10] = 0xff, [11] = 0xff}}, .is_plain = true};
	o->remote.port = a->config->data_port;
	enum err err = udp_open(&o->udp, &config, &o->fault);
	if (err == OK && udp_connect(o->udp, &o->remote) != OK)
		err = fault_errno(&o->fault, "cannot send to its UDP port %u", o->remote.port);
	return err == OK ? say_hello(a) : err;
}

static void *attempt_main(void *context)
{
	struct attempt *a = context;
	struct snek_outcome *o = &a->outcome;
	o->err = take_probe(a);
	(void)close(a->probe_fd);
	if (o->err == OK) {
		o->was_asked = true;
		printf("[+] Request from peer %s\n", addr_format_ip(o->remote.ip, (char[ADDR_TEXT_LEN]){0}));
		o->err = exchange(a);
	}
	if (o->err == OK)
		o->err = open_session(a);
	if (o->err != OK) {
		udp_close(o->udp);
		o->udp = NULL;
		secret_wipe(o->data_key, sizeof o->data_key);
	}
	/* Before the event: who is woken must find it. Nothing of *a is touched after the phase. */
	const int event_fd = a->config->event_fd;
	atomic_store(&a->phase, PHASE_ENDED);
	(void)!write(event_fd, &(uint64_t){1}, sizeof(uint64_t));
	return NULL;
}

/* ---- outside ---- */

struct snek_attempts *snek_attempts_new(const struct snek_attempts_config *config)
{
	struct snek_attempts *all = calloc(1, sizeof *all);
	if (all)
		all->config = *config;
	return all;
}

void snek_attempts_free(struct snek_attempts *all)
{
	if (!all)
		return;
	for (size_t i = 0; i < SNEK_ATTEMPTS_MAX; i++) {
		struct attempt *a = &all->all[i];
		if (atomic_load(&a->phase) == PHASE_FREE)
			continue;
		(void)pthread_join(a->thread, NULL);
		udp_close(a->outcome.udp);
		secret_wipe(&a->outcome, sizeof a->outcome);
	}
	free(all);
}

static usec blamed_until(const struct snek_attempts *all, const struct addr *remote)
{
	usec until = 0;
	for (size_t i = 0; i < BLAMED_MAX; i++)
		if (all->blamed[i].until > until && memcmp(all->blamed[i].ip, remote->ip, 16) == 0)
			until = all->blamed[i].until;
	return until;
}

/* A place for it, or NULL. */
static struct attempt *place_for(struct snek_attempts *all, const struct addr *remote)
{
	struct attempt *found = NULL;
	for (size_t i = 0; i < SNEK_ATTEMPTS_MAX; i++) {
		struct attempt *a = &all->all[i];
		if (atomic_load(&a->phase) == PHASE_FREE)
			found = found ? found : a;
		else if (memcmp(a->outcome.remote.ip, remote->ip, 16) == 0)
			return NULL;
	}
	return found;
}

enum err snek_attempts_begin(struct snek_attempts *all, int fd, const struct addr *remote)
{
	struct attempt *a = place_for(all, remote);
	if (!a) {
		(void)close(fd);
		return ERR_FULL;
	}
	a->config = &all->config;
	a->probe_fd = fd;
	a->not_before = blamed_until(all, remote);
	a->outcome = (struct snek_outcome){.remote = *remote};
	atomic_store(&a->phase, PHASE_RUNS);
	if (pthread_create(&a->thread, NULL, attempt_main, a) == 0)
		return OK;
	atomic_store(&a->phase, PHASE_FREE);
	(void)close(fd);
	return ERR_NOMEM;
}

enum err snek_attempts_take(struct snek_attempts *all, struct snek_outcome *ret)
{
	for (size_t i = 0; i < SNEK_ATTEMPTS_MAX; i++) {
		struct attempt *a = &all->all[i];
		if (atomic_load(&a->phase) != PHASE_ENDED)
			continue;
		(void)pthread_join(a->thread, NULL);
		*ret = a->outcome;
		secret_wipe(&a->outcome, sizeof a->outcome);
		atomic_store(&a->phase, PHASE_FREE);
		if (ret->err != OK) {
			struct blamed *b = &all->blamed[all->next_blamed++ % BLAMED_MAX];
			memcpy(b->ip, ret->remote.ip, sizeof b->ip);
			b->until = clock_now() + BLAMED_TIME;
		}
		return OK;
	}
	return ERR_AGAIN;
}
