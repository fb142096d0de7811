/*
 * Endpoint names: looked up by a thread of its own, since the system's resolver blocks. A name that does not resolve is
 * tried again for as long as the tunnel runs, so that a tunnel can start before the network is there.
 */
#pragma once

#include "base/addr.h"
#include "config/config.h"

struct resolver;

/* Looks up the endpoint of every peer that has one. `config` is borrowed. */
enum err resolver_start(struct resolver **ret, const struct config *config, struct fault *fault);
void resolver_stop(struct resolver *r); /* waits for a look-up under way; NULL is fine */

/* Readable when there is something to take. */
int resolver_fd(const struct resolver *r);
/* The next answer: the peer's place in the configuration and its address. ERR_AGAIN: none. */
enum err resolver_take(struct resolver *r, size_t *peer, struct addr *ret);

/* A numeric host and port, without asking anybody. ERR_FORMAT: it is a name. */
enum err resolver_numeric(const char *host, uint16_t port, struct addr *ret);
