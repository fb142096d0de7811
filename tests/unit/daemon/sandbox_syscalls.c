#include "inside.h"

#include "daemon/sandbox_syscalls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- what is refused ---- */

/* Becoming another program or process, or another user. */
static void no_other_program_or_user(void **state)
{
	(void)state;
	inside_need_root();
	inside_need_filter();
	char *true_line[] = {"true", NULL}, *nothing[] = {NULL};
	uint64_t clone3[8] = {[4] = SIGCHLD};
	uint32_t header[2] = {0x20080522, 0}, all[6] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, 0, 0};
	const long thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;
	const struct probe probes[] = {PROBE(execve, EPERM, POINTER("/bin/true"), POINTER(true_line), POINTER(nothing)),
		PROBE(execveat, EPERM, AT_FDCWD, POINTER("/bin/true"), POINTER(true_line), POINTER(nothing), 0),
		PROBE(clone, EPERM, SIGCHLD), PROBE(clone, EPERM, thread | CLONE_NEWNET),
		PROBE(clone, EPERM, thread | CLONE_NEWUSER), PROBE(clone, EPERM, CLONE_VM | CLONE_VFORK | SIGCHLD),
		PROBE(clone3, ENOSYS, POINTER(clone3), sizeof clone3),
#ifdef SYS_fork
		PROBE(fork, EPERM), PROBE(vfork, EPERM),
#endif
		PROBE(setuid, EPERM, 0), PROBE(setresuid, EPERM, 0, 0, 0), PROBE(setgid, EPERM, 0),
		PROBE(setgroups, EPERM, 0, 0), PROBE(setfsuid, EPERM, 0),
		PROBE(capset, EPERM, POINTER(header), POINTER(all)),
		PROBE(prctl, EPERM, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 12, 0, 0),
		PROBE(prctl, EPERM, PR_SET_KEEPCAPS, 1), PROBE(prctl, EPERM, PR_SET_DUMPABLE, 1),
		PROBE(prctl, EPERM, PR_SET_SECCOMP, 0), PROBE(personality, EPERM, 0x0400000), /* READ_IMPLIES_EXEC */
		PROBE(unshare, EPERM, CLONE_NEWUSER), PROBE(setns, EPERM, 0, 0), PROBE(chroot, EPERM, POINTER("/")),
		PROBE(pivot_root, EPERM, POINTER("/"), POINTER("/")),
		PROBE(mount, EPERM, POINTER("none"), POINTER("/mnt"), POINTER("tmpfs"), 0, 0),
		PROBE(umount2, EPERM, POINTER("/mnt"), 0)};
	inside_probe(&inside_nobody, probes, COUNT(probes));
	inside_probe(&inside_root, probes, COUNT(probes));
}

/* Code that is not the program's. */
static void no_new_code(void **state)
{
	(void)state;
	inside_need_root();
	inside_need_filter();
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	int program = inside_open("/bin/true", O_RDONLY);
	assert_true(program >= 0);
	const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
	const struct probe probes[] = {PROBE(mmap, EPERM, 0, 4096, PROT_READ | PROT_EXEC, anonymous, -1, 0),
		PROBE(mmap, EPERM, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, anonymous, -1, 0),
		PROBE(mmap, EPERM, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, program, 0),
		PROBE(mprotect, EPERM, POINTER(page), 4096, PROT_READ | PROT_EXEC),
		PROBE(mprotect, EPERM, POINTER(page), 4096, PROT_EXEC),
		PROBE(pkey_mprotect, EPERM, POINTER(page), 4096, PROT_EXEC, -1),
		PROBE(memfd_create, EPERM, POINTER("x"), 0), PROBE(shmget, EPERM, 0, 4096, 0600),
		PROBE(bpf, EPERM, 0, 0, 0), PROBE(init_module, EPERM, 0, 0, POINTER("")),
		PROBE(kexec_load, EPERM, 0, 0, 0, 0)};
	inside_probe(&inside_nobody, probes, COUNT(probes));
	munmap(page, 4096);
	close(program);
}

