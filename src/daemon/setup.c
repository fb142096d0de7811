/* Setting a tunnel up, up to the sandbox and the threads, and taking it down. */
#include "base/file.h"
#include "base/log.h"
#include "crypto/keyfile.h"
#include "daemon/notify.h"
#include "daemon/private.h"
#include "engine/grace.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define WORKERS_MAX 64
/* Of a socket, each way. Larger ones only make pings wait behind a TCP stream, smaller ones lose too much of
 * several streams (docs/performance.md). */
#define SOCKET_BUFFER ((size_t)4 << 20)
#define MARK_BASE 0x6a6f0000U /* "jo"; the rest tells one tunnel from another */

/* ---- what the engine asks and tells ---- */

static uint32_t on_interface_mtu(void *context, const struct addr *remote)
{
	struct daemon *d = context;
	return interface_outer_mtu(d->interface, remote, d->mark);
}

static void on_tunnel_mtu(void *context, uint32_t mtu)
{
	struct daemon *d = context;
	d->path_mtu = mtu;
	daemon_set_mtu(d);
}

static void on_notice(void *context, enum notice notice, const char *peer, const char *text)
{
	struct daemon *d = context;
	enum log_level level = LOG_LEVEL_INFO;
	if (notice == NOTICE_REJECTED || notice == NOTICE_REFUSED || notice == NOTICE_LOST || notice == NOTICE_PAD ||
		notice == NOTICE_LAYER)
		level = LOG_LEVEL_WARNING;
	else if (notice == NOTICE_PATH)
		level = LOG_LEVEL_DEBUG;
	log_event(level, report_notice_name(notice), peer, "%s", text);
	if (d->control && control_server_has_listeners(d->control))
		control_server_event(d->control, report_notice(notice, peer, text));
}

static enum err on_keep_lease(void *context, const uint8_t key_id[KEY_ID_LEN], const char *peer,
	const struct prefix *address, struct fault *fault)
{
	struct daemon *d = context;
	return state_keep_lease(d->state, key_id, peer, address, fault);
}

static void on_drop_lease(void *context, const struct prefix *address)
{
	struct daemon *d = context;
	struct fault fault;
	if (state_drop_lease(d->state, address, &fault) != OK)
		log_warning("%s", fault.text);
}

static void on_accepted(void *context, uint32_t number, const struct accept *accept)
{
	struct daemon *d = context;
	struct roster_peer peer;
	char text[ADDR_TEXT_LEN];
	d->must_apply = true; /* not here: the engine is in the middle of something */
	for (size_t i = 0; i < accept->n_addresses && roster_peer(d->roster, number, &peer); i++)
		log_info("%s gives us %s", peer.config->name, prefix_format(&accept->addresses[i], text));
}

/* ---- the engine ---- */

static enum padding padding_of(const struct config *c)
{
	switch (c->padding) {
	case CONFIG_PADDING_NONE:
		return PADDING_NONE;
	case CONFIG_PADDING_RANDOM:
		return PADDING_RANDOM;
	case CONFIG_PADDING_BUCKETS:
		break;
	}
	return PADDING_BUCKETS;
}

