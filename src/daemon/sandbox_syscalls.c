#include "daemon/sandbox_syscalls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Allowed whatever the arguments are: what they reach is bounded by descriptors, the user and Landlock. */
static const int allowed[] = {
	/* Descriptors: packets, the control socket, SQLite. */
	SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64),
	SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(fcntl),
	SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(fadvise64), SCMP_SYS(flock), SCMP_SYS(pipe2), SCMP_SYS(eventfd2),
	SCMP_SYS(signalfd4), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
	SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	/* Looking at files; open is below. */
	SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(getdents64), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd),
	/* Sockets that are open. */
	SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(shutdown), SCMP_SYS(getsockopt),
	SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	/* Memory; mmap and mprotect are below. */
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(membarrier),
	/* Threads, signals, time. */
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
	SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu), SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday),
	SCMP_SYS(time), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep), SCMP_SYS(getrandom),
	/* Questions about ourselves and the machine. */
	SCMP_SYS(getpid), SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
	SCMP_SYS(getegid), SCMP_SYS(getrusage), SCMP_SYS(times), SCMP_SYS(uname), SCMP_SYS(sysinfo)};

/* The daemon's besides: its state, its folders, its keeper. No chmod or chown by name, no symbolic links; bind is for
 * the netlink sockets, the only ones that it can make. */
static const int allowed_daemon[] = {SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat), SCMP_SYS(fchown), SCMP_SYS(umask), SCMP_SYS(inotify_init1), SCMP_SYS(inotify_add_watch),
	SCMP_SYS(inotify_rm_watch), SCMP_SYS(bind), SCMP_SYS(wait4), SCMP_SYS(waitid)};

static const int allowed_sockets[] = {SCMP_SYS(bind), SCMP_SYS(connect)};

/* The C library tries these first; it falls back to older ones, which are filtered better or as well, only when the
 * kernel seems not to know them. clone3's flags are in memory, where a filter cannot look. */
static const int unknown[] = {SCMP_SYS(clone3), SCMP_SYS(openat2), SCMP_SYS(faccessat2), SCMP_SYS(epoll_pwait2)};

struct rule {
	int call;
	unsigned int n;
	struct scmp_arg_cmp arguments[3];
};

/* clang-format off */
/* Of an argument's bits those of `mask` are as in `value`; the whole argument is `value`. */
#define BITS(argument, mask, value) {argument, SCMP_CMP_MASKED_EQ, mask, value}
#define IS(argument, value) {argument, SCMP_CMP_EQ, value, 0}
#define OPTION(level, name) {SCMP_SYS(setsockopt), 2, {IS(1, level), IS(2, name)}}
/* clang-format on */

/* A thread of this process, in the same namespaces. */
#define CLONE_THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define CLONE_OTHER_FLAGS                                                                                              \
	(CLONE_VFORK | CLONE_PTRACE | CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |    \
		CLONE_NEWPID | CLONE_NEWNET)
#define SOCKET_TYPE (~(unsigned int)(SOCK_CLOEXEC | SOCK_NONBLOCK))
#define OPEN_CHANGES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

/* Routes and links, not nftables or IPsec, which CAP_NET_ADMIN would allow as well. */
static const struct rule netlink_rule = {SCMP_SYS(socket), 2, {IS(0, AF_NETLINK), IS(2, NETLINK_ROUTE)}};

static const struct rule rules[] = {
	{SCMP_SYS(mmap), 1, {BITS(2, PROT_EXEC, 0)}},
	{SCMP_SYS(mprotect), 1, {BITS(2, PROT_EXEC, 0)}},
	{SCMP_SYS(clone), 1, {BITS(0, CLONE_THREAD_FLAGS | CLONE_OTHER_FLAGS, CLONE_THREAD_FLAGS)}},
	{SCMP_SYS(prctl), 1, {IS(0, PR_SET_NAME)}},
	/* Reading a limit is not setting one. */
	{SCMP_SYS(prlimit64), 2, {IS(0, 0), IS(2, 0)}},
};

static const struct rule rules_daemon[] = {
	/* As root, without a user of its own, the daemon could leave a program that makes others root. */
	{SCMP_SYS(open), 1, {BITS(2, S_ISUID | S_ISGID, 0)}},
	{SCMP_SYS(openat), 1, {BITS(3, S_ISUID | S_ISGID, 0)}},
	{SCMP_SYS(fchmod), 1, {BITS(1, S_ISUID | S_ISGID, 0)}},
	{SCMP_SYS(setsockopt), 1, {IS(1, SOL_NETLINK)}},
	OPTION(SOL_SOCKET, SO_RCVTIMEO),
	OPTION(SOL_SOCKET, SO_SNDTIMEO),
	OPTION(SOL_SOCKET, SO_MARK),
};

/* Who is not the daemon writes to no file but those that are open. */
static const struct rule rules_others[] = {
	{SCMP_SYS(open), 1, {BITS(1, OPEN_CHANGES, O_RDONLY)}},
	{SCMP_SYS(openat), 1, {BITS(2, OPEN_CHANGES, O_RDONLY)}},
};

