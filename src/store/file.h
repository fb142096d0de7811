/*
 * The state file as a file: where it really lies, who may write to it, and how it is made in one step. Knows nothing
 * of what is in it. Private to the store.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* *ret: the path with the links of its folder followed (systemd makes some); to be freed. The file itself may be
 * missing. ERR_NOT_FOUND: no such folder; ERR_PERMISSION: anybody may write to it; ERR_ARGUMENT: no file's name;
 * ERR_NOMEM. */
enum err store_file_find(char **ret, const char *path, struct fault *fault);

/*
 * Is it there, a regular file (never a link: it may lead to a file that others want us to change), ours, not for others
 * to write, of a size that may be? *ret_has_journal: SQLite has left work beside it (-wal, -journal).
 * ERR_NOT_FOUND, ERR_PERMISSION, ERR_FORMAT (empty, too large), ERR_IO.
 */
enum err store_file_check(const char *path, bool *ret_has_journal, struct fault *fault);

/* Makes the file with these bytes, 0600: it is there whole, and on disk, or it is not there. OK also when another
 * process was quicker: its file stands. ERR_PERMISSION, ERR_IO, ERR_NOMEM. */
enum err store_file_make(const char *path, const void *image, size_t len, struct fault *fault);
