#include "daemon/confine.h"

#include "base/log.h"
#include "daemon/sandbox.h"
#include "daemon/sandbox_files.h"
#include "daemon/sandbox_syscalls.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_SUFFIX ".pub"
#define DNS_PORT 53
#define PRIVILEGED_PORTS 1024 /* to bind one of those below is a right of its own */

/* What the resolver reads. /etc as a whole would be /etc/shadow as well; so a file that another one takes the place of
 * is closed, and the name server's address that was in it stays. */
static const char *const resolver_files[] = {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf",
	"/etc/gai.conf", "/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager"};

/* ---- files ---- */

static bool is_key_name(const char *name)
{
	const size_t len = strlen(name), end = sizeof KEY_SUFFIX - 1;
	return len >= end && strcmp(name + len - end, KEY_SUFFIX) == 0;
}

/* For each key file of a folder. ERR_NOT_FOUND, ERR_PERMISSION, ERR_IO: the folder cannot be read. */
static enum err for_keys(const char *folder, void (*fn)(void *context, int folder_fd, const char *name), void *context)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	if (!dir)
		return errno == ENOENT ? ERR_NOT_FOUND : errno == EACCES ? ERR_PERMISSION : ERR_IO;
	while ((entry = readdir(dir)))
		if (is_key_name(entry->d_name))
			fn(context, dirfd(dir), entry->d_name);
	(void)closedir(dir);
	return OK;
}

struct linked {
	struct sandbox_files *files;
	const char *folder;
};

/* A link leads out of the folder: what it leads to now may be read. */
static void allow_linked(void *context, int folder_fd, const char *name)
{
	const struct linked *l = context;
	char path[PATH_MAX];
	struct stat st;
	const int len = snprintf(path, sizeof path, "%s/%s", l->folder, name);
	if (fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode) && len > 0 &&
		(size_t)len < sizeof path)
		sandbox_files_allow_reading(l->files, path);
}

static enum err prepare_files(struct sandbox_files *ret, const struct confine_config *config, struct fault *fault)
{
	struct linked linked = {ret, config->key_folder};
	if (config->key_folder && access(config->key_folder, F_OK) < 0)
		return fault_errno(fault,
			"the folder %s must be there at the start (make it; files can be put there later)",
			config->key_folder);
	enum err err = sandbox_files_prepare(ret, config->key_folder, NULL, fault);
	if (err == OK && config->key_folder)
		(void)!for_keys(config->key_folder, allow_linked, &linked);
	if (err == OK && config->tcp_port)
		err = sandbox_files_allow_connecting(ret, config->tcp_port, fault);
	if (err == OK && config->looks_up)
		err = sandbox_files_allow_connecting(ret, DNS_PORT, fault);
	for (size_t i = 0; config->looks_up && i < sizeof resolver_files / sizeof *resolver_files; i++)
		sandbox_files_allow_reading(ret, resolver_files[i]);
	return err;
}

/* ---- capabilities ---- */

/* The few that may stay. */
struct rights {
	bool reads_all; /* CAP_DAC_READ_SEARCH */
	bool binds_low; /* CAP_NET_BIND_SERVICE */
};

static bool stays(const struct rights *r, unsigned int cap)
{
	return (cap == CAP_DAC_READ_SEARCH && r->reads_all) || (cap == CAP_NET_BIND_SERVICE && r->binds_low);
}

static void try_key(void *context, int folder_fd, const char *name)
{
	bool *all = context;
	int fd = openat(folder_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd >= 0)
		(void)close(fd);
	else if (errno == EACCES)
		*all = false;
}

/* Can the keys be read as whom they belong to, without root's right to all files? */
static enum err try_folder(bool *ret, const char *folder, struct fault *fault)
{
	if (capng_get_caps_process() < 0)
		return fault_set(fault, ERR_IO, "cannot read this process's capabilities");
	(void)capng_updatev(CAPNG_DROP, CAPNG_EFFECTIVE, CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE, -1);
	int failed = capng_apply(CAPNG_SELECT_CAPS);
	*ret = true;
	if (failed == 0 && for_keys(folder, try_key, ret) == ERR_PERMISSION)
		*ret = false;
	(void)capng_get_caps_process();
	for (unsigned int cap = 0; failed == 0 && cap <= CAP_LAST_CAP; cap++)
		if (capng_have_capability(CAPNG_PERMITTED, cap))
			failed = capng_update(CAPNG_ADD, CAPNG_EFFECTIVE, cap);
	if (failed == 0)
		failed = capng_apply(CAPNG_SELECT_CAPS);
	return failed == 0 ? OK : fault_errno(fault, "cannot try whether root's rights are needed for %s", folder);
}

