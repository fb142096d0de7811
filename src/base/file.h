/*
 * Opening files, with a second way: a daemon that has given up its rights sets an opener that asks its
 * keeper (host/keeper.h) for what the kernel refuses it.
 */
#pragma once

/* open(path, flags | O_CLOEXEC); where that fails with EACCES or EPERM and there is an opener, what the opener gives.
 * -1 and errno. */
int file_open(const char *path, int flags);

/* One for the process; set before other threads start. NULL: none. `flags` as given, of which O_ACCMODE counts. It
 * returns a descriptor, or -1 with errno. */
void file_set_opener(int (*opener)(void *context, const char *path, int flags), void *context);
