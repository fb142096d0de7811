/*
 * Each test forks: a child enters the sandbox and tries, the parent compares. What a child finds goes through a pipe
 * that it opened before. tests/net/test_privileges.py does the same to a daemon that runs.
 */
/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "daemon/sandbox.h"
#include "daemon/sandbox_syscalls.h"

#include <arpa/inet.h>
#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <linux/netlink.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534
#define PATH_LEN 256

/* A folder for each test with a "read", a "write" and an "other" in it, and a file "in" in each. */
static char top[64];

static const char *in_top(char out[static PATH_LEN], const char *name)
{
	(void)snprintf(out, PATH_LEN, "%s/%.100s", top, name);
	return out;
}

static void file_make(const char *name)
{
	char path[PATH_LEN];
	int fd = open(in_top(path, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "text", 4), 4);
	close(fd);
}

static int set_up(void **state)
{
	static const char *const folders[] = {"read", "write", "other"};
	char path[PATH_LEN];
	(void)state;
	(void)snprintf(top, sizeof top, "/tmp/jorm-sandbox-XXXXXX");
	if (!mkdtemp(top) || chmod(top, 0755) < 0)
		return -1;
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", top, folders[i]);
		if (mkdir(path, 0755) < 0)
			return -1;
		(void)snprintf(path, sizeof path, "%s/in", folders[i]);
		file_make(path);
	}
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int clean_up(void **state)
{
	(void)state;
	return nftw(top, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("skipped: rights can be dropped only by root\n");
		skip();
	}
}

/* ---- a child in the sandbox ---- */

static const struct sandbox_user nobody = {.uid = NOBODY, .gid = NOBODY, .name = "nobody"};
static const struct sandbox_user root = {.name = "root"};

/* In the parent, which may chown; then sandbox_enter in the child. */
static void give_write_folder(const struct sandbox_user *user)
{
	char path[PATH_LEN];
	assert_int_equal(sandbox_give_folder(user, in_top(path, "write"), NULL), OK);
}

static enum err enter(const struct sandbox_user *user, char *ret_text, struct fault *fault)
{
	char read_folder[PATH_LEN], write_folder[PATH_LEN];
	const struct sandbox_config config = {.user = *user,
		.read_folder = in_top(read_folder, "read"),
		.write_folder = in_top(write_folder, "write")};
	return sandbox_enter(&config, ret_text, fault);
}

/* Runs fn in a child and returns its exit code; -1 - N: ended by signal N. */
static int in_child(int (*fn)(void *context), void *context)
{
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		_exit(fn(context));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1 - WTERMSIG(status);
}

/* ---- what fails ---- */

static int open_name(const char *name, int flags)
{
	char path[PATH_LEN];
	return open(*name == '/' ? name : in_top(path, name), flags | O_CLOEXEC, 0600);
}

