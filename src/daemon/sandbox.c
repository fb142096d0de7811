#include "daemon/sandbox.h"

#include "base/log.h"
#include "daemon/sandbox_files.h"
#include "daemon/sandbox_syscalls.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define USER_USUAL "jorm"
#define USER_LOOKUP_SIZE 16384 /* for one line of the list of users */

/* ---- memory ---- */

static enum { MEMORY_UNTRIED, MEMORY_LOCKED, MEMORY_UNLOCKED } memory;

static void forbid_dumps(void)
{
	struct rlimit none = {0};
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		log_warning("core dumps could not be switched off: %s", strerror(errno));
}

/* Whole, because keys are in many places; but only those pages that are used. */
static void lock_memory(void)
{
	static const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	memory = MEMORY_UNLOCKED;
#ifdef SANDBOX_SANITIZED
	(void)all; /* the sanitisers' memory is too large */
#else
	/* With a limit, memory would seem used up as soon as CAP_IPC_LOCK has gone. */
	if (setrlimit(RLIMIT_MEMLOCK, &all) < 0)
		log_warning("memory is not locked, so keys may reach an unencrypted swap: the limit of locked memory "
			    "cannot be raised (%s); set LimitMEMLOCK=infinity for the service, or "
			    "'--ulimit memlock=-1' for a container",
			strerror(errno));
	else if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
		log_warning("memory is not locked, so keys may reach an unencrypted swap: %s", strerror(errno));
	else
		memory = MEMORY_LOCKED;
#endif
}

void sandbox_protect_memory(void)
{
	forbid_dumps();
	if (memory == MEMORY_UNTRIED)
		lock_memory();
}

bool sandbox_memory_is_locked(void)
{
	return memory == MEMORY_LOCKED;
}

/* ---- the user ---- */

static enum err user_not_found(const char *name, int number, struct fault *fault)
{
	if (number == 0)
		return fault_set(fault, ERR_NOT_FOUND,
			"there is no user '%s'; make it ('useradd --system --no-create-home %s') or correct User", name,
			name);
	errno = number;
	enum err err = fault_errno(fault, "cannot look up the user '%s'", name);
	return err == ERR_NOT_FOUND ? ERR_IO : err;
}

enum err sandbox_user_find(struct sandbox_user *ret, const char *name, struct fault *fault)
{
	struct passwd entry, *found = NULL;
	struct sandbox_user user = {.uid = geteuid(), .gid = getegid()};
	char *buffer = malloc(USER_LOOKUP_SIZE);
	if (!buffer)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	enum err err = OK;
	int number = 0;
	/* Who is not root already runs as somebody on purpose, and could not become anybody else. */
	if (name || user.uid == 0)
		number = getpwnam_r(name ? name : USER_USUAL, &entry, buffer, USER_LOOKUP_SIZE, &found);
	else
		(void)getpwuid_r(user.uid, &entry, buffer, USER_LOOKUP_SIZE, &found);
	if (found) {
		user.uid = found->pw_uid;
		user.gid = found->pw_gid;
		(void)snprintf(user.name, sizeof user.name, "%s", found->pw_name);
	} else if (name) {
		err = user_not_found(name, number, fault);
	} else if (user.uid == 0) {
		(void)snprintf(user.name, sizeof user.name, "root");
	} else {
		(void)snprintf(user.name, sizeof user.name, "%u", (unsigned)user.uid);
	}
	free(buffer);
	if (err == OK)
		*ret = user;
	return err;
}

/* ---- the folder of the state ---- */

/* Through a descriptor, so that what is looked at is what is given away. */
static enum err give_file(const struct sandbox_user *user, int folder, const char *name, struct fault *fault)
{
	struct stat st;
	int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? OK : fault_errno(fault, "cannot look at the file %s", name);
	enum err err = OK;
	if (fstat(fd, &st) < 0)
		err = fault_errno(fault, "cannot look at the file %s", name);
	else if (!S_ISREG(st.st_mode) || (st.st_uid == user->uid && st.st_gid == user->gid))
		err = OK;
	else if (st.st_nlink > 1)
		err = fault_set(fault, ERR_STATE,
			"the file %s has a second name elsewhere, so it may be somebody else's; remove it from there, "
			"or from here",
			name);
	else if (fchownat(fd, "", user->uid, user->gid, AT_EMPTY_PATH) < 0)
		err = fault_errno(fault, "cannot give the file %s to user %s", name, user->name);
	close(fd);
	return err;
}

