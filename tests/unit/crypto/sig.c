/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/secret.h"
#include "crypto/algorithms.h"
#include "crypto/kdf.h"
#include "crypto/sig.h"
#include "hex.h"

#include <pthread.h>

/* Project Wycheproof, mldsa_65_sign_seed_test.json, tcId 1 and 109: one key, deterministic (rnd = 0,
 * FIPS 204, algorithm 2) and hedged with the rnd given there. Long values by their SHA-256. */
#define SEED_65 "2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a2a"
#define PUBLIC_65_SHA256 "b7acce2ddb11f8cc1aa46e2bafac6eacfa2b732ef192bd636ad8d3a56d649c66"
#define RND "60879ebd4f33a5d8e6238983cca4b03abfafa716d836f2ab3f500cde36b3b1e3"
#define SIG_ZERO_SHA256 "39fbbb0d97a52c79844213b325af823a7f16a174e00a5b3daeb3e6e6d1c89681"
#define SIG_RND_SHA256 "efa771a2cdd3df8c9867722c9d40bd43e297bc324d8e31919661e493b1ab4007"
/* SHA-256("jorm key id v1" || 1 || public key), computed with Python's hashlib. */
#define KEY_ID_65 "5MwxoRDZ1AJiyKr61YQsPOaSpirH23DQ/fUUEVPPrCw="

static const struct view message = {"Hello world", 11}, context = {"jorm test", 9};
static const uint8_t no_entropy[SIG_ENTROPY_LEN];

static struct identity *identity_65(void)
{
	struct identity *id;
	HEX(seed, SEED_65);
	assert_int_equal(identity_generate(&id, SIG_ML_DSA_65, seed), OK);
	return id;
}

static void assert_sha256(const void *data, size_t len, const char *text)
{
	uint8_t hash[HASH_SHA256_LEN], expected[HASH_SHA256_LEN];
	assert_int_equal(hex_read(expected, sizeof expected, text), sizeof expected);
	assert_int_equal(HASH_SHA256(hash, VIEW(data, len)), OK);
	assert_memory_equal(hash, expected, sizeof hash);
}

static void matches_wycheproof(void **state)
{
	(void)state;
	struct identity *id = identity_65();
	uint8_t sig[SIG_MAX];
	HEX(rnd, RND);
	assert_sha256(identity_public(id)->bytes, SIG_65_PUBLIC_LEN, PUBLIC_65_SHA256);
	assert_int_equal(identity_sign(id, sig, VIEW(NULL, 0), message, no_entropy), OK);
	assert_sha256(sig, SIG_65_LEN, SIG_ZERO_SHA256);
	/* That the entropy is FIPS 204's rnd and nothing else. */
	assert_int_equal(identity_sign(id, sig, VIEW(NULL, 0), message, rnd), OK);
	assert_sha256(sig, SIG_65_LEN, SIG_RND_SHA256);
	assert_int_equal(sig_verify(identity_public(id), VIEW(NULL, 0), message, VIEW(sig, SIG_65_LEN)), OK);
	identity_free(id);
}

static void lengths_and_names(void **state)
{
	(void)state;
	const enum sig_alg unknown = (enum sig_alg)3;
	enum sig_alg alg;
	assert_int_equal(sig_alg_of_public_len(&alg, 1952), OK);
	assert_int_equal(alg, SIG_ML_DSA_65);
	assert_int_equal(sig_alg_of_public_len(&alg, 2592), OK);
	assert_int_equal(alg, SIG_ML_DSA_87);
	assert_int_equal(sig_alg_of_private_len(&alg, 4032), OK);
	assert_int_equal(alg, SIG_ML_DSA_65);
	assert_int_equal(sig_alg_of_private_len(&alg, 4896), OK);
	assert_int_equal(alg, SIG_ML_DSA_87);
	for (size_t len = 0; len < 6000; len++) {
		assert_int_equal(sig_alg_of_public_len(&alg, len), len == 1952 || len == 2592 ? OK : ERR_FORMAT);
		assert_int_equal(sig_alg_of_private_len(&alg, len), len == 4032 || len == 4896 ? OK : ERR_FORMAT);
	}
	assert_int_equal(sig_len(SIG_ML_DSA_87), 4627);
	assert_int_equal(sig_len(unknown) + sig_public_len(unknown) + sig_private_len(unknown), 0);
	assert_string_equal(sig_alg_name(SIG_ML_DSA_65), "ML-DSA-65");
	assert_string_equal(sig_alg_name(SIG_ML_DSA_87), "ML-DSA-87");
	assert_string_equal(sig_alg_name(unknown), "unknown");
	assert_string_equal(sig_alg_name((enum sig_alg)0), "unknown");
}