/* Other processes, and parts of the kernel that the daemon does not need. */
static void no_other_process(void **state)
{
	(void)state;
	inside_need_root();
	inside_need_filter();
	const long parent = getpid();
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	const struct probe probes[] = {PROBE(ptrace, EPERM, PTRACE_ATTACH, parent, 0, 0),
		PROBE(process_vm_readv, EPERM, parent, 0, 0, 0, 0, 0),
		PROBE(process_vm_writev, EPERM, parent, 0, 0, 0, 0, 0), PROBE(kill, EPERM, parent, 0),
		PROBE(kill, EPERM, -1, 0), PROBE(kill, EPERM, 0, 0), PROBE(tgkill, EPERM, parent, parent, 0),
		PROBE(tkill, EPERM, parent, 0), PROBE(rt_sigqueueinfo, EPERM, parent, 0, 0),
		PROBE(pidfd_open, EPERM, parent, 0), PROBE(pidfd_send_signal, EPERM, 0, 0, 0, 0),
		PROBE(prlimit64, EPERM, 0, RLIMIT_CORE, POINTER(&limit), 0),
		PROBE(prlimit64, EPERM, parent, RLIMIT_CORE, 0, POINTER(&limit)),
		PROBE(sched_setaffinity, EPERM, parent, 8, POINTER(&limit)), PROBE(setpriority, EPERM, 0, parent, 19),
		PROBE(io_uring_setup, EPERM, 1, 0), PROBE(userfaultfd, EPERM, 0),
		PROBE(perf_event_open, EPERM, 0, 0, -1, -1, 0), PROBE(keyctl, EPERM, 0, 0),
		PROBE(add_key, EPERM, 0, 0, 0, 0, 0), PROBE(ioctl, EPERM, 2, TIOCSTI, POINTER("x")),
		PROBE(clock_settime, EPERM, CLOCK_REALTIME, 0), PROBE(sethostname, EPERM, POINTER("x"), 1),
		PROBE(reboot, EPERM, 0, 0, 0, 0), PROBE(syslog, EPERM, 3, 0, 0), PROBE(seccomp, EPERM, 0, 0, 0),
		{"a call that there is not", EPERM, 10000, {0}}};
	inside_probe(&inside_nobody, probes, COUNT(probes));
	inside_probe(&inside_root, probes, COUNT(probes));
}

static void no_other_socket(void **state)
{
	(void)state;
	inside_need_root();
	inside_need_filter();
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(udp >= 0);
	struct sockaddr_un manager = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/private"};
	int on = 1;
	const struct probe probes[] = {PROBE(socket, EPERM, AF_INET, SOCK_DGRAM, 0),
		PROBE(socket, EPERM, AF_INET, SOCK_STREAM, 0), PROBE(socket, EPERM, AF_INET, SOCK_RAW, IPPROTO_ICMP),
		PROBE(socket, EPERM, AF_INET6, SOCK_STREAM, 0), PROBE(socket, EPERM, AF_PACKET, SOCK_RAW, 0),
		PROBE(socket, EPERM, AF_UNIX, SOCK_STREAM, 0), PROBE(socket, EPERM, AF_VSOCK, SOCK_STREAM, 0),
		PROBE(socket, EPERM, AF_ALG, SOCK_SEQPACKET, 0),
		PROBE(socket, EPERM, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER),
		PROBE(socket, EPERM, AF_NETLINK, SOCK_RAW, NETLINK_XFRM),
		PROBE(socketpair, EPERM, AF_UNIX, SOCK_DGRAM, 0, POINTER(&manager)),
		PROBE(connect, EPERM, udp, POINTER(&manager), sizeof manager), PROBE(listen, EPERM, udp, 1),
		PROBE(setsockopt, EPERM, udp, SOL_SOCKET, SO_ATTACH_FILTER, POINTER(&on), sizeof on),
		PROBE(setsockopt, EPERM, udp, IPPROTO_IP, IP_TRANSPARENT, POINTER(&on), sizeof on)};
	inside_probe(&inside_nobody, probes, COUNT(probes));
	close(udp);
}

/* As root, without a user of its own, the daemon could leave such a file for an accomplice. */
static void no_program_for_others(void **state)
{
	char new[PATH_LEN], link[PATH_LEN], old[PATH_LEN];
	(void)state;
	inside_need_root();
	inside_need_filter();
	(void)inside_path(new, "write/new");
	(void)inside_path(link, "write/link");
	(void)inside_path(old, "write/in");
	int fd = inside_open("write/in", O_RDWR);
	assert_true(fd >= 0);
	const struct probe probes[] = {PROBE(openat, EPERM, AT_FDCWD, POINTER(new), O_WRONLY | O_CREAT, 04755),
		PROBE(openat, EPERM, AT_FDCWD, POINTER(new), O_WRONLY | O_CREAT, 02755),
		PROBE(fchmod, EPERM, fd, 04755), PROBE(fchmod, EPERM, fd, 02755),
		PROBE(fchmodat, EPERM, AT_FDCWD, POINTER(old), 04755),
		PROBE(fchownat, EPERM, AT_FDCWD, POINTER(old), 0, 0, 0),
		PROBE(mknodat, EPERM, AT_FDCWD, POINTER(new), 0600, 0),
		PROBE(symlinkat, EPERM, POINTER("/etc/shadow"), AT_FDCWD, POINTER(link)),
		PROBE(fsetxattr, EPERM, fd, POINTER("user.x"), POINTER("x"), 1, 0),
		PROBE(openat2, ENOSYS, AT_FDCWD, POINTER(new), 0, 0)};
	inside_probe(&inside_root, probes, COUNT(probes));
	close(fd);
}