struct engine_config daemon_engine_config(struct daemon *d, const struct config *c, const struct identity *identity)
{
	bool prefer_aes =
		c->cipher == CONFIG_CIPHER_AES_256_GCM || (c->cipher == CONFIG_CIPHER_AUTO && cipher_aes_is_fast());
	struct engine_config config = {
		.identity = identity,
		.n_lanes = d->n_workers * WORKER_LANES,
		.suites = prefer_aes ? CIPHER_ALL : (uint32_t)CIPHER_CHACHA20_POLY1305,
		.prefer_aes = prefer_aes,
		.padding = padding_of(c),
		.tunnel_mtu = c->mtu,
		.reauthenticate = c->reauthenticate_s * USEC_PER_SEC,
		.rekey = c->rekey_s * USEC_PER_SEC,
		.max_pending = c->max_pending_handshakes,
		.handshake_rate = c->handshake_rate,
		.pools = c->pools.items,
		.n_pools = c->pools.count,
		.own = c->addresses.items,
		.n_own = c->addresses.count,
		.is_layer2 = c->layer == 2,
		.are_peers_apart = c->client_to_client == CONFIG_BETWEEN_NO,
		.host = {.interface_mtu = on_interface_mtu,
			.tunnel_mtu = on_tunnel_mtu,
			.notice = on_notice,
			.keep_lease = on_keep_lease,
			.drop_lease = on_drop_lease,
			.accepted = on_accepted,
			.context = d},
	};
	struct accept *push = &config.push;
	memcpy(config.mac, interface_mac(d->interface), sizeof config.mac);
	for (size_t i = 0; i < c->push_routes.count && i < ACCEPT_ROUTES_MAX; i++)
		push->routes[push->n_routes++] = c->push_routes.items[i];
	for (size_t i = 0; i < c->push_dns.server_count && i < ACCEPT_DNS_MAX; i++)
		memcpy(push->dns[push->n_dns++], c->push_dns.servers[i], 16);
	for (size_t i = 0; i < c->push_dns.domains.count && i < ACCEPT_DOMAINS_MAX; i++)
		strncpy(push->domains[push->n_domains++], c->push_dns.domains.items[i], ACCEPT_DOMAIN_LEN - 1);
	push->mtu = c->push_mtu;
	push->keepalive_s = c->push_keepalive_s;
	return config;
}

/* What was handed out before is known again; what no longer fits the configuration is forgotten. */
static void load_leases(struct daemon *d)
{
	struct store_lease lease;
	for (size_t i = 0; state_lease(d->state, i, &lease);) {
		char text[ADDR_TEXT_LEN];
		enum err err = engine_load_lease(d->engine, lease.key_id, &lease.address);
		if (err == OK || err == ERR_NOMEM) {
			i++;
			continue;
		}
		log_info("the lease of %s for %s ends: %s", prefix_format(&lease.address, text), lease.name,
			err == ERR_NOT_FOUND ? "it is in no Pool any more" : "the configuration gives it to another");
		on_drop_lease(d, &lease.address); /* the next one takes its place in the list */
	}
}

static enum err set_up_engine(struct daemon *d, struct fault *fault)
{
	struct engine_config config = daemon_engine_config(d, d->config, d->identity);
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
	struct roster_config roster = {
		.engine = d->engine, .keeper = d->keeper, .store = state_store(d->state), .pads = d->pads};
	err = roster_new(&d->roster, &roster, fault);
	if (err == OK)
		err = roster_sync(d->roster, d->config, fault);
	if (err == OK)
		load_leases(d);
	return err;
}

/* ---- the rest ---- */

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

static enum err watch_descriptor(struct daemon *d, int fd, struct fault *fault)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0 ? fault_errno(fault, "cannot watch a descriptor")
								     : OK;
}

/* The mark that keeps our own datagrams out of the tunnel: the configuration's, or one that is the same at every
 * start, so that rules of before still hold. */
static uint32_t mark_of(const struct config *config)
{
	uint32_t hash = 2166136261U;
	if (config->fwmark)
		return config->fwmark;
	for (const char *c = config->instance; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 16777619U;
	return MARK_BASE | ((hash >> 16) ^ (hash & 0xffff));
}

static enum err set_up_paths(struct daemon *d, struct fault *fault)
{
	char copy[PATH_MAX];
	if (!realpath(d->config->path, d->path))
		return fault_errno(fault, "%s", d->config->path);
	memcpy(copy, d->path, sizeof copy);
	strncpy(d->folder, dirname(copy), sizeof d->folder - 1);
	return OK;
}

static enum err set_up_control(struct daemon *d, struct fault *fault)
{
	struct control_config config = {.path = d->config->control_socket,
		.group = (gid_t)-1,
		.owner = d->user.uid,
		.handler = daemon_call,
		.context = d};
	if (d->config->control_group) {
		const struct group *group = getgrnam(d->config->control_group);
		if (!group)
			return fault_set(fault, ERR_NOT_FOUND,
				"ControlGroup: there is no group %s: make it, or leave the key out",
				d->config->control_group);
		config.group = group->gr_gid;
	}
	return control_server_open(&d->control, &config, fault);
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
			.mark = d->mark};
		enum err err = udp_open(&d->sockets[i], &config, fault);
		if (err != OK)
			return err;
	}
	return OK;
}

