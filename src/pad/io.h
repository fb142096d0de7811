/* Reading and writing all of a stretch of a file, for what keeps pads and ledgers in files. */
#pragma once

#include "base/err.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* ERR_IO, with errno; 0: the file ends before. */
static inline enum err pad_read_all(int fd, uint64_t offset, uint8_t *out, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t got = pread(fd, out + done, len - done, (off_t)(offset + done));
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			errno = got < 0 ? errno : 0;
			return ERR_IO;
		}
		done += (size_t)got;
	}
	return OK;
}

/* ERR_IO, with errno. */
static inline enum err pad_write_all(int fd, uint64_t offset, const uint8_t *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t put = pwrite(fd, bytes + done, len - done, (off_t)(offset + done));
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			errno = put < 0 ? errno : ENOSPC;
			return ERR_IO;
		}
		done += (size_t)put;
	}
	return OK;
}
