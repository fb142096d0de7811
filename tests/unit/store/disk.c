#include "disk.h"

#include "random.h"
#include "scratch.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define SECTOR 512
#define PARTS 3 /* the database, its log, its journal */
static const char *const suffixes[PARTS] = {"", "-wal", "-journal"};

/* ---- what is written down ---- */

enum kind { MADE, REMOVED, WRITTEN, CUT, SYNCED };
struct change {
	enum kind kind;
	int part, inode; /* which file, and which of those that had its name */
	int64_t at;      /* of WRITTEN; the new length of CUT; of SYNCED: 1 with its folder */
	size_t len;
	char *data;
};
static struct change *changes;
static size_t n_changes, room;
static bool is_recording;
static struct bytes at_start[PARTS]; /* no data: there was none */
static int inodes, inode_of[PARTS];  /* -1: no such file now */

static int64_t left = -1; /* changes that still succeed */
static int failure;
static bool has_failed;

void disk_fail_after(int64_t n, int rc)
{
	left = n;
	failure = rc;
	has_failed = false;
}

bool disk_has_failed(void)
{
	return has_failed;
}

/* The result code for the next change. */
static int take_chance(void)
{
	if (left < 0)
		return SQLITE_OK;
	if (left > 0) {
		left--;
		return SQLITE_OK;
	}
	has_failed = true;
	return failure;
}

static void note(struct change change, const void *data)
{
	if (!is_recording)
		return;
	if (n_changes == room) {
		room = room ? 2 * room : 1024;
		changes = realloc(changes, room * sizeof *changes);
		assert_non_null(changes);
	}
	if (change.len) {
		change.data = malloc(change.len);
		assert_non_null(change.data);
		memcpy(change.data, data, change.len);
	}
	changes[n_changes++] = change;
}

void disk_stop(void)
{
	is_recording = false;
}

void disk_record(void)
{
	for (size_t i = 0; i < n_changes; i++)
		free(changes[i].data);
	free(changes);
	changes = NULL;
	n_changes = room = 0;
	inodes = 0;
	for (int i = 0; i < PARTS; i++) {
		free(at_start[i].data);
		at_start[i] = (struct bytes){0};
		inode_of[i] = -1;
	}
	is_recording = true;
}

size_t disk_moments(void)
{
	return n_changes;
}

size_t disk_syncs(void)
{
	size_t n = 0;
	for (size_t i = 0; i < n_changes; i++)
		n += changes[i].kind == SYNCED;
	return n;
}

/* ---- the VFS ---- */

struct disk_file {
	sqlite3_file base;
	int part, inode;
	bool needs_folder; /* is new, and its name not on disk yet */
};

static sqlite3_vfs *below;

static sqlite3_file *real(sqlite3_file *file)
{
	return (sqlite3_file *)((struct disk_file *)file + 1);
}

static int part_of(const char *path)
{
	size_t len = strlen(path);
	for (int i = PARTS - 1; i > 0; i--)
		if (len > strlen(suffixes[i]) && strcmp(path + len - strlen(suffixes[i]), suffixes[i]) == 0)
			return i;
	return 0;
}

static int file_close(sqlite3_file *file)
{
	return real(file)->pMethods->xClose(real(file));
}
static int file_read(sqlite3_file *file, void *out, int n, sqlite3_int64 at)
{
	return real(file)->pMethods->xRead(real(file), out, n, at);
}

static int file_write(sqlite3_file *file, const void *data, int n, sqlite3_int64 at)
{
	const struct disk_file *f = (struct disk_file *)file;
	int rc = take_chance();
	if (rc != SQLITE_OK) { /* what fails may be there in part */
		(void)real(file)->pMethods->xWrite(real(file), data, n / 2, at);
		return rc;
	}
	note((struct change){.kind = WRITTEN, .part = f->part, .inode = f->inode, .at = at, .len = (size_t)n}, data);
	return real(file)->pMethods->xWrite(real(file), data, n, at);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	const struct disk_file *f = (struct disk_file *)file;
	int rc = take_chance();
	if (rc != SQLITE_OK)
		return rc;
	note((struct change){.kind = CUT, .part = f->part, .inode = f->inode, .at = size}, NULL);
	return real(file)->pMethods->xTruncate(real(file), size);
}

static int file_sync(sqlite3_file *file, int flags)
{
	struct disk_file *f = (struct disk_file *)file;
	int rc = take_chance();
	if (rc != SQLITE_OK)
		return rc == SQLITE_FULL ? SQLITE_OK : SQLITE_IOERR_FSYNC;
	note((struct change){.kind = SYNCED, .part = f->part, .inode = f->inode, .at = f->needs_folder}, NULL);
	f->needs_folder = false;
	return SQLITE_OK;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *ret)
{
	return real(file)->pMethods->xFileSize(real(file), ret);
}
static int file_lock(sqlite3_file *file, int kind)
{
	return real(file)->pMethods->xLock(real(file), kind);
}
static int file_unlock(sqlite3_file *file, int kind)
{
	return real(file)->pMethods->xUnlock(real(file), kind);
}
static int file_check_lock(sqlite3_file *file, int *ret)
{
	return real(file)->pMethods->xCheckReservedLock(real(file), ret);
}
static int file_control(sqlite3_file *file, int what, void *argument)
{
	return real(file)->pMethods->xFileControl(real(file), what, argument);
}
static int file_sector(sqlite3_file *file)
{
	return real(file)->pMethods->xSectorSize(real(file));
}
static int file_properties(sqlite3_file *file)
{
	return real(file)->pMethods->xDeviceCharacteristics(real(file));
}

/* Version 1: no shared memory. */
static const sqlite3_io_methods methods = {.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_lock,
	.xFileControl = file_control,
	.xSectorSize = file_sector,
	.xDeviceCharacteristics = file_properties};

