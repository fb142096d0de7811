/*
 * Key files as the older program wrote them: raw bytes, no header; snek-cert.pub 0644 and
 * snek-cert.priv 0600. The length tells the algorithm (protocol.md, "Identities").
 * Every fault's text names the file and the remedy; none holds key bytes.
 */
#pragma once

#include "crypto/sig.h"

#include <stdbool.h>

/*
 * Reads a private key. Faults: missing, not a regular file, wrong length (says which lengths are
 * right), damaged, readable or writable by group or others (ERR_PERMISSION; remedy: chmod 600),
 * owned by another user than root or the caller.
 */
enum err keyfile_read_private(struct identity **ret, const char *path, struct fault *fault);

/*
 * The same, of a file that the older program may have written: with everyone's right to read it. ret_others_can_read
 * says so (false on error), for a warning. Writable by others is refused still.
 */
enum err keyfile_read_private_lenient(
	struct identity **ret, const char *path, bool *ret_others_can_read, struct fault *fault);

/* Reads a public key. */
enum err keyfile_read_public(struct sig_public *ret, const char *path, struct fault *fault);

/*
 * Writes DIR/snek-cert.priv (0600) and DIR/snek-cert.pub (0644), each durably (a temporary file,
 * fsync, link without replacing, fsync of DIR). Never overwrites: ERR_EXISTS. Makes DIR (0700)
 * when missing. On any failure (full disk ...) neither file is left behind.
 */
enum err keyfile_write_pair(const struct identity *id, const char *dir, struct fault *fault);

/* Reads a pre-shared key: a file of base64 text (44 characters, newline allowed), or 32 raw bytes.
 * The same permission rules as for private keys. The caller wipes the result. */
enum err keyfile_read_psk(uint8_t ret[static 32], const char *path, struct fault *fault);
