#include "handshake/mac.h"

enum err mac1_key(uint8_t ret[static MAC1_KEY_LEN], struct view k)
{
	return HASH_SHA256(ret, VIEW_TEXT("jorm4 mac1"), k);
}

static enum err mac(uint8_t ret[static HS_MAC_LEN], struct view key, struct view input)
{
	uint8_t full[HASH_SHA256_LEN];
	enum err e = HMAC_SHA256(full, key, input);
	memcpy(ret, full, HS_MAC_LEN);
	return e;
}

static enum err check(struct view key, struct view input, const uint8_t expected[static HS_MAC_LEN])
{
	uint8_t right[HS_MAC_LEN];
	enum err e = mac(right, key, input);
	if (e != OK)
		return e;
	return secret_equal(right, expected, HS_MAC_LEN) ? OK : ERR_AUTH;
}

enum err mac1_check(const uint8_t key[static MAC1_KEY_LEN], const struct hs_datagram *datagram)
{
	return check(VIEW(key, MAC1_KEY_LEN), datagram->mac1_input, datagram->mac1);
}

enum err mac2_check(const uint8_t cookie[static COOKIE_LEN], const struct hs_datagram *datagram)
{
	return check(VIEW(cookie, COOKIE_LEN), datagram->mac2_input, datagram->mac2);
}

enum err mac_send(const struct hs_message *message, const uint8_t key[static MAC1_KEY_LEN], const uint8_t *cookie,
	uint8_t (*mac1s)[HS_MAC_LEN], const struct hs_output *out)
{
	uint8_t fragments = hs_fragments(message->bytes.len);
	if (fragments == 0)
		return ERR_ARGUMENT;
	for (uint8_t i = 0; i < fragments; i++) {
		uint8_t datagram[HS_DATAGRAM_MAX];
		size_t len = hs_build(datagram, message, i);
		uint8_t *mac2 = datagram + len - HS_MAC_LEN;
		uint8_t *mac1 = mac2 - HS_MAC_LEN;
		enum err e = mac(mac1, VIEW(key, MAC1_KEY_LEN), VIEW(datagram, len - 2 * HS_MAC_LEN));
		if (e == OK && cookie)
			e = mac(mac2, VIEW(cookie, COOKIE_LEN), VIEW(datagram, len - HS_MAC_LEN));
		if (e != OK)
			return e;
		if (mac1s)
			memcpy(mac1s[i], mac1, HS_MAC_LEN);
		out->send(out->context, datagram, len);
	}
	return OK;
}
