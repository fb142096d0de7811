#include "control/server.h"

#include "control/access.h"
#include "control/backlog.h"
#include "control/listener.h"
#include "control/route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#define CONNECTION_MEMORY ((size_t)32 << 10) /* for a request's line and headers, and a part of its body */
#define EVENTS_BLOCK 4096                    /* bytes of events that go out at a time */
#define HTTPD_EVENT CONTROL_CLIENTS_MAX      /* libmicrohttpd's number among the epoll instance's */
#define WAKE_EVENT (CONTROL_CLIENTS_MAX + 1) /* that of our own descriptor */
#define ROUNDS_AT_CLOSE 64                   /* each of them sends what the sockets take */

/* Someone connected, who makes one request: the answer says "Connection: close". */
struct client {
	struct control_server *server;
	struct MHD_Connection *connection; /* NULL: free */
	int fd;                            /* libmicrohttpd's */
	usec deadline;
	uid_t uid;
	char *body; /* owned */
	size_t body_len;
	bool is_too_long;
	/* Those who follow the events. */
	struct backlog backlog;
	bool follows;
	bool is_suspended; /* nothing waits: libmicrohttpd does not look at it, we do (for its going) */
	bool is_over;      /* what waits is all that will come */
};

struct control_server {
	struct control_config config;
	struct control_listener listener;
	struct MHD_Daemon *httpd;
	int epoll;
	int wake; /* an eventfd, for what libmicrohttpd sees when it runs but tells nobody who waits outside */
	size_t n_clients;
	usec now;
	struct client clients[CONTROL_CLIENTS_MAX];
};

/* ---- answers ---- */

/* Takes the text (malloc'ed) over. Whatever fails here ends the connection. */
static enum MHD_Result answer_text(struct client *c, unsigned status, char *text, const char *type, const char *allow)
{
	if (!text)
		return MHD_NO;
	struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
	if (!r) {
		free(text);
		return MHD_NO;
	}
	enum MHD_Result result = MHD_NO;
	if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) == MHD_YES &&
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES &&
		(!allow || MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, allow) == MHD_YES))
		result = MHD_queue_response(c->connection, status, r);
	MHD_destroy_response(r);
	return result;
}

/* Takes the reference over. */
static enum MHD_Result answer_json(struct client *c, unsigned status, json_t *document, const char *allow)
{
	char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
	json_decref(document);
	return answer_text(c, status, text, "application/json", allow);
}

static enum MHD_Result answer_error(struct client *c, unsigned status, const char *text)
{
	return answer_json(c, status, json_pack("{s:s}", "error", text), NULL);
}