static long open_shadow(void)
{
	return open_name("/etc/shadow", O_RDONLY);
}
static long open_passwd(void)
{
	return open_name("/etc/passwd", O_RDONLY);
}
static long open_root(void)
{
	return open_name("/", O_RDONLY | O_DIRECTORY);
}
static long open_proc(void)
{
	return open_name("/proc/self/mem", O_RDWR);
}
static long open_tun(void)
{
	return open_name("/dev/net/tun", O_RDWR);
}
static long write_config(void)
{
	return open_name("read/in", O_WRONLY);
}
static long make_config(void)
{
	return open_name("read/new", O_WRONLY | O_CREAT);
}
static long truncate_config(void)
{
	return open_name("read/in", O_RDONLY | O_TRUNC);
}
static long read_other(void)
{
	return open_name("other/in", O_RDONLY);
}
static long write_other(void)
{
	return open_name("other/new", O_WRONLY | O_CREAT);
}
static long make_setuid(void)
{
	return syscall(SYS_openat, AT_FDCWD, "/", O_WRONLY | O_CREAT, 04755);
}
static long remove_config(void)
{
	char path[PATH_LEN];
	return unlink(in_top(path, "read/in"));
}
static long link_config(void)
{
	char from[PATH_LEN], to[PATH_LEN];
	return link(in_top(from, "other/in"), in_top(to, "write/link"));
}
static long symlink_state(void)
{
	char to[PATH_LEN];
	return symlink("/etc/shadow", in_top(to, "write/symlink"));
}
static long fchmod_setuid(void)
{
	int fd = open_name("write/in", O_RDWR);
	return fd < 0 ? 0 : fchmod(fd, 04755);
}
static long run_true(void)
{
	char *arguments[] = {"true", NULL}, *environment[] = {NULL};
	return execve("/bin/true", arguments, environment);
}
static long run_true_at(void)
{
	char *arguments[] = {"true", NULL}, *environment[] = {NULL};
	return syscall(SYS_execveat, AT_FDCWD, "/bin/true", arguments, environment, 0);
}
static long fork_process(void)
{
	long child = syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
	if (child == 0)
		_exit(0);
	return child;
}
static long clone3_process(void)
{
	uint64_t arguments[8] = {[4] = SIGCHLD};
	long child = syscall(SYS_clone3, arguments, sizeof arguments);
	if (child == 0)
		_exit(0);
	return child;
}
static long clone_namespace(void)
{
	return syscall(SYS_clone,
		(long)(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNET), 0L, 0L, 0L,
		0L);
}
static long trace_parent(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}
static long read_parent(void)
{
	return syscall(SYS_process_vm_readv, getppid(), NULL, 0L, NULL, 0L, 0L);
}
static long signal_parent(void)
{
	return kill(getppid(), 0);
}
static long signal_all(void)
{
	return kill(-1, 0);
}
static long signal_parent_thread(void)
{
	return syscall(SYS_tgkill, getppid(), getppid(), 0);
}
static long socket_udp(void)
{
	return socket(AF_INET, SOCK_DGRAM, 0);
}
static long socket_tcp6(void)
{
	return socket(AF_INET6, SOCK_STREAM, 0);
}
static long socket_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}
static long socket_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}
static long socket_unix(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}
static long socket_nftables(void)
{
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
}
static long map_executable(void)
{
	return (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}
static long make_executable(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? 0 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}
static long make_stack_executable(void)
{
	long here = (long)&here & ~4095L;
	return mprotect((void *)(uintptr_t)here, 4096, PROT_READ | PROT_WRITE | PROT_EXEC | PROT_GROWSDOWN);
}
static long become_root(void)
{
	return syscall(SYS_setuid, 0L);
}
static long become_root_group(void)
{
	return syscall(SYS_setgroups, 0L, NULL);
}
static long regain_capabilities(void)
{
	uint32_t header[2] = {0x20080522, 0}; /* _LINUX_CAPABILITY_VERSION_3 */
	uint32_t sets[6] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, 0, 0};
	return syscall(SYS_capset, header, sets);
}
static long ambient_capability(void)
{
	return prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0);
}
static long become_dumpable(void)
{
	return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}
static long raise_core(void)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	return syscall(SYS_prlimit64, 0L, (long)RLIMIT_CORE, &all, NULL);
}
static long limit_parent(void)
{
	struct rlimit limit;
	return syscall(SYS_prlimit64, (long)getppid(), (long)RLIMIT_CORE, NULL, &limit);
}
static long change_root(void)
{
	return chroot("/");
}
static long mount_something(void)
{
	return mount("none", "/mnt", "tmpfs", 0, NULL);
}
static long unshare_user(void)
{
	return unshare(CLONE_NEWUSER);
}
static long enter_namespace(void)
{
	return setns(0, CLONE_NEWNET);
}
static long load_bpf(void)
{
	return syscall(SYS_bpf, 0L, NULL, 0L);
}
static long open_perf(void)
{
	return syscall(SYS_perf_event_open, NULL, 0L, -1L, -1L, 0L);
}
static long io_uring(void)
{
	return syscall(SYS_io_uring_setup, 1L, NULL);
}
static long user_fault(void)
{
	return syscall(SYS_userfaultfd, 0L);
}
static long key_control(void)
{
	return syscall(SYS_keyctl, 0L, 0L);
}
static long memory_file(void)
{
	return memfd_create("x", 0);
}
static long shared_memory(void)
{
	return shmget(IPC_PRIVATE, 4096, 0600);
}
static long insert_module(void)
{
	return syscall(SYS_init_module, NULL, 0L, "");
}
static long change_personality(void)
{
	return syscall(SYS_personality, 0x0400000L); /* READ_IMPLIES_EXEC */
}
static long set_time(void)
{
	return syscall(SYS_clock_settime, (long)CLOCK_REALTIME, NULL);
}
static long no_such_call(void)
{
	return syscall(10000);
}

