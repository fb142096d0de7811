#include "crypto/keyfile.h"

#include "base/rng.h"
#include "base/file.h"
#include "base/secret.h"
#include "crypto/base64.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PRIVATE_NAME "snek-cert.priv"
#define PUBLIC_NAME "snek-cert.pub"
#define PSK_LEN 32

static_assert(PSK_LEN == BASE64_BYTES, "a pre-shared key is base64 of 32 bytes");

/* What is asked of a secret file, and what was found. */
struct privacy {
	bool lenient; /* others may read it, though not write to it */
	bool others_can_read;
};

/* What may be wrong with a secret file's owner and mode. */
static enum err check_privacy(struct privacy *privacy, const struct stat *st, const char *path, struct fault *fault)
{
	if (st->st_mode & (privacy->lenient ? S_IWGRP | S_IWOTH : S_IRWXG | S_IRWXO))
		return fault_set(fault, ERR_PERMISSION,
			"%s holds a secret, but others than its owner %s (mode %04o): chmod 600 %s", path,
			privacy->lenient ? "may write to it" : "have access to it", st->st_mode & 07777U, path);
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return fault_set(fault, ERR_PERMISSION,
			"%s holds a secret, but belongs to another user (uid %u): chown it to root, or to who runs "
			"jorm",
			path, (unsigned)st->st_uid);
	privacy->others_can_read = st->st_mode & (S_IRGRP | S_IROTH);
	return OK;
}

/* Opens a file for reading; checks that it is one, and, for a secret (privacy is not NULL), who has access. -1 on
 * error. */
static int open_checked(const char *path, struct privacy *privacy, struct fault *fault, enum err *ret)
{
	struct stat st;
	/* O_NONBLOCK: a FIFO must be refused, not waited for. */
	int fd = file_open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		*ret = fault_errno(fault,
			errno == ENOENT ? "there is no key file %s (correct the path, or make the key first)"
					: "cannot open the key file %s (correct its path or access rights)",
			path);
		return -1;
	}
	if (fstat(fd, &st) != 0)
		*ret = fault_errno(fault, "cannot look at the key file %s (try again as its owner or as root)", path);
	else if (!S_ISREG(st.st_mode))
		*ret = fault_set(fault, ERR_FORMAT, "%s is not a regular file: give the path of a key file", path);
	else
		*ret = privacy ? check_privacy(privacy, &st, path, fault) : OK;
	if (*ret == OK)
		return fd;
	(void)close(fd);
	return -1;
}

/* Reads up to size bytes of a file; the caller makes size one more than what it accepts. On error
 * the buffer is wiped. */
static enum err read_file(
	uint8_t *out, size_t size, size_t *ret_len, const char *path, struct privacy *privacy, struct fault *fault)
{
	enum err result = OK;
	size_t len = 0;
	int fd = open_checked(path, privacy, fault, &result);
	if (fd < 0)
		return result;
	while (len < size) {
		ssize_t got = read(fd, out + len, size - len);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			result = fault_errno(fault, "cannot read the key file %s (restore it from a copy)", path);
		if (got <= 0)
			break;
		len += (size_t)got;
	}
	(void)close(fd);
	if (result != OK)
		secret_wipe(out, size);
	*ret_len = len;
	return result;
}

static enum err wrong_length(
	const char *path, const char *kind, size_t len, size_t len_65, size_t len_87, struct fault *fault)
{
	const size_t max = len_87;
	return fault_set(fault, ERR_FORMAT,
		"%s is not %s key: it has %s%zu bytes, ML-DSA-65 has %zu and ML-DSA-87 %zu; give the right file, or "
		"restore it from a copy",
		path, kind, len > max ? "more than " : "", len > max ? max : len, len_65, len_87);
}

static enum err read_private(struct identity **ret, const char *path, struct privacy *privacy, struct fault *fault)
{
	uint8_t bytes[SIG_PRIVATE_MAX + 1];
	size_t len = 0;
	enum sig_alg alg;

