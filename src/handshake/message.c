#include "handshake/message.h"

static bool rest_is_zero(struct reader *r)
{
	size_t n = reader_left(r);
	const uint8_t *rest = reader_take(r, n);
	return rest && secret_is_zero(rest, n);
}

enum err init_parse(struct init_message *ret, struct view message)
{
	struct reader r = reader_of(message.data, message.len);
	struct init_message m;
	m.nonce = reader_take(&r, INIT_NONCE_LEN);
	m.suites = reader_u32(&r);
	m.epk = reader_take(&r, DH_LEN);
	m.ek = reader_take(&r, KEM_PUBLIC_LEN);
	if (message.len != HS_INIT_LEN || !rest_is_zero(&r))
		return ERR_FORMAT;
	*ret = m;
	return OK;
}

void init_build(uint8_t out[static HS_INIT_LEN], const struct init_message *message)
{
	struct writer w = writer_of(out, HS_INIT_LEN);
	writer_bytes(&w, message->nonce, INIT_NONCE_LEN);
	writer_u32(&w, message->suites);
	writer_bytes(&w, message->epk, DH_LEN);
	writer_bytes(&w, message->ek, KEM_PUBLIC_LEN);
	writer_zeros(&w, w.size - w.at);
}

/* alg u8, pub, sig, fin: alike in Resp's box and Finish. 0 for an unknown alg. */
static size_t proof_len(enum sig_alg alg)
{
	return sig_len(alg) == 0 ? 0 : 1 + sig_public_len(alg) + sig_len(alg) + HASH_LEN;
}

static void proof_parse(struct reader *r, struct sig_public *key, struct view *sig, const uint8_t **fin)
{
	key->alg = (enum sig_alg)reader_u8(r);
	if (sig_len(key->alg) == 0)
		r->failed = true;
	reader_copy(r, key->bytes, sig_public_len(key->alg));
	sig->len = sig_len(key->alg);
	sig->data = reader_take(r, sig->len);
	*fin = reader_take(r, HASH_LEN);
}

static void proof_build(struct writer *w, const struct sig_public *key, struct view sig, const uint8_t *fin)
{
	writer_u8(w, (uint8_t)key->alg);
	writer_bytes(w, key->bytes, sig_public_len(key->alg));
	writer_bytes(w, sig.data, sig.len);
	writer_bytes(w, fin, HASH_LEN);
}

size_t resp_box_len(enum sig_alg alg)
{
	return proof_len(alg) == 0 ? 0 : 1 + proof_len(alg);
}

size_t resp_len(enum sig_alg alg)
{
	return resp_box_len(alg) == 0 ? 0 : RESP_HEAD_LEN + resp_box_len(alg) + AEAD_TAG_LEN;
}

enum err resp_box_parse(struct resp_box *ret, struct view plain)
{
	struct reader r = reader_of(plain.data, plain.len);
	ret->suite = reader_u8(&r);
	proof_parse(&r, &ret->key, &ret->sig, &ret->fin);
	return reader_done(&r) ? OK : ERR_FORMAT;
}

void resp_box_build(struct writer *w, const struct resp_box *box)
{
	writer_u8(w, box->suite);
	proof_build(w, &box->key, box->sig, box->fin);
}

size_t finish_len(enum sig_alg alg, size_t tlvs_len)
{
	if (proof_len(alg) == 0)
		return 0;
	size_t least = proof_len(alg) + PSK_REF_LEN + PAD_REF_LEN + 2 + tlvs_len + AEAD_TAG_LEN;
	return (least + HS_BODY_MAX - 1) / HS_BODY_MAX * HS_BODY_MAX;
}

enum err finish_parse(struct finish_message *ret, struct view plain)
{
	struct reader r = reader_of(plain.data, plain.len);
	proof_parse(&r, &ret->key, &ret->sig, &ret->fin);
	ret->psk_ref = reader_take(&r, PSK_REF_LEN);
	ret->pad_ref = reader_take(&r, PAD_REF_LEN);
	ret->tlvs.len = reader_u16(&r);
	ret->tlvs.data = reader_take(&r, ret->tlvs.len);
	if (!rest_is_zero(&r) || ret->tlvs.len > REQUEST_MAX)
		return ERR_FORMAT;
	return plain.len + AEAD_TAG_LEN == finish_len(ret->key.alg, ret->tlvs.len) ? OK : ERR_FORMAT;
}

void finish_build(struct writer *w, const struct finish_message *message)
{
	proof_build(w, &message->key, message->sig, message->fin);
	writer_bytes(w, message->psk_ref, PSK_REF_LEN);
	writer_bytes(w, message->pad_ref, PAD_REF_LEN);
	writer_u16(w, (uint16_t)message->tlvs.len);
	writer_bytes(w, message->tlvs.data, message->tlvs.len);
	writer_zeros(w, w->size - w->at);
}

size_t reason_build(uint8_t out[static REASON_MAX], const struct reject_reason *reason)
{
	struct writer w = writer_of(out, REASON_MAX);
	writer_u8(&w, (uint8_t)reason->code);
	writer_bytes(&w, reason->text, strnlen(reason->text, REJECT_TEXT_MAX));
	return w.at;
}

/* The length of the printable UTF-8 character at the start of text, or 0 when there is none. */
static size_t printable(const uint8_t *text, size_t len)
{
	uint8_t c = text[0];
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	size_t n = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
	if (n == 0 || n > len)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	/* Not the C1 control characters, overlong forms, surrogates, or beyond U+10FFFF. */
	uint8_t second = text[1];
	if ((c == 0xc2 && second < 0xa0) || (c == 0xe0 && second < 0xa0) || (c == 0xed && second > 0x9f) ||
		(c == 0xf0 && second < 0x90) || (c == 0xf4 && second > 0x8f))
		return 0;
	return n;
}

enum err reason_parse(struct reject_reason *ret, struct view plain)
{
	struct reader r = reader_of(plain.data, plain.len);
	uint8_t code = reader_u8(&r);
	size_t len = reader_left(&r);
	const uint8_t *text = reader_take(&r, len);
	if (!text || len > REJECT_TEXT_MAX)
		return ERR_FORMAT;
	*ret = (struct reject_reason){.code = (enum reject_code)code};
	for (size_t at = 0; at < len;) {
		size_t n = printable(text + at, len - at);
		if (n > 0)
			memcpy(ret->text + at, text + at, n);
		else
			ret->text[at] = '?';
		at += n > 0 ? n : 1;
	}
	return OK;
}
