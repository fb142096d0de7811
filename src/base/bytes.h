/*
 * Bytes in and out: views, and cursors with a sticky failure flag.
 *
 * Every parser reads through `struct reader` and checks once, at the end: a read past the end
 * yields zeros and sets `failed`, so a parser reads like its format's table. Integers on the
 * wire are little-endian. Nothing here allocates or owns memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed, read-only bytes. */
struct view {
	const void *data;
	size_t len;
};

#define VIEW(pointer, length) ((struct view){ .data = (pointer), .len = (length) })
#define VIEW_ARRAY(array) ((struct view){ .data = (array), .len = sizeof(array) })
/* A string literal without its final NUL. */
#define VIEW_TEXT(literal) ((struct view){ .data = "" literal, .len = sizeof(literal) - 1 })

static inline uint16_t le16_get(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t le32_get(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static inline uint64_t le64_get(const uint8_t *p) { return le32_get(p) | (uint64_t)le32_get(p + 4) << 32; }
static inline void le16_put(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static inline void le32_put(uint8_t *p, uint32_t v)
{
	le16_put(p, (uint16_t)v);
	le16_put(p + 2, (uint16_t)(v >> 16));
}
static inline void le64_put(uint8_t *p, uint64_t v)
{
	le32_put(p, (uint32_t)v);
	le32_put(p + 4, (uint32_t)(v >> 32));
}
/* Network byte order, for the inner IP headers only. */
static inline uint16_t be16_get(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t be32_get(const uint8_t *p) { return (uint32_t)be16_get(p) << 16 | be16_get(p + 2); }
static inline void be16_put(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}
static inline void be32_put(uint8_t *p, uint32_t v)
{
	be16_put(p, (uint16_t)(v >> 16));
	be16_put(p + 2, (uint16_t)v);
}

struct reader {
	const uint8_t *data;
	size_t len, at;
	bool failed;
};

/* data may be NULL when len is 0; what reader_take gives is then not NULL all the same. */
static inline struct reader reader_of(const void *data, size_t len)
{
	return (struct reader){ .data = data ? data : "", .len = len };
}
static inline size_t reader_left(const struct reader *r) { return r->failed ? 0 : r->len - r->at; }

/* The next n bytes, or NULL (and failed set) when there are not that many. */
static inline const uint8_t *reader_take(struct reader *r, size_t n)
{
	if (r->failed || n > r->len - r->at) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *p = r->data + r->at;
	r->at += n;
	return p;
}
static inline uint8_t reader_u8(struct reader *r)
{
	const uint8_t *p = reader_take(r, 1);
	return p ? *p : 0;
}
static inline uint16_t reader_u16(struct reader *r)
{
	const uint8_t *p = reader_take(r, 2);
	return p ? le16_get(p) : 0;
}
static inline uint32_t reader_u32(struct reader *r)
{
	const uint8_t *p = reader_take(r, 4);
	return p ? le32_get(p) : 0;
}
static inline uint64_t reader_u64(struct reader *r)
{
	const uint8_t *p = reader_take(r, 8);
	return p ? le64_get(p) : 0;
}
/* Copies n bytes out; zeros when there are not that many. */
static inline void reader_copy(struct reader *r, void *out, size_t n)
{
	const uint8_t *p = reader_take(r, n);
	if (p)
		memcpy(out, p, n);
	else
		memset(out, 0, n);
}
/* All read and nothing left over. */
static inline bool reader_done(const struct reader *r) { return !r->failed && r->at == r->len; }

struct writer {
	uint8_t *data;
	size_t size, at;
	bool failed;
};

static inline struct writer writer_of(void *data, size_t size)
{
	return (struct writer){ .data = data, .size = size };
}
/* Room for n bytes, or NULL (and failed set). */
static inline uint8_t *writer_room(struct writer *w, size_t n)
{
	if (w->failed || n > w->size - w->at) {
		w->failed = true;
		return NULL;
	}
	uint8_t *p = w->data + w->at;
	w->at += n;
	return p;
}
static inline void writer_bytes(struct writer *w, const void *data, size_t n)
{
	uint8_t *p = writer_room(w, n);
	if (p && n)
		memcpy(p, data, n);
}
static inline void writer_zeros(struct writer *w, size_t n)
{
	uint8_t *p = writer_room(w, n);
	if (p && n)
		memset(p, 0, n);
}
static inline void writer_u8(struct writer *w, uint8_t v) { writer_bytes(w, &v, 1); }
static inline void writer_u16(struct writer *w, uint16_t v)
{
	uint8_t *p = writer_room(w, 2);
	if (p)
		le16_put(p, v);
}
static inline void writer_u32(struct writer *w, uint32_t v)
{
	uint8_t *p = writer_room(w, 4);
	if (p)
		le32_put(p, v);
}
static inline void writer_u64(struct writer *w, uint64_t v)
{
	uint8_t *p = writer_room(w, 8);
	if (p)
		le64_put(p, v);
}
