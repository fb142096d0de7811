/*
 * A disk that forgets and fails: a VFS of SQLite's over the usual one. It can write down every change of files, so that
 * what a power loss at any moment may leave can be built; and it can be full, or fail.
 *
 * What is modelled: a change is certain only after the file's sync, and a name (a file that was made or removed) only
 * after a sync of its folder, which SQLite does with the first sync of a new log or journal. Of the changes since then,
 * each may be on disk or not, in any combination, a write also in some of its sectors only; of names, those up to any
 * moment. There is no shared memory: SQLite gets by without, or fails.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stream_random;

/* Makes it SQLite's usual one. Real syncs are left out: nobody pulls a plug here. */
void disk_register(void);

/* Begins to write down, from files as they are; forgets what was written down before. */
void disk_record(void);
void disk_stop(void);
/* How many changes there were; the moments are 0 (before the first) to this one. */
size_t disk_moments(void);
/* How many of them were syncs of a file. */
size_t disk_syncs(void);
/* Builds in files `name`, `name`-wal and `name`-journal what the loss of power at that moment may leave. */
void disk_build(size_t moment, const char *name, struct stream_random *rng);

/* Of the following changes, the one after `n` more fails with this result code of SQLite's, and all after it; < 0:
 * none. */
void disk_fail_after(int64_t n, int rc);
/* Has one failed since then? */
bool disk_has_failed(void);
