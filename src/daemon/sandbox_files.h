/*
 * Landlock: which files the daemon, or a program for an older protocol, may still open. It knows the kernel's
 * interface, which it calls without a library, and makes the best of the version it finds. The owner of the folders'
 * names is the caller.
 */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* An open ruleset, made while the folders can still be reached, and put in force when the user has changed. */
struct sandbox_files {
	int ruleset; /* -1: this kernel has no Landlock, or it is switched off */
	int version; /* of the kernel's Landlock; 0: none */
};

/*
 * Files and folders below read_folder (may be NULL) may be read, those below write_folder (may be NULL, too) read,
 * written, made and removed; nothing else may be opened, nothing executed, no TCP port used, no other process signalled
 * and no abstract UNIX socket reached, as far as the kernel's version knows these. ERR_NOT_FOUND, ERR_PERMISSION: a
 * folder cannot be opened; ERR_IO.
 */
enum err sandbox_files_prepare(
	struct sandbox_files *ret, const char *read_folder, const char *write_folder, struct fault *fault);

/* Before it is entered. A file, or all below a folder, may be read; nothing if there is none. */
void sandbox_files_allow_reading(struct sandbox_files *files, const char *path);
/* A TCP port that may be connected to, at any host. ERR_IO. */
enum err sandbox_files_allow_connecting(struct sandbox_files *files, uint16_t tcp_port, struct fault *fault);

/* For this thread and all that it will start; needs no_new_privs. Frees what was prepared, also on error. ERR_IO. */
enum err sandbox_files_enter(struct sandbox_files *files, struct fault *fault);

/* Frees what was prepared and will not be entered. */
void sandbox_files_done(struct sandbox_files *files);