static unsigned status_of(enum err err)
{
	static const unsigned table[] = {
		[OK] = MHD_HTTP_OK,
		[ERR_NOT_FOUND] = MHD_HTTP_NOT_FOUND,
		[ERR_EXISTS] = MHD_HTTP_CONFLICT,
		[ERR_STATE] = MHD_HTTP_CONFLICT,
		[ERR_FULL] = MHD_HTTP_CONFLICT,
		[ERR_FORMAT] = MHD_HTTP_BAD_REQUEST,
		[ERR_ARGUMENT] = MHD_HTTP_BAD_REQUEST,
		[ERR_TOO_BIG] = MHD_HTTP_BAD_REQUEST,
		[ERR_PERMISSION] = MHD_HTTP_FORBIDDEN,
		[ERR_UNSUPPORTED] = MHD_HTTP_NOT_IMPLEMENTED,
	};
	unsigned status = (size_t)err < sizeof(table) / sizeof(table[0]) ? table[err] : 0;
	return status ? status : MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static enum MHD_Result answer_reply(struct client *c, enum control_operation operation, struct control_reply *reply)
{
	if (reply->err) {
		json_decref(reply->document);
		free(reply->text);
		const char *text = reply->fault.text;
		return answer_error(c, status_of(reply->err), *text ? text : err_text(reply->err));
	}
	if (operation == CONTROL_METRICS) {
		json_decref(reply->document);
		return answer_text(c, MHD_HTTP_OK, reply->text, "text/plain; version=0.0.4; charset=utf-8", NULL);
	}
	free(reply->text);
	return answer_json(c, MHD_HTTP_OK, reply->document ? reply->document : json_pack("{s:b}", "ok", true), NULL);
}

/* ---- who follows the events ---- */

/* The one way to end a connection from outside: libmicrohttpd sees that both directions are shut, and closes. */
static void client_shut(struct client *c)
{
	c->deadline = USEC_NEVER;
	shutdown(c->fd, SHUT_RDWR);
}

/* While nothing waits, libmicrohttpd would not see that the other end goes. */
static bool follower_suspend(struct client *c)
{
	struct epoll_event event = {.data.u32 = (uint32_t)(c - c->server->clients)}; /* EPOLLHUP always comes */
	if (epoll_ctl(c->server->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		return false;
	c->is_suspended = true;
	MHD_suspend_connection(c->connection);
	return true;
}

static void follower_resume(struct client *c)
{
	if (!c->is_suspended)
		return;
	(void)epoll_ctl(c->server->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	c->is_suspended = false;
	MHD_resume_connection(c->connection);
	(void)eventfd_write(c->server->wake, 1);
}

static ssize_t follower_read(void *context, uint64_t position, char *out, size_t size)
{
	struct client *c = context;
	(void)position;
	size_t n = backlog_take(&c->backlog, out, size);
	if (n)
		return (ssize_t)n;
	if (c->is_over)
		return MHD_CONTENT_READER_END_OF_STREAM;
	return follower_suspend(c) ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void follower_tell(struct client *c, const char *line, size_t len)
{
	if (backlog_put(&c->backlog, line, len))
		client_shut(c);
	follower_resume(c);
}

static enum MHD_Result follower_begin(struct client *c)
{
	size_t followers = 0;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
		followers += c->server->clients[i].connection && c->server->clients[i].follows;
	if (followers == CONTROL_LISTENERS_MAX)
		return answer_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, "too many follow the events already");
	static const char hello[] =
		"{\"event\":\"hello\",\"peer\":null,\"text\":\"jorm " JORM_VERSION "\",\"api\":1}\n";
	struct MHD_Response *r =
		MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, EVENTS_BLOCK, follower_read, c, NULL);
	if (!r)
		return MHD_NO;
	enum MHD_Result result = MHD_NO;
	if (backlog_put(&c->backlog, hello, sizeof(hello) - 1) == OK &&
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, "application/x-ndjson") == MHD_YES &&
		MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close") == MHD_YES)
		result = MHD_queue_response(c->connection, MHD_HTTP_OK, r);
	MHD_destroy_response(r);
	c->follows = result == MHD_YES;
	c->deadline = USEC_NEVER;
	return result;
}

bool control_server_has_listeners(const struct control_server *server)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		if (server->clients[i].connection && server->clients[i].follows)
			return true;
	}
	return false;
}

void control_server_event(struct control_server *server, json_t *event)
{
	char *line = event && control_server_has_listeners(server) ? json_dumps(event, JSON_COMPACT) : NULL;
	json_decref(event);
	if (!line)
		return;
	size_t len = strlen(line);
	line[len++] = '\n'; /* in place of the NUL */
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *c = &server->clients[i];
		if (c->connection && c->follows && !c->is_over)
			follower_tell(c, line, len);
	}
	free(line);
}

/* ---- requests ---- */

static enum MHD_Result request_perform(struct client *c, const struct route *route)
{
	const struct control_config *config = &c->server->config;
	json_t *body = NULL;
	if (!config->handler) /* it is being closed, and what it would speak of may be gone */
		return answer_error(c, MHD_HTTP_SERVICE_UNAVAILABLE, "the tunnel goes down");
	if (c->body_len) {
		body = json_loadb(c->body, c->body_len, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(body)) {
			json_decref(body);
			return answer_error(c, MHD_HTTP_BAD_REQUEST, "the body is no JSON object");
		}
	}
	const struct control_call call = {.operation = route->operation,
		.name = route->has_name ? route->name : NULL,
		.body = body,
		.uid = c->uid};
	struct control_reply reply = {.err = OK};
	config->handler(config->context, &call, &reply);
	json_decref(body);
	return answer_reply(c, route->operation, &reply);
}

