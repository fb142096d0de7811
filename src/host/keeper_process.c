#include "host/keeper_process.h"

#include "base/log.h"
#include "host/changes.h"
#include "host/child.h"
#include "host/hooks.h"
#include "host/keeper_message.h"
#include "host/lookup.h"
#include "host/opening.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define STOP_LIMIT_S 10 /* from the order to stop to the end */
#define HOOK_LIMIT_S 60
#define LOCK_WAIT_S 10 /* for the keeper of a daemon that has died just now */

/* Where the two sockets are, after everything else has been closed. */
enum { ORDERS = STDERR_FILENO + 1, QUESTIONS, FIRST_UNUSED };

struct process {
	const struct config *config;
	struct config *reloaded; /* owned; where config points then */
	struct opening opening;
	struct changes changes;
	struct lookups lookups;
	char interface[CONFIG_IFNAME_LEN]; /* empty: not told yet */
	struct order_apply applied; /* the last one, if it could be done and the configuration is still the same */
	bool is_applied;
	bool stopping, lift;
};

static void warn(const char *text)
{
	log_warning("keeper: %s", text);
}

/* ---- orders ---- */

/* An order's answer; one that opens a file or brings one has it in *fd. */
typedef enum err handler(struct process *p, const union keeper_any_order *order, int *fd, struct fault *fault);

static enum err handle_hook(struct process *p, const union keeper_any_order *order, int *fd, struct fault *fault)
{
	if (order->hook.hook > KEEPER_POST_DOWN)
		return fault_set(fault, ERR_FORMAT, "there is no such hook");
	struct hook_call call = {.hook = (enum keeper_hook)order->hook.hook,
		.index = order->hook.index,
		.interface = *p->interface ? p->interface : p->config->name,
		.limit_s = HOOK_LIMIT_S};
	return hooks_run(p->config, &call, fault);
}

/* The configuration's, or one of those that are taken when it says nothing; and always the same. */
static bool interface_is_ours(const struct process *p, const char *name)
{
	const char *wanted = *p->interface ? p->interface : p->config->name;
	if (*wanted)
		return strcmp(wanted, name) == 0;
	size_t digits = strncmp(name, "snk", 3) == 0 ? strspn(name + 3, "0123456789") : 0;
	return digits && name[3 + digits] == '\0';
}

static bool mark_is_ours(const struct process *p, uint32_t mark)
{
	return !p->config->fwmark || !mark || mark == p->config->fwmark;
}

static bool table_is_ours(const struct process *p, uint32_t table)
{
	uint32_t wanted = p->config->table;
	if (table == 0)
		return true;
	if (table >= RT_TABLE_DEFAULT && table <= RT_TABLE_LOCAL)
		return false;
	return wanted == CONFIG_TABLE_AUTO || wanted == table;
}

static enum err handle_apply(struct process *p, const union keeper_any_order *order, int *fd, struct fault *fault)
{
	const struct order_apply *a = &order->apply;
	struct fault warning = {0};
	char *domains[DNS_DOMAINS_MAX];
	struct keeper_facts facts = {.fwmark = a->fwmark,
		.table = a->table,
		.default_v4 = a->default_v4,
		.default_v6 = a->default_v6,
		.dns = {.servers = (uint8_t(*)[16])(uintptr_t)a->servers,
			.server_count = a->server_count,
			.domains = {.items = domains, .count = a->domain_count}}};
	if (!message_is_apply(a))
		return fault_set(fault, ERR_FORMAT, "the daemon's order has impossible values");
	/* a server's daemon asks after each change of its peers: nothing new costs nothing */
	if (p->is_applied && memcmp(a, &p->applied, sizeof *a) == 0)
		return OK;
	if (!interface_is_ours(p, a->interface) || !mark_is_ours(p, a->fwmark) || !table_is_ours(p, a->table))
		return fault_set(fault, ERR_PERMISSION,
			"the interface %s, mark 0x%x or table %u is not what the configuration says", a->interface,
			a->fwmark, a->table);
	for (size_t i = 0; i < a->domain_count; i++)
		domains[i] = (char *)(uintptr_t)a->domains[i];
	memcpy(facts.interface, a->interface, sizeof facts.interface);
	memcpy(p->interface, a->interface, sizeof p->interface);
	enum err err = changes_apply(&p->changes, p->config, &facts, &warning, fault);
	p->is_applied = err == OK;
	p->applied = *a;
	if (warning.code)
		warn(warning.text);
	return err;
}

static enum err handle_reload(struct process *p, const union keeper_any_order *order, int *fd, struct fault *fault)
{
	struct config_diagnostics diags = {0};
	struct config *config = NULL;
	enum err err = config_load(&config, p->config->path, &diags);
	for (size_t i = 0; err && i < diags.count; i++) {
		char text[CONFIG_DIAGNOSTIC_TEXT_LEN];
		if (diags.items[i].warning)
			continue;
		(void)fault_set(fault, err, "%.390s", config_diagnostic_format(&diags.items[i], p->config->path, text));
		break;
	}
	config_diagnostics_done(&diags);
	if (err)
		return err;
	config_free(p->reloaded);
	p->config = p->reloaded = config;
	p->is_applied = false;
	return OK;
}

