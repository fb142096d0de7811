/*
 * Each test forks: a child is confined and tries, the parent compares. tests/net/test_privileges.py does the same to
 * programs that run.
 */
#include "inside.h"

#include "daemon/confine.h"
#include "daemon/sandbox_syscalls.h"
#include "net/udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LANDLOCK_WITH_PORTS 4

static int enter(void *context)
{
	struct fault fault = {0};
	if (confine_enter(context, &fault) == OK)
		return 0;
	(void)fprintf(stderr, "%s\n", fault.text);
	return 1;
}

static long landlock_version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0L, 1L);
}

/* ---- what is refused ---- */

#define OPEN(expected, path, flags) PROBE(openat, expected, AT_FDCWD, POINTER(path), flags, 0600)

/* Whatever a program needs. */
static void none_may(const struct confine_config *config)
{
	char in[PATH_LEN], new[PATH_LEN];
	struct confine_config own = *config;
	int file = inside_open("write/in", O_RDWR), on = 1;
	(void)inside_path(in, "read/in");
	(void)inside_path(new, "read/new");
	char *true_line[] = {"true", NULL}, *nothing[] = {NULL};
	const long parent = getpid();
	assert_true(file >= 0);
	const struct probe probes[] = {OPEN(EPERM, in, O_WRONLY), OPEN(EPERM, in, O_RDWR),
		OPEN(EPERM, in, O_RDONLY | O_TRUNC), OPEN(EPERM, new, O_RDONLY | O_CREAT),
		OPEN(EPERM, "/tmp", O_WRONLY | O_TMPFILE), OPEN(EPERM, "/dev/net/tun", O_RDWR),
		PROBE(openat2, ENOSYS, AT_FDCWD, POINTER(new), 0, 0), PROBE(unlinkat, EPERM, AT_FDCWD, POINTER(in), 0),
		PROBE(mkdirat, EPERM, AT_FDCWD, POINTER(new), 0700),
		PROBE(renameat2, EPERM, AT_FDCWD, POINTER(in), AT_FDCWD, POINTER(new), 0),
		PROBE(linkat, EPERM, AT_FDCWD, POINTER(in), AT_FDCWD, POINTER(new), 0),
		PROBE(symlinkat, EPERM, POINTER(in), AT_FDCWD, POINTER(new)), PROBE(fchmod, EPERM, file, 0755),
		PROBE(fchown, EPERM, file, 1, 1), PROBE(ftruncate, EPERM, file, 0), PROBE(inotify_init1, EPERM, 0),
		PROBE(wait4, EPERM, -1, 0, WNOHANG, 0),
		PROBE(execve, EPERM, POINTER("/bin/true"), POINTER(true_line), POINTER(nothing)),
		PROBE(clone, EPERM, SIGCHLD), PROBE(clone, EPERM, CLONE_VM | CLONE_VFORK | SIGCHLD),
		PROBE(unshare, EPERM, CLONE_NEWUSER), PROBE(setuid, EPERM, 0), PROBE(capset, EPERM, 0, 0),
		PROBE(prctl, EPERM, PR_SET_DUMPABLE, 1), PROBE(ptrace, EPERM, PTRACE_ATTACH, parent, 0, 0),
		PROBE(kill, EPERM, parent, 0), PROBE(kill, EPERM, -1, 0),
		PROBE(mmap, EPERM, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		PROBE(ioctl, EPERM, 2, TIOCSTI, POINTER("x")), PROBE(bpf, EPERM, 0, 0, 0),
		PROBE(io_uring_setup, EPERM, 1, 0), PROBE(listen, EPERM, 2, 1),
		PROBE(socket, EPERM, AF_UNIX, SOCK_STREAM, 0), PROBE(socket, EPERM, AF_PACKET, SOCK_RAW, 0),
		PROBE(socket, EPERM, AF_INET, SOCK_RAW, IPPROTO_ICMP),
		PROBE(socket, EPERM, AF_INET, SOCK_STREAM, IPPROTO_SCTP),
		PROBE(socket, EPERM, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER),
		PROBE(setsockopt, EPERM, 2, SOL_SOCKET, SO_MARK, POINTER(&on), sizeof on),
		PROBE(setsockopt, EPERM, 2, SOL_SOCKET, SO_ATTACH_FILTER, POINTER(&on), sizeof on),
		PROBE(setsockopt, EPERM, 2, IPPROTO_IP, IP_TRANSPARENT, POINTER(&on), sizeof on),
		PROBE(setsockopt, EPERM, 2, SOL_NETLINK, NETLINK_EXT_ACK, POINTER(&on), sizeof on)};
	inside_probe_by(enter, &own, probes, COUNT(probes));
	(void)close(file);
}

/* Where there is Landlock: what root owns, and so could read. */
static void none_may_read(const struct confine_config *config)
{
	char other[PATH_LEN];
	struct confine_config own = *config;
	(void)inside_path(other, "other/in");
	const struct probe probes[] = {OPEN(EACCES, "/etc/shadow", O_RDONLY), OPEN(EACCES, "/etc/passwd", O_RDONLY),
		OPEN(EACCES, other, O_RDONLY), OPEN(EACCES, "/", O_RDONLY | O_DIRECTORY),
		OPEN(EACCES, "/root", O_RDONLY | O_DIRECTORY), OPEN(EACCES, "/proc/self/mem", O_RDONLY)};
	if (inside_has_landlock())
		inside_probe_by(enter, &own, probes, COUNT(probes));
}

static const struct confine_config nothing, client = {.tcp_port = 10666, .udp_port = 10666},
					    named = {.tcp_port = 10666, .udp_port = 10666, .looks_up = true};

static struct confine_config server(char folder[static PATH_LEN])
{
	return (struct confine_config){.key_folder = inside_path(folder, "read"), .tcp_port = 443};
}

static void what_no_program_may(void **state)
{
	char folder[PATH_LEN];
	(void)state;
	inside_need_root();
	inside_need_filter();
	const struct confine_config of_server = server(folder);
	none_may(&nothing);
	none_may(&client);
	none_may(&named);
	none_may(&of_server);
}

static void files_that_no_program_may_read(void **state)
{
	char folder[PATH_LEN];
	(void)state;
	inside_need_root();
	inside_need_filter(); /* in a build with sanitisers /proc may be read */
	const struct confine_config of_server = server(folder);
	none_may_read(&nothing);
	none_may_read(&client);
	none_may_read(&named);
	none_may_read(&of_server);
}

/* Who asked for no sockets gets none; who looks no names up, none of what that needs. */
static void no_more_than_was_asked_for(void **state)
{
	(void)state;
	inside_need_root();
	inside_need_filter();
	struct confine_config of_nothing = nothing, of_client = client;
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), n = 1;
	struct sockaddr_in to = {.sin_family = AF_INET};
	assert_true(udp >= 0);
	const struct probe no_sockets[] = {PROBE(socket, EPERM, AF_INET, SOCK_DGRAM, 0),
		PROBE(socket, EPERM, AF_INET, SOCK_STREAM, 0), PROBE(socket, EPERM, AF_INET6, SOCK_DGRAM, 0),
		PROBE(socket, EPERM, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
		PROBE(connect, EPERM, udp, POINTER(&to), sizeof to), PROBE(bind, EPERM, udp, POINTER(&to), sizeof to),
		PROBE(setsockopt, EPERM, udp, SOL_SOCKET, SO_RCVBUF, POINTER(&n), sizeof n)};
	inside_probe_by(enter, &of_nothing, no_sockets, COUNT(no_sockets));
	const struct probe no_look_ups[] = {PROBE(socket, EPERM, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
		PROBE(socket, EPERM, AF_INET6, SOCK_STREAM, 0), PROBE(ioctl, EPERM, udp, FIONREAD, POINTER(&n))};
	inside_probe_by(enter, &of_client, no_look_ups, COUNT(no_look_ups));
	(void)close(udp);
}

/* ---- what the kernel says ---- */

struct rights {
	struct confine_config config;
	const char *expected; /* effective, permitted and in the bounding set */
};

static bool says(const char *status, const char *name, const char *value)
{
	char line[80];
	(void)snprintf(line, sizeof line, "%s:\t%s\n", name, value);
	const char *found = strstr(status, line);
	if (!found)
		(void)fprintf(stderr, "not so: %s", line);
	return found != NULL;
}

static int look_at_self(void *context)
{
	struct rights *r = context;
	char status[8192] = "";
	int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC); /* cannot be opened any more after: */
	CHECK(fd >= 0 && enter(&r->config) == 0);
	CHECK(read(fd, status, sizeof status - 1) > 0);
	CHECK(says(status, "CapEff", r->expected) && says(status, "CapPrm", r->expected) &&
		says(status, "CapBnd", r->expected));
	CHECK(says(status, "CapInh", "0000000000000000") && says(status, "CapAmb", "0000000000000000"));
	CHECK(says(status, "NoNewPrivs", "1") && says(status, "Seccomp", sandbox_syscalls_built() ? "2" : "0"));
	CHECK(prctl(PR_GET_DUMPABLE) == 0 || sandbox_syscalls_built()); /* which does not allow the question */
	return 0;
}

static void rights_are(const struct confine_config *config, const char *expected)
{
	struct rights r = {*config, expected};
	assert_int_equal(inside_child(look_at_self, &r), 0);
}

static void rights_go(void **state)
{
	char folder[PATH_LEN];
	(void)state;
	inside_need_root();
	const struct confine_config of_server = server(folder);
	inside_make_file("read/key.pub");
	rights_are(&nothing, "0000000000000000");
	rights_are(&client, "0000000000000000");
	rights_are(&of_server, "0000000000000000");
	/* Root's own, closed to others. */
	assert_int_equal(chmod(folder, 0700), 0);
	rights_are(&of_server, "0000000000000000");
}

/* What the configuration cannot do without. */
static void rights_that_are_needed_stay(void **state)
{
	char folder[PATH_LEN], key[PATH_LEN];
	(void)state;
	inside_need_root();
	const struct confine_config of_server = server(folder), low = {.tcp_port = 443, .udp_port = 443};
	rights_are(&low, "0000000000000400"); /* CAP_NET_BIND_SERVICE is number 10 */
	inside_make_file("read/key.pub");
	(void)inside_path(key, "read/key.pub");
	assert_int_equal(chown(key, NOBODY, NOBODY), 0);
	rights_are(&of_server, "0000000000000000");
	assert_int_equal(chmod(key, 0600), 0);
	rights_are(&of_server, "0000000000000004"); /* CAP_DAC_READ_SEARCH is number 2 */
	assert_int_equal(chmod(key, 0644), 0);
	assert_int_equal(chown(folder, NOBODY, NOBODY), 0);
	assert_int_equal(chmod(folder, 0700), 0);
	rights_are(&of_server, "0000000000000004");
}

/* ---- what works ---- */

static int listen_somewhere(uint16_t *ret_port)
{
	struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof name;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) == 0 && listen(fd, 4) == 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&name, &len), 0);
	*ret_port = ntohs(name.sin_port);
	return fd;
}