enum by { BY_FILTER, BY_LANDLOCK };
struct probe {
	const char *name;
	long (*call)(void);
	int expected;
	enum by by;
};
#define F(call, expected)                                                                                              \
	{                                                                                                              \
#call, call, expected, BY_FILTER                                                                       \
	}
#define L(call, expected)                                                                                              \
	{                                                                                                              \
#call, call, expected, BY_LANDLOCK                                                                     \
	}
static const struct probe probes[] = {L(open_shadow, EACCES), L(open_passwd, EACCES), L(open_root, EACCES),
	L(open_proc, EACCES), L(open_tun, EACCES), L(write_config, EACCES), L(make_config, EACCES),
	L(truncate_config, EACCES), L(remove_config, EACCES), L(read_other, EACCES), L(write_other, EACCES),
	F(make_setuid, EPERM), F(link_config, EPERM), F(symlink_state, EPERM), F(fchmod_setuid, EPERM),
	F(run_true, EPERM), F(run_true_at, EPERM), F(fork_process, EPERM), F(clone3_process, ENOSYS),
	F(clone_namespace, EPERM), F(trace_parent, EPERM), F(read_parent, EPERM), F(signal_parent, EPERM),
	F(signal_all, EPERM), F(signal_parent_thread, EPERM), F(socket_udp, EPERM), F(socket_tcp6, EPERM),
	F(socket_raw, EPERM), F(socket_packet, EPERM), F(socket_unix, EPERM), F(socket_nftables, EPERM),
	F(map_executable, EPERM), F(make_executable, EPERM), F(make_stack_executable, EPERM), F(become_root, EPERM),
	F(become_root_group, EPERM), F(regain_capabilities, EPERM), F(ambient_capability, EPERM),
	F(become_dumpable, EPERM), F(raise_core, EPERM), F(limit_parent, EPERM), F(change_root, EPERM),
	F(mount_something, EPERM), F(unshare_user, EPERM), F(enter_namespace, EPERM), F(load_bpf, EPERM),
	F(open_perf, EPERM), F(io_uring, EPERM), F(user_fault, EPERM), F(key_control, EPERM), F(memory_file, EPERM),
	F(shared_memory, EPERM), F(insert_module, EPERM), F(change_personality, EPERM), F(set_time, EPERM),
	F(no_such_call, EPERM)};
#define N_PROBES (sizeof probes / sizeof *probes)

struct attempt {
	const struct sandbox_user *user;
	int to_parent;
	bool has_landlock;
};

static bool is_tried(const struct probe *probe, bool has_landlock)
{
	return probe->by == BY_FILTER ? sandbox_syscalls_built() : has_landlock;
}

static int try_all(void *context)
{
	const struct attempt *a = context;
	struct fault fault;
	if (enter(a->user, NULL, &fault) != OK) {
		(void)fprintf(stderr, "%s\n", fault.text);
		return 1;
	}
	for (size_t i = 0; i < N_PROBES; i++) {
		errno = 0;
		if (!is_tried(&probes[i], a->has_landlock))
			continue;
		int result = probes[i].call() == -1 ? errno : 0;
		if (write(a->to_parent, &result, sizeof result) != (ssize_t)sizeof result)
			return 2;
	}
	return 0;
}

static bool kernel_has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0L, 1L) > 0;
}

