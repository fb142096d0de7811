#include "compat/snek_private.h"

#include "base/log.h"
#include "base/secret.h"
#include "compat/snek_authorized.h"
#include "crypto/keyfile.h"
#include "net/netlink.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* "Nobody is there" may be forged, or said while a peer starts anew: so long it may be contradicted. */
#define REFUSED_GRACE (5 * USEC_PER_SEC)

/* ---- the session ---- */

static void report(const struct snek *s)
{
	char text[SNEK_LINK_TEXT_LEN], peer[ADDR_TEXT_LEN];
	if (!s->link)
		log_info("no session");
	else
		log_info("session with %s: %s", addr_format(snek_link_remote(s->link), peer),
			snek_link_text(s->link, text));
}

void snek_end(struct snek *s, const char *why)
{
	char peer[ADDR_TEXT_LEN];
	if (!s->link)
		return;
	report(s);
	log_info("the session with %s is over: %s", addr_format(snek_link_remote(s->link), peer), why);
	snek_link_stop(s->link);
	s->link = NULL;
	s->refused_at = 0;
}

enum err snek_begin(struct snek *s, struct udp *udp, const struct addr *remote,
	const uint8_t data_key[static AEAD_KEY_LEN], struct fault *fault)
{
	snek_end(s, "a new one takes its place");
	const struct snek_link_config config = {
		.tun = s->tun, .udp = udp, .remote = *remote, .data_key = data_key, .event_fd = s->event_fd};
	return snek_link_start(&s->link, &config, fault);
}

/* When the session has to be looked at again; ends it when it is time. */
static usec session_due(struct snek *s, usec now)
{
	if (!s->link || s->refused_at == 0)
		return USEC_NEVER;
	if (snek_link_heard_at(s->link) > s->refused_at) {
		s->refused_at = 0;
		return USEC_NEVER;
	}
	if (now < s->refused_at + REFUSED_GRACE)
		return s->refused_at + REFUSED_GRACE;
	snek_end(s, "nobody has its port open any more");
	return USEC_NEVER;
}

/* ---- waiting ---- */

static enum err interface_gone(struct fault *fault)
{
	return fault_set(fault, ERR_NOT_FOUND, "the interface was removed; start again to make a new one");
}

static enum err take_trouble(struct snek *s, struct fault *fault)
{
	uint64_t ignored;
	(void)!read(s->event_fd, &ignored, sizeof ignored);
	if (!s->link)
		return OK;
	unsigned int trouble = carrier_trouble(snek_link_carrier(s->link));
	if (trouble & CARRIER_GONE)
		return interface_gone(fault);
	if (trouble & CARRIER_FAILED) {
		*fault = *carrier_fault(snek_link_carrier(s->link));
		return fault->code;
	}
	if (trouble & CARRIER_REFUSED && s->refused_at == 0)
		s->refused_at = clock_now();
	return OK;
}

static enum err take_monitor(struct snek *s, struct fault *fault)
{
	enum netlink_event event;
	enum err err;
	while ((err = netlink_monitor_read(s->monitor, &event)) == OK)
		if (event == NETLINK_EVENT_GONE)
			return interface_gone(fault);
	return err == ERR_AGAIN ? OK : fault_errno(fault, "cannot watch the interface");
}

static void take_report(const struct snek *s)
{
	struct signalfd_siginfo info;
	while (read(s->report_fd, &info, sizeof info) == (ssize_t)sizeof info)
		report(s);
}

static int timeout_of(usec deadline, usec now)
{
	usec ms = deadline <= now ? 0 : (deadline - now + USEC_PER_MS - 1) / USEC_PER_MS;
	return ms > 60000 ? 60000 : (int)ms;
}

enum err snek_watch(struct snek *s, int fd, usec deadline, struct fault *fault)
{
	const bool had_link = s->link != NULL;
	for (;;) {
		struct pollfd polled[] = {{.fd = s->stop_fd, .events = POLLIN}, {.fd = s->report_fd, .events = POLLIN},
			{.fd = netlink_monitor_fd(s->monitor), .events = POLLIN}, {.fd = s->event_fd, .events = POLLIN},
			{.fd = fd, .events = POLLIN}};
		usec now = clock_now(), due = session_due(s, now);
		if (had_link && !s->link)
			return OK;
		if (now >= deadline)
			return ERR_AGAIN;
		int n = poll(polled, sizeof polled / sizeof *polled, timeout_of(due < deadline ? due : deadline, now));
		if (n < 0 && errno != EINTR)
			return fault_errno(fault, "cannot wait for events");
		if (n <= 0)
			continue;
		enum err err = OK;
		if (polled[0].revents)
			return ERR_STATE;
		if (polled[1].revents)
			take_report(s);
		if (polled[2].revents)
			err = take_monitor(s, fault);
		if (err == OK && polled[3].revents)
			err = take_trouble(s, fault);
		if (err != OK || polled[3].revents || polled[4].revents)
			return err;
	}
}

/* ---- beginning and end ---- */

