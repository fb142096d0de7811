#include "control/backlog.h"

#include <stdlib.h>
#include <string.h>

enum err backlog_put(struct backlog *b, const char *text, size_t len)
{
	size_t waiting = backlog_len(b);
	if (len > BACKLOG_MAX - waiting)
		return ERR_FULL;
	if (b->at) {
		memmove(b->data, b->data + b->at, waiting);
		b->at = 0;
		b->end = waiting;
	}
	if (b->size - b->end < len) {
		size_t size = b->size ? b->size : 4096;
		while (size - b->end < len)
			size *= 2;
		char *data = realloc(b->data, size);
		if (!data)
			return ERR_NOMEM;
		b->data = data;
		b->size = size;
	}
	if (len)
		memcpy(b->data + b->end, text, len);
	b->end += len;
	return OK;
}

size_t backlog_take(struct backlog *b, char *out, size_t size)
{
	size_t n = backlog_len(b) < size ? backlog_len(b) : size;
	if (n)
		memcpy(out, b->data + b->at, n);
	b->at += n;
	if (b->at == b->end)
		b->at = b->end = 0;
	return n;
}

void backlog_done(struct backlog *b)
{
	free(b->data);
	*b = (struct backlog){0};
}
