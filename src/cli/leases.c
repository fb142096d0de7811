#include "cli/cli.h"
#include "cli/sockets.h"
#include "cli/table.h"

#include "control/control.h"

#include <getopt.h>
#include <stdlib.h>

#define COLUMNS 4

static enum err leases_print(const json_t *list, struct fault *fault)
{
	size_t i, n = json_array_size(list) + 1;
	const json_t *lease;
	const char **cells = calloc(n * COLUMNS, sizeof(*cells));
	if (!cells)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	static const char *const titles[COLUMNS] = {"ADDRESS", "PEER", "CONNECTED", "KEY ID"};
	for (i = 0; i < COLUMNS; i++)
		cells[i] = titles[i];
	json_array_foreach(list, i, lease)
	{
		const char **row = cells + (i + 1) * COLUMNS;
		row[0] = json_string_value(json_object_get(lease, "address"));
		row[1] = json_string_value(json_object_get(lease, "peer"));
		row[2] = json_is_true(json_object_get(lease, "connected")) ? "yes" : "no";
		row[3] = json_string_value(json_object_get(lease, "key_id"));
	}
	table_print(stdout, cells, n, COLUMNS);
	free(cells);
	return OK;
}

static enum err leases_show(const char *tunnel, bool json, struct fault *fault)
{
	json_t *answer;
	enum err e = socket_ask(tunnel, "GET", "/v1/leases", NULL, &answer, fault);
	if (e)
		return e;
	const json_t *list = json_object_get(answer, "leases");
	if (json)
		socket_print(answer);
	else if (json_array_size(list) == 0)
		puts("no address is handed out");
	else
		e = leases_print(list, fault);
	json_decref(answer);
	return e;
}

static enum err lease_free(const char *tunnel, const char *address, struct fault *fault)
{
	char path[256];
	json_t *answer;
	if (control_path(path, sizeof(path), "/v1/leases/", address))
		return fault_set(fault, ERR_FORMAT, "this is no IP address");
	enum err e = socket_ask(tunnel, "DELETE", path, NULL, &answer, fault);
	if (e == OK)
		json_decref(answer);
	return e;
}

int cli_leases(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {{"free", required_argument, NULL, 'f'},
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	bool json = false;
	const char *address = NULL;
	struct fault fault = {0};
	for (int o; (o = getopt_long(argc, argv, "f:jh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		else if (o == 'f')
			address = optarg;
		else if (o == 'j')
			json = true;
		else
			return cli_usage(self, NULL);
	}
	if (argc - optind != 1)
		return cli_usage(self, "name one tunnel");
	if (address && json)
		return cli_usage(self, "--free prints nothing: leave --json out");
	const char *tunnel = argv[optind];
	enum err e = address ? lease_free(tunnel, address, &fault) : leases_show(tunnel, json, &fault);
	return e ? cli_fault(self, &fault) : CLI_OK;
}