/* The threads that are started later inherit the mask. */
static enum err catch_signals(struct snek *s, struct fault *fault)
{
	sigset_t stop, report_set, all;
	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGINT);
	(void)sigaddset(&stop, SIGTERM);
	(void)sigaddset(&stop, SIGHUP);
	(void)sigemptyset(&report_set);
	(void)sigaddset(&report_set, SIGUSR1);
	(void)sigorset(&all, &stop, &report_set);
	(void)sigaddset(&all, SIGPIPE);
	if (pthread_sigmask(SIG_BLOCK, &all, NULL) != 0)
		return fault_set(fault, ERR_IO, "cannot block signals");
	s->stop_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	s->report_fd = signalfd(-1, &report_set, SFD_CLOEXEC | SFD_NONBLOCK);
	s->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->stop_fd < 0 || s->report_fd < 0 || s->event_fd < 0 ? fault_errno(fault, "cannot catch signals") : OK;
}

static enum err configure(const struct snek *s, struct fault *fault)
{
	const struct snek_options *o = s->options;
	const uint32_t ifindex = tun_ifindex(s->tun);
	struct netlink *netlink;
	enum err err = netlink_open(&netlink, fault);
	if (err != OK)
		return err;
	err = netlink_link_set_mtu(netlink, ifindex, SNEK_MTU, fault);
	for (size_t i = 0; err == OK && i < o->n_addresses; i++)
		err = netlink_address_add(netlink, ifindex, &o->addresses[i], fault);
	if (err == OK && o->n_addresses > 0)
		err = netlink_link_set_up(netlink, ifindex, fault);
	netlink_close(netlink);
	return err;
}

static enum err make_interface(struct snek *s, struct fault *fault)
{
	const struct tun_config config = {.name = s->options->name, .n_queues = 1, .layer = 3};
	enum err err = tun_open(&s->tun, &config, fault);
	if (err != OK)
		return err;
	printf("[+] Selected interface name %s\n[+] Opened TUN device: %s\n", tun_name(s->tun), tun_name(s->tun));
	err = configure(s, fault);
	return err == OK ? netlink_monitor_open(&s->monitor, tun_ifindex(s->tun), fault) : err;
}

/* Each says what its user can do about it. */
static void warn(const struct snek_options *o)
{
	if (o->connect)
		log_warning("this older protocol does not prove who the server is: whoever answers at %s is believed; "
			    "`jorm up` has a tunnel that proves both ends (docs/migrating.md)",
			o->connect);
	else
		log_warning(
			"this older protocol proves the client alone, and its packet headers are not authenticated; "
			"`jorm up` has a tunnel without these gaps (docs/migrating.md)");
}

static enum err read_identity(struct identity **ret, const char *path, struct fault *fault)
{
	bool others_can_read;
	enum err err = keyfile_read_private_lenient(ret, path, &others_can_read, fault);
	if (err == OK && others_can_read)
		log_warning("the private key %s can be read by others than its owner: chmod 600 %s, and make a new "
			    "one if somebody may have read it",
			path, path);
	return err;
}

static enum err run_client(struct snek *s, struct fault *fault)
{
	struct identity *id = NULL;
	enum err err = read_identity(&id, s->options->cert, fault);
	if (err == OK && identity_public(id)->alg != SIG_ML_DSA_65)
		err = fault_set(fault, ERR_FORMAT,
			"%s is an %s key, and the older protocol knows ML-DSA-65 only: make one with -g",
			s->options->cert, sig_alg_name(identity_public(id)->alg));
	if (err == OK)
		err = make_interface(s, fault);
	if (err == OK)
		err = snek_connect(s, id, fault);
	identity_free(id);
	return err;
}

static enum err run_server(struct snek *s, struct fault *fault)
{
	size_t n_keys;
	enum err err = snek_authorized_check(&n_keys, s->options->cert, fault);
	/* A key may be put there later, as with the older program; but rights are given up for the folder as it is. */
	if (err == ERR_NOT_FOUND && access(s->options->cert, F_OK) == 0) {
		log_warning("%s", fault->text);
		err = OK;
	}
	if (err == OK)
		err = make_interface(s, fault);
	return err == OK ? snek_serve(s, fault) : err;
}

enum err snek_run(const struct snek_options *options, struct fault *fault)
{
	struct snek s = {.options = options, .stop_fd = -1, .report_fd = -1, .event_fd = -1};
	enum err err = catch_signals(&s, fault);
	if (err == OK) {
		warn(options);
		err = options->connect ? run_client(&s, fault) : run_server(&s, fault);
	}
	/* A signal that nobody took stays readable. */
	struct signalfd_siginfo info;
	if (err == ERR_STATE && read(s.stop_fd, &info, sizeof info) == (ssize_t)sizeof info)
		err = OK;
	snek_end(&s, "this end stops");
	netlink_monitor_close(s.monitor);
	tun_close(s.tun);
	const int fds[] = {s.stop_fd, s.report_fd, s.event_fd};
	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	return err;
}

enum err snek_generate(const char *dir, struct fault *fault)
{
	const struct rng rng = rng_system();
	struct identity *id;
	uint8_t seed[SIG_SEED_LEN];
	rng_fill(&rng, seed, sizeof seed);
	enum err err = identity_generate(&id, SIG_ML_DSA_65, seed);
	secret_wipe(seed, sizeof seed);
	if (err != OK)
		return fault_set(fault, err, "cannot make a key pair: %s", err_text(err));
	err = keyfile_write_pair(id, dir, fault);
	identity_free(id);
	return err;
}