/* TCP and UDP, and what net/udp sets. */
static const struct rule rules_sockets[] = {
	{SCMP_SYS(socket), 3, {IS(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_STREAM), IS(2, 0)}},
	{SCMP_SYS(socket), 3, {IS(0, AF_INET), BITS(1, SOCKET_TYPE, SOCK_DGRAM), IS(2, 0)}},
	{SCMP_SYS(socket), 3, {IS(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_DGRAM), IS(2, 0)}},
	OPTION(SOL_SOCKET, SO_REUSEPORT),
	OPTION(SOL_SOCKET, SO_RCVBUF),
	OPTION(SOL_SOCKET, SO_SNDBUF),
	OPTION(SOL_SOCKET, SO_RCVBUFFORCE),
	OPTION(SOL_SOCKET, SO_SNDBUFFORCE),
	OPTION(IPPROTO_IP, IP_MTU_DISCOVER),
	OPTION(IPPROTO_IP, IP_RECVERR),
	OPTION(IPPROTO_IP, IP_PKTINFO),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER),
	OPTION(IPPROTO_IPV6, IPV6_DONTFRAG),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO),
	OPTION(IPPROTO_UDP, UDP_GRO),
};

/* The C library's resolver besides: over TCP when an answer is long, and how long it is. */
static const struct rule rules_look_ups[] = {
	{SCMP_SYS(socket), 3, {IS(0, AF_INET6), BITS(1, SOCKET_TYPE, SOCK_STREAM), IS(2, 0)}},
	{SCMP_SYS(ioctl), 1, {IS(1, FIONREAD)}},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static int allow(scmp_filter_ctx filter, const int *calls, size_t n)
{
	int error = 0;
	for (size_t i = 0; error == 0 && i < n; i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return error;
}

static int allow_by(scmp_filter_ctx filter, const struct rule *some, size_t n)
{
	int error = 0;
	for (size_t i = 0; error == 0 && i < n; i++)
		error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, some[i].call, some[i].n, some[i].arguments);
	return error;
}

static int add_common(scmp_filter_ctx filter)
{
	const uint64_t self = (uint64_t)getpid(); /* stays: there is no fork from here on */
	const struct rule to_self[] = {
		{SCMP_SYS(kill), 1, {IS(0, self)}},
		{SCMP_SYS(tgkill), 1, {IS(0, self)}},
	};
	int error = allow(filter, allowed, COUNT(allowed));
	for (size_t i = 0; error == 0 && i < COUNT(unknown); i++)
		error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), unknown[i], 0);
	if (error == 0)
		error = allow_by(filter, rules, COUNT(rules));
	return error ? error : allow_by(filter, to_self, COUNT(to_self));
}

static int add_needs(scmp_filter_ctx filter, unsigned int needs)
{
	int error = 0;
	if (needs & SANDBOX_DAEMON) {
		error = allow(filter, allowed_daemon, COUNT(allowed_daemon));
		if (error == 0)
			error = allow_by(filter, rules_daemon, COUNT(rules_daemon));
	} else {
		error = allow_by(filter, rules_others, COUNT(rules_others));
	}
	if (error == 0 && needs & (SANDBOX_DAEMON | SANDBOX_LOOK_UPS))
		error = allow_by(filter, &netlink_rule, 1);
	if (error == 0 && needs & SANDBOX_SOCKETS) {
		error = allow(filter, allowed_sockets, COUNT(allowed_sockets));
		if (error == 0)
			error = allow_by(filter, rules_sockets, COUNT(rules_sockets));
	}
	if (error == 0 && needs & SANDBOX_LOOK_UPS)
		error = allow_by(filter, rules_look_ups, COUNT(rules_look_ups));
	return error;
}

bool sandbox_syscalls_built(void)
{
#ifdef SANDBOX_SANITIZED
	return false;
#else
	return true;
#endif
}

enum err sandbox_syscalls_enter(unsigned int needs, bool log, struct fault *fault)
{
	if (!sandbox_syscalls_built())
		return fault_set(fault, ERR_UNSUPPORTED, "a build with sanitisers has no filter of system calls");
	if (prctl(PR_GET_SECCOMP) < 0)
		return fault_set(fault, ERR_UNSUPPORTED, "this kernel has no filters of system calls (CONFIG_SECCOMP)");
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!filter)
		return fault_set(fault, ERR_NOMEM, "no memory for the filter of system calls");
	/* Calls by the tables of another architecture (32 bits, x32) would pass by the numbers of this one. */
	int error = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (error == 0)
		error = add_common(filter);
	if (error == 0)
		error = add_needs(filter, needs);
	/* A wish: an old library or kernel goes without it. */
	if (log)
		(void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
	if (error == 0)
		error = seccomp_load(filter);
	seccomp_release(filter);
	if (error == 0)
		return OK;
	errno = -error;
	return fault_errno(fault, "the filter of system calls could not be put in force");
}