/* A file that was there before anything was written down is on disk as it is. */
static void learn(struct disk_file *f, const char *path, bool was_there)
{
	f->part = part_of(path);
	if (is_recording && inode_of[f->part] < 0) {
		inode_of[f->part] = inodes++;
		if (was_there) {
			at_start[f->part] = scratch_read(path);
		} else {
			note((struct change){.kind = MADE, .part = f->part, .inode = inode_of[f->part]}, NULL);
			f->needs_folder = true;
		}
	}
	f->inode = inode_of[f->part];
}

static int disk_open(sqlite3_vfs *vfs, const char *path, sqlite3_file *file, int flags, int *ret_flags)
{
	struct disk_file *f = (struct disk_file *)file;
	*f = (struct disk_file){0};
	bool was_there = access(path, F_OK) == 0;
	int rc = was_there ? SQLITE_OK : take_chance();
	if (rc == SQLITE_OK)
		rc = below->xOpen(below, path, real(file), flags, ret_flags);
	if (rc != SQLITE_OK)
		return rc == SQLITE_FULL || rc == SQLITE_IOERR ? SQLITE_CANTOPEN : rc;
	learn(f, path, was_there);
	f->base.pMethods = &methods;
	return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *vfs, const char *path, int with_folder)
{
	int part = part_of(path);
	bool was_there = access(path, F_OK) == 0;
	int rc = was_there ? take_chance() : SQLITE_OK;
	if (rc != SQLITE_OK && rc != SQLITE_FULL)
		return SQLITE_IOERR_DELETE;
	if (was_there) {
		note((struct change){.kind = REMOVED, .part = part, .inode = inode_of[part], .at = with_folder}, NULL);
		inode_of[part] = -1;
	}
	return below->xDelete(below, path, 0);
}

void disk_register(void)
{
	static sqlite3_vfs vfs;
	below = sqlite3_vfs_find(NULL);
	vfs = *below;
	vfs.zName = "disk";
	vfs.pNext = NULL;
	vfs.szOsFile = (int)sizeof(struct disk_file) + below->szOsFile;
	vfs.xOpen = disk_open;
	vfs.xDelete = disk_delete;
	assert_int_equal(sqlite3_vfs_register(&vfs, 1), SQLITE_OK);
}

/* ---- what may be left ---- */

#define ROOM (1 << 22)
static char content[ROOM];
static size_t content_len;

static void apply_bytes(int64_t at, const char *data, size_t len)
{
	assert_true((size_t)at + len <= ROOM);
	if ((size_t)at > content_len)
		memset(content + content_len, 0, (size_t)at - content_len);
	memcpy(content + at, data, len);
	if ((size_t)at + len > content_len)
		content_len = (size_t)at + len;
}

static void apply(const struct change *c, bool in_part, struct stream_random *rng)
{
	if (c->kind == CUT) {
		content_len = (size_t)c->at < content_len ? (size_t)c->at : content_len;
		return;
	}
	for (size_t from = 0; from < c->len;) {
		size_t n = SECTOR - (size_t)(c->at + (int64_t)from) % SECTOR;
		n = n < c->len - from ? n : c->len - from;
		if (!in_part || random_chance(rng, 500))
			apply_bytes(c->at + (int64_t)from, c->data + from, n);
		from += n;
	}
}

/* The bytes of a file at that moment. */
static void build_content(size_t moment, int part, int inode, struct stream_random *rng)
{
	size_t safe = 0;
	content_len = 0;
	for (size_t i = 0; i < moment; i++)
		if (changes[i].inode == inode && changes[i].kind == SYNCED)
			safe = i;
	/* The first of its name was there at the start, unless it was made. */
	bool is_made = false;
	for (size_t i = 0; i < moment; i++)
		is_made = is_made || (changes[i].kind == MADE && changes[i].inode == inode);
	if (!is_made && at_start[part].data)
		apply_bytes(0, at_start[part].data, at_start[part].len);
	for (size_t i = 0; i < moment; i++) {
		const struct change *c = &changes[i];
		if (c->inode != inode || (c->kind != WRITTEN && c->kind != CUT))
			continue;
		uint32_t luck = i < safe ? 0 : random_below(rng, 4); /* half of them are there, a quarter in part */
		if (luck < 3)
			apply(c, luck == 2, rng);
	}
}

/* The inode that has the name then; -1: none has. */
static int named_inode(size_t moment, size_t names_until, int part)
{
	int inode = -1;
	bool is_first = true;
	for (size_t i = 0; i < moment; i++) {
		const struct change *c = &changes[i];
		if (c->part != part)
			continue;
		if (is_first && c->kind != MADE)
			inode = c->inode;
		is_first = false;
		if (i < names_until && c->kind == MADE)
			inode = c->inode;
		if (i < names_until && c->kind == REMOVED)
			inode = -1;
	}
	return inode;
}

void disk_build(size_t moment, const char *name, struct stream_random *rng)
{
	size_t certain = 0;
	for (size_t i = 0; i < moment; i++)
		if ((changes[i].kind == SYNCED || changes[i].kind == REMOVED) && changes[i].at)
			certain = i + 1;
	size_t names_until = certain + random_below(rng, (uint32_t)(moment - certain + 1));

	for (int part = 0; part < PARTS; part++) {
		char path[64];
		(void)snprintf(path, sizeof path, "%s%s", name, suffixes[part]);
		int inode = named_inode(moment, names_until, part);
		if (part == 0 && inode < 0) { /* not touched yet */
			scratch_write(path, at_start[0].data, at_start[0].len);
		} else if (inode < 0) {
			(void)unlink(path);
		} else {
			build_content(moment, part, inode, rng);
			scratch_write(path, content, content_len);
		}
	}
}
