/*
 * How large a plaintext becomes on the wire (docs/protocol.md, "Padding"): with `buckets` it grows to 64, 256, 512 or
 * the path's full size; with `random` by 0 to 255 bytes; with `none` it stays as it is.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum padding { PADDING_NONE, PADDING_BUCKETS, PADDING_RANDOM };

/* `len` is at most `full`, the largest plaintext that the path takes; `random` is a random byte, needed for
 * PADDING_RANDOM only. */
static inline size_t padding_size(enum padding padding, size_t len, size_t full, uint8_t random)
{
	if (padding == PADDING_NONE)
		return len;
	if (padding == PADDING_RANDOM)
		return len + random < full ? len + random : full;
	if (len <= 64)
		return 64;
	if (len <= 256)
		return 256;
	return len <= 512 ? 512 : full;
}