static void each_changed_bit_is_noticed(enum sig_alg alg)
{
	struct identity *id;
	const uint8_t seed[SIG_SEED_LEN] = {1}, entropy[SIG_ENTROPY_LEN] = {2};
	uint8_t sig[SIG_MAX];
	assert_int_equal(identity_generate(&id, alg, seed), OK);
	struct sig_public key = *identity_public(id);
	assert_int_equal(identity_sign(id, sig, context, message, entropy), OK);
	const struct view whole = VIEW(sig, sig_len(alg));
	assert_int_equal(sig_verify(&key, context, message, whole), OK);

	assert_int_equal(sig_verify(&key, VIEW_TEXT("jorm tesu"), message, whole), ERR_AUTH);
	assert_int_equal(sig_verify(&key, VIEW(NULL, 0), message, whole), ERR_AUTH);
	assert_int_equal(sig_verify(&key, context, VIEW_TEXT("Hello worle"), whole), ERR_AUTH);
	assert_int_equal(sig_verify(&key, context, VIEW(message.data, 10), whole), ERR_AUTH);
	assert_int_equal(sig_verify(&key, context, message, VIEW(sig, whole.len - 1)), ERR_AUTH);
	assert_int_equal(sig_verify(&key, context, message, VIEW(sig, 0)), ERR_AUTH);
	for (size_t at = 0; at < whole.len; at += 401) {
		sig[at] ^= 0x40;
		assert_int_equal(sig_verify(&key, context, message, whole), ERR_AUTH);
		sig[at] ^= 0x40;
	}
	key.bytes[100] ^= 1;
	assert_int_equal(sig_verify(&key, context, message, whole), ERR_AUTH);
	key.bytes[100] ^= 1;
	key.alg = alg == SIG_ML_DSA_65 ? SIG_ML_DSA_87 : SIG_ML_DSA_65;
	assert_int_equal(sig_verify(&key, context, message, whole), ERR_AUTH);
	key.alg = (enum sig_alg)7;
	assert_int_equal(sig_verify(&key, context, message, whole), ERR_AUTH);
	assert_int_equal(ERR_peek_error(), 0);
	identity_free(id);
}

static void each_changed_bit_is_noticed_65(void **state)
{
	(void)state;
	each_changed_bit_is_noticed(SIG_ML_DSA_65);
}

static void each_changed_bit_is_noticed_87(void **state)
{
	(void)state;
	each_changed_bit_is_noticed(SIG_ML_DSA_87);
}

/* FIPS 204, algorithm 2: a context string has at most 255 bytes. */
static void contexts_are_bounded(void **state)
{
	(void)state;
	struct identity *id = identity_65();
	uint8_t sig[SIG_MAX], text[256] = {0};
	assert_int_equal(identity_sign(id, sig, VIEW(text, 255), message, no_entropy), OK);
	assert_int_equal(sig_verify(identity_public(id), VIEW(text, 255), message, VIEW(sig, SIG_65_LEN)), OK);
	assert_int_equal(
		sig_verify(identity_public(id), VIEW(text, 256), message, VIEW(sig, SIG_65_LEN)), ERR_ARGUMENT);
	assert_int_equal(identity_sign(id, sig, VIEW(text, 256), message, no_entropy), ERR_ARGUMENT);
	assert_true(secret_is_zero(sig, SIG_65_LEN));
	identity_free(id);
}

