#include "handshake/schedule.h"

#include "base/secret.h"

enum err schedule_h0(uint8_t h0[static HASH_LEN], const uint8_t responder_key_id[static KEY_ID_LEN])
{
	return HASH_SHA384(h0, VIEW_TEXT("jorm4"), VIEW(responder_key_id, KEY_ID_LEN));
}

enum err schedule_h1(
	uint8_t h1[static HASH_LEN], const uint8_t h0[static HASH_LEN], uint32_t sender_i, struct view init)
{
	uint8_t sender[4];
	le32_put(sender, sender_i);
	return HASH_SHA384(h1, VIEW(h0, HASH_LEN), VIEW_ARRAY(sender), init);
}

enum err schedule_h2(uint8_t h2[static HASH_LEN], const uint8_t h1[static HASH_LEN], uint32_t sender_r,
	const uint8_t epk_r[static DH_LEN], const uint8_t ct[static KEM_CIPHERTEXT_LEN])
{
	uint8_t sender[4];
	le32_put(sender, sender_r);
	return HASH_SHA384(
		h2, VIEW(h1, HASH_LEN), VIEW_ARRAY(sender), VIEW(epk_r, DH_LEN), VIEW(ct, KEM_CIPHERTEXT_LEN));
}

enum err schedule_prk(uint8_t prk[static HASH_LEN], const uint8_t h2[static HASH_LEN],
	const uint8_t kem_secret[static KEM_SECRET_LEN], const uint8_t dh_secret[static DH_LEN])
{
	uint8_t ikm[KEM_SECRET_LEN + DH_LEN];
	struct writer w = writer_of(ikm, sizeof ikm);
	writer_bytes(&w, kem_secret, KEM_SECRET_LEN);
	writer_bytes(&w, dh_secret, DH_LEN);
	enum err e = hkdf_extract(prk, VIEW(h2, HASH_LEN), VIEW_ARRAY(ikm));
	secret_wipe(ikm, sizeof ikm);
	return e;
}

enum err schedule_keys(struct hs_keys *ret, const uint8_t prk[static HASH_LEN])
{
	const struct {
		struct view info;
		uint8_t *out;
		size_t len;
	} expand[] = {
		{VIEW_TEXT("jorm4 hr"), ret->k_hr, sizeof ret->k_hr},
		{VIEW_TEXT("jorm4 hi"), ret->k_hi, sizeof ret->k_hi},
		{VIEW_TEXT("jorm4 m3"), ret->k_m3, sizeof ret->k_m3},
		{VIEW_TEXT("jorm4 rj"), ret->k_rj, sizeof ret->k_rj},
		{VIEW_TEXT("jorm4 fr"), ret->k_fr, sizeof ret->k_fr},
		{VIEW_TEXT("jorm4 s"), ret->s, sizeof ret->s},
	};
	for (size_t i = 0; i < sizeof expand / sizeof *expand; i++) {
		enum err e = hkdf_expand(expand[i].out, expand[i].len, prk, expand[i].info);
		if (e != OK) {
			secret_wipe(ret, sizeof *ret);
			return e;
		}
	}
	return OK;
}

enum err schedule_h3(
	uint8_t h3[static HASH_LEN], const uint8_t h2[static HASH_LEN], uint8_t suite, const struct sig_public *pub_r)
{
	uint8_t head[] = {suite, (uint8_t)pub_r->alg};
	return HASH_SHA384(h3, VIEW(h2, HASH_LEN), VIEW_ARRAY(head), VIEW(pub_r->bytes, sig_public_len(pub_r->alg)));
}

enum err schedule_fin(uint8_t fin[static HASH_LEN], const uint8_t key[static HASH_LEN],
	const uint8_t h[static HASH_LEN], struct view sig)
{
	uint8_t hash[HASH_LEN];
	enum err e = HASH_SHA384(hash, VIEW(h, HASH_LEN), sig);
	if (e != OK) {
		memset(fin, 0, HASH_LEN);
		return e;
	}
	return HMAC_SHA384(fin, VIEW(key, HASH_LEN), VIEW_ARRAY(hash));
}

