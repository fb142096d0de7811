/*
 * Project Wycheproof's test vectors against src/crypto: a selection of them that is part of this
 * tree (wycheproof-selection.json), always; and whole files where a checkout of them is at hand, in
 * the folder that the environment variable JORM_VECTORS names (../shared/vectors beside this tree when
 * it is not set). Cases that the interface cannot express - other key sizes, AES-128, an external mu,
 * imported ML-KEM keys - are counted apart.
 */

/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/secret.h"
#include "crypto/aead_private.h"
#include "crypto/algorithms.h"
#include "crypto/dh.h"
#include "crypto/kdf.h"
#include "crypto/kem.h"
#include "crypto/sig.h"
#include "hex.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* What became of a case. */
enum outcome { HELD, WRONG, NOT_OURS };

struct test_case {
	const json_t *group, *test;
	bool valid, acceptable;
	uint8_t *owned[16]; /* what bytes_of allocated */
	size_t n_owned;
};

/* A member of the case or its group in hexadecimal, in memory of exactly its size so that ASan sees a
 * read past it; empty when there is none. */
static struct view bytes_of(struct test_case *c, const char *key)
{
	const json_t *value = json_object_get(c->test, key);
	const char *text = json_string_value(value ? value : json_object_get(c->group, key));
	const size_t len = text ? strlen(text) / 2 : 0;
	uint8_t *bytes = malloc(len + !len);
	assert_non_null(bytes);
	assert_true(c->n_owned < sizeof c->owned / sizeof *c->owned);
	c->owned[c->n_owned++] = bytes;
	assert_int_equal(hex_read(bytes, len, text ? text : ""), len);
	return VIEW(bytes, len);
}

static bool same(struct view a, const void *b, size_t len)
{
	return a.len == len && memcmp(a.data, b, len) == 0;
}

static enum outcome outcome_of(bool good)
{
	return good ? HELD : WRONG;
}

static long size_of(const struct test_case *c, const char *key)
{
	return (long)json_integer_value(json_object_get(c->group, key));
}

static const enum aead_provider providers[] = {AEAD_OPENSSL, AEAD_IPSEC_MB};

static bool aead_holds(struct test_case *c, enum aead_provider provider, enum cipher cipher)
{
	const struct view key = bytes_of(c, "key"), nonce = bytes_of(c, "iv"), aad = bytes_of(c, "aad");
	const struct view msg = bytes_of(c, "msg"), ct = bytes_of(c, "ct"), tag = bytes_of(c, "tag");
	struct aead *seal, *open;
	const enum err made = aead_new_with(&seal, provider, cipher, AEAD_SEAL, key.data);
	if (made == ERR_UNSUPPORTED && provider == AEAD_IPSEC_MB)
		return true; /* not built in, or not for this CPU */
	assert_int_equal(made, OK);
	assert_int_equal(aead_new_with(&open, provider, cipher, AEAD_OPEN, key.data), OK);
	uint8_t *text = malloc(msg.len + AEAD_TAG_LEN);
	assert_non_null(text);
	assert_int_equal(msg.len, ct.len);

	memcpy(text, msg.data, msg.len);
	bool good = aead_seal(seal, nonce.data, aad.data, aad.len, text, msg.len) == OK;
	good = good && (same(ct, text, ct.len) && same(tag, text + ct.len, AEAD_TAG_LEN)) == c->valid;
	memcpy(text, ct.data, ct.len);
	memcpy(text + ct.len, tag.data, AEAD_TAG_LEN);
	const enum err opened = aead_open(open, nonce.data, aad.data, aad.len, text, ct.len);
	good = good && opened == (c->valid ? OK : ERR_AUTH) && (!c->valid || same(msg, text, msg.len));
	aead_free(seal);
	aead_free(open);
	free(text);
	return good;
}

static enum outcome check_aead(struct test_case *c, enum cipher cipher)
{
	if (size_of(c, "keySize") != 256 || size_of(c, "ivSize") != 96 || size_of(c, "tagSize") != 128)
		return NOT_OURS;
	bool good = true;
	for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
		good = aead_holds(c, providers[i], cipher) && good;
	return outcome_of(good);
}