static uint32_t worker_count(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	return cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (uint32_t)cores;
}

static int open_by_keeper(void *context, const char *path, int flags)
{
	struct daemon *d = context;
	int fd;
	enum err err = keeper_open(d->keeper, path, (flags & O_ACCMODE) == O_RDWR, &fd, NULL);
	if (err == OK)
		return fd;
	errno = err == ERR_NOT_FOUND ? ENOENT : EACCES;
	return -1;
}

/* A full or read-only disk hinders only who hands out addresses: those must not be forgotten. */
static enum err set_up_state(struct daemon *d, struct fault *fault)
{
	enum err err = sandbox_give_folder(&d->user, d->config->state_directory, fault);
	if (err == OK)
		err = state_open(&d->state, d->config->state_directory, d->config->instance, fault);
	if (err == OK) /* the database, too */
		return sandbox_give_folder(&d->user, d->config->state_directory, fault);
	if (err != ERR_IO || d->config->pools.count)
		return err;
	log_warning("peers that were added with jorm peer add are not known, and none can be added: %s", fault->text);
	return OK;
}

static bool has_pads(const struct config *config)
{
	bool found = config->pads;
	for (size_t i = 0; !found && i < config->peer_count; i++)
		found = config->peers[i].pad;
	return found;
}

/* The pads' ledgers, which are opened as root now and as the daemon's user later. */
static enum err give_ledgers(const struct daemon *d, struct fault *fault)
{
	if (!has_pads(d->config) && access(d->ledgers, F_OK) != 0)
		return OK;
	return sandbox_give_folder(&d->user, d->ledgers, fault);
}

static enum err set_up_pads(struct daemon *d, struct fault *fault)
{
	int len = snprintf(d->ledgers, sizeof d->ledgers, "%s/pads", d->config->state_directory);
	if (len < 0 || (size_t)len >= sizeof d->ledgers)
		return fault_set(fault, ERR_TOO_BIG, "the path of StateDirectory is too long: choose another");
	enum err err = give_ledgers(d, fault);
	return err == OK ? pads_new(&d->pads, d->ledgers, fault) : err;
}

static enum err set_up_watches(struct daemon *d, struct fault *fault)
{
	enum err err = watch_new(&d->watch, fault);
	if (err == OK)
		err = watch_set(d->watch, d->config->authorized_keys, fault);
	if (err == OK)
		err = watch_new(&d->watch_pads, fault);
	return err == OK ? watch_set(d->watch_pads, d->config->pads, fault) : err;
}

