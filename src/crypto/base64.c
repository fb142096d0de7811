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
