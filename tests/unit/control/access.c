/* Who may speak: root, the owner, members of the group; only root can try. */
#include "people.h"

#include "control/access.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define OWNER 65531
#define GROUP 65532
#define STRANGER 65533

/* One who connects as somebody else; the number that he exits with is the answer's status, 0 without one. */
static pid_t client_fork(uid_t uid, gid_t gid, const gid_t *groups, size_t n)
{
	pid_t child = fork();
	if (child != 0)
		return child;
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_NAME};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char text[1000] = "";
	if (setgroups(n, groups) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		_exit(1);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		_exit(2);
	if (send(fd, "GET /v1/status HTTP/1.0\r\n\r\n", 27, MSG_NOSIGNAL) != 27)
		_exit(1);
	ssize_t n_read = recv(fd, text, sizeof(text) - 1, 0);
	_exit(n_read > 12 ? (atoi(text + 9) - 200) & 0xff : 3);
}

/* 200, 403, or 0: he could not connect. */
static int status_for(struct control_server *server, uid_t uid, gid_t gid, const gid_t *groups, size_t n)
{
	pid_t child = client_fork(uid, gid, groups, n);
	int status;
	struct pollfd p = {.fd = control_server_fd(server), .events = POLLIN};
	while (waitpid(child, &status, WNOHANG) == 0) {
		poll(&p, 1, 10);
		(void)control_server_handle(server, 1);
	}
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 2)
		return 0;
	assert_int_not_equal(WEXITSTATUS(status), 1);
	assert_int_not_equal(WEXITSTATUS(status), 3);
	return 200 + WEXITSTATUS(status);
}

static struct control_server *server_for(struct asked *asked, gid_t group)
{
	struct control_server *server;
	struct control_config config = config_of(asked);
	struct fault fault;
	config.group = group;
	config.owner = OWNER;
	if (control_server_open(&server, &config, &fault))
		fail_msg("%s", fault.text);
	assert_int_equal(chmod(folder, 0755), 0);
	return server;
}

static void is_closed_to_others(void **state)
{
	struct asked asked = {0};
	const gid_t group = GROUP;
	if (geteuid() != 0)
		skip();
	struct control_server *server = server_for(&asked, (gid_t)-1);
	assert_int_equal(status_for(server, 0, 0, NULL, 0), 200);
	assert_int_equal(status_for(server, STRANGER, STRANGER, NULL, 0), 0);
	/* even if somebody opened the file to all */
	assert_int_equal(chmod(SOCKET_NAME, 0666), 0);
	assert_int_equal(status_for(server, STRANGER, STRANGER, NULL, 0), 403);
	assert_int_equal(status_for(server, STRANGER, STRANGER, &group, 1), 403);
	assert_int_equal(status_for(server, OWNER, STRANGER, NULL, 0), 200);
	assert_int_equal(asked.count, 2);
	assert_int_equal(asked.uid, OWNER);
	control_server_close(server);
}

static void is_open_to_a_group(void **state)
{
	struct asked asked = {0};
	gid_t groups[300];
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < 300; i++)
		groups[i] = (gid_t)(10000 + i);
	struct control_server *server = server_for(&asked, GROUP);
	assert_int_equal(status_for(server, 0, 0, NULL, 0), 200);
	assert_int_equal(status_for(server, STRANGER, GROUP, NULL, 0), 200);
	assert_int_equal(status_for(server, STRANGER, STRANGER, (const gid_t[]){7, GROUP}, 2), 200);
	assert_int_equal(status_for(server, STRANGER, STRANGER, NULL, 0), 0);
	assert_int_equal(chmod(SOCKET_NAME, 0666), 0);
	assert_int_equal(status_for(server, STRANGER, STRANGER, NULL, 0), 403);
	/* very many groups, without ours and with it */
	assert_int_equal(status_for(server, STRANGER, STRANGER, groups, 300), 403);
	groups[299] = GROUP;
	assert_int_equal(status_for(server, STRANGER, STRANGER, groups, 300), 200);
	control_server_close(server);
}

/* What is no UNIX socket tells nothing about anybody. */
static void trusts_nobody_unknown(void **state)
{
	uid_t uid;
	int fd = open("/dev/null", O_RDONLY);
	assert_false(control_access(fd, geteuid(), (gid_t)-1, &uid));
	close(fd);
	assert_false(control_access(-1, geteuid(), (gid_t)-1, &uid));
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_true(control_access(pair[0], geteuid(), (gid_t)-1, &uid));
	assert_int_equal(uid, geteuid());
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_closed_to_others),
		cmocka_unit_test(is_open_to_a_group),
		cmocka_unit_test(trusts_nobody_unknown),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
