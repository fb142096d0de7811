#include "cli/cli.h"
#include "cli/sockets.h"

#include <getopt.h>

int cli_reload(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"help", no_argument, NULL, 'h'}, {0}};
	struct fault fault = {0};
	json_t *answer;
	int o = getopt_long(argc, argv, "h", options, NULL);
	if (o == 'h')
		return cli_help(self);
	if (o != -1)
		return cli_usage(self, NULL);
	if (argc - optind != 1)
		return cli_usage(self, "name one tunnel");
	if (socket_ask(argv[optind], "POST", "/v1/reload", NULL, &answer, &fault))
		return cli_fault(self, &fault);
	json_decref(answer);
	return CLI_OK;
}
