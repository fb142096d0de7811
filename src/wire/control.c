#include "wire/control.h"

enum err control_parse(struct control_part *ret, struct view body)
{
	struct reader r = reader_of(body.data, body.len);
	struct control_part p = {
		.id = reader_u16(&r),
		.ack = reader_u16(&r),
		.type = reader_u8(&r),
		.part = reader_u8(&r),
		.parts = reader_u8(&r),
	};
	p.body.len = reader_left(&r);
	p.body.data = reader_take(&r, p.body.len);
	if (r.failed)
		return ERR_FORMAT;
	if (p.type == CONTROL_ACK) {
		if (p.id != 0 || p.part != 0 || p.parts != 1 || p.body.len != 0)
			return ERR_FORMAT;
	} else if (p.id == 0 || p.part >= p.parts) {
		return ERR_FORMAT;
	}
	*ret = p;
	return OK;
}

void control_write(struct writer *w, const struct control_part *part)
{
	writer_u16(w, part->id);
	writer_u16(w, part->ack);
	writer_u8(w, part->type);
	writer_u8(w, part->part);
	writer_u8(w, part->parts);
	writer_bytes(w, part->body.data, part->body.len);
}

enum err tlv_next(struct reader *r, struct tlv *ret)
{
	if (reader_left(r) == 0)
		return r->failed ? ERR_FORMAT : ERR_NOT_FOUND;
	struct tlv t = {.type = reader_u8(r)};
	t.value.len = reader_u16(r);
	t.value.data = reader_take(r, t.value.len);
	if (r->failed)
		return ERR_FORMAT;
	*ret = t;
	return OK;
}

void tlv_write(struct writer *w, uint8_t type, struct view value)
{
	if (value.len > UINT16_MAX)
		w->failed = true; /* no length could say it */
	writer_u8(w, type);
	writer_u16(w, (uint16_t)value.len);
	writer_bytes(w, value.data, value.len);
}
