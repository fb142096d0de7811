/*
 * How large a plaintext becomes on the wire (docs/protocol.md, "Padding"): with `buckets` it
 * grows to 64, 256, 512 or the path's full size; with `none` it stays as it is.
 */
#pragma once

#include <stddef.h>

enum padding { PADDING_NONE, PADDING_BUCKETS };

/* `len` is at most `full`, the largest plaintext that the path takes. */
static inline size_t padding_size(enum padding padding, size_t len, size_t full)
{
	if (padding == PADDING_NONE)
		return len;
	if (len <= 64)
		return 64;
	if (len <= 256)
		return 256;
	return len <= 512 ? 512 : full;
}
