/* Those who follow /v1/events. */
#include "people.h"

#include "control/backlog.h"

#include <errno.h>

#define FOLLOW "GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n"

static int follower_open(struct control_server *server)
{
	int fd = client_open();
	client_say(fd, FOLLOW);
	(void)server_run(server, 1);
	return fd;
}

/* What has come so far. */
static const char *heard(int fd, char *text, size_t size)
{
	ssize_t n = recv(fd, text, size - 1, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void tell(struct control_server *server, const char *word)
{
	control_server_event(server, json_pack("{s:s}", "event", word));
	assert_true(!control_server_has_listeners(server) || server_is_ready(server));
	(void)server_run(server, 1);
}

static void shows_what_happens(void **state)
{
	struct asked asked = {0};
	char text[2000];
	struct control_server *server = server_open(&asked);
	assert_false(control_server_has_listeners(server));
	tell(server, "nobody hears");
	int fd = follower_open(server), other = follower_open(server);
	assert_true(control_server_has_listeners(server));
	heard(fd, text, sizeof(text));
	assert_non_null(strstr(text, "Content-Type: application/x-ndjson\r\n"));
	assert_non_null(strstr(text, "Transfer-Encoding: chunked\r\n"));
	assert_non_null(strstr(text, "\n{\"event\":\"hello\",\"peer\":null,"));
	assert_null(strstr(text, "nobody hears"));
	/* now, and much later: they have no deadline */
	tell(server, "one");
	assert_non_null(strstr(heard(fd, text, sizeof(text)), "{\"event\":\"one\"}\n"));
	assert_int_equal(server_run(server, 1000 * CONTROL_DEADLINE), USEC_NEVER);
	tell(server, "two");
	assert_non_null(strstr(heard(fd, text, sizeof(text)), "{\"event\":\"two\"}\n"));
	heard(other, text, sizeof(text));
	assert_non_null(strstr(text, "one"));
	assert_non_null(strstr(text, "two"));
	control_server_event(server, NULL);
	/* the end is a proper one */
	control_server_close(server);
	assert_string_equal(client_hear(fd, text, sizeof(text)), "0\r\n\r\n");
	assert_string_equal(client_hear(other, text, sizeof(text)), "0\r\n\r\n");
	assert_int_equal(asked.count, 0);
}

/* Nothing happens, and yet it is seen at once that they go. */
static void sees_them_go(void **state)
{
	struct asked asked = {0};
	struct control_server *server = server_open(&asked);
	for (int i = 0; i < 100; i++) {
		int fd = follower_open(server);
		assert_true(control_server_has_listeners(server));
		close(fd);
		assert_true(server_is_ready(server));
		assert_int_equal(server_run(server, 1), USEC_NEVER);
		assert_false(control_server_has_listeners(server));
	}
	control_server_close(server);
}

static void bounds_their_number(void **state)
{
	struct asked asked = {0};
	int fds[CONTROL_LISTENERS_MAX];
	char text[1000];
	struct control_server *server = server_open(&asked);
	for (size_t i = 0; i < CONTROL_LISTENERS_MAX; i++)
		fds[i] = follower_open(server);
	assert_memory_equal(exchange(server, FOLLOW, text, sizeof(text)), "HTTP/1.1 503", 12);
	assert_non_null(strstr(text, "{\"error\":"));
	/* others are served all the same */
	exchange(server, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n", text, sizeof(text));
	assert_memory_equal(text, "HTTP/1.1 200", 12);
	close(fds[0]);
	(void)server_run(server, 1);
	fds[0] = follower_open(server);
	assert_memory_equal(heard(fds[0], text, sizeof(text)), "HTTP/1.1 200", 12);
	control_server_close(server);
	for (size_t i = 0; i < CONTROL_LISTENERS_MAX; i++)
		close(fds[i]);
}

/* One does not read; the other one misses nothing. */
static void cuts_off_who_does_not_keep_up(void **state)
{
	struct asked asked = {0};
	static char text[4 << 20];
	char word[1001];
	struct control_server *server = server_open(&asked);
	int slow = follower_open(server), quick = follower_open(server);
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	size_t told = 0, quick_heard = 0;
	/* what the kernel keeps for it, some 200 KiB, comes on top of what we do */
	for (bool cut = false; !cut && told < 3000; told++) {
		tell(server, word);
		quick_heard += strlen(heard(quick, text, sizeof(text)));
		char byte;
		cut = send(slow, &byte, 0, MSG_NOSIGNAL) < 0 && errno == EPIPE;
	}
	assert_true(told > BACKLOG_MAX / sizeof(word) && told < 3000);
	assert_true(quick_heard > told * sizeof(word));
	size_t slow_heard = strlen(client_hear(slow, text, sizeof(text)));
	assert_true(slow_heard < told * sizeof(word) && !strstr(text, "\r\n0\r\n"));
	tell(server, "still there");
	assert_non_null(strstr(heard(quick, text, sizeof(text)), "still there"));
	close(quick);
	control_server_close(server);
}

/* One that is larger than what may wait. */
static void cuts_off_at_a_giant(void **state)
{
	struct asked asked = {0};
	static char word[BACKLOG_MAX + 1], text[2000];
	struct control_server *server = server_open(&asked);
	int fd = follower_open(server);
	memset(word, 'x', sizeof(word) - 1);
	tell(server, word);
	assert_false(control_server_has_listeners(server));
	assert_null(strstr(client_hear(fd, text, sizeof(text)), "xxx"));
	control_server_close(server);
}

/* What a handler tells while it answers comes to others, too. */
struct teller {
	struct control_server *server;
};

static void handle_and_tell(void *context, const struct control_call *call, struct control_reply *reply)
{
	struct teller *teller = context;
	(void)call;
	(void)reply;
	control_server_event(teller->server, json_pack("{s:s}", "event", "asked"));
}

static void may_be_told_by_a_handler(void **state)
{
	struct teller teller = {0};
	char text[1000];
	struct control_config config = {.path = SOCKET_NAME,
		.group = (gid_t)-1,
		.owner = geteuid(),
		.handler = handle_and_tell,
		.context = &teller};
	assert_int_equal(control_server_open(&teller.server, &config, NULL), OK);
	int fd = follower_open(teller.server);
	heard(fd, text, sizeof(text));
	for (int i = 0; i < 3; i++) {
		char answer[1000];
		exchange(teller.server, "POST /v1/reload HTTP/1.1\r\nHost: x\r\n\r\n", answer, sizeof(answer));
		assert_non_null(strstr(heard(fd, text, sizeof(text)), "{\"event\":\"asked\"}"));
	}
	close(fd);
	control_server_close(teller.server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_what_happens),
		cmocka_unit_test(sees_them_go),
		cmocka_unit_test(bounds_their_number),
		cmocka_unit_test(cuts_off_who_does_not_keep_up),
		cmocka_unit_test(cuts_off_at_a_giant),
		cmocka_unit_test(may_be_told_by_a_handler),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
