/*
 * A ledger as a file: FOLDER/ID.ledger, with the pad's ID in hex. It holds the two copies of the record in pages of
 * their own, and is as long as it will ever be from the start. Whoever may write it holds its lock.
 */
#pragma once

#include "pad/ledger.h"

#include <limits.h>

/* Where the ledger of a pad is. ERR_TOO_BIG. */
enum err pad_ledger_path(char out[static PATH_MAX], const char *folder, const uint8_t id[static PAD_ID_LEN]);

/*
 * Opens the ledger of a pad, or makes it (and the folder, 0700) durably, and locks it. *ret_fd is the caller's to
 * close, which gives up the lock. ret_copies: what it holds; zeros when nothing was ever recorded. Faults say what to
 * do: ERR_NOT_FOUND (the folder's parent is missing), ERR_PERMISSION (not writable, or others may write into the
 * folder), ERR_FORMAT (no regular file, or cut), ERR_STATE (another process has it), ERR_TOO_BIG (the path), ERR_IO.
 */
enum err ledger_file_open(int *ret_fd, const char *folder, const uint8_t id[static PAD_ID_LEN],
	uint8_t ret_copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], struct fault *fault);
/* On disk, whatever happens, when it returns OK. ERR_IO: it may or may not be. */
enum err ledger_file_write(int fd, unsigned int copy, const uint8_t record[static LEDGER_RECORD_LEN]);

/* ---- for the commands ---- */

/* The ledger without a lock, as it is now. ERR_NOT_FOUND: there is none (the pad has not been used here), ERR_FORMAT,
 * ERR_PERMISSION, ERR_IO, ERR_CRYPTO. */
enum err pad_ledger_read(struct ledger *ret, const char *path, struct fault *fault);
/*
 * Locks the ledger, lets `change` alter the record and writes it durably. ERR_STATE: a daemon uses it; ERR_ARGUMENT:
 * the record does not fit the pad any more; else as above, and what `change` returns. Then it is as it was, but after
 * ERR_IO it may be either.
 */
enum err pad_ledger_change(const char *path,
	enum err (*change)(void *context, struct ledger *ledger, struct fault *fault), void *context,
	struct fault *fault);
