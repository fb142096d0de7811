/*
 * The configuration file: INI in the spirit of WireGuard's, parsed by one table of keys.
 *
 * config_load names every mistake of a file in one go: it goes on after each and gathers
 * diagnostics, each with its line, key and remedy. What it returns is complete, within range and
 * free of contradictions. Key files are not kept here: a struct config holds paths and key IDs,
 * never a secret. Relative paths have been made relative to the configuration file's folder.
 */
#pragma once

#include "base/addr.h"
#include "base/err.h"
#include "crypto/sig.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFIG_FOLDER "/etc/jorm"
#define CONFIG_SOCKET_FOLDER "/run/jorm"
#define CONFIG_FILE_MAX (1U << 20)
#define CONFIG_IFNAME_LEN 16    /* IFNAMSIZ, with its NUL */
#define CONFIG_PEER_NAME_LEN 64 /* with its NUL */

enum config_cipher { CONFIG_CIPHER_AUTO, CONFIG_CIPHER_CHACHA20_POLY1305, CONFIG_CIPHER_AES_256_GCM };
enum config_padding { CONFIG_PADDING_NONE, CONFIG_PADDING_BUCKETS };

struct config_prefixes {
	struct prefix *items; /* owned */
	size_t count;
};

/* Someone whom the tunnel may talk to. Whoever has an endpoint may be called. */
struct config_peer {
	char name[CONFIG_PEER_NAME_LEN]; /* as in [peer NAME]: letters, digits, . _ - */
	unsigned line;                   /* of its section; those below are the keys' */
	unsigned key_id_line, preshared_key_line;
	uint8_t key_id[KEY_ID_LEN];         /* from KeyID, or computed from the file of PublicKey */
	char *public_key;                   /* path, or NULL; owned like all strings below */
	struct config_prefixes allowed_ips; /* without host bits; no prefix stands at two peers */
	char *endpoint;                     /* as written, or NULL */
	char *endpoint_host; /* a name or an IP without brackets, to be resolved by the daemon; NULL as endpoint is */
	uint16_t endpoint_port;
	uint16_t keepalive_s; /* 0: off */
	char *preshared_key;  /* path, or NULL */
};

struct config {
	char *path;                   /* the file, as given */
	char *instance;               /* its name without folder and ".conf"; names the control socket */
	char name[CONFIG_IFNAME_LEN]; /* of the interface; empty: the first free snk# */
	char *private_key;            /* path */
	unsigned private_key_line;
	struct addr listen; /* port 0: any. All-zero ip: any address of both families; 0.0.0.0: any IPv4 one */
	struct config_prefixes addresses; /* with host bits */
	enum config_cipher cipher;
	enum config_padding padding;
	uint16_t mtu; /* 0: auto, else 1280..65535 */
	uint32_t reauthenticate_s;
	uint32_t rekey_s;
	uint32_t max_pending_handshakes;
	uint32_t handshake_rate; /* handshakes a second that one source address may start */
	uint32_t fwmark;         /* 0: none */
	char *state_directory;
	char *control_socket;
	struct config_peer *peers; /* owned; all key IDs differ */
	size_t peer_count;
};

/* One mistake (or, with `warning`, one thing worth knowing). Never holds a secret. */
struct config_diagnostic {
	bool warning;
	unsigned line;                          /* 0: the file as a whole */
	char section[CONFIG_PEER_NAME_LEN + 8]; /* "interface", "peer laptop", or empty */
	char key[32];                           /* or empty */
	char text[448];                         /* what is wrong, and the remedy */
};

/* Zero-initialise; filled by the functions below, in the order of lines; free with _done. */
struct config_diagnostics {
	struct config_diagnostic *items;
	size_t count;
	size_t errors;   /* those that are no warnings */
	bool incomplete; /* memory ran out while gathering */
};
void config_diagnostics_done(struct config_diagnostics *diags);

/* "FILE:LINE: KEY: text", one line without newline, as far as absent parts go; returns out. */
#define CONFIG_DIAGNOSTIC_TEXT_LEN (PATH_MAX + 640)
const char *config_diagnostic_format(
	const struct config_diagnostic *d, const char *path, char out[static CONFIG_DIAGNOSTIC_TEXT_LEN]);

/*
 * Reads and checks a file; reads the public key files that it names (for their key IDs), no private
 * ones. OK: *ret is to be freed with config_free; there may be warnings. Otherwise *ret is NULL and at least one
 * diagnostic says why: ERR_FORMAT (mistakes), ERR_NOT_FOUND, ERR_PERMISSION, ERR_TOO_BIG, ERR_IO, ERR_NOMEM.
 */
enum err config_load(struct config **ret, const char *path, struct config_diagnostics *diags);

/*
 * config_load, and reads the private files that the configuration names (and wipes them): PrivateKey and PresharedKey
 * exist, are well-formed and not readable by others; no peer is this host itself. Their mistakes are gathered together
 * with those of the text. *ret_key_id (may be NULL) gets the host's own key ID on OK.
 */
enum err config_load_with_keys(
	struct config **ret, const char *path, struct config_diagnostics *diags, uint8_t ret_key_id[KEY_ID_LEN]);

void config_free(struct config *config); /* NULL is fine */

/*
 * What a user means by FILE|NAME: with a '/' or the ending ".conf" a path, else /etc/jorm/NAME.conf.
 * ERR_TOO_BIG, ERR_FORMAT (empty).
 */
enum err config_path_of(char out[static PATH_MAX], const char *file_or_name);

/* The control socket of an instance that says nothing else: /run/jorm/INSTANCE.sock. ERR_TOO_BIG. */
enum err config_socket_of(char out[static PATH_MAX], const char *instance);

/* A line of the table of keys, for the manual's test and for listings; texts are static. */
struct config_key_info {
	const char *section, *key;
	const char *unset; /* the default, or empty */
	const char *help;
};
/* The index-th one; false: there are fewer. */
bool config_key_info(struct config_key_info *ret, size_t index);
