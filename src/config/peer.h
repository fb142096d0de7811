/*
 * One peer: what a [peer NAME] section says, for peers that come from elsewhere, too (a folder of
 * keys, `jorm peer add`). The texts are read by the same table of keys as a file's.
 */
#pragma once

#include "config/config.h"

/* 1 to CONFIG_PEER_NAME_LEN - 1 letters, digits and . _ - ? */
bool config_peer_name_ok(const char *name);

/*
 * A peer as a section of the file would make it, with the defaults for all that is not said: `allowed_ips` as the
 * value of AllowedIPs, `endpoint` as that of Endpoint (each may be NULL or empty: not given), `keepalive_s` 0: off.
 * The lines are 0. ERR_FORMAT (the fault names the key, what is wrong with its value and what would be right),
 * ERR_NOMEM; *ret is zeroed then. Else the caller frees it with config_peer_done.
 */
enum err config_peer_from(struct config_peer *ret, const char *name, const uint8_t key_id[KEY_ID_LEN],
	const char *allowed_ips, const char *endpoint, uint16_t keepalive_s, struct fault *fault);

/* Frees the parts; zeroed then. */
void config_peer_done(struct config_peer *peer);
