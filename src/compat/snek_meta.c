#include "compat/snek_meta.h"

#include "base/secret.h"
#include "crypto/base64.h"
#include "crypto/kdf.h"

#include <assert.h>
#include <jansson.h>
#include <stdlib.h>

#define NONCE_AT SNEK_SALT_LEN
#define LENGTH_AT (NONCE_AT + AEAD_NONCE_LEN)
#define UNUSED_LEN 16 /* behind aad_b64 */

/* Python's json.dumps puts one space after each ':' and ','. */
#define JSON_BEFORE_SIG "{\"DataKeySig\": \""
#define JSON_BEFORE_UNUSED "\", \"aad_b64\": \""
#define JSON_END "\"}"
#define TEXT_LEN                                                                                                       \
	(sizeof JSON_BEFORE_SIG - 1 + BASE64_TEXT_LEN(SIG_65_LEN) + sizeof JSON_BEFORE_UNUSED - 1 +                    \
		BASE64_TEXT_LEN(UNUSED_LEN) + sizeof JSON_END - 1)

static_assert(LENGTH_AT + 4 == SNEK_META_HEAD_LEN, "salt, nonce, length");
static_assert(SNEK_META_HEAD_LEN + TEXT_LEN + AEAD_TAG_LEN == SNEK_META_LEN, "the older client's message");

#define OTHER_PROGRAM "check that the client runs snek-vpn.py of version 3.0, or jorm snek-vpn"

enum err snek_keys_derive(
	struct snek_keys *ret, const uint8_t secret[static SNEK_SECRET_LEN], const uint8_t salt[static SNEK_SALT_LEN])
{
	const struct view ikm = VIEW(secret, SNEK_SECRET_LEN), s = VIEW(salt, SNEK_SALT_LEN);
	enum err e = hkdf_sha256(ret->handshake, sizeof ret->handshake, s, ikm, VIEW_TEXT("VPN handshake v2"));
	if (e == OK)
		e = hkdf_sha256(ret->data, sizeof ret->data, s, ikm, VIEW_TEXT("VPN data channel v2"));
	if (e != OK)
		secret_wipe(ret, sizeof *ret);
	return e;
}

/* Base64 in place, without the NUL that base64_encode adds. */
static void write_base64(struct writer *w, const uint8_t *bytes, size_t n)
{
	char text[BASE64_TEXT_LEN(SIG_65_LEN) + 1];
	base64_encode(text, bytes, n);
	writer_bytes(w, text, BASE64_TEXT_LEN(n));
}

static void write_json(struct writer *w, const uint8_t sig[static SIG_65_LEN], const uint8_t unused[static UNUSED_LEN])
{
	writer_bytes(w, JSON_BEFORE_SIG, sizeof JSON_BEFORE_SIG - 1);
	write_base64(w, sig, SIG_65_LEN);
	writer_bytes(w, JSON_BEFORE_UNUSED, sizeof JSON_BEFORE_UNUSED - 1);
	write_base64(w, unused, UNUSED_LEN);
	writer_bytes(w, JSON_END, sizeof JSON_END - 1);
}

enum err snek_meta_build(uint8_t out[static SNEK_META_LEN], const struct identity *id, const struct snek_keys *keys,
	const uint8_t salt[static SNEK_SALT_LEN], const struct rng *rng)
{
	uint8_t nonce[AEAD_NONCE_LEN], unused[UNUSED_LEN], entropy[SIG_ENTROPY_LEN], sig[SIG_MAX];
	struct writer w = writer_of(out, SNEK_META_LEN - AEAD_TAG_LEN);
	struct aead *aead = NULL;

	rng_fill(rng, nonce, sizeof nonce);
	rng_fill(rng, unused, sizeof unused);
	rng_fill(rng, entropy, sizeof entropy);
	enum err e = identity_public(id)->alg == SIG_ML_DSA_65 ? OK : ERR_ARGUMENT;
	if (e == OK)
		e = identity_sign(id, sig, SNEK_CONTEXT, VIEW_ARRAY(keys->data), entropy);
	if (e == OK)
		e = aead_new(&aead, CIPHER_CHACHA20_POLY1305, AEAD_SEAL, keys->handshake);
	if (e == OK) {
		writer_bytes(&w, salt, SNEK_SALT_LEN);
		writer_bytes(&w, nonce, sizeof nonce);
		writer_u32(&w, TEXT_LEN + AEAD_TAG_LEN);
		write_json(&w, sig, unused);
		e = aead_seal(aead, nonce, NULL, 0, out + SNEK_META_HEAD_LEN, TEXT_LEN);
	}
	aead_free(aead);
	secret_wipe(entropy, sizeof entropy);
	if (e != OK)
		secret_wipe(out, SNEK_META_LEN);
	return e;
}

