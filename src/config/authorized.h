/*
 * The folder of AuthorizedKeys: NAME.pub is the public key of the peer NAME; and that of Pads: NAME.pad is the one-time
 * pad of the peer NAME. A file that cannot be taken is left out with a warning and never hinders the others.
 */
#pragma once

#include "config/config.h"

#define AUTHORIZED_MAX 65000

struct authorized {
	struct authorized_key {
		char name[CONFIG_PEER_NAME_LEN]; /* the file's, without its ending; obeys config_peer_name_ok */
		uint8_t key_id[KEY_ID_LEN];      /* of a pad: what stands for one (pad_key_id_compute) */
	} *items; /* owned; by name, in the order of bytes; all names and key IDs differ */
	size_t count;
};

/*
 * Reads the folder's *.pub, hidden files aside; links are followed. Opens all by file_open, so that it works in a
 * daemon without rights, too. Warnings (without a line, of the key AuthorizedKeys): a name that no peer can have, a
 * file that cannot be read or is no public key, a key that an earlier file has already, keys beyond the first
 * AUTHORIZED_MAX, a folder that everyone may write to. On an error one diagnostic names the folder and the remedy, and
 * *ret is empty: ERR_NOT_FOUND, ERR_PERMISSION, ERR_FORMAT (no folder), ERR_IO, ERR_NOMEM. To be freed with
 * authorized_done in any case.
 */
enum err authorized_read(struct authorized *ret, const char *folder, struct config_diagnostics *diags);

/* The same for the folder's *.pad, which are secrets: nobody but their owner may have access to them. */
enum err authorized_read_pads(struct authorized *ret, const char *folder, struct config_diagnostics *diags);

void authorized_done(struct authorized *keys); /* zeroed then */
