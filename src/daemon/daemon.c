#include "daemon/daemon.h"

#include "base/log.h"
#include "base/secret.h"
#include "config/config.h"
#include "control/server.h"
#include "crypto/keyfile.h"
#include "daemon/interface.h"
#include "daemon/queue.h"
#include "daemon/report.h"
#include "daemon/resolver.h"
#include "daemon/worker.h"
#include "engine/grace.h"
#include "transport/path.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define WORKERS_MAX 64
/* Of a socket, each way. Larger ones only make pings wait behind a TCP stream, smaller ones lose too much of
 * several streams (docs/performance.md). */
#define SOCKET_BUFFER ((size_t)4 << 20)
#define EVENTS_AT_ONCE 64 /* then signals and the control socket get a turn */

/* Everything of one running tunnel; torn down in the opposite order. */
struct daemon {
	const struct config *config;
	struct identity *identity;
	struct interface *interface;
	struct queue *queue;
	struct udp **sockets;   /* one a worker */
	struct worker *workers; /* n_workers, and the control thread's at the end, never started */
	uint32_t n_workers;
	struct engine *engine;
	struct rng rng;
	struct resolver *resolver;
	struct control_server *control;
	struct report_source report;
	sigset_t signals_before;
	bool has_signals;
	int signal_fd, epoll_fd;
	bool must_stop;
};

/* ---- what the engine asks and tells ---- */

static uint32_t on_interface_mtu(void *context, const struct addr *remote)
{
	struct daemon *d = context;
	return interface_outer_mtu(d->interface, remote, d->config->fwmark);
}

static void on_tunnel_mtu(void *context, uint32_t mtu)
{
	struct daemon *d = context;
	struct fault fault;
	if (interface_set_mtu(d->interface, mtu, &fault) != OK)
		log_warning("%s", fault.text);
	else
		log_info("%s: MTU %u", interface_name(d->interface), mtu);
	d->report.mtu = interface_mtu(d->interface);
}

static void on_notice(void *context, enum notice notice, const char *peer, const char *text)
{
	(void)context;
	(void)peer;
	if (notice == NOTICE_REJECTED || notice == NOTICE_REFUSED || notice == NOTICE_LOST)
		log_warning("%s", text);
	else if (notice == NOTICE_PATH)
		log_debug("%s", text);
	else
		log_info("%s", text);
}

static void on_call(void *context, const struct control_call *call, struct control_reply *reply)
{
	struct daemon *d = context;
	switch ((int)call->operation) {
	case CONTROL_STATUS:
		reply->document = report_status(&d->report, clock_now());
		break;
	case CONTROL_DOWN:
		d->must_stop = true;
		break;
	default:
		reply->err = fault_set(&reply->fault, ERR_UNSUPPORTED, "this daemon cannot do that");
	}
}

/* ---- setting up ---- */

/* Key material never reaches a core file, and no other process of this user may read our memory. */
static void protect_memory(void)
{
	struct rlimit none = {0};
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		log_warning("core dumps could not be switched off: %s", strerror(errno));
}

/* Signals come through a descriptor; blocked before any thread starts, so in all of them. */
static enum err set_up_signals(struct daemon *d, struct fault *fault)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	sigprocmask(SIG_BLOCK, &set, &d->signals_before);
	d->has_signals = true;
	d->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	return d->signal_fd < 0 || d->epoll_fd < 0 ? fault_errno(fault, "cannot make the main loop's descriptors") : OK;
}

static enum err watch(struct daemon *d, int fd, struct fault *fault)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? fault_errno(fault, "cannot watch a descriptor")
								     : OK;
}

static enum err set_up_sockets(struct daemon *d, struct fault *fault)
{
	d->sockets = calloc(d->n_workers, sizeof *d->sockets);
	d->workers = calloc(d->n_workers + 1, sizeof *d->workers);
	if (!d->sockets || !d->workers)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	for (uint32_t i = 0; i < d->n_workers; i++) {
		struct udp_config config = {.bind = d->config->listen,
			.join = i ? d->sockets[0] : NULL,
			.buffer_bytes = SOCKET_BUFFER,
			.mark = d->config->fwmark};
		enum err err = udp_open(&d->sockets[i], &config, fault);
		if (err != OK)
			return err;
	}
	return OK;
}