static enum err give_files(const struct sandbox_user *user, DIR *folder, struct fault *fault)
{
	enum err err = OK;
	struct dirent *entry;
	errno = 0;
	while (err == OK && (entry = readdir(folder))) {
		err = give_file(user, dirfd(folder), entry->d_name, fault);
		errno = 0;
	}
	return err == OK && errno ? fault_errno(fault, "cannot read a folder") : err;
}

enum err sandbox_give_folder(const struct sandbox_user *user, const char *folder, struct fault *fault)
{
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return fault_errno(fault, "cannot make the folder %s", folder);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ELOOP || errno == ENOTDIR))
		return fault_set(fault, ERR_STATE,
			"%s is a symbolic link or no folder; name the folder itself in StateDirectory", folder);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory) {
		enum err err = fault_errno(fault, "cannot open the folder %s", folder);
		if (fd >= 0)
			close(fd);
		return err;
	}
	struct stat st;
	enum err err = OK;
	if (fstat(fd, &st) < 0)
		err = fault_errno(fault, "cannot look at the folder %s", folder);
	else if ((st.st_uid != user->uid || st.st_gid != user->gid) && fchown(fd, user->uid, user->gid) < 0)
		err = fault_errno(fault, "cannot give the folder %s to user %s", folder, user->name);
	struct fault inner;
	if (err == OK && give_files(user, directory, &inner) != OK)
		err = fault_set(fault, inner.code, "%s: %s", folder, inner.text);
	closedir(directory);
	return err;
}

/* ---- capabilities ---- */

static bool has_groups(void)
{
	return getgroups(0, NULL) > 0;
}

static enum err check_rights(const struct sandbox_user *user, struct fault *fault)
{
	if (capng_get_caps_process() < 0)
		return fault_set(fault, ERR_IO, "cannot read this process's capabilities");
	if (!capng_have_capability(CAPNG_PERMITTED, CAP_NET_ADMIN))
		return fault_set(fault, ERR_PERMISSION,
			"CAP_NET_ADMIN is missing; run as root, or give it to the service (AmbientCapabilities=) or "
			"the "
			"container (--cap-add NET_ADMIN)");
	bool changes = geteuid() != user->uid || getegid() != user->gid;
	if (changes && !(capng_have_capability(CAPNG_EFFECTIVE, CAP_SETUID) &&
			       capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID)))
		return fault_set(fault, ERR_PERMISSION,
			"cannot become user %s without CAP_SETUID and CAP_SETGID; start as root, or set User to who "
			"runs this",
			user->name);
	return OK;
}

/* What is there now, not what was asked for. */
static enum err verify_rights(const struct sandbox_user *user, bool has_bounds, struct fault *fault)
{
	static const capng_type_t sets[] = {
		CAPNG_EFFECTIVE, CAPNG_PERMITTED, CAPNG_INHERITABLE, CAPNG_AMBIENT, CAPNG_BOUNDING_SET};
	uid_t real, effective, saved;
	gid_t real_group, effective_group, saved_group;
	if (getresuid(&real, &effective, &saved) < 0 || getresgid(&real_group, &effective_group, &saved_group) < 0 ||
		capng_get_caps_process() < 0)
		return fault_errno(fault, "cannot read this process's rights");
	bool good = real == user->uid && effective == user->uid && saved == user->uid;
	good = good && real_group == user->gid && effective_group == user->gid && saved_group == user->gid;
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
		for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++) {
			bool wanted = cap == CAP_NET_ADMIN && sets[i] != CAPNG_INHERITABLE && sets[i] != CAPNG_AMBIENT;
			if (sets[i] != CAPNG_BOUNDING_SET || has_bounds)
				good = good && (capng_have_capability(sets[i], cap) != 0) == wanted;
		}
	return good ? OK : fault_set(fault, ERR_IO, "the kernel did not take all rights away that it was told to");
}

