#include "cli/cli.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void usage_line(FILE *out, const struct command *self)
{
	fprintf(out, "usage: jorm %s%s%s\n", self->name, self->arguments[0] ? " " : "", self->arguments);
}

int cli_help(const struct command *self)
{
	usage_line(stdout, self);
	printf("\njorm %s: %s.\n", self->name, self->help);
	if (self->details[0])
		printf("\n%s", self->details);
	return CLI_OK;
}

int cli_usage(const struct command *self, const char *format, ...)
{
	if (format) {
		va_list args;
		va_start(args, format);
		fprintf(stderr, "jorm %s: ", self->name);
		vfprintf(stderr, format, args);
		fputc('\n', stderr);
		va_end(args);
	}
	usage_line(stderr, self);
	return CLI_USAGE;
}

int cli_fault(const struct command *self, const struct fault *fault)
{
	fprintf(stderr, "jorm %s: %s\n", self->name, fault->text[0] ? fault->text : err_text(fault->code));
	return CLI_FAILED;
}

void cli_diagnostics_print(const struct config_diagnostics *diags, const char *path)
{
	char text[CONFIG_DIAGNOSTIC_TEXT_LEN];
	for (size_t i = 0; i < diags->count; i++)
		fprintf(stderr, "%s\n", config_diagnostic_format(&diags->items[i], path, text));
}

struct config *cli_config_load(const struct command *self, const char *file_or_name)
{
	char path[PATH_MAX];
	struct config *config = NULL;
	struct config_diagnostics diags = {0};
	enum err e = config_path_of(path, file_or_name);
	if (e) {
		cli_fault(self, &(struct fault){.code = e});
		return NULL;
	}
	e = config_load_with_keys(&config, path, &diags, NULL);
	cli_diagnostics_print(&diags, path);
	config_diagnostics_done(&diags);
	return e ? NULL : config;
}

char *cli_harmless(char *text)
{
	for (char *c = text; *c; c++) {
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	return text;
}
