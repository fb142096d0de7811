/* The socket's place: its mode, its lock, what dead ones leave, what others left. */
#include "people.h"

#include "control/listener.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct control_listener listener_open(gid_t group)
{
	struct control_listener l;
	struct fault fault;
	if (control_listener_open(&l, SOCKET_NAME, group, 4, &fault))
		fail_msg("%s", fault.text);
	return l;
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 07777;
}

static void leaves_nothing_behind(void **state)
{
	struct stat st;
	struct control_listener l = listener_open((gid_t)-1);
	assert_int_equal(stat(SOCKET_NAME, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(mode_of(SOCKET_NAME), 0600);
	assert_int_equal(mode_of(SOCKET_NAME ".lock"), 0600);
	assert_int_equal(mode_of("run"), 0755);
	close(client_open());
	control_listener_close(&l);
	assert_int_equal(l.fd, -1);
	assert_int_equal(access(SOCKET_NAME, F_OK), -1);
	assert_int_equal(access(SOCKET_NAME ".lock", F_OK), -1);
}

/* Whatever the umask. */
static void gives_the_socket_to_a_group(void **state)
{
	struct stat st;
	gid_t group = geteuid() == 0 ? 65534 : getegid();
	mode_t before = umask(0077);
	struct control_listener l = listener_open(group);
	umask(before);
	assert_int_equal(stat(SOCKET_NAME, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(st.st_gid, group);
	assert_int_equal(mode_of(SOCKET_NAME ".lock"), 0600);
	control_listener_close(&l);
}

static void refuses_a_second_one(void **state)
{
	struct control_listener first = listener_open((gid_t)-1), second;
	struct fault fault;
	assert_int_equal(control_listener_open(&second, SOCKET_NAME, (gid_t)-1, 4, &fault), ERR_EXISTS);
	assert_int_equal(second.fd, -1);
	assert_non_null(strstr(fault.text, "already running"));
	assert_int_equal(access(SOCKET_NAME, F_OK), 0);
	assert_int_equal(access(SOCKET_NAME ".lock", F_OK), 0);
	control_listener_close(&first);
	first = listener_open((gid_t)-1);
	control_listener_close(&first);
}

static void replaces_what_a_dead_one_left(void **state)
{
	pid_t child = fork();
	if (child == 0) {
		struct control_listener l;
		_exit(control_listener_open(&l, SOCKET_NAME, (gid_t)-1, 4, NULL) != OK);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(access(SOCKET_NAME, F_OK), 0);
	assert_int_equal(access(SOCKET_NAME ".lock", F_OK), 0);
	struct control_listener l = listener_open((gid_t)-1);
	close(client_open());
	control_listener_close(&l);
}

/* Something that is not ours stands where the socket should. */
static void leaves_others_alone(void **state)
{
	struct control_listener l;
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SOCKET_NAME};
	int fd = open(SOCKET_NAME, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(control_listener_open(&l, SOCKET_NAME, (gid_t)-1, 4, NULL), ERR_EXISTS);
	assert_int_equal(access(SOCKET_NAME ".lock", F_OK), -1);
	assert_int_equal(unlink(SOCKET_NAME), 0);

	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(control_listener_open(&l, SOCKET_NAME, (gid_t)-1, 4, NULL), ERR_EXISTS);
	close(fd);
	l = listener_open((gid_t)-1);
	control_listener_close(&l);
}

static void says_why_it_cannot_open(void **state)
{
	struct control_listener l;
	struct fault fault;
	char large[200];
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	assert_int_equal(control_listener_open(&l, large, (gid_t)-1, 4, &fault), ERR_TOO_BIG);
	assert_int_equal(control_listener_open(&l, "", (gid_t)-1, 4, &fault), ERR_TOO_BIG);
	assert_int_equal(control_listener_open(&l, "no/such/folder", (gid_t)-1, 4, &fault), ERR_NOT_FOUND);
	assert_non_null(strstr(fault.text, "no/such"));
	/* a group that one may not give to: nothing is left of the attempt */
	if (geteuid() != 0) {
		assert_int_equal(control_listener_open(&l, SOCKET_NAME, 0, 4, &fault), ERR_PERMISSION);
		assert_int_equal(access(SOCKET_NAME, F_OK), -1);
		assert_int_equal(access(SOCKET_NAME ".lock", F_OK), -1);
	}
}

/* A daemon that has given up its rights meanwhile. */
static void closes_without_rights(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(folder, 0755), 0);
	struct control_listener l = listener_open((gid_t)-1);
	assert_int_equal(seteuid(65534), 0);
	control_listener_close(&l);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(access(SOCKET_NAME, F_OK), 0);
	l = listener_open((gid_t)-1); /* what it left is no obstacle */
	control_listener_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_nothing_behind),
		cmocka_unit_test(gives_the_socket_to_a_group),
		cmocka_unit_test(refuses_a_second_one),
		cmocka_unit_test(replaces_what_a_dead_one_left),
		cmocka_unit_test(leaves_others_alone),
		cmocka_unit_test(says_why_it_cannot_open),
		cmocka_unit_test(closes_without_rights),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