static int dial(uint16_t port)
{
	const struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	return fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) < 0 ? errno : 0;
}

static int open_udp(void)
{
	static const struct udp_config config = {.bind = {.ip = {[10] = 0xff, [11] = 0xff}}, .is_plain = true};
	const struct addr to = {.ip = {[10] = 0xff, [11] = 0xff, 127, 0, 0, 1}, .port = 9};
	struct udp *udp;
	struct fault fault = {0};
	CHECK(udp_open(&udp, &config, &fault) == OK);
	CHECK(udp_connect(udp, &to) == OK);
	udp_close(udp);
	return 0;
}

struct reached {
	struct confine_config config;
	uint16_t other_port;
};

static int serve(void *context)
{
	struct reached *r = context;
	const bool knows_ports = landlock_version() >= LANDLOCK_WITH_PORTS;
	CHECK(enter(&r->config) == 0);
	CHECK(inside_open("read", O_RDONLY | O_DIRECTORY) >= 0 && inside_open("read/in", O_RDONLY) >= 0);
	CHECK(inside_open("read/linked.pub", O_RDONLY) >= 0);
	CHECK(dial(r->config.tcp_port) == 0);
	CHECK(dial(r->other_port) == (knows_ports ? EACCES : 0));
	return open_udp();
}

