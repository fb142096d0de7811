#include "host/lookup.h"

#include "host/child.h"
#include "host/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define PATIENCE_S 3 /* until somebody else is asked, too */

/* What the child writes, in one piece. */
struct said {
	int code; /* getaddrinfo(3)'s */
	struct sockaddr_storage address;
};

struct question {
	const char *host;
	uint16_t port;
	int fd;
};

static bool become_nobody(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && setgroups(0, NULL) == 0 &&
	       setresgid(LOOKUP_UID, LOOKUP_UID, LOOKUP_UID) == 0 && setresuid(LOOKUP_UID, LOOKUP_UID, LOOKUP_UID) == 0;
}

/* As the host resolves names; where that finds nobody to ask, or takes long, past systemd-resolved. */
static int name_resolve(const struct question *q, struct sockaddr_storage *ret)
{
	static const struct timespec patience = {.tv_sec = PATIENCE_S};
	static const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV};
	static char service[8]; /* a thread that is left behind still reads and writes these */
	static struct gaicb request;
	struct gaicb *requests[] = {&request};
	(void)snprintf(service, sizeof service, "%u", q->port);
	request = (struct gaicb){.ar_name = q->host, .ar_service = service, .ar_request = &hints};
	int code = getaddrinfo_a(GAI_NOWAIT, requests, 1, NULL);
	if (code)
		return code;
	(void)gai_suspend((const struct gaicb *const *)requests, 1, &patience);
	code = gai_error(&request);
	if ((code == EAI_AGAIN || code == EAI_INPROGRESS) && upstream_ask(q->host, q->port, ret))
		return 0;
	while ((code = gai_error(&request)) == EAI_INPROGRESS)
		(void)gai_suspend((const struct gaicb *const *)requests, 1, NULL);
	if (code == 0)
		memcpy(ret, request.ar_result->ai_addr, request.ar_result->ai_addrlen);
	return code;
}

static int lookup_body(void *context)
{
	const struct question *q = context;
	struct said said = {.code = EAI_SYSTEM};
	(void)prctl(PR_SET_NAME, "jorm-lookup", 0, 0, 0);
	if (dup2(STDOUT_FILENO, STDERR_FILENO) < 0 || dup2(q->fd, 3) < 0)
		return 1;
	child_close_from(4);
	if (!become_nobody())
		return 1;
	said.code = name_resolve(q, &said.address);
	return write(3, &said, sizeof said) == sizeof said ? 0 : 1;
}

enum err lookups_start(struct lookups *lookups, uint32_t tag, const char *host, uint16_t port)
{
	struct lookup *free_one = NULL;
	for (size_t i = 0; i < LOOKUPS_MAX; i++) {
		if (!lookups->items[i].pid)
			free_one = &lookups->items[i];
	}
	int ends[2];
	if (!free_one)
		return ERR_FULL;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return ERR_IO;
	pid_t pid = child_start(lookup_body, &(struct question){.host = host, .port = port, .fd = ends[1]});
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return ERR_IO;
	}
	*free_one = (struct lookup){.pid = pid,
		.fd = ends[0],
		.tag = tag,
		.port = port,
		.deadline = clock_now() + LOOKUP_LIMIT_S * USEC_PER_SEC};
	(void)snprintf(free_one->host, sizeof free_one->host, "%s", host);
	return OK;
}

int lookups_wait(const struct lookups *lookups, struct pollfd fds[static LOOKUPS_MAX])
{
	usec first = USEC_NEVER;
	for (size_t i = 0; i < LOOKUPS_MAX; i++) {
		const struct lookup *l = &lookups->items[i];
		fds[i] = (struct pollfd){.fd = l->pid ? l->fd : -1, .events = POLLIN};
		if (l->pid && l->deadline < first)
			first = l->deadline;
	}
	return first == USEC_NEVER ? -1 : child_ms_until(first);
}

static void lookup_end(struct lookup *l)
{
	close(l->fd);
	(void)child_wait(l->pid, 0, NULL);
	*l = (struct lookup){0};
}

/* From `said`, which a child that has been taken over may have written. */
static void answer_make(struct keeper_answer *ret, const struct lookup *l, const struct said *said)
{
	int code = said->code;
	if (code == 0 && addr_of_sockaddr(&ret->address, &said->address) == OK) {
		ret->address.port = l->port;
		ret->err = OK;
		return;
	}
	ret->err = ERR_NOT_FOUND;
	(void)snprintf(ret->text, sizeof ret->text, "%s: %.50s", l->host,
		code ? gai_strerror(code) : "the answer is no IP address");
}

bool lookups_take(struct lookups *lookups, struct keeper_answer *ret)
{
	for (size_t i = 0; i < LOOKUPS_MAX; i++) {
		struct lookup *l = &lookups->items[i];
		struct said said = {0};
		if (!l->pid)
			continue;
		ssize_t n = read(l->fd, &said, sizeof said);
		bool waits = n < 0 && (errno == EAGAIN || errno == EINTR);
		if (waits && clock_now() < l->deadline)
			continue;
		memset(ret, 0, sizeof *ret); /* its padding goes out, too */
		ret->tag = l->tag;
		if (n == sizeof said) {
			answer_make(ret, l, &said);
		} else {
			ret->err = ERR_NOT_FOUND;
			(void)snprintf(ret->text, sizeof ret->text,
				waits ? "%s: no answer within %d s" : "%s: the process that asks has failed", l->host,
				LOOKUP_LIMIT_S);
		}
		lookup_end(l);
		return true;
	}
	return false;
}

void lookups_done(struct lookups *lookups)
{
	for (size_t i = 0; i < LOOKUPS_MAX; i++) {
		if (lookups->items[i].pid)
			lookup_end(&lookups->items[i]);
	}
}
