#include "compat/otptunnel.h"

#include "base/log.h"
#include "compat/otp_link.h"
#include "compat/otp_notices.h"
#include "compat/snek_net.h"
#include "net/netlink.h"
#include "net/netlink_monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_EVERY_MS 1000

struct otptunnel {
	const struct otptunnel_options *options;
	struct otp_link *link;
	struct otp_notices notices;
	struct udp *udp;
	struct tun *tun;
	struct netlink_monitor *monitor;
	int signal_fd;
	int event_fd; /* the carrier has something new */
};

/* ---- setting up ---- */

static void warn(const struct otptunnel *t)
{
	const struct otptunnel_options *o = t->options;
	log_warning("OTPTunnel's protocol proves nothing: who knows what a packet says can send another in its place, "
		    "and lengths are in the clear; `jorm up` with Pad protects both, with the same kind of file "
		    "(docs/migrating.md)");
	if (o->restarts_at_zero)
		log_warning("--restart-at-zero: THE SAME BYTES OF %s ARE USED AGAIN with every start, so whoever keeps "
			    "what was sent can read it; leave it out as soon as the other end allows",
			o->key_file);
	else if (otp_pad_is_first_use(otp_link_pad(t->link)) && !o->has_start_at)
		log_warning("nothing is recorded of %s in %s: if an older program has sent with it, its bytes are used "
			    "again now; give both ends a fresh file, or --start-at OFFSET behind what was used",
			o->key_file, o->state);
	if (o->peer_restarts)
		log_warning("--peer-restarts: whoever keeps what the peer has sent can send it again%s; leave it out "
			    "when the peer has a ledger, too",
			o->peer ? "" : ", and so draw our frames to itself (give -A)");
	if (o->allows_weak)
		log_warning("--allow-weak-pad: a file that anybody can guess protects nothing");
	if (otp_link_is_exposed(t->link))
		log_warning("others than its owner can read or change the key file %s: chmod 600 %s, and use a fresh "
			    "one if somebody may have copied it",
			o->key_file, o->key_file);
}

static enum err open_link(struct otptunnel *t, struct fault *fault)
{
	const struct otptunnel_options *o = t->options;
	char folder[PATH_MAX];
	struct otp_link_config config = {.key_file = o->key_file,
		.folder = folder,
		.allows_weak = o->allows_weak,
		.pad = {.role = o->is_server ? PAD_OTP_SERVER : PAD_OTP_CLIENT,
			.restarts_at_zero = o->restarts_at_zero,
			.peer_restarts = o->peer_restarts,
			.first = o->start_at}};
	const int n = snprintf(folder, sizeof folder, "%s/pads", o->state);
	if (n < 0 || (size_t)n >= sizeof folder)
		return fault_set(fault, ERR_TOO_BIG, "the path of --state is too long: choose another folder");
	if (o->peer && snek_resolve(&config.peer, o->peer, o->peer_port, fault) != OK)
		return fault->code;
	if (mkdir(o->state, 0700) != 0 && errno != EEXIST)
		return fault_errno(fault,
			"cannot make the folder of ledgers %s (make it, or choose another with --state)", o->state);
	return otp_link_new(&t->link, &config, fault);
}

static enum err open_socket(struct otptunnel *t, struct fault *fault)
{
	const struct udp_config config = {.bind = t->options->local, .is_plain = true};
	char text[ADDR_TEXT_LEN];
	enum err err = udp_open(&t->udp, &config, fault);
	if (err == ERR_EXISTS)
		return fault_set(fault, err,
			"UDP port %u is in use by another program ('ss -ulpn sport = :%u' shows which): stop it, or "
			"choose another with --local-port, and -P at the other end",
			config.bind.port, config.bind.port);
	if (err == ERR_NOT_FOUND)
		return fault_set(fault, err, "no interface has the address %s: correct --local-addr, or leave it out",
			addr_format_ip(config.bind.ip, text));
	if (err == ERR_PERMISSION)
		return fault_set(fault, err,
			"not allowed to open UDP port %u: run as root, or choose one above 1023 with "
			"--local-port, and -P at the other end",
			config.bind.port);
	return err;
}

static enum err make_interface(struct otptunnel *t, struct fault *fault)
{
	const struct tun_config config = {.name = t->options->tap_name, .prefix = "tap", .n_queues = 1, .layer = 2};
	struct netlink *netlink;
	uint8_t mac[6];
	enum err err = tun_open(&t->tun, &config, fault);
	if (err == OK && otp_link_mac(t->link, mac) == OK)
		err = tun_set_mac(t->tun, mac, fault);
	if (err == OK)
		err = netlink_open(&netlink, fault);
	if (err != OK)
		return err;
	err = netlink_link_set_mtu(netlink, tun_ifindex(t->tun), t->options->tap_mtu, fault);
	if (err == OK)
		err = netlink_address_add(netlink, tun_ifindex(t->tun), &t->options->tap_address, fault);
	if (err == OK)
		err = netlink_link_set_up(netlink, tun_ifindex(t->tun), fault);
	netlink_close(netlink);
	return err == OK ? netlink_monitor_open(&t->monitor, tun_ifindex(t->tun), fault) : err;
}

