#include "pad/ledger_file.h"

#include "pad/io.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* The copies of the record stand in pages of their own: a write that is torn in one leaves the other alone. */
#define COPY_DISTANCE 4096
#define LEDGER_FILE_LEN (LEDGER_COPIES * COPY_DISTANCE)
#define NAME_LEN (PAD_ID_LEN * 2 + sizeof ".ledger")
#define TRIES 3 /* of a reader that does not lock, while a daemon writes */

static_assert(LEDGER_RECORD_LEN <= COPY_DISTANCE, "the copies do not overlap");

static enum err cannot_use_ledger(const char *what, const char *path, struct fault *fault)
{
	switch (errno) {
	case ENOENT:
		return fault_errno(fault, "there is no ledger %s: its pad has not been used here yet", path);
	case ENOSPC:
	case EDQUOT:
		return fault_errno(fault, "cannot %s the ledger %s (make room on its file system)", what, path);
	case EROFS:
		return fault_errno(fault,
			"cannot %s the ledger %s (mount its file system writable, or choose another StateDirectory)",
			what, path);
	case ELOOP:
		return fault_set(fault, ERR_FORMAT,
			"the ledger %s is a symbolic link: put the ledger itself in its place", path);
	default:
		return fault_errno(fault,
			"cannot %s the ledger %s (look at its owner and access rights, and into the kernel's log)",
			what, path);
	}
}

static enum err fault_damaged(const char *path, struct fault *fault)
{
	return fault_set(fault, ERR_FORMAT,
		"the ledger %s is damaged: how far its pad has been used is not known; replace the pad at both ends, "
		"then remove the ledger",
		path);
}

/* The descriptor of the folder, or -1. */
static int open_folder(const char *folder, enum err *ret, struct fault *fault)
{
	struct stat st;
	const bool is_made = mkdir(folder, 0700) == 0;
	if (!is_made && errno != EEXIST) {
		*ret = fault_errno(fault,
			"cannot make the folder of ledgers %s (make its parent first, or choose another "
			"StateDirectory)",
			folder);
		return -1;
	}
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		*ret = fault_errno(
			fault, "cannot open the folder of ledgers %s (correct its owner and access rights)", folder);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		*ret = fault_set(fault, ERR_PERMISSION,
			"others than its owner may write into the folder of ledgers %s (mode %04o): chmod 700 %s",
			folder, st.st_mode & 07777U, folder);
	else
		*ret = OK;
	if (*ret != OK && fd >= 0)
		(void)close(fd);
	if (*ret != OK)
		return -1;
	/* A ledger that was made outlasts a crash only if its folder does. Who may not read the parent cannot see to
	 * it, and has not made the folder. */
	int parent = is_made ? openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (parent >= 0) {
		(void)fsync(parent);
		(void)close(parent);
	}
	return fd;
}

/* Opens and locks. `flags`: O_CREAT or 0. -1 on error. */
static int open_ledger(int folder_fd, const char *name, const char *path, int flags, enum err *ret, struct fault *fault)
{
	struct stat st;
	int fd = openat(folder_fd, name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | flags, 0600);
	if (fd < 0) {
		*ret = cannot_use_ledger("open", path, fault);
		return -1;
	}
	if (fstat(fd, &st) != 0)
		*ret = cannot_use_ledger("look at", path, fault);
	else if (!S_ISREG(st.st_mode))
		*ret = fault_set(fault, ERR_FORMAT, "the ledger %s is no regular file: move it away", path);
	else if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		*ret = OK;
	else if (errno == EWOULDBLOCK)
		*ret = fault_set(fault, ERR_STATE,
			"the ledger %s is in use by another process (`fuser %s` names it): stop that tunnel first; two "
			"copies of a pad on one machine, as for a test, need a StateDirectory each",
			path, path);
	else
		*ret = cannot_use_ledger("lock", path, fault);
	if (*ret == OK)
		return fd;
	(void)close(fd);
	return -1;
}

/* The copies; what the file does not have yet is zeros. */
static enum err read_copies(int fd, uint8_t ret[static LEDGER_COPIES][LEDGER_RECORD_LEN])
{
	for (size_t i = 0; i < LEDGER_COPIES; i++) {
		memset(ret[i], 0, LEDGER_RECORD_LEN);
		if (pad_read_all(fd, i * COPY_DISTANCE, ret[i], LEDGER_RECORD_LEN) != OK && errno != 0)
			return ERR_IO;
	}
	return OK;
}

/*
 * Room for both copies, so that no later write can fail for want of it. A ledger that is shorter and holds nothing was
 * being made when the machine stopped: no record is written before this has come to its end.
 */
static enum err complete_ledger(int fd, int folder_fd, const char *path,
	uint8_t ret_copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], struct fault *fault)
{
	static const uint8_t zeros[LEDGER_FILE_LEN];
	struct stat st;
	if (fstat(fd, &st) != 0 || read_copies(fd, ret_copies) != OK)
		return cannot_use_ledger("read", path, fault);
	if (st.st_size < LEDGER_FILE_LEN) {
		if (memcmp(ret_copies, zeros, (size_t)LEDGER_COPIES * LEDGER_RECORD_LEN) != 0)
			return fault_damaged(path, fault);
		if (pad_write_all(fd, 0, zeros, sizeof zeros) != OK)
			return cannot_use_ledger("make", path, fault);
	}
	if (fsync(fd) != 0 || fsync(folder_fd) != 0)
		return cannot_use_ledger("write to the disk", path, fault);
	return OK;
}

