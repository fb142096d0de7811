#include "cli/pad_sources.h"

#include "cli/interrupt.h"
#include "cli/status_text.h"

#include "base/rng.h"
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK ((size_t)256 * 1024)

struct source {
	const char *path;
	int fd;
	struct stat st;
	bool seekable;   /* a file or a disk: has places */
	uint64_t length; /* of those */
};

struct pad_sources {
	unsigned int n;
	struct source items[PAD_SOURCES_MAX];
	uint64_t size; /* of the pad */
	uint8_t chunk[CHUNK];
};

static enum err too_short(const struct pad_sources *s, const char *path, uint64_t length, struct fault *fault)
{
	char has[STATUS_SPAN_LEN], wanted[STATUS_SPAN_LEN];
	status_bytes(has, (json_int_t)length);
	status_bytes(wanted, (json_int_t)s->size);
	return fault_set(fault, ERR_FORMAT,
		"the source %s ends after %s (%llu bytes), but each has to give all %s of the pad (give a larger one, "
		"or make "
		"a smaller pad)",
		path, has, (unsigned long long)length, wanted);
}

static enum err source_open(struct pad_sources *s, struct source *source, const char *path, struct fault *fault)
{
	*source = (struct source){.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC)};
	if ((source->fd < 0 && errno == EINTR) || interrupt_seen())
		return fault_set(fault, ERR_STATE, "interrupted");
	if (source->fd < 0)
		return fault_errno(fault, "cannot open the source %s", path);
	if (fstat(source->fd, &source->st) < 0)
		return fault_errno(fault, "cannot look at the source %s", path);
	mode_t kind = source->st.st_mode & S_IFMT;
	if (kind == S_IFDIR)
		return fault_set(fault, ERR_FORMAT, "the source %s is a folder: name a file or a device", path);
	source->seekable = kind == S_IFREG || kind == S_IFBLK;
	if (!source->seekable)
		return OK;
	off_t end = lseek(source->fd, 0, SEEK_END);
	if (end < 0)
		return fault_errno(fault, "cannot look at the source %s", path);
	source->length = (uint64_t)end;
	posix_fadvise(source->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return source->length < s->size ? too_short(s, path, source->length, fault) : OK;
}

static bool is_same(const struct source *a, const struct source *b)
{
	if (!a->seekable || !b->seekable || (a->st.st_mode & S_IFMT) != (b->st.st_mode & S_IFMT))
		return false;
	if (S_ISBLK(a->st.st_mode))
		return a->st.st_rdev == b->st.st_rdev;
	return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
}

static enum err all_open(struct pad_sources *s, const char *const *paths, unsigned int n, struct fault *fault)
{
	for (unsigned int i = 0; i < n; i++) {
		s->n = i + 1;
		enum err e = source_open(s, &s->items[i], paths[i], fault);
		if (e)
			return e;
		for (unsigned int k = 0; k < i; k++) {
			if (is_same(&s->items[k], &s->items[i]))
				return fault_set(fault, ERR_EXISTS,
					"the sources %s and %s are the same file: XORed with itself it gives zeros "
					"(name it once)",
					paths[k], paths[i]);
		}
	}
	return OK;
}

enum err pad_sources_open(
	struct pad_sources **ret, const char *const *paths, unsigned int n, uint64_t size, struct fault *fault)
{
	struct pad_sources *s = calloc(1, sizeof(*s));
	*ret = NULL;
	if (!s)
		return fault_set(fault, ERR_NOMEM, "out of memory");
	s->size = size;
	enum err e = all_open(s, paths, n, fault);
	if (e)
		pad_sources_close(s);
	else
		*ret = s;
	return e;
}

void pad_sources_close(struct pad_sources *s)
{
	if (!s)
		return;
	for (unsigned int i = 0; i < s->n; i++) {
		if (s->items[i].fd >= 0)
			close(s->items[i].fd);
	}
	secret_wipe(s, sizeof(*s));
	free(s);
}

/* A stream is known by how it was called only: what it gave before is gone, and what comes is as good. */
static void source_describe(FILE *out, const struct source *source)
{
	char absolute[PATH_MAX];
	const char *path = source->seekable && realpath(source->path, absolute) ? absolute : source->path;
	const struct timespec *changed = &source->st.st_mtim;
	bool file = S_ISREG(source->st.st_mode);
	fprintf(out, "%zu:%s %d %llu %lld.%09ld\n", strlen(path), path, source->seekable,
		(unsigned long long)source->length, file ? (long long)changed->tv_sec : 0, file ? changed->tv_nsec : 0);
}

enum err pad_sources_identity(const struct pad_sources *s, uint8_t ret[static HASH_SHA256_LEN])
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	for (unsigned int i = 0; out && i < s->n; i++)
		source_describe(out, &s->items[i]);
	if (!out || fclose(out) != 0) {
		free(text);
		return ERR_NOMEM;
	}
	enum err e = HASH_SHA256(ret, {(const uint8_t *)text, size});
	free(text);
	return e;
}

static enum err source_read(const struct pad_sources *s, const struct source *source, uint64_t at, uint8_t *out,
	size_t len, struct fault *fault)
{
	for (size_t done = 0; done < len;) {
		ssize_t got = source->seekable ? pread(source->fd, out + done, len - done, (off_t)(at + done))
					       : read(source->fd, out + done, len - done);
		if (interrupt_seen())
			return fault_set(fault, ERR_STATE, "interrupted");
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fault_errno(fault, "cannot read the source %s", source->path);
		if (got == 0)
			return too_short(s, source->path, at + done, fault);
		done += (size_t)got;
	}
	if (source->seekable) /* its bytes are secret, and many: not to be left in memory */
		posix_fadvise(source->fd, (off_t)at, (off_t)len, POSIX_FADV_DONTNEED);
	return OK;
}

static enum err chunk_read(struct pad_sources *s, uint64_t at, uint8_t *out, size_t len, struct fault *fault)
{
	const struct rng rng = rng_system();
	if (s->n == 0)
		rng_fill(&rng, out, len);
	for (unsigned int i = 0; i < s->n; i++) {
		uint8_t *into = i ? s->chunk : out;
		enum err e = source_read(s, &s->items[i], at, into, len, fault);
		if (e)
			return e;
		for (size_t k = 0; i && k < len; k++)
			out[k] ^= into[k];
	}
	return OK;
}

enum err pad_sources_read(struct pad_sources *s, uint64_t at, uint8_t *out, size_t len, struct fault *fault)
{
	enum err e = OK;
	for (size_t done = 0; e == OK && done < len; done += CHUNK) {
		size_t n = len - done < CHUNK ? len - done : CHUNK;
		e = chunk_read(s, at + done, out + done, n, fault);
	}
	if (e)
		secret_wipe(out, len);
	return e;
}