/* When the headers are there. MHD_YES without an answer: the body is to come. */
static enum MHD_Result request_begin(struct client *c, const char *path, const char *method)
{
	struct route route;
	if (!control_access(c->fd, c->server->config.owner, c->server->config.group, &c->uid))
		return answer_error(c, MHD_HTTP_FORBIDDEN,
			"permission denied: run this as root, or as a member of the tunnel's ControlGroup");
	enum err e = route_find(&route, method, path);
	if (e == ERR_UNSUPPORTED)
		return answer_json(c, MHD_HTTP_METHOD_NOT_ALLOWED,
			json_pack("{s:s}", "error", "this path does not have this method"), route.allow);
	if (e)
		return answer_error(c, MHD_HTTP_NOT_FOUND, "there is no such path");
	const char *length =
		MHD_lookup_connection_value(c->connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
	if (length && strtoull(length, NULL, 10) > CONTROL_BODY_MAX)
		return answer_error(c, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long");
	return MHD_YES;
}

/* What is too long is read to its end all the same: before that libmicrohttpd takes no answer. */
static enum MHD_Result body_take(struct client *c, const char *data, size_t len)
{
	if (c->is_too_long || len > CONTROL_BODY_MAX - c->body_len) {
		c->is_too_long = true;
		return MHD_YES;
	}
	char *body = realloc(c->body, c->body_len + len);
	if (!body)
		return MHD_NO;
	memcpy(body + c->body_len, data, len);
	c->body = body;
	c->body_len += len;
	return MHD_YES;
}

/* Called when the headers are there, for each part of the body, and at the end. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *path,
	const char *method, const char *version, const char *data, size_t *len, void **seen)
{
	(void)context;
	(void)version;
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct client *c = info ? info->socket_context : NULL;
	struct route route;
	if (!c)
		return MHD_NO;
	if (!*seen) {
		*seen = c;
		return request_begin(c, path, method);
	}
	if (*len) {
		enum MHD_Result result = body_take(c, data, *len);
		*len = 0;
		return result;
	}
	if (c->is_too_long)
		return answer_error(c, MHD_HTTP_CONTENT_TOO_LARGE, "the body is too long");
	if (route_find(&route, method, path)) /* as it was at the beginning */
		return MHD_NO;
	return route.operation == CONTROL_EVENTS ? follower_begin(c) : request_perform(c, &route);
}

/* ---- connections ---- */

static struct client *client_begin(struct control_server *s, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	for (size_t i = 0; info && i < CONTROL_CLIENTS_MAX; i++) {
		if (s->clients[i].connection)
			continue;
		s->clients[i] = (struct client){.server = s,
			.connection = connection,
			.fd = info->connect_fd,
			.deadline = s->now + CONTROL_DEADLINE};
		s->n_clients++;
		return &s->clients[i];
	}
	return NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
	enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		*socket_context = client_begin(context, connection);
		return;
	}
	struct client *c = *socket_context;
	if (!c)
		return;
	/* the next time it runs it listens again */
	if (c->server->n_clients-- == CONTROL_CLIENTS_MAX)
		(void)eventfd_write(c->server->wake, 1);
	free(c->body);
	backlog_done(&c->backlog);
	*c = (struct client){.fd = -1};
	*socket_context = NULL;
}

/* Paths stay as they came: route_find decodes them, so that an encoded '/' is not taken for one. */
static size_t on_unescape(void *context, struct MHD_Connection *connection, char *text)
{
	(void)context;
	(void)connection;
	return strlen(text);
}

/* ---- the server ---- */

int control_server_fd(const struct control_server *server)
{
	return server->epoll;
}

