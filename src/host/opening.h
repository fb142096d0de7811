/*
 * Which files the keeper opens for its daemon, and how: those that the configuration names, those directly in its
 * folders AuthorizedKeys and Pads, and what is in the configuration file's own folder; regular files and folders, for
 * reading; pads for writing, too, if they are to be burned.
 * Symbolic links lead nowhere else, and through the StateDirectory, where the daemon may write, none is followed.
 */
#pragma once

#include "base/err.h"
#include "config/config.h"

#include <limits.h>

struct opening {
	int folder;                                               /* of the configuration file */
	char given[PATH_MAX], absolute[PATH_MAX], real[PATH_MAX]; /* the ways to write it, with the final '/' */
};

/* ERR_NOT_FOUND, ERR_TOO_BIG, ERR_IO. */
enum err opening_init(struct opening *opening, const char *config_path, struct fault *fault);
void opening_done(struct opening *opening);

/* ERR_PERMISSION: it is none of those, or no file or folder, or must not be written; ERR_NOT_FOUND, ERR_IO. */
enum err opening_open(const struct opening *opening, const struct config *config, const char *path, bool writable,
	int *ret_fd, struct fault *fault);
