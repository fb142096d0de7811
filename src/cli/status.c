#include "cli/cli.h"
#include "cli/sockets.h"
#include "cli/status_text.h"

#include "control/control.h"

#include <getopt.h>
#include <stdio.h>

static int status_of(const struct command *self, const char *what, bool json)
{
	char path[PATH_MAX];
	struct fault fault = {0};
	json_t *status;
	if (socket_find(path, what, &fault) || control_request(path, "GET", "/v1/status", NULL, &status, &fault))
		return cli_fault(self, &fault);
	if (json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		status_print(stdout, status);
	}
	json_decref(status);
	return CLI_OK;
}

/* The documents of all tunnels that answer. A socket without a daemon is no tunnel. */
static int gather(const struct command *self, const glob_t *sockets, json_t *list)
{
	int code = CLI_OK;
	for (size_t i = 0; i < sockets->gl_pathc; i++) {
		struct fault fault = {0};
		json_t *status;
		enum err e = control_request(sockets->gl_pathv[i], "GET", "/v1/status", NULL, &status, &fault);
		if (e == OK)
			json_array_append_new(list, status);
		else if (e != ERR_NOT_FOUND)
			code = cli_fault(self, &fault);
	}
	return code;
}

static int status_of_all(const struct command *self, bool json)
{
	glob_t sockets;
	json_t *list = json_array(), *status;
	size_t i;
	if (!list || sockets_list(&sockets)) {
		json_decref(list);
		return cli_fault(self, &(struct fault){.code = ERR_NOMEM});
	}
	int code = gather(self, &sockets, list);
	globfree(&sockets);
	if (json) {
		json_dumpf(list, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (json_array_size(list) == 0 && code == CLI_OK) {
		puts("no tunnel is up");
	} else {
		json_array_foreach(list, i, status)
		{
			if (i)
				putchar('\n');
			status_print(stdout, status);
		}
	}
	json_decref(list);
	return code;
}

int cli_status(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	bool json = false;
	for (int o; (o = getopt_long(argc, argv, "jh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		if (o != 'j')
			return cli_usage(self, NULL);
		json = true;
	}
	if (argc - optind > 1)
		return cli_usage(self, "name one tunnel, or none for all");
	return optind < argc ? status_of(self, argv[optind], json) : status_of_all(self, json);
}