/* Before a reload the daemon looks at what the file names now. */
static enum err open_by_present_file(struct process *p, const struct order_open *order, int *fd, struct fault *fault)
{
	struct config_diagnostics diags = {0};
	struct config *config = NULL;
	struct fault later;
	enum err err = ERR_PERMISSION;
	if (config_load(&config, p->config->path, &diags) == OK)
		err = opening_open(&p->opening, config, order->path, order->writable, fd, &later);
	config_diagnostics_done(&diags);
	config_free(config);
	return err == OK ? OK : fault->code;
}

static enum err handle_open(struct process *p, const union keeper_any_order *order, int *fd, struct fault *fault)
{
	if (!message_is_text(order->open.path, sizeof order->open.path) || order->open.writable > 1)
		return fault_set(fault, ERR_FORMAT, "this is no path");
	enum err err = opening_open(&p->opening, p->config, order->open.path, order->open.writable, fd, fault);
	return err == ERR_PERMISSION ? open_by_present_file(p, &order->open, fd, fault) : err;
}

/* What root writes must neither wait for somebody, nor mean something to the kernel. */
static bool is_log(int fd)
{
	struct stat st, now;
	struct statfs fs;
	if (fd < 0 || fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return false;
	if (fstat(STDERR_FILENO, &now) == 0 && now.st_dev == st.st_dev && now.st_ino == st.st_ino)
		return true;
	return S_ISREG(st.st_mode) && fs.f_type != PROC_SUPER_MAGIC && fs.f_type != SYSFS_MAGIC &&
	       fs.f_type != CGROUP2_SUPER_MAGIC;
}

static enum err handle_log(struct process *p, const union keeper_any_order *order, int *fd, struct fault *fault)
{
	enum err err = OK;
	if (!is_log(*fd))
		err = fault_set(fault, ERR_PERMISSION, "the log has to be a regular file");
	else if (dup2(*fd, STDERR_FILENO) < 0)
		err = fault_errno(fault, "cannot change the log");
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
	return err;
}

static enum err handle_stop(struct process *p, const union keeper_any_order *order, int *fd, struct fault *fault)
{
	p->stopping = true;
	p->lift = order->plain.value;
	return OK;
}

static const struct {
	size_t size;
	handler *handle;
	bool takes_fd;
} handlers[ORDER_COUNT] = {
	[ORDER_HOOK] = {sizeof(struct order_hook), handle_hook, false},
	[ORDER_APPLY] = {sizeof(struct order_apply), handle_apply, false},
	[ORDER_RELOAD] = {sizeof(struct order_plain), handle_reload, false},
	[ORDER_OPEN] = {sizeof(struct order_open), handle_open, false},
	[ORDER_LOG] = {sizeof(struct order_plain), handle_log, true},
	[ORDER_STOP] = {sizeof(struct order_plain), handle_stop, false},
};

static void reply(enum err err, const struct fault *fault, int fd)
{
	struct keeper_reply r = {.err = err};
	(void)snprintf(r.text, sizeof r.text, "%s", err ? fault->text : "");
	(void)message_send(ORDERS, &r, sizeof r, fd); /* a daemon that does not read its replies gets none */
}

/* One order; false: the daemon has gone. */
static bool order_take(struct process *p)
{
	static union keeper_any_order order; /* large */
	struct fault fault = {0};
	int fd = -1;
	memset(&order, 0, sizeof order);
	ptrdiff_t n = message_receive(ORDERS, &order, sizeof order, &fd);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return false;
	if (n < 0)
		return true;
	enum err err;
	bool known = n >= (ptrdiff_t)sizeof order.order && order.order < ORDER_COUNT && handlers[order.order].handle;
	if (fd >= 0 && !(known && handlers[order.order].takes_fd)) {
		close(fd);
		fd = -1;
	}
	if (known && (size_t)n == handlers[order.order].size)
		err = handlers[order.order].handle(p, &order, &fd, &fault);
	else
		err = fault_set(&fault, ERR_FORMAT, "this is no order");
	reply(err, &fault, fd);
	if (fd >= 0)
		close(fd);
	return true;
}

/* ---- questions ---- */

/* Only what the configuration names is looked up: a daemon that has been taken over must not ask for other names, each
 * of which would be a message to whoever answers. */
static bool is_endpoint(const struct config *config, const char *host)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		if (config->peers[i].endpoint_host && strcmp(config->peers[i].endpoint_host, host) == 0)
			return true;
	}
	return false;
}

