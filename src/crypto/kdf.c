#include "crypto/kdf.h"

#include "base/secret.h"
#include "crypto/algorithms.h"

#define BLOCK_MAX 128 /* SHA-384's block; SHA-256's is 64 */

/*
 * HMAC and HKDF are built here on the hash, and not on EVP_MAC and EVP_KDF: those need a context
 * kept per thread to be as quick, and such a context would keep the last key in memory. A hash
 * context that lives for one call is wiped by libcrypto when it is freed.
 */
static bool absorb(EVP_MD_CTX *ctx, const struct view *parts, size_t n_parts)
{
	for (size_t i = 0; i < n_parts; i++)
		if (parts[i].len > 0 && EVP_DigestUpdate(ctx, parts[i].data, parts[i].len) != 1)
			return false;
	return true;
}

static bool digest(EVP_MD_CTX *ctx, const EVP_MD *md, uint8_t *out, const struct view *parts, size_t n_parts)
{
	return EVP_DigestInit_ex2(ctx, md, NULL) == 1 && absorb(ctx, parts, n_parts) &&
	       EVP_DigestFinal_ex(ctx, out, NULL) == 1;
}

static enum err finish(EVP_MD_CTX *ctx, bool good, uint8_t *out, size_t len)
{
	EVP_MD_CTX_free(ctx);
	if (good)
		return OK;
	ERR_clear_error();
	secret_wipe(out, len);
	return ERR_CRYPTO;
}

static enum err hash(const EVP_MD *md, size_t len, uint8_t *out, const struct view *parts, size_t n_parts)
{
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
	return finish(ctx, ctx && digest(ctx, md, out, parts, n_parts), out, len);
}

/* FIPS 198-1, section 4; the steps' numbers are its. */
static bool hmac_with(
	EVP_MD_CTX *ctx, const EVP_MD *md, uint8_t *out, struct view key, const struct view *parts, size_t n_parts)
{
	const size_t block = (size_t)EVP_MD_get_block_size(md), len = (size_t)EVP_MD_get_size(md);
	uint8_t pad[BLOCK_MAX] = {0};
	bool good = block <= sizeof pad;

	if (good && key.len > block) /* 1 to 3 */
		good = digest(ctx, md, pad, &key, 1);
	else if (good && key.len > 0)
		memcpy(pad, key.data, key.len);
	for (size_t i = 0; i < block && good; i++) /* 4 */
		pad[i] ^= 0x36;
	good = good && EVP_DigestInit_ex2(ctx, md, NULL) == 1 && EVP_DigestUpdate(ctx, pad, block) == 1 &&
	       absorb(ctx, parts, n_parts) && EVP_DigestFinal_ex(ctx, out, NULL) == 1; /* 5, 6 */
	for (size_t i = 0; i < block && good; i++)                                     /* 7 */
		pad[i] ^= 0x36 ^ 0x5c;
	good = good && digest(ctx, md, out, (const struct view[]){VIEW(pad, block), VIEW(out, len)}, 2); /* 8, 9 */
	secret_wipe(pad, sizeof pad);
	return good;
}

static enum err hmac(
	const EVP_MD *md, size_t len, uint8_t *out, struct view key, const struct view *parts, size_t n_parts)
{
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
	return finish(ctx, ctx && hmac_with(ctx, md, out, key, parts, n_parts), out, len);
}

/* RFC 5869, section 2.3. */
static enum err expand(
	const EVP_MD *md, size_t hash_len, uint8_t *out, size_t len, const uint8_t *prk, struct view info)
{
	if (len > 255 * hash_len) {
		secret_wipe(out, len);
		return ERR_ARGUMENT;
	}
	uint8_t t[HASH_LEN]; /* T(i) */
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
	bool good = ctx != NULL;

	for (size_t done = 0, i = 1; good && done < len; i++) {
		const uint8_t counter = (uint8_t)i;
		const size_t part = len - done < hash_len ? len - done : hash_len;
		good = hmac_with(ctx, md, t, VIEW(prk, hash_len),
			(const struct view[]){VIEW(t, i == 1 ? 0 : hash_len), info, VIEW(&counter, 1)}, 3);
		if (good)
			memcpy(out + done, t, part);
		done += part;
	}
	secret_wipe(t, sizeof t);
	return finish(ctx, good, out, len);
}

static const EVP_MD *sha256(void)
{
	const struct algorithms *all = algorithms_get();
	return all ? all->sha256 : NULL;
}

static const EVP_MD *sha384(void)
{
	const struct algorithms *all = algorithms_get();
	return all ? all->sha384 : NULL;
}

static const EVP_MD *sha3_256(void)
{
	const struct algorithms *all = algorithms_get();
	return all ? all->sha3_256 : NULL;
}

static const EVP_MD *shake256_md(void)
{
	const struct algorithms *all = algorithms_get();
	return all ? all->shake256 : NULL;
}

enum err hash_sha384(uint8_t out[static HASH_LEN], const struct view *parts, size_t n_parts)
{
	return hash(sha384(), HASH_LEN, out, parts, n_parts);
}

enum err hash_sha256(uint8_t out[static HASH_SHA256_LEN], const struct view *parts, size_t n_parts)
{
	return hash(sha256(), HASH_SHA256_LEN, out, parts, n_parts);
}

enum err hash_sha3_256(uint8_t out[static HASH_SHA3_256_LEN], const struct view *parts, size_t n_parts)
{
	return hash(sha3_256(), HASH_SHA3_256_LEN, out, parts, n_parts);
}

enum err shake256(uint8_t *out, size_t len, const struct view *parts, size_t n_parts)
{
	const EVP_MD *md = shake256_md();
	EVP_MD_CTX *ctx = md ? EVP_MD_CTX_new() : NULL;
	const bool good = ctx && EVP_DigestInit_ex2(ctx, md, NULL) == 1 && absorb(ctx, parts, n_parts) &&
			  EVP_DigestFinalXOF(ctx, out, len) == 1;
	return finish(ctx, good, out, len);
}

enum err hmac_sha384(uint8_t out[static HASH_LEN], struct view key, const struct view *parts, size_t n_parts)
{
	return hmac(sha384(), HASH_LEN, out, key, parts, n_parts);
}

enum err hmac_sha256(uint8_t out[static HASH_SHA256_LEN], struct view key, const struct view *parts, size_t n_parts)
{
	return hmac(sha256(), HASH_SHA256_LEN, out, key, parts, n_parts);
}

enum err hkdf_extract(uint8_t prk[static HASH_LEN], struct view salt, struct view ikm)
{
	/* An absent salt is HASH_LEN zeros, which HMAC's padding makes of an empty key. */
	return hmac_sha384(prk, salt, &ikm, 1);
}

enum err hkdf_expand(uint8_t *out, size_t len, const uint8_t prk[static HASH_LEN], struct view info)
{
	return expand(sha384(), HASH_LEN, out, len, prk, info);
}

enum err hkdf_sha256(uint8_t *out, size_t len, struct view salt, struct view ikm, struct view info)
{
	uint8_t prk[HASH_SHA256_LEN];
	enum err result = hmac_sha256(prk, salt, &ikm, 1);
	if (result == OK)
		result = expand(sha256(), HASH_SHA256_LEN, out, len, prk, info);
	else
		secret_wipe(out, len);
	secret_wipe(prk, sizeof prk);
	return result;
}
