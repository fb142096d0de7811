/*
 * The kernel's switches that tunnels share: forwarding of both families, and the check of marks by reverse path
 * filters. A switch is on while one tunnel needs it; the last one restores what was before. Who needs what, and what
 * was before, stands in a file beside the tunnels' records; entries of processes that have died are dropped by whoever
 * comes next.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

enum switches {
	SWITCH_FORWARD_V4 = 1,
	SWITCH_FORWARD_V6 = 2, /* and interfaces go on taking router advertisements */
	SWITCH_VALID_MARK = 4, /* net.ipv4.conf.all.src_valid_mark */
};

/* From now on this process needs exactly these (or-ed). ERR_PERMISSION, ERR_IO, ERR_TOO_BIG. */
enum err switches_need(unsigned wanted, struct fault *fault);

/* Forgets the dead and restores what only they needed; *ret_any (may be NULL): there was something. */
enum err switches_sweep(bool *ret_any, struct fault *fault);
