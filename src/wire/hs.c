#include "wire/hs.h"

static size_t body_len(size_t message_len, uint8_t fragment)
{
	size_t rest = message_len - (size_t)fragment * HS_BODY_MAX;
	return rest < HS_BODY_MAX ? rest : HS_BODY_MAX;
}

uint8_t hs_fragments(size_t message_len)
{
	if (message_len == 0 || message_len > HS_MESSAGE_MAX)
		return 0;
	uint8_t fragments = (uint8_t)((message_len + HS_BODY_MAX - 1) / HS_BODY_MAX);
	size_t last = body_len(message_len, (uint8_t)(fragments - 1));
	return HS_OVERHEAD + last < HS_DATAGRAM_MIN ? 0 : fragments;
}

size_t hs_wire_len(size_t message_len)
{
	return message_len + (size_t)hs_fragments(message_len) * HS_OVERHEAD;
}

static bool is_handshake(uint8_t type)
{
	return type == MSG_INIT || type == MSG_RESP || type == MSG_FINISH || type == MSG_REJECT;
}

enum err hs_parse(struct hs_datagram *ret, const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	uint8_t type = reader_u8(&r);
	uint8_t version = reader_u8(&r);
	struct hs_datagram d = {.type = type};
	d.fragment = reader_u8(&r);
	d.fragments = reader_u8(&r);
	d.sender = reader_u32(&r);
	d.receiver = reader_u32(&r);
	d.message_len = reader_u16(&r);
	uint16_t reserved = reader_u16(&r);

	if (r.failed || !is_handshake(type) || version != WIRE_VERSION || reserved != 0)
		return ERR_FORMAT;
	if (d.fragments == 0 || d.fragments != hs_fragments(d.message_len) || d.fragment >= d.fragments)
		return ERR_FORMAT;
	if (type == MSG_INIT && (d.message_len != HS_INIT_LEN || d.receiver != 0))
		return ERR_FORMAT;

	d.body.len = body_len(d.message_len, d.fragment);
	d.body.data = reader_take(&r, d.body.len);
	d.mac1_input = VIEW(data, r.at);
	d.mac1 = reader_take(&r, HS_MAC_LEN);
	d.mac2_input = VIEW(data, r.at);
	d.mac2 = reader_take(&r, HS_MAC_LEN);
	if (!reader_done(&r))
		return ERR_FORMAT;
	*ret = d;
	return OK;
}

size_t hs_build(uint8_t out[static HS_DATAGRAM_MAX], const struct hs_message *message, uint8_t fragment)
{
	uint8_t fragments = hs_fragments(message->bytes.len);
	if (fragment >= fragments)
		return 0;
	struct reader source = reader_of(message->bytes.data, message->bytes.len);
	reader_take(&source, (size_t)fragment * HS_BODY_MAX);
	size_t n = body_len(message->bytes.len, fragment);

	struct writer w = writer_of(out, HS_DATAGRAM_MAX);
	writer_u8(&w, (uint8_t)message->type);
	writer_u8(&w, WIRE_VERSION);
	writer_u8(&w, fragment);
	writer_u8(&w, fragments);
	writer_u32(&w, message->sender);
	writer_u32(&w, message->receiver);
	writer_u16(&w, (uint16_t)message->bytes.len);
	writer_u16(&w, 0);
	writer_bytes(&w, reader_take(&source, n), n);
	writer_zeros(&w, HS_MAC_LEN * 2);
	return w.at;
}
