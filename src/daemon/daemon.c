#include "daemon/daemon.h"

#include "base/log.h"
#include "daemon/notify.h"
#include "daemon/private.h"
#include "engine/grace.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define LOOK_AGAIN (USEC_PER_SEC / 2) /* at a pad that is still being written */
#define EVENTS_AT_ONCE 64             /* then signals and the control socket get a turn */

/* ---- the main loop: the control thread ---- */

static void reload(struct daemon *d)
{
	struct fault fault;
	if (daemon_reload(d, &fault) != OK)
		log_error("reload: %s", fault.text);
}

static void take_signals(struct daemon *d)
{
	struct signalfd_siginfo info;
	while (read(d->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGHUP)
			reload(d);
		else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			d->must_stop = true;
		/* Somebody at the terminal wants it to end; a service manager may start it again at once. */
		if (info.ssi_signo == SIGINT)
			d->must_lift = true;
	}
}

static enum err take_answers(struct daemon *d, struct fault *fault)
{
	struct keeper_answer answer;
	enum err err;
	while ((err = keeper_take(d->keeper, &answer)) == OK)
		roster_answer(d->roster, &answer, clock_now());
	if (err == ERR_AGAIN)
		return OK;
	return fault_set(
		fault, err, "the keeper process %d has ended; start the tunnel again", (int)keeper_pid(d->keeper));
}

static void take_events(struct daemon *d)
{
	struct event event;
	struct fault fault;
	bool under_load;
	for (int i = 0; i < EVENTS_AT_ONCE && queue_take(d->queue, &event, &under_load) == OK; i++)
		engine_event(d->engine, &event, under_load, clock_now());
	if (d->must_apply && daemon_apply(d, &fault) != OK)
		log_error("%s", fault.text);
}

static usec watch_folders(struct daemon *d, usec now)
{
	struct fault fault;
	bool keys = false, pads = false;
	usec keys_due = watch_poll(d->watch, now, &keys), pads_due = watch_poll(d->watch_pads, now, &pads);
	usec due = keys_due < pads_due ? keys_due : pads_due;
	bool is_whole = now >= d->look_at && roster_has_ripened(d->roster);
	if ((keys || pads || is_whole) && daemon_reload_peers(d, &fault) != OK)
		log_error("%s", fault.text);
	if (now >= d->look_at)
		d->look_at = USEC_NEVER;
	if (d->look_at == USEC_NEVER && roster_is_unripe(d->roster))
		d->look_at = now + LOOK_AGAIN;
	return d->look_at < due ? d->look_at : due;
}

/* Everything that goes by the clock; returns when the first of it is due again. */
static usec tick(struct daemon *d, usec now)
{
	struct fault fault;
	usec dues[] = {engine_tick(d->engine, now), control_server_handle(d->control, now), watch_folders(d, now),
		roster_tick(d->roster, now), state_tick(d->state, now, &fault), notify_watchdog(now)};
	usec first = USEC_NEVER;
	if (fault.code != OK)
		log_warning("%s", fault.text);
	for (size_t i = 0; i < sizeof dues / sizeof *dues; i++)
		first = dues[i] < first ? dues[i] : first;
	return first;
}

static int timeout_ms(usec deadline, usec now)
{
	if (deadline <= now)
		return 0;
	usec wait = (deadline - now + USEC_PER_MS - 1) / USEC_PER_MS;
	return wait > 60000 ? 60000 : (int)wait;
}

static enum err serve(struct daemon *d, struct fault *fault)
{
	while (!d->must_stop) {
		struct epoll_event ready[8];
		usec now = clock_now();
		usec due = tick(d, now);
		int n = d->must_stop ? 0 : epoll_wait(d->epoll_fd, ready, 8, timeout_ms(due, clock_now()));
		if (n < 0 && errno != EINTR)
			return fault_errno(fault, "cannot wait for events");
		take_signals(d);
		take_events(d);
		enum err err = take_answers(d, fault);
		if (err == OK)
			err = interface_check(d->interface, fault);
		if (err != OK)
			return err;
	}
	return OK;
}

/* ---- beginning and end ---- */

static void introduce(struct daemon *d)
{
	char id[KEY_ID_TEXT_LEN] = "none, pads alone";
	d->report = (struct report_source){.config = d->config,
		.engine = d->engine,
		.identity = d->identity,
		.interface = interface_name(d->interface),
		.mtu = interface_mtu(d->interface),
		.port = udp_local_port(d->sockets[0]),
		.started = clock_now(),
		.peer = daemon_report_peer,
		.context = d,
		.sandbox = d->sandbox_text,
		.dns = &d->dns};
	if (d->identity)
		key_id_format(identity_key_id(d->identity), id);
	log_event(LOG_LEVEL_INFO, "up", NULL, "%s is up: UDP port %u, %u worker%s, key ID %s", d->report.interface,
		d->report.port, d->n_workers, d->n_workers == 1 ? "" : "s", id);
	log_info("AEADs by %s; sandbox: %s", aead_provider_name(), d->sandbox_text);
}

static void say_goodbye(const struct daemon *d, enum err err)
{
	if (d->is_guarded && !d->must_lift)
		log_warning(
			"the kill switch stays: nothing leaves this host until the tunnel is up again, or jorm down %s",
			d->config->instance);
	if (err == OK)
		log_event(LOG_LEVEL_INFO, "down", NULL, "%s goes down", d->report.interface);
}

enum err daemon_run(const struct daemon_options *options, struct fault *fault)
{
	struct daemon d = {.config = options->config, .signal_fd = -1, .epoll_fd = -1, .look_at = USEC_NEVER};

	grace_register_thread();
	log_set_tunnel(options->config->instance);
	enum err err = daemon_set_up(&d, fault);
	if (err == OK) {
		introduce(&d);
		if (options->ready)
			options->ready(options->ready_ctx, d.report.interface);
		if (keeper_log(d.keeper, STDERR_FILENO, fault) != OK)
			log_warning("%s", fault->text);
		notify_ready(d.report.interface);
		err = serve(&d, fault);
	}
	say_goodbye(&d, err);
	daemon_tear_down(&d);
	grace_unregister_thread();
	return err;
}
