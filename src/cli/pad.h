/*
 * jorm pad VERB: what the verbs share. Each is a command of its own, with its own help, in a file of its name; pad.c
 * has their table.
 */
#pragma once

#include "cli/cli.h"

#include "pad/file.h"

#define PAD_STATE_FOLDER "/var/lib/jorm" /* StateDirectory's default */

int cli_pad_new(const struct command *self, int argc, char **argv);
int cli_pad_info(const struct command *self, int argc, char **argv);
int cli_pad_check(const struct command *self, int argc, char **argv);
int cli_pad_split(const struct command *self, int argc, char **argv);
int cli_pad_advance(const struct command *self, int argc, char **argv);

/* The path of the ledger that a pad with this ID has below the StateDirectory `state`. ERR_TOO_BIG. */
enum err pad_ledger_below(
	char out[static PATH_MAX], const char *state, const uint8_t id[static PAD_ID_LEN], struct fault *fault);

/*
 * What otptunnel has recorded of a file below the StateDirectory `state`. ERR_NOT_FOUND (who opens the file natively is
 * told why): it has not used it here, or there is no such file; ERR_FORMAT: the ledger is damaged, or of a file of
 * another size; else as pad_ledger_read.
 */
enum err pad_otptunnel_ledger(struct ledger *ret, const char *path, const char *state, struct fault *fault);

#define PAD_ID_TEXT_LEN (2 * PAD_ID_LEN + 1)
/* In hex; returns out. */
const char *pad_id_format(char out[static PAD_ID_TEXT_LEN], const uint8_t id[static PAD_ID_LEN]);
