/*
 * Landlock: which files the daemon may still open. It knows the kernel's interface, which it calls without a library,
 * and makes the best of the version it finds. The owner of the folders' names is the caller.
 */
#pragma once

#include "base/err.h"

/* An open ruleset, made while the folders can still be reached, and put in force when the user has changed. */
struct sandbox_files {
	int ruleset; /* -1: this kernel has no Landlock, or it is switched off */
	int version; /* of the kernel's Landlock; 0: none */
};

/*
 * Files and folders below read_folder (may be NULL) may be read, those below write_folder read, written, made and
 * removed; nothing else may be opened, nothing executed, no TCP port used, no other process signalled and no abstract
 * UNIX socket reached, as far as the kernel's version knows these. ERR_NOT_FOUND, ERR_PERMISSION: a folder cannot be
 * opened; ERR_IO.
 */
enum err sandbox_files_prepare(
	struct sandbox_files *ret, const char *read_folder, const char *write_folder, struct fault *fault);

/* For this thread and all that it will start; needs no_new_privs. Frees what was prepared, also on error. ERR_IO. */
enum err sandbox_files_enter(struct sandbox_files *files, struct fault *fault);

/* Frees what was prepared and will not be entered. */
void sandbox_files_done(struct sandbox_files *files);