static enum err add_peer(struct daemon *d, const struct config_peer *from, struct fault *fault)
{
	struct peer_config peer = {
		.name = from->name,
		.allowed_ips = from->allowed_ips.items,
		.n_allowed_ips = from->allowed_ips.count,
		.initiates = from->endpoint_host,
		.keepalive = from->keepalive_s * USEC_PER_SEC,
		.has_psk = from->preshared_key,
	};
	uint32_t number;
	enum err err = OK;
	memcpy(peer.key_id, from->key_id, KEY_ID_LEN);
	if (from->preshared_key)
		err = keyfile_read_psk(peer.psk, from->preshared_key, fault);
	if (err == OK) {
		err = engine_add_peer(d->engine, &peer, &number);
		if (err == ERR_EXISTS)
			err = fault_set(fault, err,
				"peer %s has this host's own key, or another peer's: give it its own KeyID",
				from->name);
		else if (err != OK)
			err = fault_set(fault, err, "peer %s: %s", from->name, err_text(err));
	}
	secret_wipe(peer.psk, sizeof peer.psk);
	return err;
}

static enum err set_up_engine(struct daemon *d, struct fault *fault)
{
	const struct config *c = d->config;
	bool prefer_aes =
		c->cipher == CONFIG_CIPHER_AES_256_GCM || (c->cipher == CONFIG_CIPHER_AUTO && cipher_aes_is_fast());
	struct engine_config config = {
		.identity = d->identity,
		.n_lanes = d->n_workers * WORKER_LANES,
		.suites = prefer_aes ? CIPHER_ALL : (uint32_t)CIPHER_CHACHA20_POLY1305,
		.prefer_aes = prefer_aes,
		.padding = c->padding == CONFIG_PADDING_NONE ? PADDING_NONE : PADDING_BUCKETS,
		.tunnel_mtu = c->mtu,
		.reauthenticate = c->reauthenticate_s * USEC_PER_SEC,
		.rekey = c->rekey_s * USEC_PER_SEC,
		.max_pending = c->max_pending_handshakes,
		.handshake_rate = c->handshake_rate,
		.host = {.interface_mtu = on_interface_mtu,
			.tunnel_mtu = on_tunnel_mtu,
			.notice = on_notice,
			.context = d},
	};
	struct lane_io *io = calloc(config.n_lanes + 1, sizeof *io);
	if (!io)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	for (uint32_t i = 0; i <= d->n_workers; i++) {
		struct worker *w = &d->workers[i];
		/* The control thread's shares the first worker's socket and queue of the interface. */
		uint32_t shared = i < d->n_workers ? i : 0;
		w->tun = interface_tun(d->interface);
		w->tun_queue = shared;
		w->udp = d->sockets[shared];
		w->events = d->queue;
		for (uint32_t k = i * WORKER_LANES; k <= config.n_lanes && k < (i + 1) * WORKER_LANES; k++)
			io[k] = worker_io(w);
	}
	enum err err = engine_new(&d->engine, &config, io, &d->rng, clock_now());
	free(io);
	if (err != OK)
		return fault_set(fault, err, "cannot start the engine: %s", err_text(err));
	for (uint32_t i = 0; i < d->n_workers; i++) {
		d->workers[i].own.lane = engine_lane(d->engine, i * WORKER_LANES);
		d->workers[i].helper.lane = engine_lane(d->engine, i * WORKER_LANES + 1);
	}
	for (size_t i = 0; err == OK && i < c->peer_count; i++)
		err = add_peer(d, &c->peers[i], fault);
	return err;
}

static uint32_t worker_count(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (uint32_t)cores;
}

