#include "cli/cli.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void print_json(
	const char *path, const struct config_diagnostics *diags, const struct config *config, const char *key_id)
{
	json_t *list = json_array();
	for (size_t i = 0; i < diags->count; i++) {
		const struct config_diagnostic *d = &diags->items[i];
		json_array_append_new(
			list, json_pack("{s:s, s:i, s:s, s:s, s:s}", "severity", d->warning ? "warning" : "error",
				      "line", (int)d->line, "section", d->section, "key", d->key, "message", d->text));
	}
	json_t *document = json_pack("{s:s, s:b, s:s?, s:o}", "file", path, "ok", config != NULL, "key_id",
		config && config->private_key ? key_id : NULL, "diagnostics", list);
	if (document)
		json_dumpf(document, stdout, JSON_INDENT(2));
	fputc('\n', stdout);
	json_decref(document);
}

static int check(const struct command *self, const char *file_or_name, bool json)
{
	char path[PATH_MAX], key_id[KEY_ID_TEXT_LEN];
	uint8_t id[KEY_ID_LEN] = {0};
	struct config *config = NULL;
	struct config_diagnostics diags = {0};
	enum err e = config_path_of(path, file_or_name);
	if (e)
		return cli_fault(self, &(struct fault){.code = e});
	e = config_load_with_keys(&config, path, &diags, id);
	key_id_format(id, key_id);
	if (json)
		print_json(path, &diags, config, key_id);
	else
		cli_diagnostics_print(&diags, path);
	if (!json && config)
		printf("%s: OK: this host %s%s, %zu peer%s\n", path, config->private_key ? "is " : "has no key",
			config->private_key ? key_id : "", config->peer_count, config->peer_count == 1 ? "" : "s");
	int code = e ? CLI_FAILED : CLI_OK;
	config_diagnostics_done(&diags);
	config_free(config);
	return code;
}

int cli_check(const struct command *self, int argc, char **argv)
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
	if (argc - optind != 1)
		return cli_usage(self, "name one configuration");
	return check(self, argv[optind], json);
}