static void ledger_name(char out[static NAME_LEN], const uint8_t id[static PAD_ID_LEN])
{
	for (size_t i = 0; i < PAD_ID_LEN; i++)
		(void)snprintf(out + 2 * i, 3, "%02x", id[i]);
	memcpy(out + (size_t)2 * PAD_ID_LEN, ".ledger", sizeof ".ledger");
}

enum err pad_ledger_path(char out[static PATH_MAX], const char *folder, const uint8_t id[static PAD_ID_LEN])
{
	char name[NAME_LEN];
	ledger_name(name, id);
	int len = snprintf(out, PATH_MAX, "%s/%s", folder, name);
	return len > 0 && len < PATH_MAX ? OK : ERR_TOO_BIG;
}

enum err ledger_file_open(int *ret_fd, const char *folder, const uint8_t id[static PAD_ID_LEN],
	uint8_t ret_copies[static LEDGER_COPIES][LEDGER_RECORD_LEN], struct fault *fault)
{
	char name[NAME_LEN], path[PATH_MAX];
	enum err result = pad_ledger_path(path, folder, id);
	if (result != OK)
		return fault_set(fault, result,
			"the path of the folder of ledgers %.200s... is too long: choose another StateDirectory",
			folder);
	ledger_name(name, id);
	int folder_fd = open_folder(folder, &result, fault);
	if (folder_fd < 0)
		return result;
	int fd = open_ledger(folder_fd, name, path, O_CREAT, &result, fault);
	if (fd >= 0)
		result = complete_ledger(fd, folder_fd, path, ret_copies, fault);
	(void)close(folder_fd);
	if (result == OK)
		*ret_fd = fd;
	else if (fd >= 0)
		(void)close(fd);
	return result;
}

enum err ledger_file_write(int fd, unsigned int copy, const uint8_t record[static LEDGER_RECORD_LEN])
{
	if (pad_write_all(fd, (uint64_t)copy * COPY_DISTANCE, record, LEDGER_RECORD_LEN) != OK)
		return ERR_IO;
	return fdatasync(fd) == 0 ? OK : ERR_IO;
}

/* ---- for the commands ---- */

static enum err fault_choice(enum err choice, const char *path, struct fault *fault)
{
	if (choice == ERR_NOT_FOUND)
		return fault_set(fault, choice, "the ledger %s is empty: its pad has not been used here yet", path);
	if (choice == ERR_FORMAT)
		return fault_damaged(path, fault);
	return fault_set(fault, choice, "cannot check the ledger %s: %s", path, err_text(choice));
}

enum err pad_ledger_read(struct ledger *ret, const char *path, struct fault *fault)
{
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return cannot_use_ledger("open", path, fault);
	enum err choice = ERR_FORMAT;
	/* Each copy may be met while it is being written; not each time, unless it is damaged. */
	for (int i = 0; choice == ERR_FORMAT && i < TRIES; i++) {
		if (read_copies(fd, copies) != OK) {
			enum err result = cannot_use_ledger("read", path, fault);
			(void)close(fd);
			return result;
		}
		choice = ledger_choose(ret, copies);
	}
	(void)close(fd);
	return choice == OK ? OK : fault_choice(choice, path, fault);
}

/* In place of the copy that is older, or not right. */
static enum err write_changed(int fd, const uint8_t copies[static LEDGER_COPIES][LEDGER_RECORD_LEN],
	const struct ledger *old, struct ledger *changed, const char *path, struct fault *fault)
{
	uint8_t record[LEDGER_RECORD_LEN];
	struct ledger first, check;
	const bool is_first = ledger_decode(&first, copies[0]) == OK && first.sequence == old->sequence;
	changed->sequence = old->sequence + 1;
	enum err result = ledger_encode(record, changed);
	if (result == OK)
		result = ledger_decode(&check, record);
	if (result != OK)
		return fault_set(fault, result == ERR_FORMAT ? ERR_ARGUMENT : result,
			"the ledger %s was not changed: its pad has no such place", path);
	if (ledger_file_write(fd, is_first ? 1 : 0, record) != OK)
		return cannot_use_ledger("write", path, fault);
	return OK;
}

enum err pad_ledger_change(const char *path,
	enum err (*change)(void *context, struct ledger *ledger, struct fault *fault), void *context,
	struct fault *fault)
{
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	struct ledger old;
	enum err result = OK;
	int fd = open_ledger(AT_FDCWD, path, path, 0, &result, fault);
	if (fd < 0)
		return result;
	if (read_copies(fd, copies) != OK)
		result = cannot_use_ledger("read", path, fault);
	else if ((result = ledger_choose(&old, copies)) != OK)
		result = fault_choice(result, path, fault);
	if (result == OK) {
		struct ledger changed = old;
		result = change(context, &changed, fault);
		if (result == OK)
			result = write_changed(fd, copies, &old, &changed, path, fault);
	}
	(void)close(fd);
	return result;
}