static enum err set_up(struct daemon *d, struct fault *fault)
{
	d->rng = rng_system();
	protect_memory();
	enum err err = set_up_signals(d, fault);
	if (err == OK)
		err = keyfile_read_private(&d->identity, d->config->private_key, fault);
	if (err == OK) /* before the interface: a second daemon for the same file stops here */
		err = control_server_open(&d->control,
			&(struct control_config){.path = d->config->control_socket,
				.group = (gid_t)-1,
				.owner = geteuid(),
				.handler = on_call,
				.context = d},
			fault);
	if (err == OK)
		err = queue_new(&d->queue, fault);
	if (err == OK)
		err = interface_open(&d->interface, d->config, worker_count(), fault);
	if (err != OK)
		return err;
	d->n_workers = interface_queues(d->interface);
	err = set_up_sockets(d, fault);
	if (err == OK)
		err = set_up_engine(d, fault);
	if (err == OK)
		err = interface_set_up(d->interface, d->config, fault);
	for (uint32_t i = 0; err == OK && i < d->n_workers; i++)
		err = worker_start(&d->workers[i], fault);
	if (err == OK)
		err = resolver_start(&d->resolver, d->config, fault);
	int fds[] = {d->signal_fd, control_server_fd(d->control), queue_fd(d->queue),
		err == OK ? interface_monitor_fd(d->interface) : -1, err == OK ? resolver_fd(d->resolver) : -1};
	for (size_t i = 0; err == OK && i < sizeof fds / sizeof *fds; i++)
		err = watch(d, fds[i], fault);
	return err;
}

static void tear_down(struct daemon *d)
{
	if (d->engine)
		engine_close(d->engine, clock_now());
	resolver_stop(d->resolver);
	for (uint32_t i = 0; d->workers && i < d->n_workers; i++)
		worker_stop(&d->workers[i]);
	engine_free(d->engine);
	for (uint32_t i = 0; d->sockets && i < d->n_workers; i++)
		udp_close(d->sockets[i]);
	free(d->sockets);
	free(d->workers);
	interface_close(d->interface);
	queue_free(d->queue);
	control_server_close(d->control);
	identity_free(d->identity);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	if (d->epoll_fd >= 0)
		close(d->epoll_fd);
	if (d->has_signals)
		sigprocmask(SIG_SETMASK, &d->signals_before, NULL);
}

/* ---- the main loop: the control thread ---- */

static void take_signals(struct daemon *d)
{
	struct signalfd_siginfo info;
	while (read(d->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			d->must_stop = true;
		else if (info.ssi_signo == SIGHUP)
			log_warning("SIGHUP: this version cannot reload; use down and up");
	}
}

static void take_answers(struct daemon *d)
{
	size_t peer;
	struct addr address;
	char text[ADDR_TEXT_LEN];
	while (resolver_take(d->resolver, &peer, &address) == OK) {
		log_debug("peer %s is to be called at %s", d->config->peers[peer].name, addr_format(&address, text));
		engine_set_endpoint(d->engine, (uint32_t)peer, &address, clock_now());
	}
}

static void take_events(struct daemon *d)
{
	struct event event;
	bool under_load;
	for (int i = 0; i < EVENTS_AT_ONCE && queue_take(d->queue, &event, &under_load) == OK; i++)
		engine_event(d->engine, &event, under_load, clock_now());
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
		usec now = clock_now();
		usec engine_due = engine_tick(d->engine, now);
		usec control_due = control_server_handle(d->control, now);
		struct epoll_event ready[8];
		usec due = engine_due < control_due ? engine_due : control_due;
		int n = d->must_stop ? 0 : epoll_wait(d->epoll_fd, ready, 8, timeout_ms(due, now));
		if (n < 0 && errno != EINTR)
			return fault_errno(fault, "cannot wait for events");
		take_signals(d);
		take_answers(d);
		take_events(d);
		enum err err = interface_check(d->interface, fault);
		if (err != OK)
			return err;
	}
	return OK;
}

enum err daemon_run(const struct daemon_options *options, struct fault *fault)
{
	struct daemon d = {.config = options->config, .signal_fd = -1, .epoll_fd = -1};
	char id[KEY_ID_TEXT_LEN];

	grace_register_thread();
	enum err err = set_up(&d, fault);
	if (err == OK) {
		d.report = (struct report_source){.config = d.config,
			.engine = d.engine,
			.identity = d.identity,
			.interface = interface_name(d.interface),
			.mtu = interface_mtu(d.interface),
			.port = udp_local_port(d.sockets[0]),
			.started = clock_now()};
		log_info("%s is up: UDP port %u, %u worker%s, key ID %s", d.report.interface, d.report.port,
			d.n_workers, d.n_workers == 1 ? "" : "s", key_id_format(identity_key_id(d.identity), id));
		log_info("AEADs by %s", aead_provider_name());
		if (options->ready)
			options->ready(options->ready_ctx, d.report.interface);
		err = serve(&d, fault);
		log_info("%s goes down", d.report.interface);
	}
	tear_down(&d);
	grace_unregister_thread();
	return err;
}