static void export_and_import(enum sig_alg alg)
{
	struct identity *id, *back;
	const uint8_t seed[SIG_SEED_LEN] = {3};
	uint8_t bytes[SIG_PRIVATE_MAX], sig[SIG_MAX], sig_back[SIG_MAX];
	size_t len;
	assert_int_equal(identity_generate(&id, alg, seed), OK);
	assert_int_equal(identity_export(id, bytes, &len), OK);
	assert_int_equal(len, sig_private_len(alg));
	assert_int_equal(identity_import(&back, bytes, len), OK);
	assert_int_equal(identity_public(back)->alg, alg);
	assert_memory_equal(identity_public(back)->bytes, identity_public(id)->bytes, sig_public_len(alg));
	assert_memory_equal(identity_key_id(back), identity_key_id(id), KEY_ID_LEN);
	assert_int_equal(identity_sign(id, sig, context, message, no_entropy), OK);
	assert_int_equal(identity_sign(back, sig_back, context, message, no_entropy), OK);
	assert_memory_equal(sig, sig_back, sig_len(alg));
	identity_free(back);

	assert_int_equal(identity_import(&back, bytes, len - 1), ERR_FORMAT);
	assert_null(back);
	assert_int_equal(identity_import(&back, bytes, 0), ERR_FORMAT);
	/* rho, tr, s1, s2, t0: each is tied to the public key's hash. K (bytes 32 to 63) is random. */
	const size_t damaged[] = {0, 64, 128, 1000, len - 1};
	for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
		bytes[damaged[i]] ^= 1;
		assert_int_equal(identity_import(&back, bytes, len), ERR_FORMAT);
		assert_null(back);
		bytes[damaged[i]] ^= 1;
	}
	assert_int_equal(ERR_peek_error(), 0);
	identity_free(id);
	identity_free(NULL);
}

static void export_and_import_65(void **state)
{
	(void)state;
	export_and_import(SIG_ML_DSA_65);
}

static void export_and_import_87(void **state)
{
	(void)state;
	export_and_import(SIG_ML_DSA_87);
}

static void unknown_algorithms_make_no_identity(void **state)
{
	(void)state;
	struct identity *id;
	assert_int_equal(identity_generate(&id, (enum sig_alg)0, no_entropy), ERR_ARGUMENT);
	assert_null(id);
	assert_int_equal(identity_generate(&id, (enum sig_alg)3, no_entropy), ERR_ARGUMENT);
	assert_null(id);
}

static void key_ids(void **state)
{
	(void)state;
	struct identity *id = identity_65();
	uint8_t other[KEY_ID_LEN];
	char text[KEY_ID_TEXT_LEN];
	assert_string_equal(key_id_format(identity_key_id(id), text), KEY_ID_65);
	assert_int_equal(key_id_parse(other, KEY_ID_65), OK);
	assert_memory_equal(other, identity_key_id(id), KEY_ID_LEN);
	assert_int_equal(key_id_parse(other, ""), ERR_FORMAT);
	assert_int_equal(key_id_parse(other, KEY_ID_65 " "), ERR_FORMAT);
	assert_int_equal(key_id_parse(other, KEY_ID_65 KEY_ID_65), ERR_FORMAT);
	assert_true(secret_is_zero(other, sizeof other));

	/* The algorithm is part of what is hashed. */
	struct sig_public key = *identity_public(id);
	key.alg = SIG_ML_DSA_87;
	assert_int_equal(key_id_compute(other, &key), OK);
	assert_memory_not_equal(other, identity_key_id(id), KEY_ID_LEN);
	identity_free(id);
}

static void *sign_some(void *arg)
{
	uint8_t sig[SIG_MAX];
	for (int i = 0; i < 8; i++)
		if (identity_sign(arg, sig, context, message, no_entropy) != OK ||
			sig_verify(identity_public(arg), context, message, VIEW(sig, SIG_65_LEN)) != OK)
			return arg;
	return NULL;
}

static void threads_share_an_identity(void **state)
{
	(void)state;
	enum { N = 4 };
	struct identity *id = identity_65();
	pthread_t threads[N];
	for (size_t i = 0; i < N; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sign_some, id), 0);
	for (size_t i = 0; i < N; i++) {
		void *failed;
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	identity_free(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_wycheproof),
		cmocka_unit_test(lengths_and_names),
		cmocka_unit_test(each_changed_bit_is_noticed_65),
		cmocka_unit_test(each_changed_bit_is_noticed_87),
		cmocka_unit_test(contexts_are_bounded),
		cmocka_unit_test(export_and_import_65),
		cmocka_unit_test(export_and_import_87),
		cmocka_unit_test(unknown_algorithms_make_no_identity),
		cmocka_unit_test(key_ids),
		cmocka_unit_test(threads_share_an_identity),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
