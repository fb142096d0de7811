/*
 * The last message of snek's key exchange, under keys that are known: whoever runs the exchange has them. The input's
 * first byte chooses: a whole message; what is sealed in it; base64 alone.
 */
#include "fuzz.h"

#include "base/secret.h"
#include "compat/snek_meta.h"
#include "crypto/base64.h"

static const struct snek_keys keys;

static void open_message(uint8_t *message, size_t len)
{
	uint8_t sig[SIG_65_LEN];
	struct fault fault = {0};
	memset(sig, 7, sizeof sig);
	const enum err e = snek_meta_open(sig, &keys, message, len, &fault);
	MUST(e == OK || e == ERR_FORMAT || e == ERR_AUTH);
	MUST(e == OK || (fault.text[0] && secret_is_zero(sig, sizeof sig)));
}

static void open_text(struct view text)
{
	const size_t n = text.len + AEAD_TAG_LEN, len = SNEK_META_HEAD_LEN + n;
	struct aead *aead;
	uint8_t *message = calloc(1, len);
	MUST(message);
	struct writer w = writer_of(message, len);
	writer_zeros(&w, SNEK_META_HEAD_LEN - 4);
	writer_u32(&w, (uint32_t)n);
	writer_bytes(&w, text.data, text.len);
	MUST(aead_new(&aead, CIPHER_CHACHA20_POLY1305, AEAD_SEAL, keys.handshake) == OK);
	MUST(aead_seal(aead, message + SNEK_SALT_LEN, NULL, 0, message + SNEK_META_HEAD_LEN, text.len) == OK);
	aead_free(aead);
	open_message(message, len);
	free(message);
}

/* What was decoded is encoded once more: that must give the same bytes, in exactly their room. */
static void decode(struct view text)
{
	uint8_t *bytes = fuzz_copy(text), *again = fuzz_copy(text);
	size_t n, again_n;
	const enum err e = base64_decode_lenient(bytes, text.len, &n, text.data, text.len);
	MUST(e == OK || (e == ERR_FORMAT && n == 0));
	char *out = malloc(BASE64_TEXT_LEN(n) + 1);
	MUST(out);
	base64_encode(out, bytes, n);
	MUST(base64_decode_lenient(again, n, &again_n, out, BASE64_TEXT_LEN(n)) == OK);
	MUST(again_n == n && memcmp(again, bytes, n) == 0);
	free(out);
	free(again);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	const uint8_t choice = reader_u8(&r);
	const struct view rest = fuzz_take(&r, len);
	if (choice % 3 == 0) {
		uint8_t *message = fuzz_copy(rest);
		open_message(message, rest.len);
		free(message);
	} else if (choice % 3 == 1) {
		open_text(rest);
	} else {
		decode(rest);
	}
	return 0;
}
