/*
 * How far a long command is: on a terminal a bar in one place of standard error, elsewhere a line of it now and then.
 * Plain data of who shows it.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

struct progress {
	const char *name; /* of the command, borrowed */
	uint64_t total, first;
	usec begun, shown;
	bool terminal, drawn;
};

/* Of `total` bytes, `first` had been done before. */
void progress_begin(struct progress *p, const char *name, uint64_t total, uint64_t first);
/* May be called as often as one likes. */
void progress_show(struct progress *p, uint64_t done);
/* Takes the bar away, so that other text can follow. */
void progress_end(struct progress *p);