static enum outcome check_chacha20_poly1305(struct test_case *c)
{
	return check_aead(c, CIPHER_CHACHA20_POLY1305);
}

static enum outcome check_aes_gcm(struct test_case *c)
{
	return check_aead(c, CIPHER_AES_256_GCM);
}

static enum outcome check_hkdf(struct test_case *c, bool sha384)
{
	const struct view ikm = bytes_of(c, "ikm"), salt = bytes_of(c, "salt"), info = bytes_of(c, "info");
	const struct view okm = bytes_of(c, "okm");
	const size_t len = (size_t)json_integer_value(json_object_get(c->test, "size"));
	uint8_t prk[HASH_LEN], *out = malloc(len);
	enum err result = OK;
	assert_non_null(out);
	if (sha384) {
		result = hkdf_extract(prk, salt, ikm);
		if (result == OK)
			result = hkdf_expand(out, len, prk, info);
	} else {
		result = hkdf_sha256(out, len, salt, ikm, info);
	}
	const bool good = c->valid ? result == OK && same(okm, out, len) : result == ERR_ARGUMENT;
	free(out);
	return outcome_of(good);
}

static enum outcome check_hkdf_sha256(struct test_case *c)
{
	return check_hkdf(c, false);
}

static enum outcome check_hkdf_sha384(struct test_case *c)
{
	return check_hkdf(c, true);
}

static enum outcome check_hmac(struct test_case *c, bool sha384)
{
	const struct view key = bytes_of(c, "key"), msg = bytes_of(c, "msg"), tag = bytes_of(c, "tag");
	uint8_t out[HASH_LEN];
	assert_int_equal(sha384 ? hmac_sha384(out, key, &msg, 1) : hmac_sha256(out, key, &msg, 1), OK);
	/* Some groups have the first 128 bits only. */
	return outcome_of(same(tag, out, (size_t)size_of(c, "tagSize") / 8) == c->valid);
}

static enum outcome check_hmac_sha256(struct test_case *c)
{
	return check_hmac(c, false);
}

static enum outcome check_hmac_sha384(struct test_case *c)
{
	return check_hmac(c, true);
}

static enum outcome check_x25519(struct test_case *c)
{
	const struct view public_key = bytes_of(c, "public"), private_key = bytes_of(c, "private");
	const struct view shared = bytes_of(c, "shared");
	uint8_t secret[DH_LEN];
	assert_true(public_key.len == DH_LEN && private_key.len == DH_LEN && shared.len == DH_LEN);
	const enum err result = dh_derive(secret, private_key.data, public_key.data);
	/* "acceptable" are odd public keys: we refuse those that give zero, and only those. */
	if (secret_is_zero(shared.data, DH_LEN))
		return outcome_of(c->acceptable && result == ERR_AUTH && secret_is_zero(secret, DH_LEN));
	return outcome_of((c->valid || c->acceptable) && result == OK && same(shared, secret, DH_LEN));
}

static enum outcome check_kem_keygen(struct test_case *c)
{
	const struct view seed = bytes_of(c, "seed"), ek = bytes_of(c, "ek");
	struct kem_key *key;
	uint8_t public_key[KEM_PUBLIC_LEN];
	if (seed.len != KEM_SEED_LEN)
		return c->valid ? WRONG : NOT_OURS;
	const enum err result = kem_generate(&key, public_key, seed.data);
	kem_free(key);
	return outcome_of(c->valid && result == OK && same(ek, public_key, sizeof public_key));
}

static enum outcome check_kem_encaps(struct test_case *c)
{
	const struct view ek = bytes_of(c, "ek"), m = bytes_of(c, "m"), ct = bytes_of(c, "c"), k = bytes_of(c, "K");
	uint8_t ciphertext[KEM_CIPHERTEXT_LEN], secret[KEM_SECRET_LEN];
	if (ek.len != KEM_PUBLIC_LEN || m.len != KEM_ENTROPY_LEN)
		return c->valid ? WRONG : NOT_OURS;
	const enum err result = kem_encapsulate(ciphertext, secret, ek.data, m.data);
	if (!c->valid)
		return outcome_of(result == ERR_FORMAT);
	return outcome_of(result == OK && same(ct, ciphertext, sizeof ciphertext) && same(k, secret, sizeof secret));
}