/* The tables of another architecture would be a way around the list. */
static int call_as_32_bits(void *context)
{
	(void)context;
	CHECK(inside_enter(&inside_nobody, NULL, NULL) == OK);
#ifdef __x86_64__
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory"); /* getpid */
#endif
	return 0;
}

static void other_tables_of_calls_end_the_process(void **state)
{
	(void)state;
	inside_need_root();
	inside_need_filter();
#ifndef __x86_64__
	skip();
#endif
	inside_give(&inside_nobody);
	assert_int_equal(inside_child(call_as_32_bits, NULL), -1 - SIGSYS);
}

static void a_sanitised_build_says_so(void **state)
{
	struct fault fault;
	(void)state;
	if (sandbox_syscalls_built())
		skip();
	assert_int_equal(sandbox_syscalls_enter(SANDBOX_DAEMON, false, &fault), ERR_UNSUPPORTED);
	assert_non_null(strstr(fault.text, "sanitisers"));
}

/* ---- what works ---- */

struct prepared {
	int udp[2], listener;
};

static int use_network(const struct prepared *p)
{
	char byte = 0;
	struct sockaddr_in to;
	socklen_t len = sizeof to;
	struct iovec part = {&byte, 1};
	struct mmsghdr message = {
		.msg_hdr = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1}};
	CHECK(getsockname(p->udp[1], (struct sockaddr *)&to, &len) == 0);
	CHECK(sendmsg(p->udp[0], &message.msg_hdr, 0) == 1 && sendmmsg(p->udp[0], &message, 1, 0) == 1);
	CHECK(recv(p->udp[1], &byte, 1, 0) == 1 && recvmmsg(p->udp[1], &message, 1, 0, NULL) == 1);
	int fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	struct ucred who;
	len = sizeof who;
	CHECK(fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && send(fd, "x", 1, 0) == 1);
	CHECK(shutdown(fd, SHUT_WR) == 0);
	/* Addresses, routes, the MTU: with a new socket, and CAP_NET_ADMIN. */
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), on = 1;
	struct sockaddr_nl self = {.nl_family = AF_NETLINK};
	CHECK(netlink >= 0 && bind(netlink, (struct sockaddr *)&self, sizeof self) == 0);
	CHECK(setsockopt(netlink, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) == 0);
	CHECK(setsockopt(p->udp[0], SOL_SOCKET, SO_MARK, &on, sizeof on) == 0);
	return 0;
}

static void *thread_run(void *argument)
{
	*(long *)argument = syscall(SYS_socket, AF_INET, SOCK_DGRAM, 0) < 0 ? errno : 0;
	return NULL;
}

static int use_threads(void)
{
	pthread_t thread;
	long error = -1;
	CHECK((errno = pthread_create(&thread, NULL, thread_run, &error)) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(error == (sandbox_syscalls_built() ? EPERM : 0));
	return 0;
}

static int use_everything(void *context)
{
	char text[SANDBOX_TEXT_LEN];
	CHECK(inside_enter(&inside_nobody, text, NULL) == OK);
	CHECK(strstr(text, "user nobody, CAP_NET_ADMIN alone, "));
	CHECK(strstr(text, sandbox_syscalls_built() ? "system calls filtered" : "system calls not filtered (a build"));
	int epoll = epoll_create1(EPOLL_CLOEXEC), event = eventfd(1, EFD_CLOEXEC);
	struct epoll_event interest = {.events = EPOLLIN}, ready;
	CHECK(epoll >= 0 && event >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, event, &interest) == 0);
	CHECK(epoll_wait(epoll, &ready, 1, 0) == 1);
	CHECK(kill(getpid(), 0) == 0 && raise(0) == 0);
	struct rlimit limit;
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	void *large = malloc(8U << 20);
	CHECK(large);
	free(large);
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
	return use_network(context) || use_threads();
}

static int udp_make(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0);
	return fd;
}

static void what_the_daemon_does_works(void **state)
{
	(void)state;
	inside_need_root();
	inside_give(&inside_nobody);
	char path[PATH_LEN];
	struct prepared p = {.udp = {udp_make(), udp_make()}};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%.100s", inside_path(path, "socket"));
	p.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p.listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(p.listener, 1), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(inside_child(use_everything, &p), 0);
	close(client);
	close(p.listener);
	close(p.udp[0]);
	close(p.udp[1]);
}

static int abort_here(void *context)
{
	(void)context;
	CHECK(inside_enter(&inside_nobody, NULL, NULL) == OK);
	abort();
}

/* A broken invariant ends the process as it would outside. */
static void abort_works(void **state)
{
	(void)state;
	inside_need_root();
	inside_give(&inside_nobody);
	assert_int_equal(inside_child(abort_here, NULL), -1 - SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(no_other_program_or_user), TEST(no_new_code), TEST(no_other_process),
		TEST(no_other_socket), TEST(no_program_for_others), TEST(other_tables_of_calls_end_the_process),
		TEST(a_sanitised_build_says_so), TEST(what_the_daemon_does_works), TEST(abort_works)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
