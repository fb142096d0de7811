#include "handshake/reassembly.h"

#include "base/secret.h"

#include <stdlib.h>

enum err reassembly_add(struct reassembly *r, const struct hs_datagram *datagram)
{
	if (r->message && r->len != datagram->message_len)
		return ERR_FORMAT;
	if (!r->message) {
		uint8_t *message = calloc(1, datagram->message_len);
		if (!message)
			return ERR_NOMEM;
		*r = (struct reassembly){.message = message, .len = datagram->message_len};
	}
	uint8_t bit = (uint8_t)(1U << datagram->fragment);
	if (!(r->have & bit)) {
		memcpy(r->message + (size_t)datagram->fragment * HS_BODY_MAX, datagram->body.data, datagram->body.len);
		r->have |= bit;
	}
	return r->have == reassembly_all(datagram->fragments) ? OK : ERR_AGAIN;
}

void reassembly_reset(struct reassembly *r)
{
	if (r->message)
		secret_wipe(r->message, r->len);
	free(r->message);
	*r = (struct reassembly){0};
}
