#include "pad/file.h"

#include "base/file.h"
#include "base/rng.h"
#include "base/secret.h"
#include "pad/io.h"
#include "pad/otptunnel.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define SAMPLE_LEN 4096
#define SAMPLES 64
#define BURN_CHUNK ((size_t)1 << 20)

/* Reads from here on are the feeder's, which goes on at the neighbouring place; shorter ones are of single datagrams,
 * whose senders choose the place. */
#define FEED_LEN ((size_t)16 << 10)
/* What the kernel is asked to have ready: more than it reads ahead by itself, and also for who walks down. */
#define WINDOW ((uint64_t)4 << 20)
#define WINDOWS 4 /* natively each of the two walks has the one it is in and, across a block's end, the one before */
/* Each is a request to the disk; a longer one may be cut short by the kernel. */
#define ADVICE_LEN ((uint64_t)1 << 20)
#define NO_WINDOW UINT64_MAX

struct pad_file {
	int pad, ledger; /* descriptors, both locked */
	uint64_t size;
	uint8_t ledger_id[PAD_ID_LEN];
	bool is_otptunnel, is_exposed;
	uint8_t copies[LEDGER_COPIES][LEDGER_RECORD_LEN];
	pthread_mutex_t lock;      /* of: */
	uint64_t windows[WINDOWS]; /* what the kernel may hold, latest first; of otptunnel: where each end is */
	uint8_t *noise;            /* BURN_CHUNK bytes; NULL: does not burn */
	void (*settle)(void *context);
	void (*wake)(void *context);
	void *callback_context;
};

/* ---- the pad ---- */

static enum err cannot_open(const char *path, bool writable, struct fault *fault)
{
	switch (errno) {
	case ENOENT:
		return fault_errno(
			fault, "there is no pad %s (correct the path, or make one with `jorm pad new`)", path);
	case EISDIR:
		return fault_set(fault, ERR_FORMAT, "%s is a folder: give the path of a pad", path);
	case EROFS:
		return fault_set(fault, ERR_PERMISSION,
			"the pad %s cannot be burned: its file system is read-only; mount it writable, or set Burn = "
			"no",
			path);
	default:
		return fault_errno(fault, "cannot open the pad %s %s (correct its path or access rights)", path,
			writable ? "for reading and burning" : "for reading");
	}
}

static bool is_exposed(const struct stat *st)
{
	return st->st_mode & (S_IRWXG | S_IRWXO) || (st->st_uid != 0 && st->st_uid != geteuid());
}

static enum err check_rights(const struct stat *st, const char *path, struct fault *fault)
{
	if (st->st_mode & (S_IRWXG | S_IRWXO))
		return fault_set(fault, ERR_PERMISSION,
			"the pad %s is a secret, but others than its owner have access to it (mode %04o): chmod 600 %s",
			path, st->st_mode & 07777U, path);
	if (is_exposed(st))
		return fault_set(fault, ERR_PERMISSION,
			"the pad %s is a secret, but belongs to another user (uid %u): chown it to root, or to who "
			"runs jorm",
			path, (unsigned)st->st_uid);
	return OK;
}

static enum err check_pad(const struct stat *st, const struct pad_file_config *config, struct fault *fault)
{
	const char *path = config->path;
	const uint64_t least = config->is_otptunnel ? OTPTUNNEL_HEAD_LEN : PAD_SIZE_MIN;
	if (!S_ISREG(st->st_mode))
		return fault_set(fault, ERR_FORMAT, "%s is not a regular file: give the path of a pad", path);
	enum err err = config->is_otptunnel ? OK : check_rights(st, path, fault);
	if (err != OK)
		return err;
	if ((uint64_t)st->st_size < least)
		return fault_set(fault, ERR_FORMAT,
			"the pad %s is too short: it has %lld bytes, and %llu are the least; use a longer file", path,
			(long long)st->st_size, (unsigned long long)least);
	if ((uint64_t)st->st_size > PAD_SIZE_MAX)
		return fault_set(fault, ERR_FORMAT,
			"the pad %s is too long: %llu bytes are the most; cut it with `jorm pad split`", path,
			(unsigned long long)PAD_SIZE_MAX);
	return OK;
}

