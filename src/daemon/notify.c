#include "daemon/notify.h"

#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_LEN 512
#define SEND_TIMEOUT_S 1 /* a service manager that hangs must not take the tunnel with it */

static int manager = -1;
static usec watchdog_span; /* between two signs of life; 0: none are wanted */
static usec watchdog_due;

/* A positive number and nothing else; 0: it is none. */
static uint64_t number_of(const char *text)
{
	char *end;
	if (!text || !isdigit((unsigned char)*text))
		return 0;
	errno = 0;
	uintmax_t number = strtoumax(text, &end, 10);
	return errno || *end ? 0 : number;
}

/* 0: not an address of a UNIX socket. */
static socklen_t address_of(struct sockaddr_un *ret, const char *text)
{
	size_t len = strlen(text);
	if ((*text != '/' && *text != '@') || len < 2 || len >= sizeof ret->sun_path)
		return 0;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, text, len);
	if (*text == '@') /* abstract: a NUL in front, none behind */
		ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (*text == '/'));
}

static void manager_connect(const char *text)
{
	struct sockaddr_un address;
	socklen_t len = address_of(&address, text);
	if (len == 0) {
		log_warning("the service manager is not told anything: NOTIFY_SOCKET is neither a path nor an "
			    "abstract name");
		return;
	}
	struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (manager >= 0 && connect(manager, (struct sockaddr *)&address, len) == 0 &&
		setsockopt(manager, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout) == 0)
		return;
	log_warning("the service manager is not told anything: cannot reach %s: %s", text, strerror(errno));
	notify_close();
}

void notify_open(void)
{
	const char *text = getenv("NOTIFY_SOCKET");
	const char *pid = getenv("WATCHDOG_PID");
	notify_close();
	if (text && *text)
		manager_connect(text);
	if (manager >= 0 && (!pid || number_of(pid) == (uint64_t)getpid()))
		watchdog_span = number_of(getenv("WATCHDOG_USEC")) / 2;
	/* Ours alone: hooks must not speak in our name. */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
}

void notify_close(void)
{
	if (manager >= 0)
		close(manager);
	manager = -1;
	watchdog_span = watchdog_due = 0;
}

[[gnu::format(printf, 1, 2)]] static void tell(const char *format, ...)
{
	char message[MESSAGE_LEN];
	if (manager < 0)
		return;
	va_list args;
	va_start(args, format);
	int len = vsnprintf(message, sizeof message, format, args);
	va_end(args);
	if (len < 0)
		return;
	ssize_t sent = send(manager, message, strlen(message), MSG_NOSIGNAL);
	if (sent < 0)
		log_debug("the service manager could not be told: %s", strerror(errno));
}

void notify_ready(const char *status)
{
	char line[MESSAGE_LEN / 2];
	(void)snprintf(line, sizeof line, "%s", status);
	/* A line break would begin another assignment. */
	for (char *c = line; *c; c++)
		if (iscntrl((unsigned char)*c))
			*c = ' ';
	/* The manager knows another process if the daemon has gone into the background. */
	tell("READY=1\nMAINPID=%ld\nSTATUS=%s\n", (long)getpid(), line);
}

void notify_reloading(usec now)
{
	tell("RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the configuration anew\n",
		clock_to_monotonic(now));
}

void notify_stopping(void)
{
	tell("STOPPING=1\nSTATUS=going down\n");
}

usec notify_watchdog(usec now)
{
	if (watchdog_span == 0)
		return USEC_NEVER;
	if (now >= watchdog_due) {
		tell("WATCHDOG=1\n");
		watchdog_due = now + watchdog_span;
	}
	return watchdog_due;
}
