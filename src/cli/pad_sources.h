/* Where the bytes of a new pad come from: files, disks and streams, XORed, or the system's generator. */
#pragma once

#include "base/err.h"
#include "crypto/kdf.h"

#include <stdint.h>

#define PAD_SOURCES_MAX 16

struct pad_sources;

/*
 * `paths`: n of them, borrowed; none: the system's generator. For a pad of `size` bytes, of which those before `at` are
 * there already: files and disks begin there, streams wherever they are. ERR_NOT_FOUND, ERR_PERMISSION; ERR_FORMAT: a
 * folder, or shorter than `size`; ERR_EXISTS: the same file twice, which would cancel itself out; ERR_STATE:
 * interrupted; ERR_IO, ERR_NOMEM.
 */
enum err pad_sources_open(
	struct pad_sources **ret, const char *const *paths, unsigned int n, uint64_t size, struct fault *fault);
void pad_sources_close(struct pad_sources *s); /* NULL is fine */

/* What tells these sources from others. ERR_CRYPTO. */
enum err pad_sources_identity(const struct pad_sources *s, uint8_t ret[static HASH_SHA256_LEN]);

/* The bytes of the pad from `at` on; calls go on from one another. ERR_FORMAT: one has ended; ERR_STATE: interrupted;
 * ERR_IO. */
enum err pad_sources_read(struct pad_sources *s, uint64_t at, uint8_t *out, size_t len, struct fault *fault);
