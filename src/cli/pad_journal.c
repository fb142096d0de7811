#include "cli/pad_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Its length never changes. */
#define TEXT                                                                                                           \
	"a pad that is not finished; jorm pad new goes on by this\nsize %020" PRIu64 "\ndone %020" PRIu64 "\nsources "
#define TEXT_READ                                                                                                      \
	"a pad that is not finished; jorm pad new goes on by this\nsize %" SCNu64 "\ndone %" SCNu64 "\nsources %n"
#define TEXT_MAX 256

static void text_read(struct pad_journal *j, const char *text)
{
	int at = 0;
	if (sscanf(text, TEXT_READ, &j->size, &j->done, &at) != 2 || at == 0)
		return;
	for (size_t i = 0; i < HASH_SHA256_LEN; i++) {
		unsigned int byte;
		if (sscanf(text + at + 2 * i, "%2x", &byte) != 1)
			return;
		j->sources[i] = (uint8_t)byte;
	}
	j->begun = strlen(text) == (size_t)at + 2 * HASH_SHA256_LEN + 1 && j->done <= j->size;
}

enum err pad_journal_open(struct pad_journal *j, const char *part, struct fault *fault)
{
	char text[TEXT_MAX] = "";
	*j = (struct pad_journal){.fd = -1};
	int n = snprintf(j->path, sizeof(j->path), "%s.journal", part);
	if (n < 0 || (size_t)n >= sizeof(j->path))
		return fault_set(fault, ERR_TOO_BIG, "the path %.60s... is too long", part);
	j->fd = open(j->path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (j->fd < 0)
		return fault_errno(fault, "cannot make %s", j->path);
	if (flock(j->fd, LOCK_EX | LOCK_NB) < 0) {
		enum err e = errno == EWOULDBLOCK ? fault_set(fault, ERR_STATE,
							    "another jorm pad new is writing %s (wait for it)", part)
						  : fault_errno(fault, "cannot lock %s", j->path);
		pad_journal_close(j);
		return e;
	}
	if (pread(j->fd, text, sizeof(text) - 1, 0) > 0)
		text_read(j, text);
	return OK;
}

enum err pad_journal_write(struct pad_journal *j, struct fault *fault)
{
	char text[TEXT_MAX];
	int n = snprintf(text, sizeof(text), TEXT, j->size, j->done);
	for (size_t i = 0; i < HASH_SHA256_LEN; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", j->sources[i]);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "\n");
	if (pwrite(j->fd, text, (size_t)n, 0) != n || ftruncate(j->fd, n) < 0 || fdatasync(j->fd) < 0)
		return fault_errno(fault, "cannot write %s", j->path);
	return OK;
}

void pad_journal_remove(struct pad_journal *j)
{
	if (j->fd >= 0)
		unlink(j->path);
	pad_journal_close(j);
}

void pad_journal_close(struct pad_journal *j)
{
	if (j->fd >= 0)
		close(j->fd);
	j->fd = -1;
}
