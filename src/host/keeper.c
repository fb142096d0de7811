#include "host/keeper.h"

#include "host/changes.h"
#include "host/child.h"
#include "host/firewall.h"
#include "host/keeper_message.h"
#include "host/keeper_process.h"
#include "host/lookup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the daemon waits for a reply: somewhat longer than the keeper may take. */
#define START_LIMIT_S 60
#define HOOK_REPLY_LIMIT_S 75
#define APPLY_LIMIT_S 120
#define LIMIT_S 30
#define STOP_LIMIT_S 10
#define SWEEP_WAIT_S 10

struct keeper {
	pid_t pid;
	int orders, questions;
	size_t n_open; /* questions without an answer */
	bool lost;     /* it has gone, or did not answer in time: what it would say later is not waited for */
};

/* ---- orders ---- */

static enum err lost(struct keeper *keeper, struct fault *fault)
{
	keeper->lost = true;
	return fault_set(fault, ERR_STATE,
		"the helper process jorm-keeper (%d) has gone or hangs: take the tunnel down and up again",
		keeper->pid);
}

/* The reply to the order before; what it brings is in *ret_fd, which may be NULL. */
static enum err reply_take(struct keeper *keeper, unsigned limit_s, int *ret_fd, struct fault *fault)
{
	usec deadline = clock_now() + limit_s * USEC_PER_SEC;
	struct keeper_reply reply = {0};
	struct pollfd readable = {.fd = keeper->orders, .events = POLLIN};
	int n;
	do {
		n = poll(&readable, 1, child_ms_until(deadline));
	} while (n < 0 && errno == EINTR);
	if (n <= 0 || message_receive(keeper->orders, &reply, sizeof reply, ret_fd) != sizeof reply)
		return lost(keeper, fault);
	reply.text[sizeof reply.text - 1] = '\0';
	return reply.err ? fault_set(fault, (enum err)reply.err, "%s", reply.text) : OK;
}

static enum err order(struct keeper *keeper, const void *data, size_t size, unsigned limit_s, struct fault *fault)
{
	if (keeper->lost || !message_send(keeper->orders, data, size, -1))
		return lost(keeper, fault);
	return reply_take(keeper, limit_s, NULL, fault);
}

/* ---- start and end ---- */

struct start {
	const struct config *config;
	int orders[2], questions[2];
};

static int start_body(void *context)
{
	const struct start *start = context;
	return keeper_process_run(start->config, start->orders[1], start->questions[1]);
}

static enum err sockets_make(struct start *start, struct fault *fault)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, start->orders) < 0)
		return fault_errno(fault, "cannot make a socket pair");
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, start->questions) == 0)
		return OK;
	enum err err = fault_errno(fault, "cannot make a socket pair");
	close(start->orders[0]);
	close(start->orders[1]);
	return err;
}

static void sockets_close(const struct keeper *keeper)
{
	close(keeper->orders);
	close(keeper->questions);
}

enum err keeper_start(struct keeper **ret, const struct config *config, struct fault *fault)
{
	struct start start = {.config = config};
	struct keeper *keeper = calloc(1, sizeof *keeper);
	if (!keeper)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err err = sockets_make(&start, fault);
	if (err) {
		free(keeper);
		return err;
	}
	keeper->pid = child_start(start_body, &start);
	if (keeper->pid < 0)
		err = fault_errno(fault, "cannot start the helper process jorm-keeper");
	close(start.orders[1]);
	close(start.questions[1]);
	keeper->orders = start.orders[0];
	keeper->questions = start.questions[0];
	if (!err)
		err = reply_take(keeper, START_LIMIT_S, NULL, fault);
	if (err) {
		sockets_close(keeper); /* it ends by that */
		if (keeper->pid > 0)
			(void)child_wait(keeper->pid, clock_now() + STOP_LIMIT_S * USEC_PER_SEC, NULL);
		free(keeper);
		return err;
	}
	*ret = keeper;
	return OK;
}

/* Its end of the sockets closes with it. */
static bool has_ended(const struct keeper *keeper, usec deadline)
{
	struct keeper_answer answer;
	struct pollfd readable = {.fd = keeper->questions, .events = POLLIN};
	for (int ms; (ms = child_ms_until(deadline)) > 0;) {
		if (poll(&readable, 1, ms) <= 0)
			continue;
		ptrdiff_t n = message_receive(keeper->questions, &answer, sizeof answer, NULL);
		if (n == 0 || (n < 0 && errno != EAGAIN))
			return true;
	}
	return false;
}

