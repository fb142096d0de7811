/*
 * What the programs for the older protocols give up (docs/decisions/0017): they run as root and parse what strangers
 * send, but once all is set up they need next to nothing of what root may do. As the sandbox, with three differences:
 * the user stays, since key files may be anybody's; no capability is kept but for what the configuration asks for; and
 * nothing is written but to files that are open.
 *
 * Before any thread starts: all of it is inherited by them. A build with sanitisers has less of it.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct confine_config {
	const char *key_folder; /* whose files are read while it runs, also those that are links now; NULL: none */
	uint16_t tcp_port;      /* that is connected to while it runs; 0: no new sockets at all */
	uint16_t udp_port;      /* of which sockets are opened while it runs; 0: of none but those the kernel chooses */
	bool looks_up;          /* looks names up while it runs, and has done so before: what the C library loads for
				   that cannot be loaded any more */
};

/*
 * Core dumps off, memory locked, capabilities dropped, no_new_privs, Landlock, seccomp, and a line in the log that says
 * what holds. What the kernel lacks is left out with a warning there. Whatever it has and refuses is an error:
 * ERR_NOT_FOUND, ERR_PERMISSION (of the folder), ERR_IO; ERR_STATE: the process has other threads. After an error the
 * process may have lost some of its rights and is to end.
 */
enum err confine_enter(const struct confine_config *config, struct fault *fault);
