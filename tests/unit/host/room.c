#include "room.h"

#include "base/clock.h"
#include "config/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char room_said[8192];

static void must(bool good, const char *what)
{
	if (!good)
		fail_msg("%s: %s", what, strerror(errno));
}

static void room_enter(void)
{
	must(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0, "namespaces");
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "private mounts");
	must(mount("none", "/run", "tmpfs", 0, NULL) == 0, "a private /run");
	must(mkdir(ROOM, 0755) == 0 && mkdir(ROOM "/bin", 0755) == 0, "the room's folder");
	room_write(ROOM "/hosts", "127.0.0.1 localhost\n192.0.2.77 known.test\n2001:db8::77 six.test\n", 0644);
	room_write(ROOM "/nsswitch.conf", "hosts: files\n", 0644);
	must(mount(ROOM "/hosts", "/etc/hosts", NULL, MS_BIND, NULL) == 0, "a private /etc/hosts");
	if (access("/etc/nsswitch.conf", F_OK) == 0)
		must(mount(ROOM "/nsswitch.conf", "/etc/nsswitch.conf", NULL, MS_BIND, NULL) == 0, "nsswitch.conf");
	must(setenv("PATH", ROOM "/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1) == 0, "PATH");
	assert_int_equal(room_shell("ip link set lo up"), 0);
}

void room_run(void (*body)(void))
{
	if (geteuid() != 0) {
		print_message("skipped: namespaces and nft need root\n");
		skip();
	}
	fflush(stdout);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* a failed assertion ends this process, instead of going on with the next test in it */
		must(setenv("CMOCKA_TEST_ABORT", "1", 1) == 0, "environment");
		room_enter();
		body();
		fflush(NULL);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("failed in its room (wait status 0x%x)", (unsigned)status);
}

void room_write(const char *path, const char *text, unsigned mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), path);
	(void)fchmod(fd, mode); /* the kernel's switches have theirs */
	close(fd);
}

const char *room_read(const char *path)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	if (fd >= 0)
		close(fd);
	return text;
}

struct config *room_config(const char *name, const char *lines)
{
	char path[256], text[8192];
	struct config *config = NULL;
	struct config_diagnostics diags = {0};
	(void)snprintf(path, sizeof path, ROOM "/%s.conf", name);
	(void)snprintf(text, sizeof text, "[interface]\nPrivateKey = own.priv\n%s\n", lines);
	room_write(path, text, 0600);
	if (config_load(&config, path, &diags))
		fail_msg("%s: %s", path, diags.count ? diags.items[0].text : "?");
	config_diagnostics_done(&diags);
	return config;
}

int room_shell(const char *command)
{
	int ends[2], status = 0;
	must(pipe2(ends, O_CLOEXEC) == 0, "a pipe");
	pid_t pid = fork();
	must(pid >= 0, "fork");
	if (pid == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)dup2(ends[1], STDERR_FILENO);
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	size_t at = 0;
	for (ssize_t n;
		at < sizeof room_said - 1 && (n = read(ends[0], room_said + at, sizeof room_said - 1 - at)) > 0;)
		at += (size_t)n;
	room_said[at] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void room_wait(bool (*condition)(const void *context), const void *context, const char *what)
{
	usec deadline = clock_now() + 15 * USEC_PER_SEC;
	while (!condition(context)) {
		if (clock_now() > deadline)
			fail_msg("not within 15 s: %s", what);
		(void)poll(NULL, 0, 10);
	}
}

bool room_shell_succeeds(const void *command)
{
	return room_shell(command) == 0;
}

void room_forget_calls(int one, int other)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)one, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)other, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp");
}

struct keeper *room_keeper(const struct config *config)
{
	struct keeper *keeper = NULL;
	struct fault fault = {0};
	if (keeper_start(&keeper, config, &fault))
		fail_msg("%s", fault.text);
	return keeper;
}
