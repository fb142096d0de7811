/*
 * What the commands share: their table's rows, exit codes, how they speak. One file per command
 * has its cli_NAME; main.c has the table. A command returns its exit code and ends nothing itself.
 */
#pragma once

#include "base/err.h"
#include "config/config.h"

#include <limits.h>
#include <stdbool.h>

/* Exit codes, as jorm(1) documents them. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

struct command {
	const char *name;
	int (*run)(const struct command *self, int argc, char **argv); /* argv[0] is "jorm NAME" */
	const char *arguments;                                         /* for the usage line */
	const char *help;                                              /* one line */
	const char *details;                                           /* the rest of --help; may be empty */
};

int cli_keygen(const struct command *self, int argc, char **argv);
int cli_keyid(const struct command *self, int argc, char **argv);
int cli_check(const struct command *self, int argc, char **argv);
int cli_up(const struct command *self, int argc, char **argv);
int cli_down(const struct command *self, int argc, char **argv);
int cli_reload(const struct command *self, int argc, char **argv);
int cli_status(const struct command *self, int argc, char **argv);
int cli_events(const struct command *self, int argc, char **argv);
int cli_peer(const struct command *self, int argc, char **argv);
int cli_leases(const struct command *self, int argc, char **argv);
int cli_pad(const struct command *self, int argc, char **argv);
int cli_otptunnel(const struct command *self, int argc, char **argv);
int cli_snek_vpn(const struct command *self, int argc, char **argv);

/* --help: to standard output; CLI_OK. */
int cli_help(const struct command *self);

/* A wrong command line: what is wrong (NULL: getopt has said it) and the usage, to standard error; CLI_USAGE. */
[[gnu::format(printf, 2, 3)]] int cli_usage(const struct command *self, const char *format, ...);

/* "jorm NAME: text" to standard error; CLI_FAILED. */
int cli_fault(const struct command *self, const struct fault *fault);

/* All diagnostics to standard error. */
void cli_diagnostics_print(const struct config_diagnostics *diags, const char *path);

/* Loads FILE|NAME with its key files and prints what is wrong with it. NULL: there was an error. To be freed. */
struct config *cli_config_load(const struct command *self, const char *file_or_name);

/* Is text on its way to a terminal harmless? Control characters become '?'; in place, returns text. */
char *cli_harmless(char *text);

/* The key ID of a key file, public or private (its length tells which). Faults as keyfile_read_public's. */
enum err cli_key_id_of_file(uint8_t out[static KEY_ID_LEN], const char *path, struct fault *fault);
