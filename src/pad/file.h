/*
 * A pad and its ledger (pad/ledger_file.h) as files, the pad opened by file_open: the medium of the program
 * (pad/medium.h). Both are locked: a pad has one user at a time.
 */
#pragma once

#include "pad/ledger_file.h"
#include "pad/medium.h"

#include <stdbool.h>

struct pad_file;

struct pad_file_config {
	const char *path;   /* of the pad */
	const char *folder; /* of ledgers; made (0700) when it is not there */
	bool burns;         /* the pad must be writable */
	bool allows_weak;   /* a pad that looks constant is taken all the same */
	bool is_otptunnel; /* the key file of an older program (pad/otptunnel.h): 64 bytes are enough, its access rights
			      are as they are, and one that has been used natively is refused */
	void (*settle)(void *context); /* handed on to the medium, as wake is */
	void (*wake)(void *context);
	void *callback_context;
};

/*
 * Opens, checks and locks both. Faults say what to do: ERR_NOT_FOUND, ERR_PERMISSION (cannot be read or, to burn,
 * written; others may write or read it), ERR_FORMAT (no regular file, too short, constant), ERR_STATE (another process
 * uses it, or has used it in the other way), ERR_IO, ERR_NOMEM.
 */
enum err pad_file_open(struct pad_file **ret, const struct pad_file_config *config, struct fault *fault);
void pad_file_close(struct pad_file *f); /* NULL is fine */

struct pad_medium pad_file_medium(struct pad_file *f);
uint64_t pad_file_size(const struct pad_file *f);
const uint8_t *pad_file_ledger_id(const struct pad_file *f); /* PAD_ID_LEN bytes: of pads the ID, or otptunnel_id */
bool pad_file_is_exposed(const struct pad_file *f); /* others than root and we may read or change it (otptunnel) */
const uint8_t (*pad_file_copies(
	const struct pad_file *f))[LEDGER_RECORD_LEN]; /* LEDGER_COPIES of them, as they were when opened */

/* For the commands: the identity of a pad, whoever uses it. Faults as above. */
enum err pad_file_id(const char *path, uint8_t ret_id[static PAD_ID_LEN], uint64_t *ret_size, struct fault *fault);
/* The same of an otptunnel's key file: otptunnel_id. */
enum err pad_file_otptunnel_id(
	const char *path, uint8_t ret_id[static PAD_ID_LEN], uint64_t *ret_size, struct fault *fault);
