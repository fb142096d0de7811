#include "seeded.h"

#include "base/secret.h"
#include "compat/snek_meta.h"
#include "crypto/base64.h"
#include "crypto/kdf.h"
#include "hex.h"
#include "snek_case.h"

#include <stdio.h>
#include <stdlib.h>

static struct snek_keys keys;
static uint8_t salt[SNEK_SALT_LEN], good[SNEK_META_LEN];
static struct fault fault;

/* Randomness as the case has it: nonce, the unused bytes, rnd. */
static void case_fill(void *context, uint8_t *out, size_t n)
{
	struct reader *script = context;
	assert_true(n <= reader_left(script));
	reader_copy(script, out, n);
}

static struct identity *case_identity(void)
{
	struct identity *id;
	HEX(xi, SNEK_CASE_XI);
	assert_int_equal(identity_generate(&id, SIG_ML_DSA_65, xi), OK);
	return id;
}

/* The case's message, in `good`. */
static int setup(void **state)
{
	(void)state;
	uint8_t random[AEAD_NONCE_LEN + 16 + SIG_ENTROPY_LEN] = {0};
	struct reader script = reader_of(random, sizeof random);
	const struct rng rng = {case_fill, &script};
	HEX(secret, SNEK_CASE_SECRET);
	HEX(nonce, SNEK_CASE_NONCE);
	HEX(unused, SNEK_CASE_UNUSED);
	assert_int_equal(hex_read(salt, sizeof salt, SNEK_CASE_SALT), sizeof salt);
	memcpy(random, nonce, sizeof nonce);
	memcpy(random + sizeof nonce, unused, sizeof unused);
	struct identity *id = case_identity();
	assert_int_equal(snek_keys_derive(&keys, secret, salt), OK);
	assert_int_equal(snek_meta_build(good, id, &keys, salt, &rng), OK);
	assert_true(reader_done(&script));
	identity_free(id);
	return 0;
}

static void assert_hash(const void *data, size_t len, const char *hex)
{
	uint8_t hash[HASH_SHA256_LEN], expected[HASH_SHA256_LEN];
	assert_int_equal(hex_read(expected, sizeof expected, hex), sizeof expected);
	assert_int_equal(HASH_SHA256(hash, VIEW(data, len)), OK);
	assert_memory_equal(hash, expected, sizeof hash);
}

static void keys_are_the_older_programs(void **state)
{
	(void)state;
	struct snek_keys other;
	HEX(secret, SNEK_CASE_SECRET);
	HEX(handshake, SNEK_CASE_HANDSHAKE_KEY);
	HEX(data, SNEK_CASE_DATA_KEY);
	assert_memory_equal(keys.handshake, handshake, sizeof handshake);
	assert_memory_equal(keys.data, data, sizeof data);
	salt[0] ^= 1;
	assert_int_equal(snek_keys_derive(&other, secret, salt), OK);
	salt[0] ^= 1;
	assert_memory_not_equal(other.handshake, handshake, sizeof handshake);
	assert_memory_not_equal(other.data, data, sizeof data);
}

static void messages_are_the_older_programs(void **state)
{
	(void)state;
	struct identity *id = case_identity();
	const struct sig_public *public_key = identity_public(id);
	assert_hash(public_key->bytes, SIG_65_PUBLIC_LEN, SNEK_CASE_PUBLIC_KEY_SHA256);
	assert_hash(good, sizeof good, SNEK_CASE_MESSAGE_SHA256);
	identity_free(id);
}

static void signatures_come_out(void **state)
{
	(void)state;
	uint8_t message[SNEK_META_LEN], sig[SIG_65_LEN];
	struct identity *id = case_identity();
	memcpy(message, good, sizeof message);
	assert_int_equal(snek_meta_open(sig, &keys, message, sizeof message, &fault), OK);
	assert_hash(sig, sizeof sig, SNEK_CASE_SIG_SHA256);
	assert_int_equal(sig_verify(identity_public(id), SNEK_CONTEXT, VIEW_ARRAY(keys.data), VIEW_ARRAY(sig)), OK);
	/* It signs the data key, under this context. */
	assert_int_equal(
		sig_verify(identity_public(id), SNEK_CONTEXT, VIEW_ARRAY(keys.handshake), VIEW_ARRAY(sig)), ERR_AUTH);
	assert_int_equal(
		sig_verify(identity_public(id), VIEW_TEXT(""), VIEW_ARRAY(keys.data), VIEW_ARRAY(sig)), ERR_AUTH);
	identity_free(id);
}