static enum err drop_rights(const struct sandbox_user *user, struct fault *fault)
{
	enum err err = check_rights(user, fault);
	if (err != OK)
		return err;
	/* Missing in some containers. What is gained by an execve is limited by no_new_privs as well. */
	bool has_bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	bool has_group_right = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETGID);
	if (!has_bounds)
		log_warning("the bounding set of capabilities stays: CAP_SETPCAP is missing");
	if (has_groups() && !has_group_right)
		log_warning("the supplementary groups stay: CAP_SETGID is missing");
	capng_clear(CAPNG_SELECT_ALL);
	if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_NET_ADMIN) < 0)
		return fault_set(fault, ERR_IO, "libcap-ng does not know CAP_NET_ADMIN");
	int failed = has_bounds ? capng_apply(CAPNG_SELECT_BOUNDS) : 0;
	if (failed == 0)
		failed = capng_apply(CAPNG_SELECT_AMBIENT);
	if (failed == 0 && has_group_right)
		failed = capng_change_id(
			(int)user->uid, (int)user->gid, has_groups() ? CAPNG_DROP_SUPP_GRP : CAPNG_NO_FLAG);
	if (failed == 0)
		failed = capng_apply(CAPNG_SELECT_CAPS);
	if (failed)
		return fault_errno(
			fault, "cannot become user %s with CAP_NET_ADMIN alone (libcap-ng: %d)", user->name, failed);
	return verify_rights(user, has_bounds, fault);
}

/* ---- all of it ---- */

/* Another thread would keep everything. Without /proc nobody can tell. */
enum err sandbox_check_alone(struct fault *fault)
{
	struct stat st;
	if (sandbox_syscalls_built() && stat("/proc/self/task", &st) == 0 && st.st_nlink > 3)
		return fault_set(fault, ERR_STATE,
			"the sandbox is entered while other threads run (%u); this is a fault of the program",
			(unsigned)st.st_nlink - 3);
	return OK;
}

static enum err check_write_folder(const struct sandbox_config *config, struct fault *fault)
{
	if (access(config->write_folder, R_OK | W_OK | X_OK) == 0)
		return OK;
	return fault_errno(fault,
		"user %s cannot write to the StateDirectory %s: it or a folder above it is closed to that user; open "
		"it "
		"('chmod o+x' above, 'chown %s' itself) or choose another",
		config->user.name, config->write_folder, config->user.name);
}

static void tell(char *ret_text, const struct sandbox_config *config, int landlock, bool seccomp)
{
	char files[64] = "no Landlock";
	if (landlock)
		(void)snprintf(files, sizeof files, "Landlock %d", landlock);
	(void)snprintf(ret_text, SANDBOX_TEXT_LEN, "user %s, CAP_NET_ADMIN alone, %s, %s, memory %s", config->user.name,
		files,
		seccomp                     ? "system calls filtered"
		: !sandbox_syscalls_built() ? "system calls not filtered (a build with sanitisers)"
					    : "system calls not filtered",
		sandbox_memory_is_locked() ? "locked" : "not locked");
}

enum err sandbox_enter(const struct sandbox_config *config, char *ret_text, struct fault *fault)
{
	struct sandbox_files files = {.ruleset = -1};
	sandbox_protect_memory();
	enum err err = sandbox_check_alone(fault);
	if (err == OK) /* while its folders can be reached: those above them may be closed to the user */
		err = sandbox_files_prepare(&files, config->read_folder, config->write_folder, fault);
	if (err == OK)
		err = drop_rights(&config->user, fault);
	if (err == OK)
		err = check_write_folder(config, fault);
	forbid_dumps(); /* the change of user has undone it */
	if (err == OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = fault_errno(fault, "cannot forbid new privileges");
	int landlock = files.version;
	if (err == OK && !landlock)
		log_warning("this kernel has no Landlock (5.13 or newer has, unless it is switched off): files are "
			    "guarded by user %s alone",
			config->user.name);
	if (err == OK)
		err = sandbox_files_enter(&files, fault);
	sandbox_files_done(&files);
	if (err != OK)
		return err;

	struct fault why;
	err = sandbox_syscalls_enter(SANDBOX_DAEMON, log_is_on(LOG_LEVEL_DEBUG), &why);
	if (err == ERR_UNSUPPORTED && sandbox_syscalls_built())
		log_warning("system calls are not filtered: %s", why.text);
	else if (err != OK && err != ERR_UNSUPPORTED)
		return fault_set(fault, err, "%s", why.text);
	if (ret_text)
		tell(ret_text, config, landlock, err == OK);
	return OK;
}
