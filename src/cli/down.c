#include "cli/cli.h"
#include "cli/sockets.h"

#include "base/clock.h"
#include "control/control.h"
#include "host/keeper.h"

#include <getopt.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE (10 * USEC_PER_SEC)

/* The daemon removes its socket last. */
static bool wait_until_gone(const char *socket_path)
{
	const struct timespec step = {.tv_nsec = 10 * 1000 * 1000};
	usec end = clock_now() + PATIENCE;
	while (access(socket_path, F_OK) == 0) {
		if (clock_now() > end)
			return false;
		nanosleep(&step, NULL);
	}
	return true;
}

/* No daemon lives. What a dead one has left in the host, a kill switch above all, is removed. */
static enum err sweep(const char *what, struct fault *fault)
{
	char path[PATH_MAX];
	struct config *config = NULL;
	struct config_diagnostics diags = {0};
	struct fault no_daemon = *fault;
	bool any = false;
	enum err e = config_path_of(path, what);
	if (e == OK)
		e = config_load(&config, path, &diags);
	config_diagnostics_done(&diags);
	if (e) { /* without a configuration nobody knows what to look for */
		*fault = no_daemon;
		return no_daemon.code;
	}
	e = keeper_sweep(config, &any, fault);
	if (e == OK && any)
		printf("no daemon was running; what one had left behind is removed\n");
	else if (e == OK)
		*fault = no_daemon;
	config_free(config);
	return e == OK && !any ? no_daemon.code : e;
}

static enum err take_down(const char *what, struct fault *fault)
{
	char socket_path[PATH_MAX];
	json_t *answer;
	enum err e = socket_find(socket_path, what, fault);
	if (e == OK)
		e = control_request(socket_path, "POST", "/v1/down", NULL, &answer, fault);
	if (e == ERR_NOT_FOUND)
		return sweep(what, fault);
	if (e)
		return e;
	json_decref(answer);
	if (!wait_until_gone(socket_path))
		return fault_set(fault, ERR_AGAIN, "the daemon has been told, but is still there: see its log");
	return OK;
}

int cli_down(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	struct fault fault = {0};
	int o = getopt_long(argc, argv, "h", options, NULL);
	if (o == 'h')
		return cli_help(self);
	if (o != -1)
		return cli_usage(self, NULL);
	if (argc - optind != 1)
		return cli_usage(self, "name one tunnel");
	return take_down(argv[optind], &fault) ? cli_fault(self, &fault) : CLI_OK;
}