void keeper_stop(struct keeper *keeper, bool lift)
{
	if (!keeper)
		return;
	struct order_plain stop = {.order = ORDER_STOP, .value = lift};
	usec deadline = clock_now() + STOP_LIMIT_S * USEC_PER_SEC;
	(void)message_send(keeper->orders, &stop, sizeof stop, -1);
	/* The signal may be refused: then the keeper's own alarm ends it, and nobody waits for that. */
	if (has_ended(keeper, deadline) || kill(keeper->pid, SIGKILL) == 0) {
		while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	sockets_close(keeper);
	free(keeper);
}

int keeper_fd(const struct keeper *keeper)
{
	return keeper->questions;
}

pid_t keeper_pid(const struct keeper *keeper)
{
	return keeper->pid;
}

/* ---- what it does for the daemon ---- */

enum err keeper_hook(struct keeper *keeper, enum keeper_hook hook, struct fault *fault)
{
	struct order_hook o = {.order = ORDER_HOOK, .hook = hook};
	struct fault own = {0};
	enum err err = OK;
	for (; !err; o.index++)
		err = order(keeper, &o, sizeof o, HOOK_REPLY_LIMIT_S, &own);
	if (err == ERR_NOT_FOUND)
		return OK; /* that was the last */
	return fault_set(fault, err, "%s", own.text);
}

enum err keeper_apply(struct keeper *keeper, const struct keeper_facts *facts, struct fault *fault)
{
	const struct config_dns *dns = &facts->dns;
	struct order_apply o = {.order = ORDER_APPLY,
		.fwmark = facts->fwmark,
		.table = facts->table,
		.default_v4 = facts->default_v4,
		.default_v6 = facts->default_v6,
		.server_count = (uint32_t)dns->server_count,
		.domain_count = (uint32_t)dns->domains.count};
	if (dns->server_count > DNS_SERVERS_MAX || dns->domains.count > DNS_DOMAINS_MAX)
		return fault_set(fault, ERR_TOO_BIG, "DNS: at most %d servers and %d search domains can be set",
			DNS_SERVERS_MAX, DNS_DOMAINS_MAX);
	memcpy(o.interface, facts->interface, sizeof o.interface);
	if (dns->server_count)
		memcpy(o.servers, dns->servers, dns->server_count * sizeof o.servers[0]);
	for (size_t i = 0; i < dns->domains.count; i++) {
		const char *domain = dns->domains.items[i];
		size_t len = strlen(domain);
		if (len >= DOMAIN_SIZE)
			return fault_set(fault, ERR_TOO_BIG, "DNS: the search domain %.40s... is too long", domain);
		memcpy(o.domains[i], domain, len);
	}
	return order(keeper, &o, sizeof o, APPLY_LIMIT_S, fault);
}

enum err keeper_reload(struct keeper *keeper, struct fault *fault)
{
	struct order_plain o = {.order = ORDER_RELOAD};
	return order(keeper, &o, sizeof o, LIMIT_S, fault);
}

enum err keeper_log(struct keeper *keeper, int fd, struct fault *fault)
{
	struct order_plain o = {.order = ORDER_LOG};
	if (keeper->lost || !message_send(keeper->orders, &o, sizeof o, fd))
		return lost(keeper, fault);
	return reply_take(keeper, LIMIT_S, NULL, fault);
}

enum err keeper_open(struct keeper *keeper, const char *path, bool writable, int *ret_fd, struct fault *fault)
{
	struct order_open o = {.order = ORDER_OPEN, .writable = writable};
	int fd = -1;
	size_t len = strlen(path);
	if (len >= sizeof o.path)
		return fault_set(fault, ERR_NOT_FOUND, "%.60s...: the path is too long", path);
	memcpy(o.path, path, len);
	if (keeper->lost || !message_send(keeper->orders, &o, sizeof o, -1))
		return lost(keeper, fault);
	enum err err = reply_take(keeper, LIMIT_S, &fd, fault);
	if (!err && fd < 0)
		return lost(keeper, fault);
	if (!err)
		*ret_fd = fd;
	return err;
}

enum err keeper_resolve(struct keeper *keeper, uint32_t tag, const char *host, uint16_t port)
{
	struct keeper_question q = {.tag = tag, .port = port};
	size_t len = strlen(host);
	if (len >= sizeof q.host)
		return ERR_TOO_BIG;
	if (keeper->n_open >= LOOKUPS_MAX)
		return ERR_AGAIN;
	memcpy(q.host, host, len);
	if (!message_send(keeper->questions, &q, sizeof q, -1))
		return errno == EAGAIN ? ERR_AGAIN : ERR_STATE;
	keeper->n_open++;
	return OK;
}

enum err keeper_take(struct keeper *keeper, struct keeper_answer *ret)
{
	struct keeper_answer answer;
	ptrdiff_t n = message_receive(keeper->questions, &answer, sizeof answer, NULL);
	if (n < 0 && errno == EAGAIN)
		return ERR_AGAIN;
	if (n != sizeof answer)
		return ERR_STATE;
	if (keeper->n_open)
		keeper->n_open--;
	answer.text[sizeof answer.text - 1] = '\0';
	*ret = answer;
	return OK;
}

enum err keeper_sweep(const struct config *config, bool *ret_any, struct fault *fault)
{
	struct record record;
	*ret_any = false;
	if (geteuid() != 0)
		return fault_set(fault, ERR_PERMISSION, "what a dead daemon has left can only be undone by root");
	enum err err = record_take(&record, config->instance, SWEEP_WAIT_S, true, fault);
	if (err && err != ERR_NOT_FOUND)
		return err;
	err = changes_sweep(&record, config->instance, ret_any, fault);
	if (!err)
		err = firewall_remove(FIREWALL_KILL_SWITCH, config->instance, ret_any, fault);
	if (!err && changes_remove_socket(config->control_socket))
		*ret_any = true;
	if (err)
		record_release(&record);
	else
		record_remove(&record);
	return err;
}