enum err snek_meta_length(size_t *ret_n, const uint8_t head[static SNEK_META_HEAD_LEN], struct fault *fault)
{
	const uint32_t n = le32_get(head + LENGTH_AT);
	*ret_n = 0;
	if (n < AEAD_TAG_LEN || n > SNEK_META_MAX)
		return fault_set(fault, ERR_FORMAT,
			"the client announces %u bytes about its signature, where snek-vpn has %d: " OTHER_PROGRAM, n,
			SNEK_META_LEN - SNEK_META_HEAD_LEN);
	*ret_n = n;
	return OK;
}

/* A text that has to be there, and base64; its bytes go to *ret, from the start. */
static enum err member_read(const json_t *root, const char *name, struct writer *ret, struct fault *fault)
{
	const json_t *member = json_object_get(root, name);
	size_t len = 0;
	if (!json_is_string(member))
		return fault_set(fault, ERR_FORMAT,
			"the client's message about its signature has no text named %s: " OTHER_PROGRAM, name);
	enum err e = base64_decode_lenient(
		ret->data, ret->size, &len, json_string_value(member), json_string_length(member));
	ret->at = len;
	if (e == OK)
		return OK;
	return fault_set(fault, ERR_FORMAT, "%s in the client's message about its signature is %s: " OTHER_PROGRAM,
		name, e == ERR_TOO_BIG ? "too long" : "no base64");
}

/* `text` is overwritten. */
static enum err json_read(uint8_t ret_sig[static SIG_65_LEN], uint8_t *text, size_t len, struct fault *fault)
{
	json_error_t error = {0};
	struct writer sig = writer_of(ret_sig, SIG_65_LEN), unused = writer_of(text, len);
	/* What the flags allow: NUL in texts, and whole numbers of any length. */
	json_t *root = json_loadb((const char *)text, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
	if (!root && json_error_code(&error) == json_error_out_of_memory)
		return fault_set(fault, ERR_NOMEM, "no memory for the client's message about its signature");
	if (!root)
		return fault_set(fault, ERR_FORMAT,
			"the client's message about its signature is no JSON (byte %d of %zu): " OTHER_PROGRAM,
			error.position, len);
	enum err e = member_read(root, "DataKeySig", &sig, fault);
	if (e == OK && sig.at != SIG_65_LEN)
		e = fault_set(fault, ERR_FORMAT,
			"the client's signature has %zu bytes, of ML-DSA-65 it would have %d: " OTHER_PROGRAM, sig.at,
			SIG_65_LEN);
	/* Of no use to anybody; but the older server wanted it. What is decoded is shorter than the text it came in. */
	if (e == OK)
		e = member_read(root, "aad_b64", &unused, fault);
	json_decref(root);
	return e;
}

/* len: of the text behind the head, without the tag. */
static enum err text_open(const struct snek_keys *keys, uint8_t *message, size_t len, struct fault *fault)
{
	struct aead *aead = NULL;
	enum err e = aead_new(&aead, CIPHER_CHACHA20_POLY1305, AEAD_OPEN, keys->handshake);
	if (e == OK)
		e = aead_open(aead, message + NONCE_AT, NULL, 0, message + SNEK_META_HEAD_LEN, len);
	aead_free(aead);
	if (e == ERR_AUTH)
		return fault_set(fault, e,
			"the client's message about its signature is damaged, or under another key: let it try again");
	return e == OK ? OK
		       : fault_set(fault, e, "cannot open the client's message about its signature: %s", err_text(e));
}

enum err snek_meta_open(uint8_t ret_sig[static SIG_65_LEN], const struct snek_keys *keys, uint8_t *message, size_t len,
	struct fault *fault)
{
	size_t n = 0;
	enum err e = len >= SNEK_META_HEAD_LEN ? snek_meta_length(&n, message, fault) : ERR_FORMAT;
	if (len < SNEK_META_HEAD_LEN || (e == OK && n != len - SNEK_META_HEAD_LEN))
		e = fault_set(fault, ERR_FORMAT,
			"the client's message about its signature is not as long as it says: " OTHER_PROGRAM);
	if (e == OK)
		e = text_open(keys, message, n - AEAD_TAG_LEN, fault);
	if (e == OK)
		e = json_read(ret_sig, message + SNEK_META_HEAD_LEN, n - AEAD_TAG_LEN, fault);
	if (e != OK)
		secret_wipe(ret_sig, SIG_65_LEN);
	return e;
}
