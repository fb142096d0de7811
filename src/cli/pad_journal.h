/*
 * How far a pad has been made, and of what: PATH.part.journal beside PATH.part, so that the same command can go on. A
 * short text that is overwritten in place.
 */
#pragma once

#include "base/err.h"
#include "crypto/kdf.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct pad_journal {
	char path[PATH_MAX];
	int fd;
	/* what it says */
	bool begun;
	uint64_t size, done; /* bytes of the pad, and how many of them are on disk */
	uint8_t sources[HASH_SHA256_LEN];
};

/* Opens or makes it, and locks it. j->begun: it says something. ERR_STATE: another command has it; ERR_TOO_BIG: the
 * path; ERR_PERMISSION, ERR_NOT_FOUND, ERR_IO. */
enum err pad_journal_open(struct pad_journal *j, const char *part, struct fault *fault);
/* Durably, what `j` says. ERR_IO. */
enum err pad_journal_write(struct pad_journal *j, struct fault *fault);
/* It has served: deletes it. */
void pad_journal_remove(struct pad_journal *j);
/* Leaves it for another time. */
void pad_journal_close(struct pad_journal *j);