	*ret = NULL;
	enum err result = read_file(bytes, sizeof bytes, &len, path, privacy, fault);
	if (result != OK)
		return result;
	if (sig_alg_of_private_len(&alg, len) != OK)
		result = wrong_length(path, "a private", len, SIG_65_PRIVATE_LEN, SIG_87_PRIVATE_LEN, fault);
	else if ((result = identity_import(ret, bytes, len)) == ERR_FORMAT)
		result = fault_set(fault, ERR_FORMAT,
			"%s is damaged: its bytes are no %s private key; restore it from a copy, or make a new one "
			"with "
			"`jorm keygen`",
			path, sig_alg_name(alg));
	else if (result != OK)
		result = fault_set(fault, result, "cannot load the private key %s: %s", path, err_text(result));
	secret_wipe(bytes, sizeof bytes);
	return result;
}

enum err keyfile_read_private(struct identity **ret, const char *path, struct fault *fault)
{
	return read_private(ret, path, &(struct privacy){0}, fault);
}

enum err keyfile_read_private_lenient(
	struct identity **ret, const char *path, bool *ret_others_can_read, struct fault *fault)
{
	struct privacy privacy = {.lenient = true};
	enum err result = read_private(ret, path, &privacy, fault);
	*ret_others_can_read = result == OK && privacy.others_can_read;
	return result;
}

enum err keyfile_read_public(struct sig_public *ret, const char *path, struct fault *fault)
{
	uint8_t bytes[SIG_PUBLIC_MAX + 1];
	size_t len = 0;
	enum sig_alg alg;

	*ret = (struct sig_public){0};
	enum err result = read_file(bytes, sizeof bytes, &len, path, NULL, fault);
	if (result != OK)
		return result;
	if (sig_alg_of_public_len(&alg, len) != OK)
		return wrong_length(path, "a public", len, SIG_65_PUBLIC_LEN, SIG_87_PUBLIC_LEN, fault);
	ret->alg = alg;
	memcpy(ret->bytes, bytes, len);
	return OK;
}

enum err keyfile_read_psk(uint8_t ret[static 32], const char *path, struct fault *fault)
{
	uint8_t bytes[BASE64_LEN + 2]; /* a newline, and one to notice more */
	size_t len = 0;

	secret_wipe(ret, PSK_LEN);
	enum err result = read_file(bytes, sizeof bytes, &len, path, &(struct privacy){0}, fault);
	if (result != OK)
		return result;
	if (len == BASE64_LEN + 1 && bytes[BASE64_LEN] == '\n')
		len = BASE64_LEN;
	if (len == PSK_LEN)
		memcpy(ret, bytes, PSK_LEN);
	else if (base64_parse(ret, (const char *)bytes, len) != OK)
		result = fault_set(fault, ERR_FORMAT,
			"%s is not a pre-shared key: neither one line of base64 (44 characters) nor 32 raw bytes; make "
			"one "
			"with `head -c 32 /dev/urandom | base64`",
			path);
	/* In the handshake 32 zeros stand for "no pre-shared key". */
	if (result == OK && secret_is_zero(ret, PSK_LEN))
		result = fault_set(fault, ERR_FORMAT,
			"%s holds only zeros, which is no key; make one with `head -c 32 /dev/urandom | base64`", path);
	secret_wipe(bytes, sizeof bytes);
	return result;
}

/* A file on its way into a directory: first complete and durable under another name, then linked. */
struct output {
	const char *name;
	mode_t mode;
	struct view content;
	char temporary[40]; /* empty when there is none */
	bool linked;
};

static enum err write_all(int fd, struct view content)
{
	struct reader r = reader_of(content.data, content.len);
	while (reader_left(&r) > 0) {
		ssize_t done = write(fd, r.data + r.at, reader_left(&r));
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return ERR_IO;
		(void)reader_take(&r, (size_t)done);
	}
	return OK;
}

