#include "cli/cli.h"
#include "cli/sockets.h"

#include "control/control.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "2026-11-22 05:27:00", as clocks on this wall show it. */
static void time_print(const json_t *event)
{
	char text[32];
	struct tm tm;
	time_t at = (time_t)json_integer_value(json_object_get(event, "time"));
	if (at && localtime_r(&at, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		printf("%s  ", text);
}

static void word_print(const json_t *event, const char *key, const char *end)
{
	const char *word = json_string_value(json_object_get(event, key));
	char *text = strdup(word ? word : "-");
	if (text)
		printf("%s%s", cli_harmless(text), end);
	free(text);
}

static bool event_print(void *context, const json_t *event)
{
	const bool *json = context;
	const char *kind = json_string_value(json_object_get(event, "event"));
	if (*json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (kind && strcmp(kind, "hello") != 0) {
		time_print(event);
		word_print(event, "event", "  ");
		word_print(event, "text", "\n");
	}
	/* whoever reads this wants it now; a full disk ends it */
	return fflush(stdout) == 0;
}

int cli_events(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
	bool json = false;
	char path[PATH_MAX];
	struct fault fault = {0};
	for (int o; (o = getopt_long(argc, argv, "jh", options, NULL)) != -1;) {
		if (o == 'h')
			return cli_help(self);
		if (o != 'j')
			return cli_usage(self, NULL);
		json = true;
	}
	if (argc - optind != 1)
		return cli_usage(self, "name one tunnel");
	if (socket_find(path, argv[optind], &fault) || control_follow(path, event_print, &json, &fault))
		return cli_fault(self, &fault);
	return CLI_OK;
}
