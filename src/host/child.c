#include "host/child.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_EVERY_MS 10

static void signals_reset(void)
{
	sigset_t none;
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL); /* fails for the two that have no other way */
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

pid_t child_start(int (*body)(void *context), void *context)
{
	pid_t pid = fork();
	if (pid == 0) {
		signals_reset();
		_exit(body(context));
	}
	return pid;
}

int child_ms_until(usec deadline)
{
	usec now = clock_now();
	if (deadline <= now)
		return 0;
	usec ms = (deadline - now + USEC_PER_MS - 1) / USEC_PER_MS;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

/* For kernels before 5.3, which have no descriptor of a process to wait for. */
static bool has_ended_asking(pid_t pid, usec deadline)
{
	siginfo_t info = {0};
	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && !info.si_pid) {
		if (clock_now() >= deadline)
			return false;
		(void)poll(NULL, 0, ASK_EVERY_MS);
	}
	return true;
}

static bool has_ended(pid_t pid, usec deadline)
{
	struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
	int n = 0;
	if (end.fd < 0)
		return has_ended_asking(pid, deadline);
	do {
		n = poll(&end, 1, child_ms_until(deadline));
	} while (n < 0 && errno == EINTR);
	close(end.fd);
	return n > 0;
}

bool child_wait(pid_t pid, usec deadline, int *ret_status)
{
	int status = 0;
	bool ended = has_ended(pid, deadline);
	if (!ended) {
		(void)kill(-pid, SIGKILL);
		(void)kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (ret_status)
		*ret_status = status;
	return ended;
}

void child_close_from(int first)
{
	if (syscall(SYS_close_range, (unsigned)first, ~0U, 0U) == 0)
		return;
	for (int fd = first; fd < getdtablesize(); fd++)
		close(fd);
}
