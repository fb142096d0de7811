/*
 * inject PID CALL [ARGUMENT ...]: makes a running thread do one system call, and prints what it returned: a value, or
 * minus the errno. Shows what code that has taken the thread over could do. An argument is a number, or "@TEXT": the
 * address of that text. Afterwards the thread goes on as if nothing had been. For x86-64.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 6
#define TEXT_ROOM 512         /* for each argument's text */
#define STACK_DISTANCE 8192UL /* well below the red zone */
#define ATTEMPTS 1000

#ifdef __x86_64__

static const struct {
	const char *name;
	long number;
} calls[] = {{"bind", SYS_bind}, {"bpf", SYS_bpf}, {"capset", SYS_capset}, {"chroot", SYS_chroot}, {"clone", SYS_clone},
	{"connect", SYS_connect}, {"execve", SYS_execve}, {"execveat", SYS_execveat}, {"fork", SYS_fork},
	{"getpid", SYS_getpid}, {"getuid", SYS_getuid}, {"io_uring_setup", SYS_io_uring_setup}, {"ioctl", SYS_ioctl},
	{"kill", SYS_kill}, {"memfd_create", SYS_memfd_create}, {"mkdir", SYS_mkdir}, {"mmap", SYS_mmap},
	{"mount", SYS_mount}, {"mprotect", SYS_mprotect}, {"openat", SYS_openat}, {"close", SYS_close},
	{"perf_event_open", SYS_perf_event_open}, {"prctl", SYS_prctl}, {"prlimit64", SYS_prlimit64},
	{"process_vm_readv", SYS_process_vm_readv}, {"ptrace", SYS_ptrace}, {"setns", SYS_setns},
	{"setuid", SYS_setuid}, {"socket", SYS_socket}, {"symlink", SYS_symlink}, {"unlink", SYS_unlink},
	{"unshare", SYS_unshare}, {"userfaultfd", SYS_userfaultfd}};

static void die(const char *what)
{
	(void)fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Until the thread stops; returns by which signal. */
static int wait_for_stop(pid_t thread)
{
	int status;
	if (waitpid(thread, &status, __WALL) != thread || !WIFSTOPPED(status)) {
		(void)fprintf(stderr, "inject: the thread has ended\n");
		exit(1);
	}
	return WSTOPSIG(status);
}

static void registers_get(pid_t thread, struct user_regs_struct *ret)
{
	if (ptrace(PTRACE_GETREGS, thread, NULL, ret) < 0)
		die("cannot read the registers");
}

static void registers_set(pid_t thread, struct user_regs_struct *from)
{
	if (ptrace(PTRACE_SETREGS, thread, NULL, from) < 0)
		die("cannot set the registers");
}

static bool is_behind_syscall(pid_t thread, const struct user_regs_struct *registers)
{
	errno = 0;
	long word = ptrace(PTRACE_PEEKTEXT, thread, (void *)(uintptr_t)(registers->rip - 2), NULL);
	return errno == 0 && (word & 0xffff) == 0x050f;
}

/* Stops the thread where it has just done a system call, so that its instruction can be used again. */
static void stop(pid_t thread, struct user_regs_struct *ret)
{
	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL) < 0 || ptrace(PTRACE_INTERRUPT, thread, NULL, NULL) < 0)
		die("cannot attach");
	(void)wait_for_stop(thread);
	for (int i = 0; i < ATTEMPTS; i++) {
		registers_get(thread, ret);
		if (is_behind_syscall(thread, ret))
			return;
		if (ptrace(PTRACE_SYSCALL, thread, NULL, NULL) < 0)
			die("cannot go on");
		(void)wait_for_stop(thread);
	}
	(void)fprintf(stderr, "inject: the thread makes no system calls\n");
	exit(1);
}

static uint64_t argument_of(pid_t thread, const char *text, uint64_t room)
{
	char copy[TEXT_ROOM] = "";
	if (*text != '@')
		return (uint64_t)strtoull(text, NULL, 0);
	(void)snprintf(copy, sizeof copy, "%s", text + 1);
	struct iovec from = {copy, sizeof copy}, to = {(void *)(uintptr_t)room, sizeof copy};
	if (process_vm_writev(thread, &from, 1, &to, 1, 0) != (ssize_t)sizeof copy)
		die("cannot write to the stack");
	return room;
}

static long call(pid_t thread, long number, int n, char **texts)
{
	struct user_regs_struct before, registers;
	uint64_t arguments[ARGUMENTS_MAX] = {0};
	stop(thread, &before);
	for (int i = 0; i < n; i++)
		arguments[i] = argument_of(thread, texts[i],
			((uint64_t)before.rsp - STACK_DISTANCE - (uint64_t)i * TEXT_ROOM) & ~(uint64_t)15);
	registers = before;
	registers.rip -= 2;
	registers.rax = (uint64_t)number;
	registers.orig_rax = UINT64_MAX; /* no call that the kernel would begin again */
	registers.rdi = arguments[0];
	registers.rsi = arguments[1];
	registers.rdx = arguments[2];
	registers.r10 = arguments[3];
	registers.r8 = arguments[4];
	registers.r9 = arguments[5];
	registers_set(thread, &registers);
	if (ptrace(PTRACE_SINGLESTEP, thread, NULL, NULL) < 0)
		die("cannot step");
	int signal = wait_for_stop(thread);
	registers_get(thread, &registers);
	registers_set(thread, &before);
	if (ptrace(PTRACE_DETACH, thread, NULL, NULL) < 0)
		die("cannot detach");
	if (signal != SIGTRAP) {
		(void)fprintf(stderr, "inject: signal %d came in between\n", signal);
		exit(1);
	}
	return (long)registers.rax;
}

int main(int argc, char **argv)
{
	if (argc < 3 || argc > 3 + ARGUMENTS_MAX) {
		(void)fprintf(stderr, "usage: inject PID CALL [NUMBER|@TEXT]...\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
		if (strcmp(calls[i].name, argv[2]) == 0) {
			printf("%ld\n", call((pid_t)strtol(argv[1], NULL, 10), calls[i].number, argc - 3, argv + 3));
			return 0;
		}
	(void)fprintf(stderr, "inject: there is no call '%s' in its list\n", argv[2]);
	return 2;
}

#else

int main(void)
{
	(void)fprintf(stderr, "inject: only for x86-64\n");
	return 1;
}

#endif
