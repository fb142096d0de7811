#include "cli/cli.h"
#include "cli/screen.h"
#include "cli/sockets.h"
#include "cli/status_text.h"

#include "control/control.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define INTERVAL_S 2
#define INTERVAL_MAX_S 3600

/* What is asked for. */
struct view_of {
	const char *what; /* NULL: all tunnels */
	bool json, watch;
	unsigned interval_s;
};

/* The documents of all tunnels that answer, in an array. A socket without a daemon is no tunnel. */
static enum err gather(json_t **ret, struct fault *fault)
{
	glob_t sockets;
	enum err first = OK;
	json_t *list = json_array();
	if (!list || sockets_list(&sockets)) {
		json_decref(list);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	for (size_t i = 0; i < sockets.gl_pathc; i++) {
		struct fault why = {0};
		json_t *status;
		enum err e = control_request(sockets.gl_pathv[i], "GET", "/v1/status", NULL, &status, &why);
		if (e == OK)
			json_array_append_new(list, status);
		else if (e != ERR_NOT_FOUND && first == OK)
			first = fault_set(fault, e, "%s", why.text);
	}
	globfree(&sockets);
	*ret = list;
	return first;
}

static enum err status_get(const struct view_of *view, json_t **ret, struct fault *fault)
{
	*ret = NULL;
	return view->what ? socket_ask(view->what, "GET", "/v1/status", NULL, ret, fault) : gather(ret, fault);
}

static void text_print(FILE *out, const json_t *document)
{
	const json_t *status;
	size_t i;
	if (json_is_object(document))
		status_print(out, document);
	else if (json_array_size(document) == 0)
		fputs("no tunnel is up\n", out);
	json_array_foreach(document, i, status)
	{
		if (i)
			fputc('\n', out);
		status_print(out, status);
	}
}

/* A tunnel of all that does not answer is told beside those that do. */
static int show_once(const struct command *self, const struct view_of *view)
{
	struct fault fault = {0};
	json_t *document;
	enum err e = status_get(view, &document, &fault);
	if (document && view->json)
		socket_print(document);
	else if (document && (e == OK || json_array_size(document)))
		text_print(stdout, document);
	json_decref(document);
	return e ? cli_fault(self, &fault) : CLI_OK;
}

/* ---- again and again ---- */

/* One line for a program, whatever happened. */
static void line_print(const json_t *document, const struct fault *fault)
{
	json_t *error = document ? NULL : json_pack("{s:s}", "error", fault->text);
	json_dumpf(document ? document : error, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(error);
}

/* On a terminal in the place of the last one, else below it. */
static void block_print(const json_t *document, const struct fault *fault)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	if (!out)
		return;
	if (document)
		text_print(out, document);
	if (fault->text[0])
		fprintf(out, "%s\n", fault->text);
	if (fclose(out) == 0 && screen_is_there())
		screen_draw(text);
	else if (text)
		printf("%s\n", text);
	free(text);
}

/* What does not answer at first is a mistake of the caller's; later it may come back. */
static int show_again_and_again(const struct command *self, const struct view_of *view)
{
	const struct timespec pause = {.tv_sec = view->interval_s};
	for (bool first = true;; first = false) {
		struct fault fault = {0};
		json_t *document;
		enum err e = status_get(view, &document, &fault);
		if (e && first) {
			json_decref(document);
			return cli_fault(self, &fault);
		}
		if (view->json)
			line_print(document, &fault);
		else
			block_print(document, &fault);
		json_decref(document);
		if (fflush(stdout) != 0)
			return CLI_FAILED;
		nanosleep(&pause, NULL);
	}
}

static bool interval_read(unsigned *ret, const char *text)
{
	char *end;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 1 || n > INTERVAL_MAX_S)
		return false;
	*ret = (unsigned)n;
	return true;
}

int cli_status(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"interval", required_argument, NULL, 'i'},
		{"json", no_argument, NULL, 'j'}, {"watch", no_argument, NULL, 'w'}, {"help", no_argument, NULL, 'h'},
		{0}};
	struct view_of view = {0};
	for (int o; (o = getopt_long(argc, argv, "i:jwh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 'j')
			view.json = true;
		else if (o == 'w')
			view.watch = true;
		else if (o != 'i')
			return cli_usage(self, NULL);
		else if (!interval_read(&view.interval_s, optarg))
			return cli_usage(self, "--interval takes a number of seconds from 1 to %d", INTERVAL_MAX_S);
	}
	if (argc - optind > 1)
		return cli_usage(self, "name one tunnel, or none for all");
	if (view.interval_s && !view.watch)
		return cli_usage(self, "--interval goes with --watch");
	if (!view.interval_s)
		view.interval_s = INTERVAL_S;
	view.what = argv[optind];
	return view.watch ? show_again_and_again(self, &view) : show_once(self, &view);
}
