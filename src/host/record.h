/*
 * What a tunnel's keeper leaves for those who come after it: a file in CONFIG_SOCKET_FOLDER/keeper, one for each tunnel
 * and network namespace, locked while the keeper lives. It says what cannot be found out from the configuration when
 * daemon and keeper have both died. The folder is root's alone; nothing of it is believed without a check.
 */
#pragma once

#include "base/err.h"
#include "config/config.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct record {
	int fd; /* locked; -1: not taken */
	char path[PATH_MAX];
	char interface[CONFIG_IFNAME_LEN]; /* empty: nothing was done yet */
	uint32_t table;                    /* of the policy rules; 0: none */
	bool dns;                          /* the DNS settings were changed */
};

/*
 * Waits until it is free (`wait_s` at most), locks and reads it. With `must_exist` nothing is made: ERR_NOT_FOUND.
 * ERR_EXISTS: a keeper of this tunnel lives; ERR_PERMISSION, ERR_IO, ERR_TOO_BIG.
 */
enum err record_take(
	struct record *record, const char *instance, unsigned wait_s, bool must_exist, struct fault *fault);
enum err record_write(const struct record *record, struct fault *fault);
void record_remove(struct record *record);  /* and lets go of it */
void record_release(struct record *record); /* leaves the file */

/*
 * Opens (and makes) a file of that folder for reading and writing, one for each network namespace. The kind of file and
 * the instance, which may be NULL, make its name. `path` gets it. -1 and *fault.
 */
int record_file_open(
	char path[static PATH_MAX], const char *kind, const char *instance, bool make, struct fault *fault);

/* The whole of a small file into text, ended with NUL; false: it cannot be read or is larger. */
bool record_file_read(int fd, char *text, size_t size);
