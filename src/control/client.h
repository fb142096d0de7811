/* The other end of the control socket: one request, one answer (control.h has the protocol). */
#pragma once

#include "base/err.h"

#include <jansson.h>

#define CONTROL_TIMEOUT_S 5 /* for each step: connecting, sending, the next part of the answer */

/*
 * Asks the daemon behind the socket. OK: *ret is a new reference. ERR_NOT_FOUND: no daemon is there; ERR_PERMISSION;
 * ERR_AGAIN: it did not answer in time; ERR_FORMAT: no JSON object; ERR_STATE: it refused, and the fault's text is its
 * reason; ERR_TOO_BIG, ERR_IO, ERR_NOMEM.
 */
enum err control_request(const char *path, const char *request, json_t **ret, struct fault *fault);
