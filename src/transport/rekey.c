#include "transport/rekey.h"

#include "base/secret.h"
#include "crypto/dh.h"
#include "crypto/kem.h"

#include <stdlib.h>

struct rekey_start {
	struct kem_key *kem;
	uint8_t dh_private[DH_LEN], pad_secret[PAD_SECRET_LEN]; /* zeros: no pad */
	struct rekey1_body rekey1;
};

/* ML-KEM secret || X25519 secret || pad secret (64 zeros: no pad) */
struct rekey_ikm {
	uint8_t kem[KEM_SECRET_LEN], dh[DH_LEN], pad[PAD_SECRET_LEN];
};

void rekey_abandon(struct rekey_start *start)
{
	if (!start)
		return;
	kem_free(start->kem);
	secret_wipe(start, sizeof *start);
	free(start);
}

enum err rekey_begin(struct rekey_start **ret, struct rekey1_body *rekey1, uint32_t index, const struct rekey_pad *pad,
	const struct rng *rng)
{
	struct rekey_start *s = calloc(1, sizeof *s);
	if (!s)
		return ERR_NOMEM;
	uint8_t seed[KEM_SEED_LEN];
	rng_fill(rng, s->dh_private, sizeof s->dh_private);
	rng_fill(rng, seed, sizeof seed);
	enum err err = dh_public(s->rekey1.epk, s->dh_private);
	if (err == OK)
		err = kem_generate(&s->kem, s->rekey1.ek, seed);
	if (err == OK && pad)
		err = pad->take(pad->context, s->pad_secret, s->rekey1.pad_ref);
	secret_wipe(seed, sizeof seed);
	if (err != OK) {
		rekey_abandon(s);
		return err;
	}
	le32_put(s->rekey1.index, index);
	*rekey1 = s->rekey1;
	*ret = s;
	return OK;
}

static enum err expand(
	uint8_t *out, size_t len, const uint8_t t[HASH_LEN], const char *label, const uint8_t r[HASH_LEN])
{
	uint8_t info[6 + 5 + 1 + HASH_LEN]; /* "jorm4 " || label || 0x00 || r_{n+1} */
	struct writer w = writer_of(info, sizeof info);
	writer_bytes(&w, "jorm4 ", 6);
	writer_bytes(&w, label, strlen(label));
	writer_u8(&w, 0);
	writer_bytes(&w, r, HASH_LEN);
	return hkdf_expand(out, len, t, VIEW(info, w.at));
}

static enum err derive(const struct epoch *now, struct view rekey1, struct view rekey2, const struct rekey_ikm *ikm,
	struct epoch *next)
{
	struct epoch e;
	uint8_t t[HASH_LEN];

	/* r_{n+1} = H("jorm4 rekey" || r_n || Rekey1 || Rekey2) */
	enum err err = HASH_SHA384(e.r, VIEW_TEXT("jorm4 rekey"), VIEW_ARRAY(now->r), rekey1, rekey2);
	if (err == OK) /* T' */
		err = hkdf_extract(t, VIEW_ARRAY(now->rekey), VIEW(ikm, sizeof *ikm));
	if (err == OK)
		err = expand(e.k_i2r, sizeof e.k_i2r, t, "i2r", e.r);
	if (err == OK)
		err = expand(e.k_r2i, sizeof e.k_r2i, t, "r2i", e.r);
	if (err == OK)
		err = expand(e.rekey, sizeof e.rekey, t, "rekey", e.r);
	if (err == OK)
		*next = e;
	secret_wipe(t, sizeof t);
	secret_wipe(&e, sizeof e);
	return err;
}

enum err rekey_answer(const struct epoch *now, struct view rekey1, uint32_t index, const struct rekey_pad *pad,
	const struct rng *rng, struct rekey2_body *rekey2, struct epoch *next)
{
	if (rekey1.len != REKEY1_LEN)
		return ERR_FORMAT;
	const struct rekey1_body *one = rekey1.data; /* byte arrays only: no alignment */
	bool names_pad = !secret_is_zero(one->pad_ref, PAD_REF_LEN);
	if (names_pad != (pad != NULL))
		return ERR_FORMAT;

	struct rekey_ikm ikm = {0};
	struct rekey2_body two;
	uint8_t dh_private[DH_LEN], entropy[KEM_ENTROPY_LEN];
	rng_fill(rng, dh_private, sizeof dh_private);
	rng_fill(rng, entropy, sizeof entropy);
	enum err err = kem_encapsulate(two.ct, ikm.kem, one->ek, entropy);
	if (err == OK)
		err = dh_answer(two.epk, ikm.dh, dh_private, one->epk);
	if (err == OK && pad)
		err = pad->find(pad->context, one->pad_ref, ikm.pad);
	if (err == OK) {
		le32_put(two.index, index);
		err = derive(now, rekey1, VIEW(&two, sizeof two), &ikm, next);
	}
	if (err == OK)
		*rekey2 = two;
	secret_wipe(&ikm, sizeof ikm);
	secret_wipe(dh_private, sizeof dh_private);
	secret_wipe(entropy, sizeof entropy);
	return err;
}

enum err rekey_finish(const struct rekey_start *start, const struct epoch *now, struct view rekey2, struct epoch *next)
{
	if (rekey2.len != REKEY2_LEN)
		return ERR_FORMAT;
	const struct rekey2_body *two = rekey2.data;
	struct rekey_ikm ikm;
	memcpy(ikm.pad, start->pad_secret, sizeof ikm.pad);
	enum err err = kem_decapsulate(ikm.kem, start->kem, two->ct);
	if (err == OK)
		err = dh_derive(ikm.dh, start->dh_private, two->epk);
	if (err == OK)
		err = derive(now, VIEW(&start->rekey1, sizeof start->rekey1), rekey2, &ikm, next);
	secret_wipe(&ikm, sizeof ikm);
	return err;
}

uint32_t rekey1_index(struct view rekey1)
{
	return rekey1.len == REKEY1_LEN ? le32_get(((const struct rekey1_body *)rekey1.data)->index) : 0;
}

uint32_t rekey2_index(struct view rekey2)
{
	return rekey2.len == REKEY2_LEN ? le32_get(((const struct rekey2_body *)rekey2.data)->index) : 0;
}
