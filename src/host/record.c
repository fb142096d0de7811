#include "host/record.h"

#include "host/child.h"
#include "host/tunnel_name.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER CONFIG_SOCKET_FOLDER "/keeper"
#define RETRY_MS 50
#define TEXT_SIZE 256

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* Which network namespace this is. The kernel never gives a cookie twice; kernels before 5.14 have inodes only. */
static unsigned long long namespace_number(void)
{
	struct stat st = {0};
	unsigned long long cookie = 0;
	socklen_t len = sizeof cookie;
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool known = fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) == 0;
	if (fd >= 0)
		close(fd);
	if (!known && stat("/proc/self/ns/net", &st) == 0)
		cookie = st.st_ino;
	return cookie;
}

static enum err folder_make(struct fault *fault)
{
	struct stat st;
	if (mkdir(CONFIG_SOCKET_FOLDER, 0755) < 0 && errno != EEXIST)
		return fault_errno(fault, "cannot make %s", CONFIG_SOCKET_FOLDER);
	if (mkdir(FOLDER, 0700) < 0 && errno != EEXIST)
		return fault_errno(fault, "cannot make %s", FOLDER);
	if (lstat(FOLDER, &st) < 0)
		return fault_errno(fault, "cannot look at %s", FOLDER);
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return fault_set(fault, ERR_PERMISSION,
			"%s is not a folder that only root may change: remove it, it will be made anew", FOLDER);
	return OK;
}

int record_file_open(char path[static PATH_MAX], const char *kind, const char *instance, bool make, struct fault *fault)
{
	char name[TUNNEL_NAME_SIZE] = "";
	struct stat st;
	if (make && folder_make(fault))
		return -1;
	(void)snprintf(path, PATH_MAX, "%s/%s-%llu%s%s", FOLDER, kind, namespace_number(), instance ? "-" : "",
		instance ? tunnel_name(instance, name) : "");
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (make ? O_CREAT : 0), 0600);
	if (fd < 0) {
		(void)fault_errno(fault, "cannot open %s", path);
		return -1;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() && st.st_nlink <= 1)
		return fd;
	(void)fault_set(fault, ERR_PERMISSION, "%s is not a file of ours: remove it", path);
	close(fd);
	return -1;
}

bool record_file_read(int fd, char *text, size_t size)
{
	ssize_t n = pread(fd, text, size, 0);
	if (n < 0 || (size_t)n >= size)
		return false;
	text[n] = '\0';
	return true;
}

static void record_read(struct record *record)
{
	char text[TEXT_SIZE];
	unsigned table, dns;
	char interface[CONFIG_IFNAME_LEN];
	if (record_file_read(record->fd, text, sizeof text) &&
		sscanf(text, "interface %15s table %u dns %u", interface, &table, &dns) == 3) {
		memcpy(record->interface, interface, sizeof interface);
		record->table = table;
		record->dns = dns;
	}
}

/* One try. ERR_AGAIN: somebody has it. */
static enum err record_try(struct record *record, const char *instance, bool must_exist, struct fault *fault)
{
	struct stat held, named;
	struct fault own = {.code = ERR_IO};
	record->fd = record_file_open(record->path, "tunnel", instance, !must_exist, &own);
	if (record->fd < 0)
		return fault_set(fault, own.code, "%s", own.text);
	/* he who had it may have removed the file between our two calls */
	if (flock(record->fd, LOCK_EX | LOCK_NB) == 0 && fstat(record->fd, &held) == 0 &&
		stat(record->path, &named) == 0 && held.st_ino == named.st_ino)
		return OK;
	close(record->fd);
	record->fd = -1;
	return ERR_AGAIN;
}

enum err record_take(struct record *record, const char *instance, unsigned wait_s, bool must_exist, struct fault *fault)
{
	usec deadline = clock_now() + wait_s * USEC_PER_SEC;
	*record = (struct record){.fd = -1};
	enum err err = record_try(record, instance, must_exist, fault);
	while (err == ERR_AGAIN && clock_now() < deadline) {
		(void)poll(NULL, 0, RETRY_MS);
		err = record_try(record, instance, must_exist, fault);
	}
	if (err == ERR_AGAIN)
		return fault_set(fault, ERR_EXISTS,
			"the tunnel %s is still held by a process jorm-keeper: take it down first (jorm down %s)",
			instance, instance);
	if (!err)
		record_read(record);
	return err;
}

enum err record_write(const struct record *record, struct fault *fault)
{
	char text[TEXT_SIZE];
	int len = snprintf(text, sizeof text, "interface %s table %u dns %u\n", record->interface, record->table,
		record->dns ? 1U : 0U);
	if (pwrite(record->fd, text, (size_t)len, 0) != len || ftruncate(record->fd, len) < 0)
		return fault_errno(fault, "cannot write %s", record->path);
	return OK;
}

void record_release(struct record *record)
{
	if (record->fd >= 0)
		close(record->fd);
	record->fd = -1;
}

void record_remove(struct record *record)
{
	if (record->fd >= 0)
		(void)unlink(record->path);
	record_release(record);
}
