#include "compat/snek_attempt.h"
#include "compat/snek_net.h"
#include "compat/snek_private.h"

#include "base/log.h"
#include "base/secret.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A client that was heard this lately keeps its session when another host asks for one. */
#define IN_USE_TIME (60 * USEC_PER_SEC)
/* When the system has no memory or descriptors for a connection. */
#define SHORT_PAUSE (100 * USEC_PER_MS)

struct server {
	struct snek *s;
	int probe_fd; /* listens */
	struct snek_attempts *attempts;
	uint64_t turned_away; /* probes, since the last line about them */
	usec said_at;
};

/* Whoever has the session may ask anew at any time: it has been restarted, or cannot hear us. */
static bool is_in_use_by_another(const struct server *v, const struct addr *remote, usec now)
{
	const struct snek_link *link = v->s->link;
	return link && memcmp(snek_link_remote(link)->ip, remote->ip, 16) != 0 &&
	       now < snek_link_heard_at(link) + IN_USE_TIME;
}

/* At most a line in ten seconds, however many ask. */
static void turn_away(struct server *v, const struct addr *remote, const char *why, usec now)
{
	char text[ADDR_TEXT_LEN];
	v->turned_away++;
	if (v->said_at && now < v->said_at + 10 * USEC_PER_SEC)
		return;
	log_warning("%llu request%s turned away, the last from %s: %s", (unsigned long long)v->turned_away,
		v->turned_away == 1 ? "" : "s", addr_format_ip(remote->ip, text), why);
	v->said_at = now;
	v->turned_away = 0;
}

static void take_probes(struct server *v)
{
	struct addr remote;
	int fd;
	enum err accepted = OK;
	for (int i = 0; i < SNEK_ATTEMPTS_MAX; i++) {
		if ((accepted = snek_accept(&fd, &remote, v->probe_fd, -1, 0)) != OK)
			break;
		usec now = clock_now();
		if (is_in_use_by_another(v, &remote, now)) {
			(void)close(fd);
			turn_away(v, &remote, "another client has the session", now);
			continue;
		}
		enum err err = snek_attempts_begin(v->attempts, fd, &remote);
		if (err != OK)
			turn_away(v, &remote, err == ERR_FULL ? "too many at a time" : err_text(err), now);
	}
	/* It still waits to be taken, and so ends every wait for something else. */
	if (accepted == ERR_IO)
		(void)!snek_wait(-1, v->s->stop_fd, clock_now() + SHORT_PAUSE);
}

static void take_refusal(struct server *v, const struct snek_outcome *o)
{
	char text[ADDR_TEXT_LEN];
	if (o->err == ERR_STATE)
		return;
	if (o->err == ERR_AUTH)
		printf("Connection not authorized. %s\n", addr_format_ip(o->remote.ip, text));
	if (o->was_asked)
		log_warning("no session with %s: %s", addr_format_ip(o->remote.ip, text), o->fault.text);
}

static enum err take_session(struct server *v, struct snek_outcome *o, struct fault *fault)
{
	char text[ADDR_TEXT_LEN];
	/* Two may have asked at the same time. */
	if (is_in_use_by_another(v, &o->remote, clock_now())) {
		udp_close(o->udp);
		turn_away(v, &o->remote, "another client has the session", clock_now());
		return OK;
	}
	printf("[+] Initiating connection to peer. %s\n", addr_format_ip(o->remote.ip, text));
	enum err err = snek_begin(v->s, o->udp, &o->remote, o->data_key, fault);
	if (err != OK)
		return err;
	printf("[+] Connected.\n");
	log_info("session with %s, whose key is %s", addr_format(&o->remote, text), o->key_name);
	return OK;
}

static enum err take_outcomes(struct server *v, struct fault *fault)
{
	struct snek_outcome o;
	enum err err = OK;
	while (err == OK && snek_attempts_take(v->attempts, &o) == OK) {
		if (o.err == OK)
			err = take_session(v, &o, fault);
		else
			take_refusal(v, &o);
		secret_wipe(&o, sizeof o);
	}
	return err;
}

static enum err serve(struct server *v, struct fault *fault)
{
	bool had_session = true;
	enum err err = OK;
	while (err == OK) {
		if (had_session && !v->s->link)
			printf("[+] Waiting for peer...\n");
		had_session = v->s->link != NULL;
		err = snek_watch(v->s, v->probe_fd, USEC_NEVER, fault);
		if (err == OK)
			err = take_outcomes(v, fault);
		if (err == OK)
			take_probes(v);
	}
	return err;
}

enum err snek_serve(struct snek *s, struct fault *fault)
{
	const struct snek_options *o = s->options;
	struct server v = {.s = s, .probe_fd = -1};
	const struct snek_attempts_config config = {.folder = o->cert,
		.key_port = o->key_port,
		.data_port = o->data_port,
		.stop_fd = s->stop_fd,
		.event_fd = s->event_fd};
	enum err err = snek_listen(&v.probe_fd, o->data_port, "-dp", fault);
	if (err == OK && !(v.attempts = snek_attempts_new(&config)))
		err = fault_set(fault, ERR_NOMEM, "no memory to serve with (free some)");
	if (err == OK && o->confine)
		err = o->confine(o, fault);
	if (err == OK)
		err = serve(&v, fault);
	/* The attempts end by what ends the program: a failure says it to them in the same way. */
	if (err != ERR_STATE)
		(void)kill(getpid(), SIGTERM);
	snek_attempts_free(v.attempts);
	if (v.probe_fd >= 0)
		(void)close(v.probe_fd);
	return err;
}
