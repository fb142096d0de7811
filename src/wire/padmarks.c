#include "wire/padmarks.h"

#include "wire/control.h"

enum err padmarks_parse(struct padmarks *ret, struct view value)
{
	struct reader r = reader_of(value.data, value.len);
	struct padmarks m;
	reader_copy(&r, m.pad_id, sizeof m.pad_id);
	m.sent = reader_u64(&r);
	m.received = reader_u64(&r);
	m.boundary = reader_u64(&r);
	m.max_zero_run = reader_u8(&r);
	if (!reader_done(&r))
		return ERR_FORMAT;
	*ret = m;
	return OK;
}

void padmarks_write(struct writer *w, uint8_t type, const struct padmarks *marks)
{
	uint8_t value[PADMARKS_LEN];
	struct writer v = writer_of(value, sizeof value);
	writer_bytes(&v, marks->pad_id, sizeof marks->pad_id);
	writer_u64(&v, marks->sent);
	writer_u64(&v, marks->received);
	writer_u64(&v, marks->boundary);
	writer_u8(&v, marks->max_zero_run);
	tlv_write(w, type, VIEW(value, v.at));
}
