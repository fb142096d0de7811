/*
 * The key schedule (docs/protocol.md, "Handshake"): one function a step, named as there, used
 * alike by both roles. Pure functions of their arguments; the caller wipes the secret outputs.
 *
 * Every function returns OK or ERR_CRYPTO (libcrypto failed); its output is then zeroed.
 */
#pragma once

#include "crypto/dh.h"
#include "crypto/kdf.h"
#include "crypto/kem.h"
#include "crypto/sig.h"
#include "wire/wire.h"

/* The ML-DSA contexts of sig_R and sig_I. */
#define CONTEXT_RESPONDER VIEW_TEXT("jorm4 responder")
#define CONTEXT_INITIATOR VIEW_TEXT("jorm4 initiator")

/* All that is expanded from PRK. */
struct hs_keys {
	uint8_t k_hr[32];       /* seals Resp's box */
	uint8_t k_hi[32];       /* seals Finish */
	uint8_t k_m3[32];       /* mac1 of Finish */
	uint8_t k_rj[32];       /* seals Reject */
	uint8_t k_fr[HASH_LEN]; /* fin_R */
	uint8_t s[HASH_LEN];    /* salt of T */
};

/* The secrets of a session's first epoch. */
struct hs_session_keys {
	uint8_t k_i2r[32], k_r2i[32];
	uint8_t rekey_0[HASH_LEN];
};

/* h0 = H("jorm4" || responder key ID) */
enum err schedule_h0(uint8_t h0[static HASH_LEN], const uint8_t responder_key_id[static KEY_ID_LEN]);

/* h1 = H(h0 || sender_I || Init): the whole message, padding included. */
enum err schedule_h1(
	uint8_t h1[static HASH_LEN], const uint8_t h0[static HASH_LEN], uint32_t sender_i, struct view init);

/* h2 = H(h1 || sender_R || epk_R || ct) */
enum err schedule_h2(uint8_t h2[static HASH_LEN], const uint8_t h1[static HASH_LEN], uint32_t sender_r,
	const uint8_t epk_r[static DH_LEN], const uint8_t ct[static KEM_CIPHERTEXT_LEN]);

/* PRK = HKDF-Extract(salt = h2, ikm = ML-KEM secret || X25519 secret) */
enum err schedule_prk(uint8_t prk[static HASH_LEN], const uint8_t h2[static HASH_LEN],
	const uint8_t kem_secret[static KEM_SECRET_LEN], const uint8_t dh_secret[static DH_LEN]);

/* k_hr, k_hi, k_m3, k_rj, k_fr, s = HKDF-Expand(PRK, "jorm4 " || label) */
enum err schedule_keys(struct hs_keys *ret, const uint8_t prk[static HASH_LEN]);

/* h3 = H(h2 || suite || alg || pub_R) */
enum err schedule_h3(
	uint8_t h3[static HASH_LEN], const uint8_t h2[static HASH_LEN], uint8_t suite, const struct sig_public *pub_r);

/* fin_R = HMAC(k_fr, H(h3 || sig_R)); fin_I = HMAC(k_fi, H(h5 || sig_I)) */
enum err schedule_fin(uint8_t fin[static HASH_LEN], const uint8_t key[static HASH_LEN],
	const uint8_t h[static HASH_LEN], struct view sig);

/* h4 = H(h3 || sig_R || fin_R); h6 = H(h5 || sig_I || fin_I) */
enum err schedule_next(uint8_t ret[static HASH_LEN], const uint8_t h[static HASH_LEN], struct view sig,
	const uint8_t fin[static HASH_LEN]);

/* T = HKDF-Extract(salt = s, ikm = psk || pad secret); NULL: none, that many zeros. */
enum err schedule_t(
	uint8_t t[static HASH_LEN], const uint8_t s[static HASH_LEN], const uint8_t *psk, const uint8_t *pad_secret);

/* k_fi = HKDF-Expand(T, "jorm4 fin i") */
enum err schedule_k_fi(uint8_t k_fi[static HASH_LEN], const uint8_t t[static HASH_LEN]);

/* psk_ref = HMAC-SHA-256(psk, "jorm4 psk ref")[0..16); zeros for NULL. */
enum err schedule_psk_ref(uint8_t ref[static PSK_REF_LEN], const uint8_t *psk);

/* h5 = H(h4 || alg || pub_I || psk_ref || pad_ref || request). `tlvs` is the request without its
 * length field, at most 65,535 bytes. */
enum err schedule_h5(uint8_t h5[static HASH_LEN], const uint8_t h4[static HASH_LEN], const struct sig_public *pub_i,
	const uint8_t psk_ref[static PSK_REF_LEN], const uint8_t pad_ref[static PAD_REF_LEN], struct view tlvs);

/* k_i2r, k_r2i, rekey_0 = HKDF-Expand(T, "jorm4 " || label || 0x00 || h6) */
enum err schedule_session(
	struct hs_session_keys *ret, const uint8_t t[static HASH_LEN], const uint8_t h6[static HASH_LEN]);

/* The associated data of Reject: H(h4 || Finish), Finish being the whole sealed message. */
enum err schedule_reject_aad(uint8_t ret[static HASH_LEN], const uint8_t h4[static HASH_LEN], struct view finish);
