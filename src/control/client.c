#include "control/client.h"

#include "control/libcurl.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define ANSWER_MAX ((size_t)64 << 20)    /* some 100,000 peers; a daemon that says more is broken */
#define LINE_MAX_BYTES ((size_t)1 << 20) /* of an event */

/* One exchange under way. */
struct exchange {
	const char *socket;
	struct fault *fault;
	enum err err; /* the first thing that went wrong on our side */
	const struct libcurl *curl;
	CURL *easy;
	struct curl_slist *headers;
	long patience_s; /* without a byte; 0: for ever */
	char *text;      /* what has come: all of the answer, or the beginning of a line */
	size_t len, size;
	/* of control_follow */
	bool (*each)(void *context, const json_t *event);
	void *context;
	bool has_enough;
};

static enum err connect_fault(const char *path, int why, struct fault *fault)
{
	switch (why) {
	case ENOENT:
	case ECONNREFUSED:
	case ENOTSOCK:
		return fault_set(fault, ERR_NOT_FOUND, "no tunnel is up at %s: start it with jorm up", path);
	case EACCES:
	case EPERM:
		return fault_set(fault, ERR_PERMISSION,
			"%s: permission denied: run this as root, or as a member of the tunnel's ControlGroup", path);
	default:
		return fault_set(fault, ERR_IO, "%s: cannot connect: %s", path, strerror(why));
	}
}

/* ---- what comes ---- */

static bool text_append(struct exchange *x, const char *data, size_t n)
{
	if (n > ANSWER_MAX - x->len) {
		x->err = fault_set(x->fault, ERR_TOO_BIG, "%s: the answer is too long", x->socket);
		return false;
	}
	if (x->len + n + 1 > x->size) {
		size_t size = x->size ? x->size : (size_t)1 << 16;
		while (size < x->len + n + 1)
			size *= 2;
		char *text = realloc(x->text, size);
		if (!text) {
			x->err = fault_set(x->fault, ERR_NOMEM, "out of memory");
			return false;
		}
		x->text = text;
		x->size = size;
	}
	memcpy(x->text + x->len, data, n);
	x->len += n;
	x->text[x->len] = '\0';
	return true;
}

static enum err strange_fault(struct exchange *x)
{
	return fault_set(x->fault, ERR_FORMAT, "%s: the answer is not what a jorm daemon says", x->socket);
}

/* Gives each whole line to the caller; the rest waits for more. */
static bool lines_give(struct exchange *x)
{
	char *start = x->text, *end;
	while (!x->has_enough && (end = memchr(start, '\n', x->len - (size_t)(start - x->text)))) {
		json_t *event = json_loadb(start, (size_t)(end - start), 0, NULL);
		if (!json_is_object(event)) {
			json_decref(event);
			x->err = strange_fault(x);
			return false;
		}
		x->has_enough = !x->each(x->context, event);
		json_decref(event);
		start = end + 1;
	}
	x->len -= (size_t)(start - x->text);
	memmove(x->text, start, x->len);
	if (x->len > LINE_MAX_BYTES)
		x->err = strange_fault(x);
	return !x->err && !x->has_enough;
}

static long http_status(const struct exchange *x)
{
	long status = 0;
	return x->curl->easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK ? status : 0;
}

/* Anything but n ends the exchange. */
static size_t on_data(char *data, size_t one, size_t n, void *context)
{
	struct exchange *x = context;
	(void)one;
	if (n && !text_append(x, data, n))
		return CURL_WRITEFUNC_ERROR;
	if (n && x->each && http_status(x) == 200 && !lines_give(x))
		return CURL_WRITEFUNC_ERROR;
	return n;
}

/* ---- the request ---- */

static enum err result_fault(struct exchange *x, CURLcode code)
{
	if (x->err)
		return x->err;
	long why = 0;
	switch ((int)code) {
	case CURLE_COULDNT_CONNECT:
		(void)x->curl->easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &why);
		return connect_fault(x->socket, (int)why, x->fault);
	case CURLE_SEND_ERROR: /* its queue is full, or it closed at once */
		return fault_set(x->fault, ERR_AGAIN, "%s: the daemon does not answer: try again", x->socket);
	case CURLE_OPERATION_TIMEDOUT:
		return fault_set(
			x->fault, ERR_AGAIN, "%s: the daemon did not answer within %ld s", x->socket, x->patience_s);
	case CURLE_GOT_NOTHING:
		return fault_set(x->fault, ERR_FORMAT, "%s: the daemon went away without an answer", x->socket);
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return strange_fault(x);
	case CURLE_OUT_OF_MEMORY:
		return fault_set(x->fault, ERR_NOMEM, "out of memory");
	default:
		return fault_set(x->fault, ERR_IO, "%s: %s", x->socket, x->curl->easy_strerror(code));
	}
}

