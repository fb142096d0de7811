/*
 * The text of a configuration file -> struct config, line by line, going on after every mistake.
 * config_load is this with a file read before it; tests and fuzzers come in here.
 */
#pragma once

#include "config/config.h"

/*
 * As config_load, for text that is at hand. `path` is used for messages and for relative paths. ERR_FORMAT,
 * ERR_TOO_BIG, ERR_NOMEM, ERR_IO (there is no working directory); *ret is NULL then.
 */
enum err config_parse(
	struct config **ret, const char *path, const char *text, size_t len, struct config_diagnostics *diags);

/* The same, but on ERR_FORMAT *ret is what could be understood, for further checks; to be freed in any case. Members
 * that the struct declares as always there may be NULL or zero then. */
enum err config_parse_partly(
	struct config **ret, const char *path, const char *text, size_t len, struct config_diagnostics *diags);
