/* What the tests of files share: a folder of their own below /tmp, and a small disk in it. A failure ends the test. */
#pragma once

#include "seeded.h"

#include "base/err.h"

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

/* `set_up` and `tear_down` of a test that runs in a new folder. */
int place_set_up(void **state);
int place_tear_down(void **state);

/* A file of mode 0600 with these bytes. */
void place_write(const char *name, const void *bytes, size_t len);
/* A file that takes all room of its disk that is left. */
void place_fill(const char *name);

/* The folder `small` is a tmpfs with these options, in a mount namespace of this process alone, until the test ends.
 * Skips the test when that is not allowed. */
void place_disk(const char *options);
void place_remount_read_only(const char *folder);

/* The fault has this code, and its sentence these words: what is wrong, and what to do. */
void assert_fault(const struct fault *fault, enum err code, const char *what, const char *remedy);