static bool options_set(struct exchange *x, const char *method, const char *path, const char *body)
{
	/* the host's name is not looked up: it is for the request only */
	char url[2048];
	if ((size_t)snprintf(url, sizeof(url), "http://localhost%s", path) >= sizeof(url))
		return false;
	__typeof__(x->curl->easy_setopt) set = x->curl->easy_setopt;
	CURL *e = x->easy;
	bool done = !set(e, CURLOPT_URL, url) && !set(e, CURLOPT_UNIX_SOCKET_PATH, x->socket) &&
		    !set(e, CURLOPT_PROXY, "") && !set(e, CURLOPT_FOLLOWLOCATION, 0L) &&
		    !set(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) && !set(e, CURLOPT_NOSIGNAL, 1L) &&
		    !set(e, CURLOPT_HTTP09_ALLOWED, 0L) && !set(e, CURLOPT_USERAGENT, "jorm/" JORM_VERSION) &&
		    !set(e, CURLOPT_WRITEFUNCTION, on_data) && !set(e, CURLOPT_WRITEDATA, x);
	if (x->patience_s)
		done = done && !set(e, CURLOPT_LOW_SPEED_LIMIT, 1L) && !set(e, CURLOPT_LOW_SPEED_TIME, x->patience_s);
	if (strcmp(method, "GET") != 0)
		done = done && !set(e, CURLOPT_POST, 1L) && !set(e, CURLOPT_CUSTOMREQUEST, method) &&
		       !set(e, CURLOPT_POSTFIELDS, body ? body : "");
	return done;
}

/* The daemon's own words for why not. */
static enum err refusal(struct exchange *x)
{
	json_t *answer = json_loadb(x->text, x->len, 0, NULL);
	const char *error = json_string_value(json_object_get(answer, "error"));
	enum err e = !error ? strange_fault(x)
			    : fault_set(x->fault, http_status(x) == 403 ? ERR_PERMISSION : ERR_STATE, "%s", error);
	json_decref(answer);
	return e;
}

static enum err exchange_prepare(struct exchange *x, const char *method, const char *path, const char *body)
{
	struct sockaddr_un sun;
	if (strlen(x->socket) >= sizeof(sun.sun_path))
		return fault_set(x->fault, ERR_TOO_BIG, "%s: a socket's path has at most %zu bytes", x->socket,
			sizeof(sun.sun_path) - 1);
	enum err e = libcurl_get(&x->curl, x->fault);
	if (e)
		return e;
	x->easy = x->curl->easy_init();
	x->headers = x->curl->slist_append(NULL, "Content-Type: application/json");
	if (!x->easy || !x->headers || !text_append(x, "", 0) || !options_set(x, method, path, body) ||
		(body && x->curl->easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers)))
		return fault_set(x->fault, ERR_NOMEM, "cannot prepare the request to %s", x->socket);
	return OK;
}

/* Until all has come. With OK the answer is in x->text, ended by a NUL. */
static enum err exchange_run(struct exchange *x, const char *method, const char *path, const char *body)
{
	x->patience_s = x->each ? 0 : strcmp(method, "GET") == 0 ? CONTROL_TIMEOUT_S : CONTROL_CHANGE_TIMEOUT_S;
	enum err e = exchange_prepare(x, method, path, body);
	if (e)
		return e;
	CURLcode code = x->curl->easy_perform(x->easy);
	if (x->has_enough)
		return OK;
	if (code)
		return result_fault(x, code);
	return http_status(x) == 200 ? OK : refusal(x);
}

static void exchange_done(struct exchange *x)
{
	if (x->easy)
		x->curl->easy_cleanup(x->easy);
	if (x->headers)
		x->curl->slist_free_all(x->headers);
	free(x->text);
}

/* ---- what others call ---- */

enum err control_request(
	const char *socket, const char *method, const char *path, const json_t *body, json_t **ret, struct fault *fault)
{
	struct exchange x = {.socket = socket, .fault = fault};
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	*ret = NULL;
	enum err e =
		body && !text ? fault_set(fault, ERR_NOMEM, "out of memory") : exchange_run(&x, method, path, text);
	if (e == OK) {
		json_t *answer = json_loadb(x.text, x.len, 0, NULL);
		if (json_is_object(answer)) {
			*ret = answer;
		} else {
			json_decref(answer);
			e = strange_fault(&x);
		}
	}
	exchange_done(&x);
	free(text);
	return e;
}

enum err control_request_text(const char *socket, const char *path, char **ret, struct fault *fault)
{
	struct exchange x = {.socket = socket, .fault = fault};
	*ret = NULL;
	enum err e = exchange_run(&x, "GET", path, NULL);
	if (e == OK) {
		*ret = x.text;
		x.text = NULL;
	}
	exchange_done(&x);
	return e;
}

enum err control_follow(
	const char *socket, bool (*each)(void *context, const json_t *event), void *context, struct fault *fault)
{
	struct exchange x = {.socket = socket, .fault = fault, .each = each, .context = context};
	enum err e = exchange_run(&x, "GET", "/v1/events", NULL);
	exchange_done(&x);
	return e;
}

enum err control_path(char *out, size_t size, const char *prefix, const char *name)
{
	static const char digits[] = "0123456789ABCDEF";
	int n = snprintf(out, size, "%s", prefix);
	size_t at = (size_t)n;
	for (const char *c = name; *c && at + 4 <= size; c++) {
		if (isalnum((unsigned char)*c) || strchr("-._~:", *c)) {
			out[at++] = *c;
		} else {
			out[at++] = '%';
			out[at++] = digits[(unsigned char)*c >> 4];
			out[at++] = digits[(unsigned char)*c & 15];
		}
		out[at] = '\0';
		if (c[1] == '\0')
			return OK;
	}
	return *name || at >= size ? ERR_TOO_BIG : OK;
}
