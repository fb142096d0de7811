/*
 * seccomp: the list of system calls that the daemon may make after set-up, with the arguments that matter. It hides
 * libseccomp.
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

/* False: built with a sanitiser, which makes more calls than the daemon may. */
bool sandbox_syscalls_built(void);

/*
 * For this process and all threads that it will start. Any other call fails with EPERM; with `log` the kernel's log
 * names it. ERR_UNSUPPORTED: this kernel or this build has no seccomp filters; ERR_NOMEM, ERR_PERMISSION (no_new_privs
 * is not set), ERR_IO.
 */
enum err sandbox_syscalls_enter(bool log, struct fault *fault);