static void other_identities_are_refused(void **state)
{
	(void)state;
	struct identity *id;
	uint8_t out[SNEK_META_LEN];
	const uint8_t seed[SIG_SEED_LEN] = {1};
	struct seeded s = {1};
	const struct rng rng = seeded_rng(&s);
	assert_int_equal(identity_generate(&id, SIG_ML_DSA_87, seed), OK);
	memset(out, 7, sizeof out);
	assert_int_equal(snek_meta_build(out, id, &keys, salt, &rng), ERR_ARGUMENT);
	assert_true(secret_is_zero(out, sizeof out));
	identity_free(id);
}

/* What has to be so of every refusal. */
static void assert_refused(enum err expected, uint8_t *message, size_t len)
{
	uint8_t sig[SIG_65_LEN];
	memset(sig, 7, sizeof sig);
	fault = (struct fault){0};
	assert_int_equal(snek_meta_open(sig, &keys, message, len, &fault), expected);
	assert_int_equal(fault.code, expected);
	assert_non_null(strstr(fault.text, "client"));
	assert_true(secret_is_zero(sig, sizeof sig));
}

/* Of each length its own copy, so that the address sanitiser sees the byte behind it. */
static void truncations_are_refused(void **state)
{
	(void)state;
	for (size_t len = 0; len < SNEK_META_LEN; len++) {
		uint8_t *message = malloc(len ? len : 1);
		assert_non_null(message);
		memcpy(message, good, len);
		assert_refused(ERR_FORMAT, message, len);
		/* With a number that fits the bytes it is the tag that is wrong. */
		if (len >= SNEK_META_HEAD_LEN + AEAD_TAG_LEN) {
			memcpy(message, good, len);
			le32_put(message + SNEK_META_HEAD_LEN - 4, (uint32_t)(len - SNEK_META_HEAD_LEN));
			assert_refused(ERR_AUTH, message, len);
		}
		free(message);
	}
	uint8_t longer[SNEK_META_LEN + 1] = {0};
	memcpy(longer, good, sizeof good);
	assert_refused(ERR_FORMAT, longer, sizeof longer);
}

/* The salt is not under the tag, but in the keys; all else is noticed. */
static void flips_are_refused(void **state)
{
	(void)state;
	uint8_t message[SNEK_META_LEN];
	HEX(secret, SNEK_CASE_SECRET);
	const struct snek_keys before = keys;
	for (size_t i = 0; i < sizeof message; i++) {
		memcpy(message, good, sizeof message);
		message[i] ^= (uint8_t)(1U << i % 8);
		assert_int_equal(snek_keys_derive(&keys, secret, message), OK);
		const bool in_length = i >= SNEK_META_HEAD_LEN - 4 && i < SNEK_META_HEAD_LEN;
		assert_refused(in_length ? ERR_FORMAT : ERR_AUTH, message, sizeof message);
	}
	keys = before;
}

static void lengths_are_bounded(void **state)
{
	(void)state;
	uint8_t head[SNEK_META_HEAD_LEN] = {0};
	const struct {
		uint32_t n;
		enum err result;
	} cases[] = {{0, ERR_FORMAT}, {15, ERR_FORMAT}, {16, OK}, {4485, OK}, {SNEK_META_MAX, OK},
		{SNEK_META_MAX + 1, ERR_FORMAT}, {0x80000000U, ERR_FORMAT}, {0xffffffffU, ERR_FORMAT}};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		size_t n = 7;
		le32_put(head + sizeof head - 4, cases[i].n);
		assert_int_equal(snek_meta_length(&n, head, &fault), cases[i].result);
		assert_int_equal(n, cases[i].result == OK ? cases[i].n : 0);
	}
}

/* ---- what is in the message ---- */

