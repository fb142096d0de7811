#include "cli/part.h"

#include "cli/interrupt.h"
#include "cli/status_text.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum err part_init(struct part *p, const char *path, uint64_t size, struct fault *fault)
{
	struct stat st;
	*p = (struct part){.fd = -1, .size = size};
	int n = snprintf(p->temporary, sizeof(p->temporary), "%s.part", path);
	if (n < 0 || (size_t)n >= sizeof(p->temporary))
		return fault_set(fault, ERR_TOO_BIG, "the path %.60s... is too long", path);
	snprintf(p->path, sizeof(p->path), "%s", path);
	if (lstat(path, &st) == 0)
		return fault_set(fault, ERR_EXISTS,
			"%s exists and is not overwritten (choose another name, or delete it if no link uses it)",
			path);
	return OK;
}

static enum err disk_is_full(const struct part *p, struct fault *fault)
{
	char wanted[STATUS_SPAN_LEN], there[STATUS_SPAN_LEN];
	struct statvfs fs;
	status_bytes(wanted, (json_int_t)(p->size - p->at));
	if (errno == EFBIG)
		return fault_set(fault, ERR_FULL,
			"%s: the file system takes no file as large as this (choose another one, or a smaller size)",
			p->path);
	if (errno == EDQUOT || statvfs(p->temporary, &fs) < 0)
		return fault_set(fault, ERR_FULL, "%s: no room for %s more (free some, or choose another place)",
			p->path, wanted);
	status_bytes(there, (json_int_t)(fs.f_bavail * fs.f_frsize));
	return fault_set(fault, ERR_FULL,
		"%s: the disk is full: %s more are wanted, and %s are free (free some, or choose another place)",
		p->path, wanted, there);
}

static bool means_full(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

static enum err lock(struct part *p, struct fault *fault)
{
	if (flock(p->fd, LOCK_EX | LOCK_NB) == 0)
		return OK;
	if (errno == EWOULDBLOCK)
		return fault_set(fault, ERR_STATE, "another command is writing %s (wait for it)", p->temporary);
	return fault_errno(fault, "cannot lock %s", p->temporary);
}

/* A disk that is too small is better found out now than in an hour. */
static enum err room_take(struct part *p, struct fault *fault)
{
	int failed;
	do
		failed = fallocate(p->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)p->size);
	while (failed && errno == EINTR && !interrupt_seen());
	return failed && means_full(errno) ? disk_is_full(p, fault) : OK;
}

enum err part_create(struct part *p, struct fault *fault)
{
	p->fd = open(p->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (p->fd < 0 && errno == EEXIST)
		return fault_set(fault, ERR_EXISTS,
			"%s is there already, of something that was not finished (delete it)", p->temporary);
	if (p->fd < 0)
		return fault_errno(fault, "cannot make %s", p->temporary);
	enum err e = lock(p, fault);
	if (e == OK)
		e = room_take(p, fault);
	if (e)
		part_remove(p);
	return e;
}

enum err part_resume(struct part *p, uint64_t at, struct fault *fault)
{
	struct stat st;
	p->fd = open(p->temporary, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (p->fd < 0)
		return fault_errno(fault, "cannot open %s", p->temporary);
	enum err e = lock(p, fault);
	if (e == OK && (fstat(p->fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < at))
		e = fault_set(fault, ERR_IO, "%s is not what was written (delete it, and begin anew)", p->temporary);
	p->at = p->synced = at;
	if (e == OK)
		e = room_take(p, fault);
	if (e)
		part_close(p);
	return e;
}

enum err part_write(struct part *p, const uint8_t *bytes, size_t len, struct fault *fault)
{
	for (size_t done = 0; done < len;) {
		ssize_t put = pwrite(p->fd, bytes + done, len - done, (off_t)p->at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0 && means_full(put < 0 ? errno : ENOSPC))
			return disk_is_full(p, fault);
		if (put <= 0)
			return fault_errno(fault, "cannot write %s", p->temporary);
		done += (size_t)put;
		p->at += (uint64_t)put;
	}
	return p->at - p->synced >= PART_UNSYNCED ? part_sync(p, fault) : OK;
}

enum err part_sync(struct part *p, struct fault *fault)
{
	if (fdatasync(p->fd) < 0)
		return means_full(errno) ? disk_is_full(p, fault) : fault_errno(fault, "cannot write %s", p->temporary);
	posix_fadvise(p->fd, (off_t)p->synced, (off_t)(p->at - p->synced), POSIX_FADV_DONTNEED);
	p->synced = p->at;
	return OK;
}

/* Not every file system can rename without overwriting; on those, what came in between is seen as well as can be. */
static int rename_if_free(const char *from, const char *to)
{
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	if (faccessat(AT_FDCWD, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return -1;
	}
	return rename(from, to);
}

static int folder_sync(const char *path)
{
	char copy[PATH_MAX];
	snprintf(copy, sizeof(copy), "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int failed = fd < 0 ? -1 : fsync(fd);
	if (fd >= 0)
		close(fd);
	return failed;
}

enum err part_finish(struct part *p, struct fault *fault)
{
	enum err e = part_sync(p, fault);
	if (e)
		return e;
	/* one that was resumed may have been written further */
	if (ftruncate(p->fd, (off_t)p->size) < 0 || fsync(p->fd) < 0)
		return fault_errno(fault, "cannot write %s", p->temporary);
	if (rename_if_free(p->temporary, p->path) < 0)
		return fault_errno(fault, "cannot rename %s to %s", p->temporary, p->path);
	part_close(p);
	return folder_sync(p->path) < 0 ? fault_errno(fault, "cannot write the folder of %s", p->path) : OK;
}

void part_close(struct part *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

void part_remove(struct part *p)
{
	if (p->fd >= 0)
		unlink(p->temporary);
	part_close(p);
}