/* The threads that are started later inherit the mask. */
static enum err catch_signals(struct otptunnel *t, struct fault *fault)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGUSR1);
	t->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	t->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	(void)sigaddset(&set, SIGPIPE);
	if (t->signal_fd < 0 || t->event_fd < 0 || pthread_sigmask(SIG_BLOCK, &set, NULL) != 0)
		return fault_errno(fault, "cannot catch signals");
	return OK;
}

static enum err set_up(struct otptunnel *t, struct fault *fault)
{
	const struct otptunnel_options *o = t->options;
	enum err err = catch_signals(t, fault);
	if (err == OK)
		err = open_link(t, fault);
	if (err != OK)
		return err;
	warn(t);
	err = open_socket(t, fault);
	if (err == OK)
		err = make_interface(t, fault);
	if (err == OK && o->confine)
		err = o->confine(fault);
	if (err == OK)
		err = otp_link_start(t->link, t->tun, t->udp, t->event_fd, fault);
	return err;
}

static void say_ready(struct otptunnel *t)
{
	const struct otptunnel_options *o = t->options;
	struct otp_pad_status status;
	struct addr peer;
	char tap[ADDR_TEXT_LEN], local[ADDR_TEXT_LEN], remote[ADDR_TEXT_LEN];
	otp_pad_status(otp_link_pad(t->link), &status);
	const bool is_known = otp_link_peer(t->link, &peer);
	t->notices.peer = peer; /* said here */
	log_info("%s %s, %s as %s; UDP %s, peer %s; key file %s: next offset %" PRIu64 ", %" PRIu64 " bytes left",
		tun_name(t->tun), prefix_format(&o->tap_address, tap), "OTPTunnel", o->is_server ? "server" : "client",
		addr_format(&o->local, local), is_known ? addr_format(&peer, remote) : "not known yet", o->key_file,
		status.next, status.left);
}

/* ---- running ---- */

static void report(struct otptunnel *t)
{
	char text[OTP_LINK_TEXT_LEN];
	log_info("%s", otp_link_text(t->link, text));
}

/* ERR_STATE: stop. */
static enum err take_signals(struct otptunnel *t)
{
	struct signalfd_siginfo info;
	while (read(t->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
		if (info.ssi_signo != SIGUSR1)
			return ERR_STATE;
		report(t);
	}
	return OK;
}

static enum err take_trouble(struct otptunnel *t, struct fault *fault)
{
	uint64_t ignored;
	(void)!read(t->event_fd, &ignored, sizeof ignored);
	const unsigned int trouble = carrier_trouble(otp_link_carrier(t->link));
	if (trouble & CARRIER_FAILED) {
		*fault = *carrier_fault(otp_link_carrier(t->link));
		return fault->code;
	}
	return OK;
}

static enum err take_monitor(struct otptunnel *t, struct fault *fault)
{
	enum netlink_event event;
	enum err err;
	while ((err = netlink_monitor_read(t->monitor, &event)) == OK)
		if (event == NETLINK_EVENT_GONE)
			return fault_set(
				fault, ERR_NOT_FOUND, "the interface was removed; start again to make a new one");
	return err == ERR_AGAIN ? OK : fault_errno(fault, "cannot watch the interface");
}

static enum err run(struct otptunnel *t, struct fault *fault)
{
	for (;;) {
		struct pollfd polled[] = {{.fd = t->signal_fd, .events = POLLIN}, {.fd = t->event_fd, .events = POLLIN},
			{.fd = netlink_monitor_fd(t->monitor), .events = POLLIN}};
		const int n = poll(polled, sizeof polled / sizeof *polled, LOOK_EVERY_MS);
		if (n < 0 && errno != EINTR)
			return fault_errno(fault, "cannot wait for events");
		enum err err = n > 0 && polled[0].revents ? take_signals(t) : OK;
		if (err == OK && n > 0 && polled[1].revents)
			err = take_trouble(t, fault);
		if (err == OK && n > 0 && polled[2].revents)
			err = take_monitor(t, fault);
		otp_notices_tell(&t->notices, t->link, clock_now());
		if (err != OK)
			return err;
	}
}

enum err otptunnel_run(const struct otptunnel_options *options, struct fault *fault)
{
	struct otptunnel t = {.options = options, .signal_fd = -1, .event_fd = -1};
	enum err err = set_up(&t, fault);
	if (err == OK) {
		say_ready(&t);
		err = run(&t, fault);
		report(&t);
		if (err == ERR_STATE) /* a signal */
			err = OK;
	}
	otp_link_free(t.link);
	netlink_monitor_close(t.monitor);
	tun_close(t.tun);
	udp_close(t.udp);
	if (t.signal_fd >= 0)
		(void)close(t.signal_fd);
	if (t.event_fd >= 0)
		(void)close(t.event_fd);
	return err;
}
