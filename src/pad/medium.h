/*
 * What lies beneath a pad: the file of random bytes and the ledger's record. In the program these are files
 * (pad/file.h); in simulations memory that forgets, tears and fails. `read` by several threads at once, the rest by one
 * at a time for each pad.
 */
#pragma once

#include "pad/ledger.h"

#include <stddef.h>

struct pad_medium {
	/* `len` bytes of the pad from `offset`, always inside it. ERR_IO. */
	enum err (*read)(void *context, uint64_t offset, uint8_t *out, size_t len);
	/* Overwrites with bytes of the system's random source, durably, and gives the space back where the file system
	 * can. ERR_IO. NULL: the pad cannot be burned. */
	enum err (*burn)(void *context, uint64_t offset, uint64_t len);
	/* One of the ledger's copies: on disk, whatever happens, when it returns OK. ERR_IO: it may or may not be. */
	enum err (*write_record)(void *context, unsigned int copy, const uint8_t record[LEDGER_RECORD_LEN]);
	/* Waits until no lane can still hold what it found in the pad's memory before the call. */
	void (*settle)(void *context);
	/* pad_serve has something to do. Any thread; must not block. */
	void (*wake)(void *context);
	void *context;
};