/* Those who follow the events and have gone. */
static void take_hangups(struct control_server *s)
{
	struct epoll_event events[CONTROL_CLIENTS_MAX + 2];
	eventfd_t count;
	int n = epoll_wait(s->epoll, events, CONTROL_CLIENTS_MAX + 2, 0);
	for (int i = 0; i < n; i++) {
		if (events[i].data.u32 == WAKE_EVENT) {
			(void)eventfd_read(s->wake, &count);
		} else if (events[i].data.u32 < CONTROL_CLIENTS_MAX) {
			struct client *c = &s->clients[events[i].data.u32];
			c->is_over = true;
			follower_resume(c);
		}
	}
}

static usec deadlines_keep(struct control_server *s)
{
	usec next = USEC_NEVER;
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];
		if (!c->connection)
			continue;
		if (c->deadline <= s->now)
			client_shut(c);
		else if (c->deadline < next)
			next = c->deadline;
	}
	return next;
}

/* libmicrohttpd has more to do, whatever the descriptors say. */
static bool is_busy(struct control_server *s)
{
	unsigned long long wait;
	return MHD_get_timeout(s->httpd, &wait) == MHD_YES && wait == 0;
}

usec control_server_handle(struct control_server *server, usec now)
{
	server->now = now;
	take_hangups(server);
	(void)MHD_run(server->httpd);
	usec next = deadlines_keep(server);
	return is_busy(server) ? now : next;
}

static enum err httpd_start(struct control_server *s, struct fault *fault)
{
	/* from here on the listening socket is libmicrohttpd's */
	s->httpd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, s,
		MHD_OPTION_LISTEN_SOCKET, s->listener.fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONTROL_CLIENTS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
		MHD_OPTION_UNESCAPE_CALLBACK, on_unescape, s, MHD_OPTION_END);
	s->listener.fd = -1;
	const union MHD_DaemonInfo *info = s->httpd ? MHD_get_daemon_info(s->httpd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return fault_errno(fault, "cannot start the HTTP server on %s", s->config.path);
	struct epoll_event httpd = {.events = EPOLLIN, .data.u32 = HTTPD_EVENT};
	struct epoll_event wake = {.events = EPOLLIN, .data.u32 = WAKE_EVENT};
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->epoll < 0 || s->wake < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, info->epoll_fd, &httpd) < 0 ||
		epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->wake, &wake) < 0)
		return fault_errno(fault, "cannot watch %s", s->config.path);
	return OK;
}

enum err control_server_open(struct control_server **ret, const struct control_config *config, struct fault *fault)
{
	struct control_server *s = calloc(1, sizeof(*s));
	*ret = NULL;
	if (!s)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	/* now, while /dev/urandom can still be opened: what clients choose as names goes into jansson's hash tables */
	json_object_seed(0);
	s->config = *config;
	s->epoll = s->wake = -1;
	enum err e = control_listener_open(&s->listener, config->path, config->group, CONTROL_CLIENTS_MAX, fault);
	if (e) {
		free(s);
		return e;
	}
	e = httpd_start(s, fault);
	s->config.path = NULL; /* the caller's, who may free it */
	if (e)
		control_server_close(s);
	else
		*ret = s;
	return e;
}

/* The answer to "down" is still to go out, and followers get a proper end. */
static void let_go(struct control_server *s)
{
	for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++) {
		struct client *c = &s->clients[i];
		if (c->connection) {
			c->is_over = true;
			follower_resume(c);
		}
	}
	for (int i = 0; i < ROUNDS_AT_CLOSE; i++) {
		take_hangups(s);
		(void)MHD_run(s->httpd);
		struct epoll_event event;
		if (!is_busy(s) && epoll_wait(s->epoll, &event, 1, 0) <= 0)
			break;
	}
}

void control_server_close(struct control_server *server)
{
	if (!server)
		return;
	if (server->httpd) {
		server->config.handler = NULL;
		server->listener.fd = MHD_quiesce_daemon(server->httpd);
		let_go(server);
		MHD_stop_daemon(server->httpd);
	}
	if (server->epoll >= 0)
		close(server->epoll);
	if (server->wake >= 0)
		close(server->wake);
	control_listener_close(&server->listener);
	free(server);
}
