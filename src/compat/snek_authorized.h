/*
 * Who may connect to snek's server: the folder of public keys, one file each, whose names end in ".pub" (hidden ones
 * and links too, as the older program took them). Read anew each time, so that a key added or removed counts at the
 * next session. Files that are no ML-DSA-65 key are passed over: a folder may be shared with the native jorm, which
 * has ML-DSA-87 as well.
 */
#pragma once

#include "compat/snek_meta.h"

#include <limits.h>

#define SNEK_AUTHORIZED_MAX 4096 /* files that are looked at; those beyond are not */

/*
 * For the start: logs a warning for each file that is passed over, for files beyond SNEK_AUTHORIZED_MAX and for a
 * folder that everyone may write to. ret_n: the number of keys. ERR_NOT_FOUND: none, or no folder; ERR_PERMISSION,
 * ERR_FORMAT (no folder), ERR_IO. The fault names the folder and the remedy; ret_n is then 0.
 */
enum err snek_authorized_check(size_t *ret_n, const char *folder, struct fault *fault);

/*
 * Whose signature it is, over data_key with SNEK_CONTEXT. ret_name: the file's name; empty on error.
 * ERR_AUTH: nobody's in the folder, and the fault says how many keys were tried; else as above, ERR_CRYPTO.
 */
enum err snek_authorized_find(char ret_name[static NAME_MAX + 1], const char *folder,
	const uint8_t data_key[static AEAD_KEY_LEN], const uint8_t sig[static SIG_65_LEN], struct fault *fault);