static void try_as(const struct sandbox_user *user)
{
	int pipe_ends[2];
	need_root();
	give_write_folder(user);
	assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
	struct attempt a = {.user = user, .to_parent = pipe_ends[1], .has_landlock = kernel_has_landlock()};
	if (!a.has_landlock)
		print_message("this kernel has no Landlock: opening files is not tried\n");
	if (!sandbox_syscalls_built())
		print_message("built with a sanitiser: system calls are not tried\n");
	int code = in_child(try_all, &a);
	close(pipe_ends[1]);
	unsigned int wrong = 0;
	for (size_t i = 0; i < N_PROBES; i++) {
		int result;
		if (!is_tried(&probes[i], a.has_landlock))
			continue;
		if (read(pipe_ends[0], &result, sizeof result) != (ssize_t)sizeof result)
			fail_msg("%s: there was no answer (exit code %d)", probes[i].name, code);
		if (result != probes[i].expected) {
			print_error("%s: %s, not %s\n", probes[i].name, strerror(result), strerror(probes[i].expected));
			wrong++;
		}
	}
	close(pipe_ends[0]);
	assert_int_equal(code, 0);
	assert_int_equal(wrong, 0);
}

static void a_user_can_do_nothing_else(void **state)
{
	(void)state;
	try_as(&nobody);
}

static void root_can_do_nothing_else(void **state)
{
	(void)state;
	try_as(&root);
}

/* The tables of another architecture would be a way around the list. */
static int call_as_32_bits(void *context)
{
	(void)context;
	if (enter(&nobody, NULL, NULL) != OK)
		return 1;
#ifdef __x86_64__
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory"); /* getpid */
#endif
	return 0;
}

static void other_tables_of_calls_end_the_process(void **state)
{
	(void)state;
	need_root();
#ifndef __x86_64__
	skip();
#endif
	if (!sandbox_syscalls_built())
		skip();
	give_write_folder(&nobody);
	assert_int_equal(in_child(call_as_32_bits, NULL), -1 - SIGSYS);
}

/* ---- what works ---- */

#define CHECK(condition)                                                                                               \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			(void)fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, strerror(errno));             \
			return 1;                                                                                      \
		}                                                                                                      \
	} while (0)

static void *thread_run(void *argument)
{
	*(int *)argument = open_name("/etc/passwd", O_RDONLY) < 0 ? errno : 0;
	return NULL;
}

/* What SQLite does to its files. */
static int use_state(void)
{
	char path[PATH_LEN], moved[PATH_LEN];
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
	struct stat st;
	CHECK(access(in_top(path, "write"), R_OK | W_OK) == 0);
	int fd = open_name("write/leases.db", O_RDWR | O_CREAT);
	CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid());
	CHECK(fcntl(fd, F_SETLK, &lock) == 0);
	CHECK(pwrite(fd, "page", 4, 4096) == 4 && fsync(fd) == 0 && fdatasync(fd) == 0 && ftruncate(fd, 8192) == 0);
	CHECK(fchmod(fd, 0600) == 0);
	char *shared = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(shared != MAP_FAILED && memcmp(shared + 4096, "page", 4) == 0 && munmap(shared, 8192) == 0);
	CHECK(close(fd) == 0);
	CHECK(rename(in_top(path, "write/leases.db"), in_top(moved, "write/leases.old")) == 0);
	CHECK(unlink(in_top(path, "write/leases.old")) == 0);
	CHECK(open_name("write/in", O_RDWR) >= 0); /* was there before */
	return 0;
}

static int use_network(const int *udp, int listener)
{
	char byte = 0;
	struct sockaddr_in to;
	socklen_t len = sizeof to;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &part, .msg_iovlen = 1};
	CHECK(getsockname(udp[1], (struct sockaddr *)&to, &len) == 0);
	CHECK(sendmsg(udp[0], &message, 0) == 1 && recv(udp[1], &byte, 1, 0) == 1);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	struct ucred who;
	len = sizeof who;
	CHECK(fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && send(fd, "x", 1, 0) == 1);
	/* Addresses, routes, the MTU: CAP_NET_ADMIN is there, and a new socket for it. */
	int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int on = 1;
	struct sockaddr_nl self = {.nl_family = AF_NETLINK};
	CHECK(netlink >= 0 && bind(netlink, (struct sockaddr *)&self, sizeof self) == 0);
	CHECK(setsockopt(netlink, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) == 0);
	CHECK(setsockopt(udp[0], SOL_SOCKET, SO_MARK, &on, sizeof on) == 0);
	return 0;
}