static enum outcome check_kem(struct test_case *c)
{
	const struct view seed = bytes_of(c, "seed"), ek = bytes_of(c, "ek"), ct = bytes_of(c, "c");
	const struct view k = bytes_of(c, "K");
	struct kem_key *key;
	uint8_t public_key[KEM_PUBLIC_LEN], secret[KEM_SECRET_LEN];
	if (seed.len != KEM_SEED_LEN || ct.len != KEM_CIPHERTEXT_LEN)
		return c->valid ? WRONG : NOT_OURS;
	bool good = c->valid && kem_generate(&key, public_key, seed.data) == OK;
	if (good) {
		good = same(ek, public_key, sizeof public_key) && kem_decapsulate(secret, key, ct.data) == OK &&
		       same(k, secret, sizeof secret);
		kem_free(key);
	}
	return outcome_of(good);
}

/* Both kinds of signing files: with the private key, and with its seed. */
static enum outcome check_sign(struct test_case *c, enum sig_alg alg)
{
	const struct view seed = bytes_of(c, "privateSeed"), private_key = bytes_of(c, "privateKey");
	const struct view public_key = bytes_of(c, "publicKey"), context = bytes_of(c, "ctx"), msg = bytes_of(c, "msg");
	const struct view expected = bytes_of(c, "sig"), given_rnd = bytes_of(c, "rnd");
	const bool from_seed = json_object_get(c->group, "privateSeed") != NULL;
	uint8_t sig[SIG_MAX], rnd[SIG_ENTROPY_LEN] = {0}; /* zeros: FIPS 204's deterministic variant */
	struct identity *id;

	if (!json_object_get(c->test, "msg"))
		return NOT_OURS; /* gives mu instead */
	if (from_seed && seed.len != SIG_SEED_LEN)
		return c->valid ? WRONG : NOT_OURS;
	if (given_rnd.len == sizeof rnd)
		memcpy(rnd, given_rnd.data, sizeof rnd);
	enum err result = from_seed ? identity_generate(&id, alg, seed.data)
				    : identity_import(&id, private_key.data, private_key.len);
	if (result != OK)
		return outcome_of(!c->valid && result == ERR_FORMAT && !id);
	result = identity_sign(id, sig, context, msg, rnd);
	const bool good = c->valid ? result == OK && same(expected, sig, sig_len(alg)) &&
					     identity_public(id)->alg == alg &&
					     same(public_key, identity_public(id)->bytes, sig_public_len(alg))
				   : result == ERR_ARGUMENT;
	identity_free(id);
	return outcome_of(good);
}

static enum outcome check_sign_65(struct test_case *c)
{
	return check_sign(c, SIG_ML_DSA_65);
}

static enum outcome check_sign_87(struct test_case *c)
{
	return check_sign(c, SIG_ML_DSA_87);
}

static enum outcome check_verify(struct test_case *c, enum sig_alg alg)
{
	const struct view public_key = bytes_of(c, "publicKey"), context = bytes_of(c, "ctx"), msg = bytes_of(c, "msg");
	const struct view sig = bytes_of(c, "sig");
	struct sig_public key;
	if (sig_alg_of_public_len(&key.alg, public_key.len) != OK || key.alg != alg)
		return outcome_of(!c->valid);
	memcpy(key.bytes, public_key.data, public_key.len);
	const enum err result = sig_verify(&key, context, msg, sig);
	if (context.len > 255)
		return outcome_of(!c->valid && result == ERR_ARGUMENT);
	return outcome_of(result == (c->valid ? OK : ERR_AUTH));
}

static enum outcome check_verify_65(struct test_case *c)
{
	return check_verify(c, SIG_ML_DSA_65);
}

static enum outcome check_verify_87(struct test_case *c)
{
	return check_verify(c, SIG_ML_DSA_87);
}