/* Seals any text as the message, and opens it. */
static enum err open_text(uint8_t ret_sig[static SIG_65_LEN], const void *text, size_t len)
{
	const size_t n = len + AEAD_TAG_LEN;
	struct aead *aead;
	uint8_t *message = calloc(1, SNEK_META_HEAD_LEN + n);
	assert_non_null(message);
	le32_put(message + SNEK_META_HEAD_LEN - 4, (uint32_t)n);
	if (len)
		memcpy(message + SNEK_META_HEAD_LEN, text, len);
	assert_int_equal(aead_new(&aead, CIPHER_CHACHA20_POLY1305, AEAD_SEAL, keys.handshake), OK);
	assert_int_equal(aead_seal(aead, message + SNEK_SALT_LEN, NULL, 0, message + SNEK_META_HEAD_LEN, len), OK);
	aead_free(aead);
	memset(ret_sig, 7, SIG_65_LEN);
	fault = (struct fault){0};
	enum err e = snek_meta_open(ret_sig, &keys, message, SNEK_META_HEAD_LEN + n, &fault);
	free(message);
	if (e != OK) {
		assert_int_equal(fault.code, e);
		assert_non_null(strstr(fault.text, "client"));
		assert_true(secret_is_zero(ret_sig, SIG_65_LEN));
	}
	return e;
}

/* So that a case is readable: '%' stands for the signature's base64, ' for ", and ` for '. */
static size_t expand(char *out, size_t size, const char *shape)
{
	char sig[BASE64_TEXT_LEN(SIG_65_LEN) + 1];
	uint8_t bytes[SIG_65_LEN];
	memset(bytes, 0xa5, sizeof bytes);
	base64_encode(sig, bytes, sizeof bytes);
	struct writer w = writer_of(out, size);
	for (; *shape; shape++) {
		if (*shape == '%')
			writer_bytes(&w, sig, sizeof sig - 1);
		else
			writer_u8(&w, (uint8_t)(*shape == '\'' ? '"' : *shape == '`' ? '\'' : *shape));
	}
	assert_false(w.failed);
	return w.at;
}

static enum err open_shape(const char *shape)
{
	static char text[20000];
	uint8_t sig[SIG_65_LEN];
	enum err e = open_text(sig, text, expand(text, sizeof text, shape));
	for (size_t i = 0; e == OK && i < sizeof sig; i++)
		assert_int_equal(sig[i], 0xa5);
	return e;
}

/* All that Python's json.loads and base64.b64decode took. */
static void lenient_messages_are_taken(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"{'DataKeySig': '%', 'aad_b64': 'AAAA'}",
		"{'aad_b64':'','DataKeySig':'%'}",
		" \t\r\n{ 'DataKeySig' :\n'%' , 'aad_b64' : 'QQ==' } \n",
		"{'version': 3, 'deep': [[{'a': [null, true, -1.5e3]}]], 'DataKeySig': '%', 'aad_b64': ''}",
		"{'n': 123456789012345678901234567890, 'DataKeySig': '%', 'aad_b64': ''}",
		"{'DataKeySig': 5, 'aad_b64': [], 'DataKeySig': '%', 'aad_b64': 'AA=='}", /* the last counts */
		"{'DataKeySig': '\\n -_!\\u0000\\u00e9%', 'aad_b64': 'A\\u0041A*A'}",
		"{'\\u0044ataKeySig': '%', 'aad_b64': ''}",
		"{'DataKeySig': '%====', 'aad_b64': 'AA==and what follows'}",
		"{'DataKeySig': '%', 'aad_b64': '='}",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (open_shape(texts[i]) != OK)
			fail_msg("%s: %s", texts[i], fault.text);
}