struct prepared {
	int udp[2], listener;
	bool has_landlock;
	char text[SANDBOX_TEXT_LEN];
};

static int use_everything(void *context)
{
	struct prepared *p = context;
	struct fault fault;
	char folder[PATH_LEN];
	if (enter(&nobody, p->text, &fault) != OK) {
		(void)fprintf(stderr, "%s\n", fault.text);
		return 1;
	}
	CHECK(open_name("read/in", O_RDONLY) >= 0 && open_name("read", O_RDONLY | O_DIRECTORY) >= 0);
	CHECK(stat(in_top(folder, "read"), &(struct stat){0}) == 0);
	if (use_state() != 0 || use_network(p->udp, p->listener) != 0)
		return 1;
	int epoll = epoll_create1(EPOLL_CLOEXEC), event = eventfd(1, EFD_CLOEXEC);
	struct epoll_event interest = {.events = EPOLLIN}, ready;
	CHECK(epoll >= 0 && event >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, event, &interest) == 0);
	CHECK(epoll_wait(epoll, &ready, 1, 0) == 1);
	pthread_t thread;
	int error = -1;
	CHECK((errno = pthread_create(&thread, NULL, thread_run, &error)) == 0 && pthread_join(thread, NULL) == 0);
	CHECK(error == (p->has_landlock ? EACCES : 0));
	CHECK(kill(getpid(), 0) == 0 && raise(0) == 0);
	struct rlimit limit;
	CHECK(getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0);
	void *large = malloc(8U << 20);
	CHECK(large);
	free(large);
	return strstr(p->text, "user nobody") ? 0 : 2;
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
	need_root();
	give_write_folder(&nobody);
	struct prepared p = {.udp = {udp_make(), udp_make()}, .has_landlock = kernel_has_landlock()};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", top);
	p.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p.listener, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(p.listener, 1), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(in_child(use_everything, &p), 0);
	close(client);
	close(p.listener);
	close(p.udp[0]);
	close(p.udp[1]);
}

/* ---- what the kernel says ---- */

struct watched {
	const struct sandbox_user *user;
	int to_parent, from_parent;
};

static void *thread_wait(void *argument)
{
	char byte;
	ssize_t n = read(*(int *)argument, &byte, 1); /* until the parent closes its end */
	return n == 0 ? NULL : argument;
}

/* Has a second thread, started in the sandbox, while the parent looks. */
static int be_looked_at(void *context)
{
	struct watched *w = context;
	pthread_t thread;
	if (enter(w->user, NULL, NULL) != OK)
		return 1;
	if (pthread_create(&thread, NULL, thread_wait, &w->from_parent) != 0)
		return 2;
	if (write(w->to_parent, "x", 1) != 1)
		return 3;
	thread_wait(&w->from_parent);
	return pthread_join(thread, NULL) == 0 ? 0 : 4;
}

/* The rest of the line that begins with `name` in a process's or thread's status; false: there is none. */
static bool status_of(const char *path, const char *name, char *out, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[256];
	bool found = false;
	while (file && !found && fgets(line, sizeof line, file)) {
		size_t len = strlen(name);
		found = strncmp(line, name, len) == 0 && line[len] == ':';
		if (found)
			(void)snprintf(out, size, "%s", line + len + 1 + strspn(line + len + 1, "\t "));
	}
	if (file)
		(void)fclose(file);
	out[strcspn(out, "\n")] = '\0';
	return found;
}

static void status_is(const char *path, const char *name, const char *expected)
{
	char value[128] = "";
	assert_true(status_of(path, name, value, sizeof value));
	if (strcmp(value, expected) != 0)
		fail_msg("%s: %s is '%s', not '%s'", path, name, value, expected);
}