static const struct format {
	const char *file;
	enum outcome (*check)(struct test_case *c);
} formats[] = {
	{"aes_gcm_test.json", check_aes_gcm},
	{"chacha20_poly1305_test.json", check_chacha20_poly1305},
	{"hkdf_sha256_test.json", check_hkdf_sha256},
	{"hkdf_sha384_test.json", check_hkdf_sha384},
	{"hmac_sha256_test.json", check_hmac_sha256},
	{"hmac_sha384_test.json", check_hmac_sha384},
	{"mldsa_65_sign_noseed_test.json", check_sign_65},
	{"mldsa_65_sign_seed_test.json", check_sign_65},
	{"mldsa_65_verify_test.json", check_verify_65},
	{"mldsa_87_sign_noseed_test.json", check_sign_87},
	{"mldsa_87_verify_test.json", check_verify_87},
	{"mlkem_1024_encaps_test.json", check_kem_encaps},
	{"mlkem_1024_keygen_seed_test.json", check_kem_keygen},
	{"mlkem_1024_test.json", check_kem},
	{"x25519_test.json", check_x25519},
};
#define N_FORMATS (sizeof formats / sizeof *formats)

static enum outcome check_case(const struct format *format, const json_t *group, const json_t *test)
{
	const char *result = json_string_value(json_object_get(test, "result"));
	assert_non_null(result);
	struct test_case c = {.group = group,
		.test = test,
		.valid = strcmp(result, "valid") == 0,
		.acceptable = strcmp(result, "acceptable") == 0};
	assert_true(c.valid || c.acceptable || strcmp(result, "invalid") == 0);
	const enum outcome outcome = format->check(&c);
	while (c.n_owned > 0)
		free(c.owned[--c.n_owned]);
	if (outcome == WRONG)
		print_error("%s: case %lld (%s) \"%s\" does not hold\n", format->file,
			json_integer_value(json_object_get(test, "tcId")), result,
			json_string_value(json_object_get(test, "comment")));
	/* No error of libcrypto may stay behind for an unrelated call to find. */
	assert_int_equal(ERR_peek_error(), 0);
	return outcome;
}

/* All cases of a document; fails when one does not hold, or when none was ours. */
static void check_all(const struct format *format, const json_t *document)
{
	size_t counts[3] = {0}, i, j;
	const json_t *group, *test;
	json_array_foreach(json_object_get(document, "testGroups"), i, group)
		json_array_foreach(json_object_get(group, "tests"), j, test) counts[check_case(format, group, test)]++;
	print_message("%s: %zu held, %zu wrong, %zu not expressible\n", format->file, counts[HELD], counts[WRONG],
		counts[NOT_OURS]);
	assert_int_equal(counts[WRONG], 0);
	assert_true(counts[HELD] > 0);
}

static const char *source_root(void)
{
	const char *root = getenv("JORM_SOURCE_ROOT"); /* from meson */
	return root ? root : ".";
}

static json_t *load(const char *path)
{
	json_error_t error;
	json_t *document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!document)
		fail_msg("%s, line %d: %s", path, error.line, error.text);
	return document;
}

static void check_selection(void **state)
{
	(void)state;
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/tests/vectors/wycheproof-selection.json", source_root());
	json_t *document = load(path);
	const json_t *files = json_object_get(document, "files");
	assert_int_equal(json_object_size(files), N_FORMATS);
	for (size_t i = 0; i < N_FORMATS; i++)
		check_all(&formats[i], json_object_get(files, formats[i].file));
	json_decref(document);
}

static void check_file(void **state)
{
	const struct format *format = *state;
	const char *folder = getenv("JORM_VECTORS");
	char path[4096];
	if (folder)
		(void)snprintf(path, sizeof path, "%s/%s", folder, format->file);
	else
		(void)snprintf(path, sizeof path, "%s/../shared/vectors/%s", source_root(), format->file);
	FILE *file = fopen(path, "re");
	if (!file) {
		print_message("%s is not there: only the selection was tested (set JORM_VECTORS to a folder with "
			      "Wycheproof's files)\n",
			path);
		skip();
	}
	(void)fclose(file);
	json_t *document = load(path);
	check_all(format, document);
	json_decref(document);
}

int main(void)
{
	struct CMUnitTest tests[N_FORMATS + 1] = {cmocka_unit_test(check_selection)};
	for (size_t i = 0; i < N_FORMATS; i++)
		tests[i + 1] = (struct CMUnitTest){.name = formats[i].file,
			.test_func = check_file,
			.initial_state = (void *)(uintptr_t)&formats[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
