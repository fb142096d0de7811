#include "control/access.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define GROUPS_USUAL 64

static bool groups_hold(const gid_t *groups, size_t n, gid_t group)
{
	for (size_t i = 0; i < n; i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

/* The supplementary groups; whoever has very many of them is asked for twice. */
static bool is_member(int fd, gid_t group)
{
	gid_t usual[GROUPS_USUAL];
	socklen_t len = sizeof(usual);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, usual, &len) == 0)
		return groups_hold(usual, len / sizeof(gid_t), group);
	gid_t *all = errno == ERANGE ? malloc(len) : NULL;
	bool member = all && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, all, &len) == 0 &&
		      groups_hold(all, len / sizeof(gid_t), group);
	free(all);
	return member;
}

bool control_access(int fd, uid_t owner, gid_t group, uid_t *ret_uid)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0)
		return false;
	*ret_uid = who.uid;
	if (who.uid == 0 || who.uid == owner)
		return true;
	return group != (gid_t)-1 && (who.gid == group || is_member(fd, group));
}
