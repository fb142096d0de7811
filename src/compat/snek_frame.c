#include "compat/snek_frame.h"

#include "base/bytes.h"

enum err snek_frame_parse(struct snek_frame *ret, size_t *ret_len, uint8_t *datagram, size_t len)
{
	struct reader r = reader_of(datagram, len);
	struct snek_frame f = {0};
	*ret = f;
	*ret_len = 0;
	const uint8_t flags = reader_u8(&r);
	f.seq = reader_u64(&r);
	f.chunk_len = reader_u32(&r);
	if (flags & SNEK_FLAG_FRAGMENT) {
		f.total = reader_u32(&r);
		f.id = reader_u32(&r);
		f.index = reader_u16(&r);
		f.count = reader_u16(&r);
		f.is_fragment = f.count > 1;
	}
	reader_copy(&r, f.nonce, sizeof f.nonce);
	const size_t header_len = r.at;
	if (!reader_take(&r, f.chunk_len) || (f.is_fragment && f.index >= f.count))
		return ERR_FORMAT;
	f.chunk = &datagram[header_len];
	*ret = f;
	*ret_len = r.at;
	return OK;
}

size_t snek_frame_build(uint8_t out[static SNEK_FRAGMENT_HEADER_LEN], const struct snek_frame *frame)
{
	struct writer w = writer_of(out, SNEK_FRAGMENT_HEADER_LEN);
	writer_u8(&w, frame->is_fragment ? SNEK_FLAG_ALWAYS | SNEK_FLAG_FRAGMENT : SNEK_FLAG_ALWAYS);
	writer_u64(&w, frame->seq);
	writer_u32(&w, (uint32_t)frame->chunk_len);
	if (frame->is_fragment) {
		writer_u32(&w, frame->total);
		writer_u32(&w, frame->id);
		writer_u16(&w, frame->index);
		writer_u16(&w, frame->count);
	}
	writer_bytes(&w, frame->nonce, sizeof frame->nonce);
	return w.at;
}
