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
enum config_padding { CONFIG_PADDING_NONE, CONFIG_PADDING_BUCKETS, CONFIG_PADDING_RANDOM };
/* What holds a link: key exchange and AEAD, a pad, or both. */
enum config_protection { CONFIG_PROTECTION_PQ, CONFIG_PROTECTION_OTP, CONFIG_PROTECTION_PQ_OTP };
/* Packets from one peer to another: as the host's own forwarding has it, forwarded, or dropped. */
enum config_between { CONFIG_BETWEEN_HOST, CONFIG_BETWEEN_YES, CONFIG_BETWEEN_NO };

#define CONFIG_TABLE_AUTO 0           /* main; of its own for default routes, with policy rules */
#define CONFIG_TABLE_OFF UINT32_MAX   /* no routes are set */

struct config_prefixes {
	struct prefix *items; /* owned */
	size_t count;
};

struct config_strings {
	char **items; /* owned, as the strings are */
	size_t count;
};

/* Name servers and search domains. */
struct config_dns {
	uint8_t (*servers)[16]; /* owned; IPv4 as IPv4-mapped */
	size_t server_count;
	struct config_strings domains;
};

/* Someone whom the tunnel may talk to. Whoever has an endpoint may be called. */
struct config_peer {
	char name[CONFIG_PEER_NAME_LEN]; /* as in [peer NAME]: letters, digits, . _ - */
	unsigned line;                   /* of its section; those below are the keys' */
	unsigned key_id_line, public_key_line, preshared_key_line, protection_line, pad_line, pad_offset_line;
	/* From KeyID, or computed from the file of PublicKey. A peer with CONFIG_PROTECTION_OTP has no key: here is
	 * what stands for one (pad_key_id_compute), once the pad has been read; else zeros. */
	uint8_t key_id[KEY_ID_LEN];
	char *public_key;                   /* path, or NULL; owned like all strings below */
	struct config_prefixes allowed_ips; /* without host bits; no prefix stands at two peers */
	char *endpoint;                     /* as written, or NULL */
	char *endpoint_host; /* a name or an IP without brackets, to be resolved by the daemon; NULL as endpoint is */
	uint16_t endpoint_port;
	uint16_t keepalive_s; /* 0: off */
	char *preshared_key;  /* path, or NULL */
	enum config_protection protection;
	char *pad;           /* path; always there with a protection by pad, with CONFIG_PROTECTION_PQ or NULL */
	uint64_t pad_offset; /* position in our walk at which sending begins at the earliest, in bytes */
	/* Which of the things that the peer hands out in Accept are taken. */
	bool accept_address, accept_routes, accept_dns, accept_mtu, accept_keepalive;
};

struct config {
	char *path;                   /* the file, as given */
	char *instance;               /* its name without folder and ".conf"; names the control socket */
	char name[CONFIG_IFNAME_LEN]; /* of the interface; empty: the first free snk# */
	char *private_key;            /* path; NULL only where nobody needs a key: all peers have pads alone */
	unsigned private_key_line;
	struct addr listen; /* port 0: any. All-zero ip: any address of both families; 0.0.0.0: any IPv4 one */
	struct config_prefixes addresses; /* with host bits */
	uint8_t layer; /* 3: IP packets; 2: Ethernet frames */
	enum config_cipher cipher;
	enum config_padding padding;
	enum config_protection protection; /* of peers that say nothing; they have it already */
	bool burn;                         /* used pad is overwritten */
	uint8_t max_zero_run;              /* zero bytes of pad in a row that are used; 0: any number */
	bool allow_weak_pad;
	uint16_t mtu; /* 0: auto, else 1280..65535 */
	uint32_t reauthenticate_s;
	uint32_t rekey_s;
	uint32_t max_pending_handshakes;
	uint32_t handshake_rate; /* handshakes a second that one source address may start */
	uint32_t fwmark;         /* 0: none */
	char *state_directory;
	char *control_socket;
	/* Lines of keys about which more is found out later; 0: not given. */
	unsigned control_group_line, user_line, authorized_keys_line, pads_line;
	char *control_group; /* whose members may use the control socket besides root; NULL: none */
	char *user;          /* whom the daemon runs as after set-up; NULL: "jorm" where there is one */

	/* As a server. */
	char *authorized_keys;         /* folder: every *.pub in it is a peer; NULL: none */
	char *pads;                    /* folder: every *.pad in it is a peer with CONFIG_PROTECTION_OTP; NULL: none */
	struct config_prefixes pools;  /* addresses to hand out; without host bits */
	struct config_prefixes push_routes; /* told to clients, like all push_... */
	struct config_dns push_dns;
	uint16_t push_mtu;         /* 0: nothing is said */
	uint16_t push_keepalive_s; /* 0: nothing is said */
	enum config_between client_to_client;
	bool masquerade;

	/* As a client, or either. */
	struct config_dns dns; /* for this host while the tunnel is up */
	bool kill_switch;
	uint32_t table; /* of the routes: CONFIG_TABLE_AUTO, CONFIG_TABLE_OFF, or a number */
	struct config_strings pre_up, post_up, pre_down, post_down; /* shell commands; %i is the interface */
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
 * config_load, and looks at what the configuration names: PrivateKey, PresharedKey and pads exist, are well-formed and
 * not readable by others (keys are read and wiped); no peer is this host itself, and no two have the same pad; the
 * folders of AuthorizedKeys and Pads can be read (what is wrong with a file in them is a warning); ControlGroup and User exist, for which the host's account databases
 * are asked. Such mistakes are gathered together with those of the text. *ret_key_id (may be NULL) gets the host's own
 * key ID on OK, zeros if it has none.
 */
enum err config_load_with_keys(
	struct config **ret, const char *path, struct config_diagnostics *diags, uint8_t ret_key_id[KEY_ID_LEN]);

/*
 * The control socket that a file names (or, saying nothing, would have), also when there are mistakes in the rest of
 * it: so that a running daemon can be told of them. ERR_FORMAT: there is none to be read, and as config_load.
 */
enum err config_socket_in(char out[static PATH_MAX], const char *path);

void config_free(struct config *config); /* NULL is fine */

/*
 * Do two configurations differ in what cannot change while the tunnel runs? Then `ret_keys` has the names of those
 * keys, such as "Name, Listen" (cut where `size` bytes do not do; CONFIG_RESTART_KEYS_LEN always does), else "".
 */
#define CONFIG_RESTART_KEYS_LEN 128
bool config_needs_restart(const struct config *old, const struct config *new, char *ret_keys, size_t size);

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