/* Everything that needs rights which the sandbox takes away. */
static enum err set_up_outside(struct daemon *d, struct fault *fault)
{
	notify_open();
	sandbox_protect_memory();
	enum err err = set_up_signals(d, fault);
	if (err == OK)
		err = set_up_paths(d, fault);
	if (err == OK)
		err = sandbox_user_find(&d->user, d->config->user, fault);
	if (err == OK) /* before anything is changed: a second daemon for the same file stops here */
		err = set_up_control(d, fault);
	if (err == OK)
		err = keeper_start(&d->keeper, d->config, fault);
	/* After the fork: the keeper, and what looks names up, have no copy of it. */
	if (err == OK && d->config->private_key)
		err = keyfile_read_private(&d->identity, d->config->private_key, fault);
	if (err == OK)
		err = keeper_hook(d->keeper, KEEPER_PRE_UP, fault);
	if (err == OK)
		err = set_up_state(d, fault);
	if (err == OK)
		err = set_up_pads(d, fault);
	if (err == OK)
		err = queue_new(&d->queue, fault);
	if (err == OK)
		err = interface_open(&d->interface, d->config, worker_count(), fault);
	if (err == OK)
		err = interface_choose_mac(
			d->interface, d->config, d->identity ? identity_key_id(d->identity) : NULL, fault);
	if (err == OK) {
		d->n_workers = interface_queues(d->interface);
		err = set_up_sockets(d, fault);
	}
	if (err == OK)
		err = set_up_engine(d, fault);
	if (err == OK) /* the ledgers that are new, too */
		err = give_ledgers(d, fault);
	if (err == OK)
		err = interface_set_up(d->interface, d->config->mtu, fault);
	if (err == OK)
		err = daemon_apply(d, fault);
	return err == OK ? set_up_watches(d, fault) : err;
}

enum err daemon_set_up(struct daemon *d, struct fault *fault)
{
	d->rng = rng_system();
	d->mark = mark_of(d->config);
	enum err err = set_up_outside(d, fault);
	if (err != OK)
		return err;
	struct sandbox_config sandbox = {
		.user = d->user, .read_folder = d->folder, .write_folder = d->config->state_directory};
	err = sandbox_enter(&sandbox, d->sandbox_text, fault);
	file_set_opener(open_by_keeper, d);
	if (err == OK)
		err = pads_start(d->pads, fault);
	for (uint32_t i = 0; err == OK && i < d->n_workers; i++)
		err = worker_start(&d->workers[i], fault);
	int fds[] = {d->signal_fd, control_server_fd(d->control), queue_fd(d->queue),
		interface_monitor_fd(d->interface), keeper_fd(d->keeper), watch_fd(d->watch), watch_fd(d->watch_pads)};
	for (size_t i = 0; err == OK && i < sizeof fds / sizeof *fds; i++)
		err = watch_descriptor(d, fds[i], fault);
	if (err == OK)
		err = keeper_hook(d->keeper, KEEPER_POST_UP, fault);
	d->is_set_up = err == OK;
	return err;
}

static void run_hook(struct daemon *d, enum keeper_hook hook)
{
	struct fault fault;
	if (d->is_set_up && keeper_hook(d->keeper, hook, &fault) != OK)
		log_warning("%s", fault.text);
}

void daemon_tear_down(struct daemon *d)
{
	notify_stopping();
	run_hook(d, KEEPER_PRE_DOWN);
	if (d->engine)
		engine_close(d->engine, clock_now());
	for (uint32_t i = 0; d->workers && i < d->n_workers; i++)
		worker_stop(&d->workers[i]);
	roster_free(d->roster);
	engine_free(d->engine);
	pads_free(d->pads);
	for (uint32_t i = 0; d->sockets && i < d->n_workers; i++)
		udp_close(d->sockets[i]);
	free(d->sockets);
	free(d->workers);
	interface_close(d->interface);
	run_hook(d, KEEPER_POST_DOWN);
	queue_free(d->queue);
	watch_free(d->watch);
	watch_free(d->watch_pads);
	state_close(d->state);
	control_server_close(d->control);
	file_set_opener(NULL, NULL);
	keeper_stop(d->keeper, d->must_lift);
	identity_free(d->identity);
	daemon_dns_done(&d->dns);
	config_free(d->reloaded);
	if (d->signal_fd >= 0)
		close(d->signal_fd);
	if (d->epoll_fd >= 0)
		close(d->epoll_fd);
	if (d->has_signals)
		sigprocmask(SIG_SETMASK, &d->signals_before, NULL);
	notify_close();
}
