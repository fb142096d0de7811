/*
 * A large file of secret bytes on its way: PATH.part, of mode 0600 and locked, until it is whole and gets its name.
 * PATH is never overwritten.
 */
#pragma once

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct part {
	char path[PATH_MAX], temporary[PATH_MAX];
	int fd; /* -1: not open */
	uint64_t size, at, synced;
};

/* What is written without being on disk; more than that is made durable by part_write. */
#define PART_UNSYNCED ((uint64_t)64 << 20)

/* Names only. ERR_EXISTS: something has this path; ERR_TOO_BIG. */
enum err part_init(struct part *p, const char *path, uint64_t size, struct fault *fault);
/*
 * Makes PATH.part, with the space for all of it, where the file system can say so beforehand. ERR_EXISTS: it is there
 * already; ERR_FULL: no room, and nothing is left behind; ERR_PERMISSION, ERR_NOT_FOUND, ERR_IO.
 */
enum err part_create(struct part *p, struct fault *fault);
/* Opens one that is there, to go on at `at`. ERR_STATE: another command writes it; ERR_FULL,
 * ERR_PERMISSION, ERR_IO. */
enum err part_resume(struct part *p, uint64_t at, struct fault *fault);
/* Appends. ERR_FULL: the disk is; ERR_IO. */
enum err part_write(struct part *p, const uint8_t *bytes, size_t len, struct fault *fault);
/* Everything up to p->at is on disk when it returns OK, and not kept in memory any longer. ERR_FULL, ERR_IO. */
enum err part_sync(struct part *p, struct fault *fault);
/* All has been written: gives it its name. ERR_EXISTS, ERR_FULL, ERR_IO. */
enum err part_finish(struct part *p, struct fault *fault);
/* Closes; what has been written stays. */
void part_close(struct part *p);
/* Closes and deletes. */
void part_remove(struct part *p);
