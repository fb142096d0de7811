/*
 * Who is at the other end of a UNIX socket, as the kernel tells it (SO_PEERCRED, SO_PEERGROUPS): the credentials are
 * those of the moment of connect, and nobody can lie about them. Private to src/control.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/*
 * May this one speak? Root, `owner`, and members of `group` ((gid_t)-1: there is none) may. *ret_uid is who it is.
 * false also when the kernel does not say.
 */
bool control_access(int fd, uid_t owner, gid_t group, uid_t *ret_uid);