/* The descriptor, or -1. */
static int open_pad(const struct pad_file_config *config, struct stat *ret_stat, enum err *ret, struct fault *fault)
{
	/* O_NONBLOCK: a FIFO must be refused, not waited for. */
	int fd = file_open(config->path, (config->burns ? O_RDWR : O_RDONLY) | O_NOCTTY | O_NONBLOCK);
	if (fd < 0) {
		*ret = cannot_open(config->path, config->burns, fault);
		return -1;
	}
	if (fstat(fd, ret_stat) != 0)
		*ret = fault_errno(
			fault, "cannot look at the pad %s (try again as its owner or as root)", config->path);
	else
		*ret = check_pad(ret_stat, config, fault);
	if (*ret != OK) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

static enum err cannot_read(const char *path, struct fault *fault)
{
	if (errno == 0)
		return fault_set(
			fault, ERR_IO, "the pad %s has just been cut short: restore it from the peer's copy", path);
	return fault_errno(fault, "cannot read the pad %s (look into the kernel's log, the disk may be failing)", path);
}

/* A file that was never filled, or filled with one byte: each sample is of one byte only. */
static enum err check_content(const struct pad_file *f, const struct pad_file_config *config, struct fault *fault)
{
	uint8_t sample[SAMPLE_LEN];
	const size_t len = f->size < sizeof sample ? (size_t)f->size : sizeof sample;
	enum err result = fault_set(fault, ERR_FORMAT,
		"the pad %s is constant, so it protects nothing: make one of random bytes with `jorm pad new` "
		"(%s takes it all the same)",
		config->path, config->is_otptunnel ? "--allow-weak-pad" : "AllowWeakPad = yes");
	for (uint64_t i = 0; i < SAMPLES; i++) {
		const uint64_t at = (f->size - len) / (SAMPLES - 1) * i; /* the first has the identity */
		if (pad_read_all(f->pad, at, sample, len) != OK) {
			result = cannot_read(config->path, fault);
			break;
		}
		if (memcmp(sample, sample + 1, len - 1) != 0) {
			result = OK;
			break;
		}
	}
	secret_wipe(sample, sizeof sample);
	return result;
}

static enum err lock_pad(int fd, const char *path, struct fault *fault)
{
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		return OK;
	if (errno == EWOULDBLOCK)
		return fault_set(fault, ERR_STATE,
			"the pad %s is in use already, by another peer or another process (`fuser %s` names it): a pad "
			"belongs to one link; stop that one first, or use another pad",
			path, path);
	return fault_errno(
		fault, "cannot lock the pad %s (move it to a local disk: without a lock it might be used twice)", path);
}

/* The IDs that a file has natively and as otptunnel's. */
static enum err read_ids(int fd, const char *path, uint8_t ret_native[static PAD_ID_LEN],
	uint8_t ret_otptunnel[static PAD_ID_LEN], struct fault *fault)
{
	uint8_t head[OTPTUNNEL_HEAD_LEN];
	if (pad_read_all(fd, 0, head, sizeof head) != OK)
		return cannot_read(path, fault);
	memcpy(ret_native, head, PAD_ID_LEN);
	enum err result = otptunnel_id(ret_otptunnel, head);
	secret_wipe(head, sizeof head);
	return result == OK ? OK
			    : fault_set(fault, result, "cannot tell what the pad %s has been used for: %s", path,
				      err_text(result));
}

/* Natively and by otptunnel other bytes of a file are used first, and the marks of the one say nothing to the other. */
static enum err check_other_use(
	const struct pad_file_config *config, const uint8_t other_id[static PAD_ID_LEN], struct fault *fault)
{
	char path[PATH_MAX];
	struct ledger l;
	if (pad_ledger_path(path, config->folder, other_id) != OK)
		return fault_set(fault, ERR_TOO_BIG,
			"the path of the folder of ledgers %.200s... is too long: choose another StateDirectory",
			config->folder);
	enum err result = pad_ledger_read(&l, path, fault);
	if (result == ERR_NOT_FOUND)
		return OK;
	if (result != OK)
		return result;
	if (config->is_otptunnel && (l.sent || l.received || l.hello))
		return fault_set(fault, ERR_STATE,
			"a tunnel of jorm's own has used the pad %s, and no byte may be used twice: use a fresh file, "
			"or leave otptunnel for `jorm up` at both ends",
			config->path);
	if (!config->is_otptunnel && otptunnel_ledger_is_used(&l))
		return fault_set(fault, ERR_STATE,
			"otptunnel has used the pad %s, and no byte may be used twice: cut what is left of it with "
			"`jorm pad split FILE OUT --from %llu` at both ends (the larger of the two offsets that `jorm "
			"pad info` shows there), and use OUT",
			config->path, (unsigned long long)otptunnel_unused_from(&l));
	return OK;
}

/* ---- opening and closing ---- */

static enum err open_all(struct pad_file *f, const struct pad_file_config *config, struct fault *fault)
{
	uint8_t native[PAD_ID_LEN], otptunnel[PAD_ID_LEN];
	struct stat st;
	enum err result = OK;
	f->pad = open_pad(config, &st, &result, fault);
	if (f->pad < 0)
		return result;
	f->size = (uint64_t)st.st_size;
	f->is_otptunnel = config->is_otptunnel;
	f->is_exposed = is_exposed(&st);
	result = lock_pad(f->pad, config->path, fault);
	if (result == OK && !config->allows_weak)
		result = check_content(f, config, fault);
	if (result == OK)
		result = read_ids(f->pad, config->path, native, otptunnel, fault);
	if (result == OK)
		result = check_other_use(config, config->is_otptunnel ? native : otptunnel, fault);
	if (result == OK) {
		memcpy(f->ledger_id, config->is_otptunnel ? otptunnel : native, PAD_ID_LEN);
		result = ledger_file_open(&f->ledger, config->folder, f->ledger_id, f->copies, fault);
	}
	if (result == OK && config->burns && !(f->noise = malloc(BURN_CHUNK)))
		result = fault_set(fault, ERR_NOMEM, "no memory to burn the pad %s with (free some)", config->path);
	/* We say ourselves what is needed next; the kernel would read upwards only. */
	(void)posix_fadvise(f->pad, 0, 0, POSIX_FADV_RANDOM);
	return result;
}

enum err pad_file_open(struct pad_file **ret, const struct pad_file_config *config, struct fault *fault)
{
	struct pad_file *f = calloc(1, sizeof *f);
	if (!f)
		return fault_set(fault, ERR_NOMEM, "no memory to open the pad %s (free some)", config->path);
	if (pthread_mutex_init(&f->lock, NULL) != 0) {
		free(f);
		return fault_set(fault, ERR_NOMEM, "no memory to open the pad %s (free some)", config->path);
	}
	f->pad = f->ledger = -1;
	f->settle = config->settle;
	f->wake = config->wake;
	f->callback_context = config->callback_context;
	for (size_t i = 0; i < WINDOWS; i++)
		f->windows[i] = NO_WINDOW;
	enum err result = open_all(f, config, fault);
	if (result == OK)
		*ret = f;
	else
		pad_file_close(f);
	return result;
}

void pad_file_close(struct pad_file *f)
{
	if (!f)
		return;
	if (f->pad >= 0) {
		(void)posix_fadvise(f->pad, 0, 0, POSIX_FADV_DONTNEED);
		(void)close(f->pad);
	}
	if (f->ledger >= 0)
		(void)close(f->ledger);
	(void)pthread_mutex_destroy(&f->lock);
	free(f->noise);
	free(f);
}

uint64_t pad_file_size(const struct pad_file *f)
{
	return f->size;
}

const uint8_t *pad_file_ledger_id(const struct pad_file *f)
{
	return f->ledger_id;
}

bool pad_file_is_exposed(const struct pad_file *f)
{
	return f->is_exposed;
}

const uint8_t (*pad_file_copies(const struct pad_file *f))[LEDGER_RECORD_LEN]
{
	return f->copies;
}

/* ---- the medium ---- */

static void advise(const struct pad_file *f, uint64_t window, int advice)
{
	for (uint64_t at = 0; at < WINDOW; at += ADVICE_LEN)
		(void)posix_fadvise(f->pad, (off_t)(window * WINDOW + at), (off_t)ADVICE_LEN, advice);
}

/* Has the kernel read a window when it is entered from either side, and forget the one that was left longest ago. */
static void enter_window(struct pad_file *f, uint64_t window)
{
	size_t at = 0;
	while (at < WINDOWS - 1 && f->windows[at] != window)
		at++;
	const uint64_t left = f->windows[at];
	memmove(&f->windows[1], &f->windows[0], at * sizeof f->windows[0]);
	f->windows[0] = window;
	if (left == window)
		return;
	if (left != NO_WINDOW)
		advise(f, left, POSIX_FADV_DONTNEED);
	advise(f, window, POSIX_FADV_WILLNEED);
}

/* Both ends go up, through the same pages: those are needed until the later one has passed. `end`: of the two. */
static void enter_shared_window(struct pad_file *f, size_t end, uint64_t window)
{
	const uint64_t left = f->windows[end], other = f->windows[1 - end];
	if (left == window)
		return;
	f->windows[end] = window;
	if (left == NO_WINDOW)
		advise(f, window, POSIX_FADV_WILLNEED);
	else if (other != NO_WINDOW && left < other && left < window)
		advise(f, left, POSIX_FADV_DONTNEED);
	advise(f, window + 1, POSIX_FADV_WILLNEED);
}

static enum err medium_read(void *context, uint64_t offset, uint8_t *out, size_t len)
{
	struct pad_file *f = context;
	/* Advice may be left out: who finds the lock taken does not wait. */
	if (len >= FEED_LEN && pthread_mutex_trylock(&f->lock) == 0) {
		for (uint64_t w = offset / WINDOW; w <= (offset + len - 1) / WINDOW; w++) {
			if (f->is_otptunnel)
				enter_shared_window(f, offset % 2, w);
			else
				enter_window(f, w);
		}
		(void)pthread_mutex_unlock(&f->lock);
	}
	return pad_read_all(f->pad, offset, out, len);
}

static enum err medium_burn(void *context, uint64_t offset, uint64_t len)
{
	struct pad_file *f = context;
	const struct rng rng = rng_system();
	for (uint64_t done = 0; done < len;) {
		const size_t n = len - done < BURN_CHUNK ? (size_t)(len - done) : BURN_CHUNK;
		rng_fill(&rng, f->noise, n);
		if (pad_write_all(f->pad, offset + done, f->noise, n) != OK)
			return ERR_IO;
		done += n;
	}
	if (fdatasync(f->pad) != 0)
		return ERR_IO;
	/* Where the file system has no holes, the random bytes stay. */
	if (fallocate(f->pad, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) != 0 &&
		errno != EOPNOTSUPP && errno != ENOSYS)
		return ERR_IO;
	(void)posix_fadvise(f->pad, (off_t)offset, (off_t)len, POSIX_FADV_DONTNEED);
	return OK;
}

static enum err medium_write_record(void *context, unsigned int copy, const uint8_t record[LEDGER_RECORD_LEN])
{
	struct pad_file *f = context;
	return ledger_file_write(f->ledger, copy, record);
}

static void medium_settle(void *context)
{
	const struct pad_file *f = context;
	if (f->settle)
		f->settle(f->callback_context);
}

static void medium_wake(void *context)
{
	const struct pad_file *f = context;
	if (f->wake)
		f->wake(f->callback_context);
}

struct pad_medium pad_file_medium(struct pad_file *f)
{
	return (struct pad_medium){
		.read = medium_read,
		.burn = f->noise ? medium_burn : NULL,
		.write_record = medium_write_record,
		.settle = medium_settle,
		.wake = medium_wake,
		.context = f,
	};
}

/* ---- for the commands ---- */

static enum err id_of(const struct pad_file_config *config, uint8_t ret_id[static PAD_ID_LEN], uint64_t *ret_size,
	struct fault *fault)
{
	uint8_t native[PAD_ID_LEN], otptunnel[PAD_ID_LEN];
	struct stat st;
	enum err result = OK;
	int fd = open_pad(config, &st, &result, fault);
	if (fd < 0)
		return result;
	result = read_ids(fd, config->path, native, otptunnel, fault);
	(void)close(fd);
	if (result != OK)
		return result;
	memcpy(ret_id, config->is_otptunnel ? otptunnel : native, PAD_ID_LEN);
	*ret_size = (uint64_t)st.st_size;
	return OK;
}

enum err pad_file_id(const char *path, uint8_t ret_id[static PAD_ID_LEN], uint64_t *ret_size, struct fault *fault)
{
	const struct pad_file_config config = {.path = path};
	return id_of(&config, ret_id, ret_size, fault);
}

enum err pad_file_otptunnel_id(
	const char *path, uint8_t ret_id[static PAD_ID_LEN], uint64_t *ret_size, struct fault *fault)
{
	const struct pad_file_config config = {.path = path, .is_otptunnel = true};
	return id_of(&config, ret_id, ret_size, fault);
}
