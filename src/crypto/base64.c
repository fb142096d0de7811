#include "crypto/base64.h"

#include "base/secret.h"
#include "crypto/algorithms.h"

void base64_format(char out[static BASE64_LEN + 1], const uint8_t bytes[static BASE64_BYTES])
{
	(void)EVP_EncodeBlock((unsigned char *)out, bytes, BASE64_BYTES); /* of fixed size: cannot fail */
}

enum err base64_parse(uint8_t ret[static BASE64_BYTES], const char *text, size_t len)
{
	uint8_t bytes[BASE64_LEN / 4 * 3];
	char again[BASE64_LEN + 1];
	bool good = false;

	/* libcrypto's decoder takes white space, missing padding and stray bits; encoding what it found
	 * once more shows whether anything of that was there. */
	if (len == BASE64_LEN && EVP_DecodeBlock(bytes, (const unsigned char *)text, BASE64_LEN) == (int)sizeof bytes) {
		base64_format(again, bytes);
		good = secret_equal(again, text, BASE64_LEN);
	}
	if (good)
		memcpy(ret, bytes, BASE64_BYTES);
	else
		secret_wipe(ret, BASE64_BYTES);
	secret_wipe(bytes, sizeof bytes);
	secret_wipe(again, sizeof again);
	return good ? OK : ERR_FORMAT;
}

void base64_encode(char *out, const uint8_t *bytes, size_t n)
{
	(void)EVP_EncodeBlock((unsigned char *)out, bytes, (int)n); /* cannot fail */
}

/* 0 to 63, or 64: no character of the alphabet. */
static unsigned digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* libcrypto's decoder cannot be asked for this: it refuses foreign characters within the text, and turns padding into
 * zeros. */
enum err base64_decode_lenient(uint8_t *ret, size_t size, size_t *ret_len, const char *text, size_t len)
{
	size_t done = 0;
	unsigned bits = 0, place = 0, pads = 0; /* place: characters of the group of four so far */
	enum err e = OK;
	for (size_t i = 0; i < len && e == OK; i++) {
		const unsigned digit = digit_of(text[i]);
		if (text[i] == '=' && place >= 2 && place + ++pads >= 4) {
			place = 0;
			break;
		}
		if (digit == 64)
			continue;
		pads = 0;
		bits = (bits << 6 | digit) & 0xffffff;
		place = (place + 1) % 4;
		if (place == 1)
			continue; /* six bits: no byte yet */
		if (done == size)
			e = ERR_TOO_BIG;
		else
			ret[done++] = (uint8_t)(bits >> (place == 2 ? 4 : place == 3 ? 2 : 0));
	}
	if (e == OK && place != 0)
		e = ERR_FORMAT;
	if (e != OK)
		secret_wipe(ret, size);
	*ret_len = e == OK ? done : 0;
	return e;
}
