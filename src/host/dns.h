/*
 * The host's name servers while a tunnel is up: through systemd-resolved (resolvectl) where it runs, else through
 * resolvconf.
 */
#pragma once

#include "base/err.h"
#include "config/config.h"

#include <stdbool.h>

#define DNS_SERVERS_MAX 16
#define DNS_DOMAINS_MAX 16

/*
 * Of that interface; `is_default`: for all names. Servers and domains have been checked (keeper_message.h).
 * ERR_UNSUPPORTED: the host has neither of the two, nothing was changed, which a tunnel survives; ERR_IO: the program
 * refused.
 */
enum err dns_set(const char *interface, const struct config_dns *dns, bool is_default, struct fault *fault);
/* Undoes it; fine when there is nothing, or no interface any more. */
enum err dns_unset(const char *interface, struct fault *fault);