static bool question_take(struct process *p)
{
	struct keeper_question q = {0};
	struct keeper_answer refusal;
	ptrdiff_t n = message_receive(QUESTIONS, &q, sizeof q, NULL);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		return false;
	if (n != sizeof q)
		return true;
	memset(&refusal, 0, sizeof refusal);
	refusal.tag = q.tag;
	if (q.port < 1 || q.port > UINT16_MAX || !message_is_text(q.host, sizeof q.host)) {
		refusal.err = ERR_FORMAT;
		(void)snprintf(refusal.text, sizeof refusal.text, "this is no host with a port");
	} else if (!is_endpoint(p->config, q.host)) {
		refusal.err = ERR_PERMISSION;
		(void)snprintf(refusal.text, sizeof refusal.text, "%.60s is not a peer's Endpoint", q.host);
	} else {
		refusal.err = lookups_start(&p->lookups, q.tag, q.host, (uint16_t)q.port);
		(void)snprintf(
			refusal.text, sizeof refusal.text, "%.60s: cannot start a process to look it up", q.host);
	}
	if (refusal.err)
		(void)message_send(QUESTIONS, &refusal, sizeof refusal, -1);
	return true;
}

static void answers_send(struct process *p)
{
	struct keeper_answer answer;
	while (lookups_take(&p->lookups, &answer))
		(void)message_send(QUESTIONS, &answer, sizeof answer, -1);
}

/* ---- the process ---- */

static bool descriptors_take(int orders, int questions)
{
	int null = open("/dev/null", O_RDWR);
	int high_orders = fcntl(orders, F_DUPFD_CLOEXEC, FIRST_UNUSED);
	int high_questions = fcntl(questions, F_DUPFD_CLOEXEC, FIRST_UNUSED);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		(fcntl(STDERR_FILENO, F_GETFD) < 0 && dup2(null, STDERR_FILENO) < 0) ||
		dup3(high_orders, ORDERS, O_CLOEXEC) < 0 || dup3(high_questions, QUESTIONS, O_CLOEXEC) < 0)
		return false;
	child_close_from(FIRST_UNUSED);
	return true;
}

/* It outlives what ends a daemon: systemd signals the whole control group (its watchdog by SIGABRT), a terminal the
 * whole process group. */
static void process_settle(void)
{
	static const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGABRT, SIGTSTP, SIGPIPE, SIGUSR1, SIGUSR2};
	struct rlimit limit;
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		(void)signal(ignored[i], SIG_IGN);
	(void)setsid();
	(void)prctl(PR_SET_NAME, "jorm-keeper", 0, 0, 0);
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (getrlimit(RLIMIT_CORE, &limit) == 0) {
		limit.rlim_cur = 0;
		(void)setrlimit(RLIMIT_CORE, &limit);
	}
}

static enum err process_begin(struct process *p, struct fault *fault)
{
	bool any = false;
	enum err err = opening_init(&p->opening, p->config->path, fault);
	if (!err)
		err = record_take(&p->changes.record, p->config->instance, LOCK_WAIT_S, false, fault);
	if (err)
		return err;
	err = changes_sweep(&p->changes.record, p->config->instance, &any, fault);
	if (!err)
		err = record_write(&p->changes.record, fault);
	if (!err && any)
		log_info("undid what an earlier daemon of %s had left on the host", p->config->instance);
	return err;
}

static void process_loop(struct process *p)
{
	enum { ORDER_AT, QUESTION_AT, LOOKUPS_AT, COUNT = LOOKUPS_AT + LOOKUPS_MAX };
	bool lives = true;
	while (lives && !p->stopping) {
		struct pollfd fds[COUNT] = {[ORDER_AT] = {.fd = ORDERS, .events = POLLIN},
			[QUESTION_AT] = {.fd = QUESTIONS, .events = POLLIN}};
		int ms = lookups_wait(&p->lookups, fds + LOOKUPS_AT);
		if (poll(fds, COUNT, ms) < 0 && errno != EINTR)
			return;
		answers_send(p);
		if (fds[ORDER_AT].revents)
			lives = order_take(p);
		if (lives && fds[QUESTION_AT].revents)
			lives = question_take(p);
	}
}

static void process_end(struct process *p)
{
	const char *instance = p->config->instance;
	if (p->stopping)
		(void)alarm(STOP_LIMIT_S); /* the daemon may lack the right to kill us */
	else
		log_warning("the daemon of %s has gone; undoing what was changed on the host%s%s", instance,
			p->changes.kill_switch ? ", but the kill switch, which is lifted by: jorm down " : "",
			p->changes.kill_switch ? instance : "");
	lookups_done(&p->lookups);
	changes_undo(&p->changes, instance, p->lift, warn);
	(void)changes_remove_socket(p->config->control_socket);
	record_remove(&p->changes.record);
}

int keeper_process_run(const struct config *config, int orders, int questions)
{
	struct process p = {.config = config, .opening.folder = -1, .changes.record.fd = -1};
	struct fault fault = {0};
	if (!descriptors_take(orders, questions))
		return 1;
	process_settle();
	enum err err = process_begin(&p, &fault);
	reply(err, &fault, -1);
	if (!err) {
		process_loop(&p);
		process_end(&p);
	}
	record_release(&p.changes.record);
	opening_done(&p.opening);
	config_free(p.reloaded);
	return err ? 1 : 0;
}