/* What is there now, not what was asked for. */
static enum err verify_rights(const struct rights *kept, bool has_bounds, struct fault *fault)
{
	static const capng_type_t sets[] = {
		CAPNG_EFFECTIVE, CAPNG_PERMITTED, CAPNG_INHERITABLE, CAPNG_AMBIENT, CAPNG_BOUNDING_SET};
	bool good = capng_get_caps_process() == 0;
	for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
		for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++) {
			bool may = stays(kept, cap) && sets[i] != CAPNG_INHERITABLE && sets[i] != CAPNG_AMBIENT;
			if (sets[i] != CAPNG_BOUNDING_SET || has_bounds)
				good = good && (may || !capng_have_capability(sets[i], cap));
		}
	return good ? OK : fault_set(fault, ERR_IO, "the kernel did not take all rights away that it was told to");
}

static enum err drop_rights(const struct rights *kept, struct fault *fault)
{
	if (capng_get_caps_process() < 0)
		return fault_set(fault, ERR_IO, "cannot read this process's capabilities");
	/* Missing in some containers. What is gained by an execve is limited by no_new_privs as well. */
	const bool has_bounds = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP);
	if (!has_bounds)
		log_warning("the bounding set of capabilities stays: CAP_SETPCAP is missing");
	bool had[CAP_LAST_CAP + 1];
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++)
		had[cap] = capng_have_capability(CAPNG_PERMITTED, cap);
	capng_clear(CAPNG_SELECT_ALL);
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (had[cap] && stays(kept, cap))
			(void)capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, cap);
	int failed = has_bounds ? capng_apply(CAPNG_SELECT_BOUNDS) : 0;
	if (failed == 0)
		failed = capng_apply(CAPNG_SELECT_AMBIENT);
	if (failed == 0)
		failed = capng_apply(CAPNG_SELECT_CAPS);
	if (failed)
		return fault_errno(fault, "cannot give up capabilities (libcap-ng: %d)", failed);
	return verify_rights(kept, has_bounds, fault);
}

/* ---- all of it ---- */

static enum err restrict_calls(const struct confine_config *config, bool *ret_filtered, struct fault *fault)
{
	struct fault why;
	const unsigned int needs =
		(config->tcp_port ? SANDBOX_SOCKETS : 0U) | (config->looks_up ? SANDBOX_LOOK_UPS : 0U);
	enum err err = sandbox_syscalls_enter(needs, log_is_on(LOG_LEVEL_DEBUG), &why);
	*ret_filtered = err == OK;
	if (err == ERR_UNSUPPORTED && sandbox_syscalls_built())
		log_warning("system calls are not filtered: %s", why.text);
	return err == OK || err == ERR_UNSUPPORTED ? OK : fault_set(fault, err, "%s", why.text);
}

static void tell(const struct rights *kept, int landlock, bool filtered)
{
	char files[32] = "no Landlock";
	if (landlock)
		(void)snprintf(files, sizeof files, "Landlock %d", landlock);
	log_info("confined: capabilities %s%s%s, %s, system calls %s, memory %s",
		kept->reads_all ? "CAP_DAC_READ_SEARCH" : "", kept->reads_all && kept->binds_low ? " and " : "",
		kept->binds_low   ? "CAP_NET_BIND_SERVICE"
		: kept->reads_all ? ""
				  : "none",
		files, filtered ? "filtered" : "not filtered", sandbox_memory_is_locked() ? "locked" : "not locked");
}

enum err confine_enter(const struct confine_config *config, struct fault *fault)
{
	struct sandbox_files files = {.ruleset = -1};
	struct rights kept = {.binds_low = config->udp_port > 0 && config->udp_port < PRIVILEGED_PORTS};
	bool is_open = true, filtered = false;
	sandbox_protect_memory();
	enum err err = sandbox_check_alone(fault);
	if (err == OK)
		err = prepare_files(&files, config, fault);
	const int landlock = files.version;
	if (err == OK && config->key_folder)
		err = try_folder(&is_open, config->key_folder, fault);
	kept.reads_all = !is_open;
	if (err == OK)
		err = drop_rights(&kept, fault);
	if (err == OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = fault_errno(fault, "cannot forbid new privileges");
	if (err == OK && !landlock)
		log_warning("this kernel has no Landlock (5.13 or newer has, unless it is switched off): files are "
			    "guarded by their owners' rights alone");
	if (err == OK)
		err = sandbox_files_enter(&files, fault);
	sandbox_files_done(&files);
	if (err == OK)
		err = restrict_calls(config, &filtered, fault);
	if (err == OK)
		tell(&kept, landlock, filtered);
	return err;
}