static void other_messages_are_refused(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"",
		" ",
		"null",
		"5",
		"'%'",
		"[]",
		"['DataKeySig', 'aad_b64']",
		"{}",
		"{",
		"{]",
		"{'DataKeySig': '%'}", /* one is missing */
		"{'aad_b64': ''}",
		"{'datakeysig': '%', 'aad_b64': ''}",  /* another name */
		"{'DataKeySig': null, 'aad_b64': ''}", /* other types */
		"{'DataKeySig': ['%'], 'aad_b64': ''}",
		"{'DataKeySig': '%', 'aad_b64': 16}",
		"{'DataKeySig': '%', 'aad_b64': {'a': ''}}",
		"{'DataKeySig': '%', 'DataKeySig': '', 'aad_b64': ''}", /* the last counts */
		"{'DataKeySig': '%', 'aad_b64': 'A'}",                  /* no base64 */
		"{'DataKeySig': '%', 'aad_b64': 'AAA'}",
		"{'DataKeySig': '%A', 'aad_b64': ''}",
		"{'DataKeySig': '', 'aad_b64': ''}", /* lengths */
		"{'DataKeySig': 'AAAA', 'aad_b64': ''}",
		"{'DataKeySig': '%AAAA', 'aad_b64': ''}",
		"{'DataKeySig': '%%', 'aad_b64': ''}",
		"{'DataKeySig': '%', 'aad_b64': ''}x", /* more behind it */
		"{'DataKeySig': '%', 'aad_b64': ''}{}",
		"{'DataKeySig': '%', 'aad_b64': '',}",
		"{`DataKeySig`: `%`, `aad_b64`: ``}",
		"{'DataKeySig': '%\n', 'aad_b64': ''}",      /* a bare line break in a text */
		"{'DataKeySig': '%\\ud800', 'aad_b64': ''}", /* half a pair */
		"{'n': NaN, 'DataKeySig': '%', 'aad_b64': ''}",
		"{'n': 1e999, 'DataKeySig': '%', 'aad_b64': ''}",
		"{'n': 01, 'DataKeySig': '%', 'aad_b64': ''}",
		"\xef\xbb\xbf{'DataKeySig': '%', 'aad_b64': ''}", /* a byte order mark */
		"{'DataKeySig': '%\xff', 'aad_b64': ''}",         /* not UTF-8 */
		"{'DataKeySig': '%\xc0\x80', 'aad_b64': ''}",
		"{'\xe2\x82': 1, 'DataKeySig': '%', 'aad_b64': ''}",
	};
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (open_shape(texts[i]) != ERR_FORMAT)
			fail_msg("taken: %s", texts[i]);
}

/* As much of one character, or of two in turn, as a message may hold; also between the members. */
static void floods_are_refused(void **state)
{
	(void)state;
	static const char *const patterns[] = {"[", "{", "{\"a\":", "[{\"a\":", "\"", "9", "-", "\\", "\xff", " ",
		"\"\\u0000", "[[],", "{\"a\":1,", "1e"};
	uint8_t sig[SIG_65_LEN];
	const size_t len = SNEK_META_MAX - AEAD_TAG_LEN;
	char *text = malloc(len);
	assert_non_null(text);
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
		static const char before[] = "{\"DataKeySig\": ";
		const size_t n = strlen(patterns[i]);
		for (size_t at = 0; at < len; at++)
			text[at] = patterns[i][at % n];
		assert_int_equal(open_text(sig, text, len), ERR_FORMAT);
		memcpy(text, before, sizeof before - 1);
		assert_int_equal(open_text(sig, text, len), ERR_FORMAT);
	}
	memset(text, 0, len);
	assert_int_equal(open_text(sig, text, len), ERR_FORMAT);
	/* The longest there may be, of good form. */
	memset(text, ' ', len);
	(void)expand(text, len, "{'DataKeySig': '%', 'aad_b64': ''}");
	assert_int_equal(open_text(sig, text, len), OK);
	free(text);
}

/* Any text cut short, and any of its bytes another: never more than an error in words. */
static void broken_json_is_harmless(void **state)
{
	(void)state;
	static char text[6000];
	uint8_t sig[SIG_65_LEN];
	const size_t len = expand(text, sizeof text, "{'x': [1.5, '\\u00e9'], 'DataKeySig': '%', 'aad_b64': 'QQ=='}");
	for (size_t cut = 0; cut < len; cut += cut < 40 || cut > len - 40 ? 1 : 31)
		assert_int_equal(open_text(sig, text, cut), ERR_FORMAT);
	struct seeded s = {3};
	for (unsigned i = 0; i < 500; i++) {
		const size_t at = i % 2 ? seeded_below(&s, (uint32_t)len) : (i % 80 < 40 ? i % 40 : len - 1 - i % 40);
		const char before = text[at];
		text[at] = (char)seeded_below(&s, 256);
		const enum err e = open_text(sig, text, len);
		assert_true(e == OK || e == ERR_FORMAT);
		text[at] = before;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_the_older_programs),
		cmocka_unit_test(messages_are_the_older_programs),
		cmocka_unit_test(signatures_come_out),
		cmocka_unit_test(other_identities_are_refused),
		cmocka_unit_test(truncations_are_refused),
		cmocka_unit_test(flips_are_refused),
		cmocka_unit_test(lengths_are_bounded),
		cmocka_unit_test(lenient_messages_are_taken),
		cmocka_unit_test(other_messages_are_refused),
		cmocka_unit_test(floods_are_refused),
		cmocka_unit_test(broken_json_is_harmless),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
