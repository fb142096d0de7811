#include "host/opening.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAGS (O_CLOEXEC | O_NONBLOCK | O_NOCTTY) /* besides O_RDONLY or O_RDWR */

/* Component by component without any symbolic link, for kernels before 5.6. */
static int open_walking(int folder, const char *path, int access)
{
	char part[NAME_MAX + 1];
	int at = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	while (at >= 0) {
		size_t len = strcspn(path, "/"), slashes = strspn(path + len, "/");
		bool last = path[len + slashes] == '\0';
		if (len > NAME_MAX || (len == 2 && path[0] == '.' && path[1] == '.')) {
			close(at);
			errno = EXDEV;
			return -1;
		}
		(void)snprintf(part, sizeof part, "%.*s", (int)len, path);
		int next = openat(at, len ? part : ".", FLAGS | O_NOFOLLOW | (last ? access : O_RDONLY | O_DIRECTORY));
		int number = errno;
		close(at);
		errno = number;
		at = next;
		if (last)
			break;
		path += len + slashes;
	}
	return at;
}

static int open_beneath(int folder, const char *path, int access, uint64_t more)
{
	struct open_how how = {.flags = (uint64_t)(unsigned int)(FLAGS | access),
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | more};
	int fd = (int)syscall(SYS_openat2, folder, *path ? path : ".", &how, sizeof how);
	return fd < 0 && errno == ENOSYS ? open_walking(folder, path, access) : fd;
}

/* The part of `path` below a folder whose name ends with '/'; NULL: it is not there. */
static const char *below(const char *path, const char *folder)
{
	size_t len = strlen(folder);
	if (len && strncmp(path, folder, len) == 0)
		return path + len;
	/* the folder itself */
	return len > 1 && strlen(path) == len - 1 && strncmp(path, folder, len - 1) == 0 ? "" : NULL;
}

/* A path that the configuration names. */
static int open_named(const struct config *config, const char *path, int access)
{
	char state[PATH_MAX + 1];
	(void)snprintf(state, sizeof state, "%s/", config->state_directory);
	const char *rest = below(path, state);
	if (!rest)
		return open(path, FLAGS | access);
	int folder = open(config->state_directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0)
		return -1;
	int fd = open_beneath(folder, rest, access, RESOLVE_NO_SYMLINKS);
	int number = errno;
	close(folder);
	errno = number;
	return fd;
}

static bool is(const char *named, const char *path)
{
	return named && strcmp(named, path) == 0;
}

static bool is_named(const struct config *config, const char *path)
{
	bool found = is(config->private_key, path) || is(config->authorized_keys, path) || is(config->pads, path) ||
		     is(config->path, path);
	for (size_t i = 0; !found && i < config->peer_count; i++)
		found = is(config->peers[i].preshared_key, path) || is(config->peers[i].public_key, path);
	return found;
}

static bool is_named_pad(const struct config *config, const char *path)
{
	for (size_t i = 0; i < config->peer_count; i++) {
		if (is(config->peers[i].pad, path))
			return true;
	}
	return false;
}

/* A file directly in a folder, which may be NULL: its name, or NULL. */
static const char *name_in(const char *folder, const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!folder || !slash)
		return NULL;
	size_t len = strlen(folder);
	while (len > 1 && folder[len - 1] == '/')
		len--;
	size_t folder_len = (size_t)(slash - path);
	while (folder_len > 1 && path[folder_len - 1] == '/')
		folder_len--;
	bool same = folder_len == len && strncmp(path, folder, len) == 0;
	return same && slash[1] ? slash + 1 : NULL;
}

static int open_in(const struct config *config, const char *folder_name, const char *name, int access)
{
	int folder = open_named(config, folder_name, O_RDONLY);
	if (folder < 0)
		return -1;
	int fd = open_beneath(folder, name, access, 0);
	int number = errno;
	close(folder);
	errno = number;
	return fd;
}

/* The folders' files. */
static bool is_pad_name(const char *name)
{
	static const char suffix[] = ".pad";
	size_t len = name ? strlen(name) : 0;
	return len > strlen(suffix) && strcmp(name + len - strlen(suffix), suffix) == 0;
}

enum err opening_init(struct opening *opening, const char *config_path, struct fault *fault)
{
	char here[PATH_MAX] = "";
	*opening = (struct opening){.folder = -1};
	const char *slash = strrchr(config_path, '/');
	size_t len = slash ? (size_t)(slash - config_path) + 1 : 0;
	if (len >= sizeof opening->given)
		return fault_set(fault, ERR_TOO_BIG, "the configuration's path is too long");
	memcpy(opening->given, config_path, len);
	if (config_path[0] != '/' && !getcwd(here, sizeof here))
		return fault_errno(fault, "cannot find out the working directory");
	int written =
		snprintf(opening->absolute, sizeof opening->absolute, "%s%s%s", here, *here ? "/" : "", opening->given);
	if (written < 0 || (size_t)written >= sizeof opening->absolute)
		return fault_set(fault, ERR_TOO_BIG, "the configuration's path is too long");
	opening->folder = open(opening->absolute, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (opening->folder < 0 || !realpath(opening->absolute, here))
		return fault_errno(fault, "cannot open the configuration's folder %s", opening->absolute);
	written = snprintf(opening->real, sizeof opening->real, "%s%s", here, strcmp(here, "/") ? "/" : "");
	if (written < 0 || (size_t)written >= sizeof opening->real)
		return fault_set(fault, ERR_TOO_BIG, "the configuration's path is too long");
	return OK;
}

void opening_done(struct opening *opening)
{
	if (opening->folder >= 0)
		close(opening->folder);
	opening->folder = -1;
}

static int open_allowed(const struct opening *opening, const struct config *config, const char *path, int access)
{
	const char *key = name_in(config->authorized_keys, path), *pad = name_in(config->pads, path);
	const char *rest = below(path, opening->absolute);
	if (!rest)
		rest = below(path, opening->real);
	if (!rest && *opening->given)
		rest = below(path, opening->given);
	if (access != O_RDONLY && !(config->burn && (is_named_pad(config, path) || is_pad_name(pad)))) {
		errno = EXDEV;
		return -1;
	}
	if (is_named(config, path) || is_named_pad(config, path))
		return open_named(config, path, access);
	if (is_pad_name(pad))
		return open_in(config, config->pads, pad, access);
	if (key)
		return open_in(config, config->authorized_keys, key, access);
	if (rest)
		return open_beneath(opening->folder, rest, access, 0);
	errno = EXDEV;
	return -1;
}

enum err opening_open(const struct opening *opening, const struct config *config, const char *path, bool writable,
	int *ret_fd, struct fault *fault)
{
	struct stat st;
	int fd = open_allowed(opening, config, path, writable ? O_RDWR : O_RDONLY);
	if (fd < 0 && (errno == EXDEV || errno == ELOOP))
		return fault_set(fault, ERR_PERMISSION,
			writable ? "%.200s is no pad that the configuration names and has burned"
				 : "%.200s is neither in the configuration's folder nor named by the configuration",
			path);
	if (fd < 0)
		return fault_errno(fault, "cannot open %.200s", path);
	if (fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		*ret_fd = fd;
		return OK;
	}
	close(fd);
	return fault_set(fault, ERR_PERMISSION, "%.200s is neither a regular file nor a folder", path);
}
