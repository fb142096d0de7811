/*
 * The other end of the local API (docs/api.md): HTTP over the UNIX socket by libcurl, which is loaded when the first
 * request is made, so that the daemon never has it in its memory. Not thread safe.
 */
#pragma once

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

#define CONTROL_TIMEOUT_S 5 /* for connecting, and without a byte of an answer to GET */
#define CONTROL_CHANGE_TIMEOUT_S                                                                                       \
	90 /* without a byte of an answer to what changes something: a reload may take long                            \
	    */

/*
 * One request to the daemon behind the socket. `method`: GET, POST, DELETE; `path`: "/v1/status" (control_path encodes
 * a name in it); `body`: borrowed, or NULL. OK: *ret is a new reference, an object. ERR_NOT_FOUND: no daemon is there;
 * ERR_PERMISSION: one may not connect, or not ask; ERR_AGAIN: it did not answer in time; ERR_FORMAT: the answer is
 * none of a jorm daemon's; ERR_STATE: it refused, and the fault's text is its reason; ERR_UNSUPPORTED: libcurl is not
 * installed; ERR_TOO_BIG, ERR_IO, ERR_NOMEM. *ret is NULL then.
 */
enum err control_request(const char *socket, const char *method, const char *path, const json_t *body, json_t **ret,
	struct fault *fault);

/* GET as text (/metrics). *ret is to be freed. Errors as above. */
enum err control_request_text(const char *socket, const char *path, char **ret, struct fault *fault);

/*
 * Follows /v1/events: `each` gets every event, borrowed, until it returns false or the daemon ends (OK). Without time
 * limit. Errors as above; ERR_IO also when the daemon cut us off, because we were too slow.
 */
enum err control_follow(
	const char *socket, bool (*each)(void *context, const json_t *event), void *context, struct fault *fault);

/* prefix, then the name percent-encoded: "/v1/peers/" "a b" -> "/v1/peers/a%20b". ERR_TOO_BIG. */
enum err control_path(char *out, size_t size, const char *prefix, const char *name);
