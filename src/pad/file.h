/*
 * A pad and its ledger as files: the medium of the program (pad/medium.h). The ledger is FOLDER/ID.ledger with the
 * pad's ID in hex; see pad/ledger.h. Both are locked: a pad has one user at a time.
 */
#pragma once

#include "pad/medium.h"

#include <limits.h>

struct pad_file;

struct pad_file_config {
	const char *path;   /* of the pad */
	const char *folder; /* of ledgers; made (0700) when it is not there */
	bool burns;         /* the pad must be writable */
	bool allows_weak;   /* a pad that looks constant is taken all the same */
	/* Who opens the pad: (path, writable) -> descriptor, or -1 and errno. NULL: open(2). */
	int (*open)(void *context, const char *path, bool writable);
	void *open_context;
	void (*settle)(void *context); /* handed on to the medium, as wake is */
	void (*wake)(void *context);
	void *callback_context;
};

/*
 * Opens, checks and locks both. Faults say what to do: ERR_NOT_FOUND, ERR_PERMISSION (cannot be read or, to burn,
 * written; others may write or read it), ERR_FORMAT (no regular file, too short, constant), ERR_STATE (another process
 * uses it), ERR_IO, ERR_NOMEM.
 */
enum err pad_file_open(struct pad_file **ret, const struct pad_file_config *config, struct fault *fault);
void pad_file_close(struct pad_file *f); /* NULL is fine */

struct pad_medium pad_file_medium(struct pad_file *f);
uint64_t pad_file_size(const struct pad_file *f);
const uint8_t (*pad_file_copies(
	const struct pad_file *f))[LEDGER_RECORD_LEN]; /* LEDGER_COPIES of them, as they were when opened */

/* ---- for the commands ---- */
/* The identity of a pad. Faults as above. */
enum err pad_file_id(const char *path, uint8_t ret_id[static PAD_ID_LEN], uint64_t *ret_size, struct fault *fault);
/* Where the ledger of a pad is. ERR_TOO_BIG. */
enum err pad_ledger_path(char out[static PATH_MAX], const char *folder, const uint8_t id[static PAD_ID_LEN]);
/* The ledger without a lock, as it is now. ERR_NOT_FOUND: there is none (the pad has not been used here), ERR_FORMAT,
 * ERR_PERMISSION, ERR_IO. */
enum err pad_ledger_read(struct ledger *ret, const char *path, struct fault *fault);
/* Locks the ledger, lets `change` alter the record and writes it durably. ERR_STATE: a daemon uses it; else as above,
 * and what `change` returns. */
enum err pad_ledger_change(const char *path,
	enum err (*change)(void *context, struct ledger *ledger, struct fault *fault), void *context,
	struct fault *fault);
