#include "wire/cookie.h"

enum err cookie_parse(struct cookie_datagram *ret, const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	struct cookie_datagram c;
	uint8_t type = reader_u8(&r);
	uint8_t version = reader_u8(&r);
	uint16_t reserved = reader_u16(&r);
	c.receiver = reader_u32(&r);
	reader_copy(&r, c.salt, sizeof c.salt);
	reader_copy(&r, c.sealed, sizeof c.sealed);
	if (!reader_done(&r) || type != MSG_COOKIE || version != WIRE_VERSION || reserved != 0)
		return ERR_FORMAT;
	*ret = c;
	return OK;
}

void cookie_build(uint8_t out[static COOKIE_DATAGRAM_LEN], const struct cookie_datagram *cookie)
{
	struct cookie_message m = {.type = MSG_COOKIE, .version = WIRE_VERSION};
	le32_put(m.receiver, cookie->receiver);
	memcpy(m.salt, cookie->salt, sizeof m.salt);
	memcpy(m.sealed, cookie->sealed, sizeof m.sealed);
	memcpy(out, &m, sizeof m);
}
