#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char place[] = "/tmp/jorm-pad-XXXXXX";

int place_set_up(void **state)
{
	(void)state;
	memcpy(place + sizeof place - 7, "XXXXXX", 6);
	return mkdtemp(place) && chdir(place) == 0 ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

int place_tear_down(void **state)
{
	(void)state;
	if (umount2("small", MNT_DETACH) != 0 && errno != ENOENT && errno != EINVAL && errno != EPERM)
		return -1;
	return chdir("/") == 0 ? nftw(place, remove_entry, 16, FTW_DEPTH | FTW_PHYS) : -1;
}

void place_write(const char *name, const void *bytes, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

void place_fill(const char *name)
{
	static const char page[4096];
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	while (write(fd, page, sizeof page) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(close(fd), 0);
}

void place_disk(const char *options)
{
	assert_int_equal(mkdir("small", 0700), 0);
	if (unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		mount("jorm-test", "small", "tmpfs", MS_NOSUID | MS_NODEV, options) == 0)
		return;
	print_message("needs the right to mount a tmpfs\n");
	skip();
}

void place_remount_read_only(const char *folder)
{
	assert_int_equal(mount(NULL, folder, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
}

void assert_fault(const struct fault *fault, enum err code, const char *what, const char *remedy)
{
	assert_err(fault->code, code);
	if (!strstr(fault->text, what) || !strstr(fault->text, remedy))
		fail_msg("\"%s\" has not both \"%s\" and \"%s\"", fault->text, what, remedy);
}