static void look_at_thread(const char *path, const struct sandbox_user *user)
{
	char ids[80];
	(void)snprintf(ids, sizeof ids, "%u\t%u\t%u\t%u", user->uid, user->uid, user->uid, user->uid);
	status_is(path, "Uid", ids);
	(void)snprintf(ids, sizeof ids, "%u\t%u\t%u\t%u", user->gid, user->gid, user->gid, user->gid);
	status_is(path, "Gid", ids);
	status_is(path, "Groups", "");
	status_is(path, "CapEff", "0000000000001000"); /* CAP_NET_ADMIN is number 12 */
	status_is(path, "CapPrm", "0000000000001000");
	status_is(path, "CapBnd", "0000000000001000");
	status_is(path, "CapInh", "0000000000000000");
	status_is(path, "CapAmb", "0000000000000000");
	status_is(path, "NoNewPrivs", "1");
	status_is(path, "Seccomp", sandbox_syscalls_built() ? "2" : "0");
}

static bool limit_can_be_raised(void)
{
	struct rlimit limit;
	capng_get_caps_process();
	return capng_have_capability(CAPNG_EFFECTIVE, CAP_SYS_RESOURCE) ||
	       (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_max == RLIM_INFINITY);
}

static void look_at_process(pid_t child, const struct sandbox_user *user)
{
	char path[PATH_LEN], value[128];
	(void)snprintf(path, sizeof path, "/proc/%d/task", (int)child);
	DIR *folder = opendir(path);
	assert_non_null(folder);
	unsigned int threads = 0;
	for (struct dirent *entry; (entry = readdir(folder));) {
		if (*entry->d_name == '.')
			continue;
		(void)snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)child, entry->d_name);
		look_at_thread(path, user);
		threads++;
	}
	(void)closedir(folder);
	assert_int_equal(threads, 2);

	(void)snprintf(path, sizeof path, "/proc/%d/status", (int)child);
	assert_true(status_of(path, "VmLck", value, sizeof value));
	bool is_locked = strtoul(value, NULL, 10) > 0;
	if (sandbox_syscalls_built())
		assert_int_equal(is_locked, limit_can_be_raised());
	if (!is_locked)
		print_message("memory is not locked here: %s\n",
			sandbox_syscalls_built() ? "the limit cannot be raised" : "a build with sanitisers");
	/* Who is not dumpable has its files in /proc owned by root. */
	struct stat st;
	(void)snprintf(path, sizeof path, "/proc/%d/environ", (int)child);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void look_at(const struct sandbox_user *user)
{
	int up[2], down[2], status;
	char byte;
	need_root();
	give_write_folder(user);
	assert_true(pipe2(up, O_CLOEXEC) == 0 && pipe2(down, O_CLOEXEC) == 0);
	gid_t group = 1; /* a supplementary one, to be lost */
	assert_int_equal(setgroups(1, &group), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		alarm(60);
		close(down[1]);
		_exit(be_looked_at(&(struct watched){.user = user, .to_parent = up[1], .from_parent = down[0]}));
	}
	close(up[1]);
	ssize_t n = read(up[0], &byte, 1);
	if (n == 1)
		look_at_process(child, user);
	close(down[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(n, 1);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(up[0]);
	close(down[0]);
}

static void the_kernel_says_so_of_a_user(void **state)
{
	(void)state;
	look_at(&nobody);
}

static void the_kernel_says_so_of_root(void **state)
{
	(void)state;
	look_at(&root);
}

/* Locking must not bring pages in that nobody uses. */
static int measure_memory(void *context)
{
	char before[64], after[64];
	(void)context;
	void *unused = mmap(NULL, 64U << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(unused != MAP_FAILED && status_of("/proc/self/status", "VmRSS", before, sizeof before));
	sandbox_protect_memory();
	void *later = mmap(NULL, 64U << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(later != MAP_FAILED && status_of("/proc/self/status", "VmRSS", after, sizeof after));
	return strtoul(after, NULL, 10) < strtoul(before, NULL, 10) + 4096 ? 0 : 1;
}

static void locked_memory_takes_no_more_of_it(void **state)
{
	(void)state;
	need_root();
	assert_int_equal(in_child(measure_memory, NULL), 0);
}

/* ---- what is refused ---- */

static int enter_while_threads_run(void *context)
{
	int pipe_ends[2];
	struct fault fault;
	pthread_t thread;
	(void)context;
	CHECK(pipe2(pipe_ends, O_CLOEXEC) == 0);
	CHECK(pthread_create(&thread, NULL, thread_wait, &pipe_ends[0]) == 0);
	enum err err = enter(&nobody, NULL, &fault);
	bool is_refused = err == ERR_STATE && strstr(fault.text, "other threads run (1)") && geteuid() == 0;
	close(pipe_ends[1]);
	return pthread_join(thread, NULL) == 0 && is_refused ? 0 : 2;
}

static void other_threads_are_a_fault(void **state)
{
	(void)state;
	need_root();
	if (!sandbox_syscalls_built())
		skip(); /* the sanitisers have threads of their own */
	give_write_folder(&nobody);
	assert_int_equal(in_child(enter_while_threads_run, NULL), 0);
}

static int enter_bad_folder(void *context)
{
	const struct sandbox_config *config = context;
	struct fault fault = {0};
	enum err err = sandbox_enter(config, NULL, &fault);
	return strstr(fault.text, config->read_folder ? config->read_folder : config->write_folder) ? (int)err : -1;
}

static void folders_must_be_there_and_open(void **state)
{
	char missing[PATH_LEN], closed[PATH_LEN];
	(void)state;
	need_root();
	struct sandbox_config config = {
		.user = nobody, .read_folder = in_top(missing, "missing"), .write_folder = in_top(closed, "write")};
	if (kernel_has_landlock())
		assert_int_equal(in_child(enter_bad_folder, &config), ERR_NOT_FOUND);
	config.read_folder = NULL;
	assert_int_equal(in_child(enter_bad_folder, &config), ERR_PERMISSION); /* it is still root's */
	config.write_folder = in_top(missing, "missing");
	assert_int_equal(in_child(enter_bad_folder, &config), ERR_NOT_FOUND);
}

/* As in a container that was given too little. */
static int enter_without(void *context)
{
	const unsigned int *lost = context;
	struct fault fault = {0};
	capng_get_caps_process();
	capng_update(CAPNG_DROP, CAPNG_EFFECTIVE | CAPNG_PERMITTED, *lost);
	CHECK(capng_apply(CAPNG_SELECT_CAPS) == 0);
	enum err err = enter(&nobody, NULL, &fault);
	const char *name =
		*lost == CAP_NET_ADMIN ? "CAP_NET_ADMIN is missing" : "cannot become user nobody without CAP_SETUID";
	return err == ERR_PERMISSION && !strstr(fault.text, name) ? 1 : (int)err;
}

static void missing_rights_are_named(void **state)
{
	(void)state;
	need_root();
	give_write_folder(&nobody);
	unsigned int lost = CAP_NET_ADMIN;
	assert_int_equal(in_child(enter_without, &lost), ERR_PERMISSION);
	lost = CAP_SETUID;
	assert_int_equal(in_child(enter_without, &lost), ERR_PERMISSION);
	lost = CAP_SETPCAP; /* the bounding set stays, with a warning */
	assert_int_equal(in_child(enter_without, &lost), OK);
}

/* Who starts as the user, with CAP_NET_ADMIN alone, needs no other right. */
static int enter_as_oneself(void *context)
{
	struct fault fault;
	(void)context;
	capng_clear(CAPNG_SELECT_CAPS);
	capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_NET_ADMIN);
	CHECK(capng_change_id(NOBODY, NOBODY, CAPNG_DROP_SUPP_GRP) == 0);
	struct sandbox_user user;
	CHECK(sandbox_user_find(&user, NULL, &fault) == OK && user.uid == NOBODY);
	enum err err = enter(&user, NULL, &fault);
	if (err != OK)
		(void)fprintf(stderr, "%s\n", fault.text);
	return (int)err;
}

static void an_ordinary_user_can_enter(void **state)
{
	(void)state;
	need_root();
	give_write_folder(&nobody);
	assert_int_equal(in_child(enter_as_oneself, NULL), OK);
}

/* ---- users and folders ---- */

static void users_are_found(void **state)
{
	struct sandbox_user user = {.uid = 7, .name = "before"};
	struct fault fault;
	(void)state;
	assert_int_equal(sandbox_user_find(&user, "no-such-user-here", &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, "there is no user 'no-such-user-here'; make it"));
	assert_int_equal(user.uid, 7);
	assert_string_equal(user.name, "before");
	assert_int_equal(sandbox_user_find(&user, "root", &fault), OK);
	assert_int_equal(user.uid, 0);
	assert_int_equal(user.gid, 0);
	assert_string_equal(user.name, "root");
	assert_int_equal(sandbox_user_find(&user, NULL, &fault), OK);
	if (geteuid() == 0)
		assert_true(strcmp(user.name, user.uid ? "jorm" : "root") == 0);
	else
		assert_int_equal(user.uid, geteuid());
}

static void owner_is(const char *name, uid_t uid)
{
	char path[PATH_LEN];
	struct stat st;
	assert_int_equal(lstat(in_top(path, name), &st), 0);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(st.st_gid, uid);
}

static void folders_are_given(void **state)
{
	char path[PATH_LEN], other[PATH_LEN];
	struct stat st;
	(void)state;
	need_root();
	assert_int_equal(sandbox_give_folder(&nobody, in_top(path, "new"), NULL), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	owner_is("new", NOBODY);

	assert_int_equal(mkdir(in_top(path, "write/below"), 0700), 0);
	file_make("write/below/deep");
	assert_int_equal(symlink(in_top(other, "other/in"), in_top(path, "write/link")), 0);
	assert_int_equal(mkfifo(in_top(path, "write/fifo"), 0600), 0); /* nobody waits for its other end */
	assert_int_equal(sandbox_give_folder(&nobody, in_top(path, "write"), NULL), OK);
	owner_is("write", NOBODY);
	owner_is("write/in", NOBODY);
	owner_is("other/in", 0);
	owner_is("write/link", 0);
	owner_is("write/fifo", 0);
	owner_is("write/below", 0);
	owner_is("write/below/deep", 0);
	/* And back. */
	assert_int_equal(sandbox_give_folder(&root, path, NULL), OK);
	owner_is("write", 0);
	owner_is("write/in", 0);
}

static void other_peoples_files_are_not_given(void **state)
{
	char path[PATH_LEN], other[PATH_LEN];
	struct fault fault;
	(void)state;
	need_root();
	assert_int_equal(symlink(in_top(other, "other"), in_top(path, "link")), 0);
	assert_int_equal(sandbox_give_folder(&nobody, path, &fault), ERR_STATE);
	assert_non_null(strstr(fault.text, "is a symbolic link or no folder"));
	owner_is("other", 0);
	owner_is("other/in", 0);
	assert_int_equal(sandbox_give_folder(&nobody, in_top(path, "other/in"), &fault), ERR_STATE);
	owner_is("other/in", 0);
	assert_int_equal(sandbox_give_folder(&nobody, in_top(path, "missing/folder"), &fault), ERR_NOT_FOUND);
	assert_int_equal(link(in_top(other, "other/in"), in_top(path, "write/second")), 0);
	assert_int_equal(sandbox_give_folder(&nobody, in_top(path, "write"), &fault), ERR_STATE);
	assert_non_null(strstr(fault.text, "the file second has a second name elsewhere"));
	owner_is("other/in", 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, clean_up)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(a_user_can_do_nothing_else), TEST(root_can_do_nothing_else),
		TEST(other_tables_of_calls_end_the_process), TEST(what_the_daemon_does_works),
		TEST(the_kernel_says_so_of_a_user), TEST(the_kernel_says_so_of_root),
		TEST(locked_memory_takes_no_more_of_it), TEST(other_threads_are_a_fault),
		TEST(folders_must_be_there_and_open), TEST(missing_rights_are_named), TEST(an_ordinary_user_can_enter),
		TEST(users_are_found), TEST(folders_are_given), TEST(other_peoples_files_are_not_given)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
