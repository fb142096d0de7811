/*
 * The body of POST /v1/peers (docs/api.md): a peer to be added at run time. It is read by the same rules as a section
 * of the configuration file.
 */
#pragma once

#include "config/config.h"

#include <jansson.h>

#define CONTROL_ALLOWED_IPS_LEN 1024 /* with its NUL */
#define CONTROL_ENDPOINT_LEN 256     /* with its NUL */

struct control_peer {
	struct config_peer config; /* owned */
	/* Its prefixes as text, for keeping: "10.66.0.2/32, fd66::2/128", without host bits; may be empty. */
	char allowed_ips[CONTROL_ALLOWED_IPS_LEN];
};

/*
 * {"name", "key_id", "allowed_ips": [...], "endpoint", "keepalive"}: the first two are required, a null is as good as
 * none, any other member is refused. ERR_FORMAT: the fault says which member is wrong and what would be right;
 * ERR_NOMEM. OK: *ret is to be freed with control_peer_done; else it is zeroed. `body` may be NULL, which is wrong.
 */
enum err control_peer_parse(struct control_peer *ret, const json_t *body, struct fault *fault);

void control_peer_done(struct control_peer *peer); /* zeroed then */
