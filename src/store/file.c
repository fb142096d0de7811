#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A lease takes some 250 bytes. What is larger is no state of ours, and checking it would hold up the start. */
#define SIZE_MAX_MIB 256

static enum err nomem(struct fault *fault)
{
	return fault_set(fault, ERR_NOMEM, "no memory left to open the state file");
}

static enum err check_folder(const char *folder, struct fault *fault)
{
	struct stat st;
	if (stat(folder, &st) != 0)
		return fault_errno(fault, "cannot look at the state folder %s (correct StateDirectory)", folder);
	if (!S_ISDIR(st.st_mode))
		return fault_set(fault, ERR_NOT_FOUND, "%s is not a folder: correct StateDirectory", folder);
	if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
		return fault_set(fault, ERR_PERMISSION, "anybody may write to the state folder %s: chmod o-w %s",
			folder, folder);
	return OK;
}

enum err store_file_find(char **ret, const char *path, struct fault *fault)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;
	if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return fault_set(fault, ERR_ARGUMENT, "%s is no path of a state file", path);

	char *folder = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	if (!folder)
		return nomem(fault);
	char *real = realpath(folder, NULL);
	enum err err = OK;
	if (!real)
		err = fault_errno(fault, "cannot use the state folder %s (make it, or correct StateDirectory)", folder);
	else
		err = check_folder(real, fault);
	char *whole = NULL;
	if (err == OK && asprintf(&whole, "%s/%s", strcmp(real, "/") == 0 ? "" : real, name) < 0)
		err = nomem(fault);
	free(real);
	free(folder);
	if (err == OK)
		*ret = whole;
	return err;
}

/* Files that SQLite would read, too, must be no links either. */
static enum err check_beside(const char *path, const char *suffix, bool *ret_has_content, struct fault *fault)
{
	char name[PATH_MAX];
	struct stat st;
	int len = snprintf(name, sizeof name, "%s%s", path, suffix);
	if (len < 0 || (size_t)len >= sizeof name)
		return fault_set(fault, ERR_ARGUMENT, "the path %s is too long: use a shorter StateDirectory", path);
	if (lstat(name, &st) != 0)
		return errno == ENOENT ? OK : fault_errno(fault, "cannot look at %s", name);
	if (!S_ISREG(st.st_mode))
		return fault_set(fault, ERR_PERMISSION,
			"%s is not a regular file, so somebody else made it: find out who, and remove it", name);
	if (st.st_size > 0)
		*ret_has_content = true;
	return OK;
}

static enum err check_owner(const char *path, const struct stat *st, struct fault *fault)
{
	char folder[PATH_MAX];
	struct stat above;
	(void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path) + 1, path);
	if (stat(folder, &above) != 0)
		return fault_errno(fault, "cannot look at the state folder %s", folder);
	/* The folder's owner could put any file there anyway. */
	if (st->st_uid != 0 && st->st_uid != geteuid() && st->st_uid != above.st_uid)
		return fault_set(fault, ERR_PERMISSION,
			"the state file %s belongs to another user (uid %u): chown it to the folder's owner if you "
			"trust it, "
			"else remove it",
			path, (unsigned)st->st_uid);
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return fault_set(fault, ERR_PERMISSION,
			"others may write to the state file %s (mode %04o): chmod 600 %s if you trust what is in it",
			path, st->st_mode & 07777U, path);
	return OK;
}

enum err store_file_check(const char *path, bool *ret_has_journal, struct fault *fault)
{
	struct stat st;
	bool has_journal = false;
	if (lstat(path, &st) != 0)
		return fault_errno(fault, "cannot look at the state file %s", path);
	if (!S_ISREG(st.st_mode))
		return fault_set(fault, ERR_PERMISSION,
			"the state file %s is not a regular file, so jorm did not make it: remove it, or correct "
			"StateDirectory",
			path);
	enum err err = check_owner(path, &st, fault);
	if (err == OK)
		err = check_beside(path, "-wal", &has_journal, fault);
	if (err == OK)
		err = check_beside(path, "-journal", &has_journal, fault);
	if (err != OK)
		return err;
	if (st.st_size == 0)
		return fault_set(fault, ERR_FORMAT,
			"the state file %s is empty, which jorm never leaves it: put back a copy, or remove it (and "
			"%s-wal) "
			"to begin without leases and added peers",
			path, path);
	if (st.st_size > (off_t)SIZE_MAX_MIB << 20)
		return fault_set(fault, ERR_FORMAT,
			"%s has more than %d MiB, so it is no state file of jorm: correct StateDirectory, or move it "
			"away",
			path, SIZE_MAX_MIB);
	*ret_has_journal = has_journal;
	return OK;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

/* A name is on disk when its folder is. */
static bool sync_folder(const char *path)
{
	char folder[PATH_MAX];
	(void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path) + 1, path);
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0)
		(void)close(fd);
	return ok;
}

enum err store_file_make(const char *path, const void *image, size_t len, struct fault *fault)
{
	char draft[PATH_MAX];
	int n = snprintf(draft, sizeof draft, "%s.XXXXXX", path);
	if (n < 0 || (size_t)n >= sizeof draft)
		return fault_set(fault, ERR_ARGUMENT, "the path %s is too long: use a shorter StateDirectory", path);
	int fd = mkostemp(draft, O_CLOEXEC);
	if (fd < 0)
		return fault_errno(fault, "cannot make the state file %s (its folder must be writable for jorm)", path);

	/* link, not rename: it never takes the place of another's file. */
	bool ok = write_all(fd, image, len) && fsync(fd) == 0 && (link(draft, path) == 0 || errno == EEXIST);
	int number = errno;
	(void)close(fd);
	(void)unlink(draft);
	if (ok) {
		ok = sync_folder(path);
		number = errno;
	}
	errno = number;
	return ok ? OK
		  : fault_errno(fault, "cannot make the state file %s (is its file system full or read-only?)", path);
}
