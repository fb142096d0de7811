#include "wire/frame.h"

enum err frame_next(struct reader *r, struct frame *ret)
{
	if (reader_left(r) == 0 || r->data[r->at] == FRAME_PADDING)
		return r->failed ? ERR_FORMAT : ERR_NOT_FOUND;
	struct frame f = {.kind = reader_u8(r), .flags = reader_u8(r), .len = reader_u16(r)};
	f.body = reader_take(r, f.len);
	if (r->failed)
		return ERR_FORMAT;
	*ret = f;
	return OK;
}

void frame_write(struct writer *w, enum frame_kind kind, uint8_t flags, struct view body)
{
	uint8_t *header = body.len <= UINT16_MAX ? writer_room(w, FRAME_HEADER_LEN) : NULL;
	if (!header) {
		w->failed = true;
		return;
	}
	frame_put_header(header, kind, flags, body.len);
	writer_bytes(w, body.data, body.len);
}

enum err fragment_parse(struct fragment *ret, const struct frame *frame)
{
	struct reader r = reader_of(frame->body, frame->len);
	struct fragment f = {.id = reader_u32(&r), .offset = reader_u16(&r), .total = reader_u16(&r)};
	f.len = (uint16_t)reader_left(&r);
	f.data = reader_take(&r, f.len);
	if (r.failed || f.len == 0 || (uint32_t)f.offset + f.len > f.total)
		return ERR_FORMAT;
	*ret = f;
	return OK;
}
