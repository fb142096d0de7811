/*
 * seccomp: the list of system calls that the daemon, or a program for an older protocol, may make after set-up, with
 * the arguments that matter. It hides libseccomp.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* False: built with a sanitiser, which makes more calls than the daemon may. */
bool sandbox_syscalls_built(void);

/* What is allowed besides what all need (descriptors that are open, reading files, threads): bits. */
enum sandbox_need {
	SANDBOX_DAEMON = 1,   /* what the daemon does: changing files, netlink, waiting for its keeper */
	SANDBOX_SOCKETS = 2,  /* new TCP and UDP sockets, and connecting them; of IPv6 only UDP, which carries both */
	SANDBOX_LOOK_UPS = 4, /* with SANDBOX_SOCKETS: what the C library's look-ups of names need besides */
};

/*
 * For this process and all threads that it will start. `needs`: SANDBOX_ bits. Any other call fails with EPERM; with
 * `log` the kernel's log names it. ERR_UNSUPPORTED: this kernel or this build has no seccomp filters; ERR_NOMEM,
 * ERR_PERMISSION (no_new_privs is not set), ERR_IO.
 */
enum err sandbox_syscalls_enter(unsigned int needs, bool log, struct fault *fault);