static enum err output_write(struct output *o, int dir_fd, const char *dir, struct fault *fault)
{
	const struct rng rng = rng_system();
	(void)snprintf(o->temporary, sizeof o->temporary, ".%s.%08x", o->name, (unsigned)rng_u32(&rng));
	int fd = openat(dir_fd, o->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		o->temporary[0] = '\0'; /* not ours to remove */
		return fault_errno(
			fault, "cannot write into the directory %s (choose another, or become its owner)", dir);
	}
	bool good = write_all(fd, o->content) == OK && fchmod(fd, o->mode) == 0 && fsync(fd) == 0;
	int why = errno;
	if (close(fd) != 0 && good) {
		why = errno;
		good = false;
	}
	errno = why;
	return good ? OK
		    : fault_errno(fault, "cannot write %s/%s (make room on the disk, or choose another directory)", dir,
			      o->name);
}

static enum err output_link(struct output *o, int dir_fd, const char *dir, struct fault *fault)
{
	if (linkat(dir_fd, o->temporary, dir_fd, o->name, 0) != 0)
		return fault_errno(fault,
			errno == EEXIST ? "%s/%s must not be overwritten: move it away, or choose another directory"
					: "cannot make %s/%s (choose a directory on another file system)",
			dir, o->name);
	o->linked = true;
	return OK;
}

/* Removes the temporary name, and, when the pair is not complete, the final one that we made. */
static void output_clean(struct output *o, int dir_fd, bool keep)
{
	if (o->temporary[0])
		(void)unlinkat(dir_fd, o->temporary, 0);
	if (o->linked && !keep)
		(void)unlinkat(dir_fd, o->name, 0);
}

static enum err write_outputs(struct output outputs[static 2], int dir_fd, const char *dir, struct fault *fault)
{
	enum err result = OK;
	struct stat st;

	/* Asked first only for a clear answer; linking is what never replaces. */
	for (size_t i = 0; i < 2 && result == OK; i++)
		if (fstatat(dir_fd, outputs[i].name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			result = fault_set(fault, ERR_EXISTS,
				"%s/%s exists already and is not overwritten: move it away, or choose another "
				"directory",
				dir, outputs[i].name);
	for (size_t i = 0; i < 2 && result == OK; i++)
		result = output_write(&outputs[i], dir_fd, dir, fault);
	for (size_t i = 0; i < 2 && result == OK; i++)
		result = output_link(&outputs[i], dir_fd, dir, fault);
	if (result == OK && fsync(dir_fd) != 0)
		result = fault_errno(fault, "cannot write the directory %s to the disk (choose another)", dir);
	for (size_t i = 0; i < 2; i++)
		output_clean(&outputs[i], dir_fd, result == OK);
	return result;
}

/* The directory of which dir_fd is an entry, so that a new directory itself outlasts a crash. */
static void sync_parent(int dir_fd)
{
	int parent = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent < 0)
		return; /* not readable for us: nothing more can be done */
	(void)fsync(parent);
	(void)close(parent);
}

static enum err write_into(struct output outputs[static 2], const char *dir, struct fault *fault)
{
	const bool made = mkdir(dir, 0700) == 0;
	if (!made && errno != EEXIST)
		return fault_errno(
			fault, "cannot make the directory %s (make its parent first, or choose another)", dir);

	enum err result;
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		result = fault_errno(fault, "cannot open the directory %s (choose another, or become its owner)", dir);
	} else {
		result = write_outputs(outputs, dir_fd, dir, fault);
		if (made && result == OK)
			sync_parent(dir_fd);
		(void)close(dir_fd);
	}
	if (made && result != OK)
		(void)rmdir(dir);
	return result;
}

enum err keyfile_write_pair(const struct identity *id, const char *dir, struct fault *fault)
{
	const struct sig_public *public_key = identity_public(id);
	uint8_t private_key[SIG_PRIVATE_MAX];
	size_t len = 0;

	enum err result = identity_export(id, private_key, &len);
	if (result != OK)
		return fault_set(fault, result, "cannot export the new key for %s: %s", dir, err_text(result));
	struct output outputs[] = {
		{.name = PRIVATE_NAME, .mode = 0600, .content = VIEW(private_key, len)},
		{.name = PUBLIC_NAME,
			.mode = 0644,
			.content = VIEW(public_key->bytes, sig_public_len(public_key->alg))},
	};
	result = write_into(outputs, dir, fault);
	secret_wipe(private_key, sizeof private_key);
	return result;
}