/* A link to elsewhere is read because a key's name ends as it does; another one is not. */
static int follow_no_other_link(void *context)
{
	struct reached *r = context;
	CHECK(enter(&r->config) == 0);
	CHECK(inside_open("read/linked", O_RDONLY) < 0 && errno == EACCES);
	return 0;
}

static void what_a_server_does_works(void **state)
{
	char folder[PATH_LEN], target[PATH_LEN], link[PATH_LEN];
	struct reached r = {.config = server(folder)};
	(void)state;
	inside_need_root();
	inside_make_file("other/key");
	inside_make_file("other/second");
	assert_int_equal(symlink(inside_path(target, "other/key"), inside_path(link, "read/linked.pub")), 0);
	assert_int_equal(symlink(inside_path(target, "other/second"), inside_path(link, "read/linked")), 0);
	int listener = listen_somewhere(&r.config.tcp_port), other = listen_somewhere(&r.other_port);
	assert_int_equal(inside_child(serve, &r), 0);
	if (inside_has_landlock())
		assert_int_equal(inside_child(follow_no_other_link, &r), 0);
	(void)close(listener);
	(void)close(other);
}

/* As a client's sessions share the port of where hellos come. */
static int join_low_port(void *context)
{
	struct confine_config *config = context;
	const struct udp_config first = {.bind = {.ip = {[10] = 0xff, [11] = 0xff}, .port = 77}, .is_plain = true};
	struct udp *hellos, *session;
	struct fault fault = {0};
	CHECK(unshare(CLONE_NEWNET) == 0);
	CHECK(udp_open(&hellos, &first, &fault) == OK);
	CHECK(enter(config) == 0);
	if (udp_open(&session, &(struct udp_config){.join = hellos, .is_plain = true}, &fault) != OK)
		return 77;
	udp_close(session);
	udp_close(hellos);
	return 0;
}