enum err schedule_next(uint8_t ret[static HASH_LEN], const uint8_t h[static HASH_LEN], struct view sig,
	const uint8_t fin[static HASH_LEN])
{
	return HASH_SHA384(ret, VIEW(h, HASH_LEN), sig, VIEW(fin, HASH_LEN));
}

enum err schedule_t(
	uint8_t t[static HASH_LEN], const uint8_t s[static HASH_LEN], const uint8_t *psk, const uint8_t *pad_secret)
{
	uint8_t ikm[PSK_LEN + PAD_SECRET_LEN] = {0};
	if (psk)
		memcpy(ikm, psk, PSK_LEN);
	if (pad_secret)
		memcpy(ikm + PSK_LEN, pad_secret, PAD_SECRET_LEN);
	enum err e = hkdf_extract(t, VIEW(s, HASH_LEN), VIEW_ARRAY(ikm));
	secret_wipe(ikm, sizeof ikm);
	return e;
}

enum err schedule_k_fi(uint8_t k_fi[static HASH_LEN], const uint8_t t[static HASH_LEN])
{
	return hkdf_expand(k_fi, HASH_LEN, t, VIEW_TEXT("jorm4 fin i"));
}

enum err schedule_psk_ref(uint8_t ref[static PSK_REF_LEN], const uint8_t *psk)
{
	memset(ref, 0, PSK_REF_LEN);
	if (!psk)
		return OK;
	uint8_t mac[HASH_SHA256_LEN];
	enum err e = HMAC_SHA256(mac, VIEW(psk, PSK_LEN), VIEW_TEXT("jorm4 psk ref"));
	if (e == OK)
		memcpy(ref, mac, PSK_REF_LEN);
	secret_wipe(mac, sizeof mac);
	return e;
}

enum err schedule_h5(uint8_t h5[static HASH_LEN], const uint8_t h4[static HASH_LEN], const struct sig_public *pub_i,
	const uint8_t psk_ref[static PSK_REF_LEN], const uint8_t pad_ref[static PAD_REF_LEN], struct view tlvs)
{
	uint8_t alg[] = {(uint8_t)pub_i->alg};
	uint8_t tlvs_len[2];
	le16_put(tlvs_len, (uint16_t)tlvs.len);
	return HASH_SHA384(h5, VIEW(h4, HASH_LEN), VIEW_ARRAY(alg), VIEW(pub_i->bytes, sig_public_len(pub_i->alg)),
		VIEW(psk_ref, PSK_REF_LEN), VIEW(pad_ref, PAD_REF_LEN), VIEW_ARRAY(tlvs_len), tlvs);
}

/* HKDF-Expand(T, "jorm4 " || label || 0x00 || h6); `prefix` ends with the zero byte. */
static enum err expand_session(uint8_t *out, size_t len, const uint8_t t[static HASH_LEN], struct view prefix,
	const uint8_t h6[static HASH_LEN])
{
	uint8_t info[sizeof "jorm4 rekey" + HASH_LEN];
	struct writer w = writer_of(info, sizeof info);
	writer_bytes(&w, prefix.data, prefix.len);
	writer_bytes(&w, h6, HASH_LEN);
	return hkdf_expand(out, len, t, VIEW(info, w.at));
}

enum err schedule_session(
	struct hs_session_keys *ret, const uint8_t t[static HASH_LEN], const uint8_t h6[static HASH_LEN])
{
	enum err e = expand_session(ret->k_i2r, sizeof ret->k_i2r, t, VIEW_TEXT("jorm4 i2r\0"), h6);
	if (e == OK)
		e = expand_session(ret->k_r2i, sizeof ret->k_r2i, t, VIEW_TEXT("jorm4 r2i\0"), h6);
	if (e == OK)
		e = expand_session(ret->rekey_0, sizeof ret->rekey_0, t, VIEW_TEXT("jorm4 rekey\0"), h6);
	if (e != OK)
		secret_wipe(ret, sizeof *ret);
	return e;
}

enum err schedule_reject_aad(uint8_t ret[static HASH_LEN], const uint8_t h4[static HASH_LEN], struct view finish)
{
	return HASH_SHA384(ret, VIEW(h4, HASH_LEN), finish);
}
