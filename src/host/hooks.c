#include "host/hooks.h"

#include "host/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUOTED_MAX 120 /* of a command in a fault */

/* The command with %i replaced, to be freed; NULL: no memory. */
static char *command_of(const char *command, const char *interface)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);
	if (!file)
		return NULL;
	for (const char *c = command; *c; c++) {
		if (c[0] == '%' && c[1] == 'i') {
			fputs(interface, file);
			c++;
		} else {
			fputc(*c, file);
		}
	}
	if (fclose(file)) {
		free(text);
		return NULL;
	}
	return text;
}

static enum err hook_run(
	const char *command, const char *const *extra, unsigned limit_s, const char *key, struct fault *fault)
{
	int code = 0;
	struct fault own = {0};
	struct program shell = {
		.argv = (const char *const[]){"/bin/sh", "-c", command, NULL}, .extra = extra, .limit_s = limit_s};
	enum err err = program_run(&shell, &code, &own);
	if (err == ERR_STATE)
		return fault_set(fault, err, "%s: the command '%.*s' did not end within %u s and was killed", key,
			QUOTED_MAX, command, limit_s);
	if (err)
		return fault_set(fault, err, "%s: %s", key, own.text);
	if (code)
		return fault_set(fault, ERR_STATE,
			"%s: the command '%.*s' failed with exit code %d; what it said is in the log", key, QUOTED_MAX,
			command, code);
	return OK;
}

/* The three variables as NAME=VALUE; false: no memory. */
static bool variables_make(char *variables[4], const struct config *config, const char *interface)
{
	return asprintf(&variables[0], "JORM_INTERFACE=%s", interface) >= 0 &&
	       asprintf(&variables[1], "JORM_TUNNEL=%s", config->instance) >= 0 &&
	       asprintf(&variables[2], "JORM_CONFIG=%s", config->path) >= 0;
}

static const struct config_strings *commands_of(
	const struct config *config, enum keeper_hook hook, const char **ret_key)
{
	static const char *const keys[] = {[KEEPER_PRE_UP] = "PreUp",
		[KEEPER_POST_UP] = "PostUp",
		[KEEPER_PRE_DOWN] = "PreDown",
		[KEEPER_POST_DOWN] = "PostDown"};
	const struct config_strings *const commands[] = {[KEEPER_PRE_UP] = &config->pre_up,
		[KEEPER_POST_UP] = &config->post_up,
		[KEEPER_PRE_DOWN] = &config->pre_down,
		[KEEPER_POST_DOWN] = &config->post_down};
	*ret_key = keys[hook];
	return commands[hook];
}

enum err hooks_run(const struct config *config, const struct hook_call *call, struct fault *fault)
{
	char *variables[4] = {0}, *command = NULL;
	const char *key;
	const struct config_strings *commands = commands_of(config, call->hook, &key);
	if (call->index >= commands->count)
		return ERR_NOT_FOUND;
	const char *written = commands->items[call->index];
	if (!*call->interface && strstr(written, "%i"))
		return fault_set(fault, ERR_STATE,
			"%s: %%i is not known before the interface is there: give it a Name in [interface]", key);
	enum err err = OK;
	if (!variables_make(variables, config, call->interface) || !(command = command_of(written, call->interface)))
		err = fault_set(fault, ERR_NOMEM, "out of memory");
	if (!err)
		err = hook_run(command, (const char *const *)variables, call->limit_s, key, fault);
	free(command);
	for (size_t i = 0; i < 3; i++)
		free(variables[i]);
	return err;
}
