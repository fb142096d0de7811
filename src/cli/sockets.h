/* Finding the control socket of the tunnel that a user means. */
#pragma once

#include "cli/cli.h"

#include <glob.h>
#include <jansson.h>

/*
 * what: a configuration's NAME or FILE, an interface's name, or a socket's path. A configuration that can be read says
 * where its socket is. Does not look whether a daemon is there. ERR_FORMAT, ERR_TOO_BIG.
 */
enum err socket_find(char out[static PATH_MAX], const char *what, struct fault *fault);

/* The sockets in /run/jorm, sorted; free with globfree. ERR_NOMEM. None: OK and gl_pathc == 0. */
enum err sockets_list(glob_t *ret);

/* Asks the daemon of the tunnel that `what` means: socket_find and control_request, with their errors. */
enum err socket_ask(
	const char *what, const char *method, const char *path, const json_t *body, json_t **ret, struct fault *fault);
/* A document to standard output, for programs. */
void socket_print(const json_t *document);
