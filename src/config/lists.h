/*
 * Readers of values that add up: prefixes, name servers, commands. Each adds one item to the list
 * in the object; else as the readers of values.h. Private to src/config.
 */
#pragma once

#include "config/keys.h"

enum err value_address(struct config_value *v, struct fault *fault);    /* a prefix, host bits kept */
enum err value_allowed_ip(struct config_value *v, struct fault *fault); /* a prefix, host bits dropped */
/* The same, with a length that leaves addresses to hand out; at most key->max. */
enum err value_pool(struct config_value *v, struct fault *fault);
enum err value_push_route(struct config_value *v, struct fault *fault); /* as AllowedIPs; at most key->max */
/* An IP address, or a search domain. */
enum err value_dns(struct config_value *v, struct fault *fault);
enum err value_command(struct config_value *v, struct fault *fault);

/* Free the lists' parts; zeroed then. */
void config_dns_done(struct config_dns *dns);
void config_strings_done(struct config_strings *list);