static void a_port_is_opened_again(void **state)
{
	(void)state;
	inside_need_root();
	struct confine_config low = {.tcp_port = 443, .udp_port = 77}, untold = {.tcp_port = 443};
	assert_int_equal(inside_child(join_low_port, &low), 0);
	assert_int_equal(inside_child(join_low_port, &untold), 77);
}

static int look_up(void *context)
{
	struct addrinfo *found = NULL;
	const bool had_hosts = access("/etc/hosts", R_OK) == 0;
	const int before = getaddrinfo("localhost", NULL, NULL, &found);
	CHECK(enter(context) == 0);
	CHECK(!had_hosts || inside_open("/etc/hosts", O_RDONLY) >= 0);
	CHECK(getaddrinfo("localhost", NULL, NULL, &found) == before);
	freeaddrinfo(found);
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), tcp = socket(AF_INET6, SOCK_STREAM, 0), n, on = 1;
	CHECK(udp >= 0 && setsockopt(udp, IPPROTO_IP, IP_RECVERR, &on, sizeof on) == 0 &&
		ioctl(udp, FIONREAD, &n) == 0);
	CHECK(tcp >= 0 || errno == EAFNOSUPPORT);
	CHECK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE) >= 0);
	return 0;
}

static void look_ups_work(void **state)
{
	struct confine_config config = named;
	(void)state;
	inside_need_root();
	assert_int_equal(inside_child(look_up, &config), 0);
}

static void *record(void *argument)
{
	const int fd = *(const int *)argument;
	char text[4];
	bool done = pread(fd, text, sizeof text, 0) == 4 && pwrite(fd, "used", 4, 0) == 4 && fdatasync(fd) == 0 &&
		    posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED) == 0;
	return done ? NULL : argument;
}

/* Files that are open, and threads. */
static int keep_records(void *context)
{
	pthread_t thread;
	void *failed;
	int file = inside_open("write/in", O_RDWR), event = eventfd(0, EFD_CLOEXEC);
	CHECK(file >= 0 && event >= 0 && enter(context) == 0);
	CHECK((errno = pthread_create(&thread, NULL, record, &file)) == 0);
	CHECK(pthread_join(thread, &failed) == 0 && !failed);
	CHECK(write(event, &(uint64_t){1}, sizeof(uint64_t)) == sizeof(uint64_t));
	CHECK(kill(getpid(), 0) == 0);
	return 0;
}

static void open_files_are_written(void **state)
{
	struct confine_config config = nothing;
	(void)state;
	inside_need_root();
	assert_int_equal(inside_child(keep_records, &config), 0);
}

/* ---- what is wrong before ---- */

static int enter_without_folder(void *context)
{
	char folder[PATH_LEN];
	struct fault fault = {0};
	const struct confine_config config = {.key_folder = inside_path(folder, "missing"), .tcp_port = 443};
	(void)context;
	CHECK(confine_enter(&config, &fault) == ERR_NOT_FOUND);
	CHECK(strstr(fault.text, folder) && strstr(fault.text, "make it"));
	return 0;
}

static void the_folder_must_be_there(void **state)
{
	(void)state;
	assert_int_equal(inside_child(enter_without_folder, NULL), 0);
}

static void *thread_wait(void *argument)
{
	char byte;
	return read(*(int *)argument, &byte, 1) == 0 ? NULL : argument;
}

static int enter_with_a_thread(void *context)
{
	pthread_t thread;
	int ends[2];
	struct fault fault = {0};
	CHECK(pipe2(ends, O_CLOEXEC) == 0 && pthread_create(&thread, NULL, thread_wait, &ends[0]) == 0);
	CHECK(confine_enter(context, &fault) == ERR_STATE);
	CHECK(strstr(fault.text, "threads"));
	close(ends[1]);
	return pthread_join(thread, NULL);
}

/* It would stay as it was. */
static void not_beside_another_thread(void **state)
{
	struct confine_config config = nothing;
	(void)state;
	inside_need_filter();
	assert_int_equal(inside_child(enter_with_a_thread, &config), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(what_no_program_may), TEST(files_that_no_program_may_read),
		TEST(no_more_than_was_asked_for), TEST(rights_go), TEST(rights_that_are_needed_stay),
		TEST(what_a_server_does_works), TEST(a_port_is_opened_again), TEST(look_ups_work),
		TEST(open_files_are_written), TEST(the_folder_must_be_there), TEST(not_beside_another_thread)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
