/*
 * Running another program to its end: its input given, its output taken, its time bounded.
 */
#pragma once

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

struct program {
	const char *const *argv;  /* argv[0] is the path; NULL ends it */
	const char *const *extra; /* NAME=VALUE beside this process's environment; NULL ends it; may be NULL */
	const char *input;        /* of its standard input; NULL: /dev/null */
	char *output;             /* what it writes to standard output and error, as far as it fits; NULL: our stderr */
	size_t output_size;
	unsigned limit_s;
};

/*
 * Runs it in a session of its own and waits. OK: it has run, *ret_code is its exit code (128 + signal when a signal
 * ended it, 127 when it could not be started). ERR_STATE: it did not end in time and was killed; ERR_IO, ERR_NOMEM.
 */
enum err program_run(const struct program *program, int *ret_code, struct fault *fault);

/* As program_run, for one that must succeed: else ERR_IO, and the fault has what the program said. */
enum err program_must(const char *const *argv, const char *input, struct fault *fault);

/* Looks for it in PATH and in the folders of the system's programs; true: `out` is its path. */
bool program_find(const char *name, char out[static PATH_MAX]);
