#include "seeded.h"

#include "crypto/aead_mb.h"
#include "crypto/aead_private.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const enum cipher ciphers[] = {CIPHER_CHACHA20_POLY1305, CIPHER_AES_256_GCM};
#define N_CIPHERS (sizeof ciphers / sizeof *ciphers)
#define MAX_LEN 9000
#define MAX_AAD 64

static struct aead *made(
	enum aead_provider provider, enum cipher cipher, enum aead_direction direction, const uint8_t *key)
{
	struct aead *aead;
	assert_int_equal(aead_new_with(&aead, provider, cipher, direction, key), OK);
	return aead;
}

/* Built with it, and on a CPU of the last years, it has to be in use: else the tests below would test nothing. */
static void it_is_used_where_it_can_be(void **state)
{
	(void)state;
	bool wide = false, wider = false;
#if defined(JORM_IPSEC_MB)
	wide = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("aes");
	wider = wide && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
		__builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512bw") &&
		__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma");
#endif
	assert_int_equal(aead_mb_is_available(CIPHER_AES_256_GCM), wide);
	assert_int_equal(aead_mb_is_available(CIPHER_CHACHA20_POLY1305), wider);
	assert_int_equal(aead_provider_of(CIPHER_AES_256_GCM), wide ? AEAD_IPSEC_MB : AEAD_OPENSSL);
	assert_int_equal(aead_provider_of(CIPHER_CHACHA20_POLY1305), wider ? AEAD_IPSEC_MB : AEAD_OPENSSL);
	const char *name = aead_provider_name();
	assert_int_equal(strstr(name, "libipsec-mb 1.") || strstr(name, "libipsec-mb 2."), wide);
	assert_int_equal(strstr(name, "OpenSSL 3.") != NULL, !wider);
	print_message("AEADs by %s\n", name);
}

static void what_it_lacks_is_unsupported(void **state)
{
	(void)state;
	const uint8_t key[AEAD_KEY_LEN] = {0};
	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct aead *aead = (struct aead *)(uintptr_t)1;
		const enum err result = aead_new_with(&aead, AEAD_IPSEC_MB, ciphers[c], AEAD_SEAL, key);
		assert_int_equal(result, aead_mb_is_available(ciphers[c]) ? OK : ERR_UNSUPPORTED);
		assert_int_equal(aead != NULL, result == OK);
		aead_free(aead);
		assert_int_equal(aead_new(&aead, ciphers[c], AEAD_SEAL, key), OK);
		aead_free(aead);
	}
	assert_false(aead_mb_is_available((enum cipher)3));
}

/* What one provider seals is byte for byte what the other one does, and each opens the other's. */
struct both {
	struct aead *seal[2], *open[2]; /* by provider */
};

static void check_message(struct both *b, struct seeded *random, size_t len, size_t aad_len)
{
	static uint8_t plain[MAX_LEN], text[2][MAX_LEN + AEAD_TAG_LEN], again[MAX_LEN + AEAD_TAG_LEN];
	uint8_t aad[MAX_AAD + 1], nonce[AEAD_NONCE_LEN];
	const size_t whole = len + AEAD_TAG_LEN;
	seeded_bytes(random, plain, len);
	seeded_bytes(random, aad, sizeof aad);
	seeded_bytes(random, nonce, sizeof nonce);
	for (size_t i = 0; i < 2; i++) {
		memcpy(text[i], plain, len);
		assert_int_equal(aead_seal(b->seal[i], nonce, aad, aad_len, text[i], len), OK);
	}
	assert_memory_equal(text[0], text[1], whole);
	for (size_t i = 0; i < 2; i++) {
		for (size_t n = 0; n < 4; n++) { /* ciphertext, tag, nonce, AAD */
			memcpy(again, text[1 - i], whole);
			uint8_t *damaged[] = {again + seeded_below(random, (uint32_t)whole),
				again + len + seeded_below(random, AEAD_TAG_LEN),
				nonce + seeded_below(random, sizeof nonce),
				aad_len > 0 ? aad + seeded_below(random, (uint32_t)aad_len) : again + len};
			const uint8_t bit = (uint8_t)(1U << seeded_below(random, 8));
			*damaged[n] ^= bit;
			assert_int_equal(aead_open(b->open[i], nonce, aad, aad_len, again, len), ERR_AUTH);
			*damaged[n] ^= bit;
		}
		memcpy(again, text[1 - i], whole);
		assert_int_equal(aead_open(b->open[i], nonce, aad, aad_len + 1, again, len), ERR_AUTH);
		memcpy(again, text[1 - i], whole);
		assert_int_equal(aead_open(b->open[i], nonce, aad, aad_len, again, len), OK);
		assert_memory_equal(again, plain, len);
	}
}

static void both_agree(void **state)
{
	(void)state;
	struct seeded random = {.state = 12};
	for (size_t c = 0; c < N_CIPHERS; c++) {
		if (!aead_mb_is_available(ciphers[c]))
			continue;
		for (size_t k = 0; k < 10; k++) {
			uint8_t key[AEAD_KEY_LEN];
			struct both b;
			seeded_bytes(&random, key, sizeof key);
			for (size_t i = 0; i < 2; i++) {
				b.seal[i] = made(i ? AEAD_IPSEC_MB : AEAD_OPENSSL, ciphers[c], AEAD_SEAL, key);
				b.open[i] = made(i ? AEAD_IPSEC_MB : AEAD_OPENSSL, ciphers[c], AEAD_OPEN, key);
			}
			for (size_t n = 0; n < 200; n++)
				check_message(&b, &random, seeded_below(&random, 2001), seeded_below(&random, MAX_AAD));
			check_message(&b, &random, MAX_LEN, 16);
			check_message(&b, &random, 0, 0);
			for (size_t i = 0; i < 2; i++) {
				aead_free(b.seal[i]);
				aead_free(b.open[i]);
			}
		}
	}
}

/* Three readable pages between two that are not: assembler escapes the sanitisers, but not these. */
static uint8_t *fenced_pages(size_t *size)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *at = mmap(NULL, 5 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(at != MAP_FAILED);
	assert_int_equal(mprotect(at + page, 3 * page, PROT_READ | PROT_WRITE), 0);
	*size = 3 * page;
	return at + page;
}

/* Text, AAD and nonce at the very beginning of readable memory, and at its very end. */
static void nothing_beyond_the_ends_is_touched(void **state)
{
	(void)state;
	const uint8_t key[AEAD_KEY_LEN] = {7};
	size_t size, page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *texts = fenced_pages(&size), *aads = fenced_pages(&size), *nonces = fenced_pages(&size);
	for (size_t c = 0; c < N_CIPHERS; c++) {
		if (!aead_mb_is_available(ciphers[c]))
			continue;
		struct aead *seal = made(AEAD_IPSEC_MB, ciphers[c], AEAD_SEAL, key);
		struct aead *open = made(AEAD_IPSEC_MB, ciphers[c], AEAD_OPEN, key);
		for (size_t len = 0; len <= 2100; len += len < 1100 ? 1 : 31) {
			const size_t whole = len + AEAD_TAG_LEN, aad_len = len % 3 == 0 ? 16 : len % (MAX_AAD + 1);
			for (size_t at_end = 0; at_end < 2; at_end++) {
				uint8_t *text = texts + at_end * (size - whole),
					*aad = aads + at_end * (size - aad_len);
				uint8_t *nonce = nonces + at_end * (size - AEAD_NONCE_LEN);
				memset(text, 0x5a, len);
				assert_int_equal(aead_seal(seal, nonce, aad, aad_len, text, len), OK);
				assert_int_equal(aead_open(open, nonce, aad, aad_len, text, len), OK);
				for (size_t i = 0; i < len; i++)
					assert_int_equal(text[i], 0x5a);
				memset(text, 0, whole);
				/* What is on this side of a fence must be as it was, too. */
				for (size_t i = 0; i < 256; i++)
					assert_int_equal(at_end ? text[-1 - (long)i] : text[whole + i], 0);
			}
		}
		aead_free(seal);
		aead_free(open);
	}
	munmap(texts - page, 5 * page);
	munmap(aads - page, 5 * page);
	munmap(nonces - page, 5 * page);
}

/* The self-test of a provider that is right, and of three that are not. */
static void the_self_test_finds_what_is_wrong(void **state)
{
	(void)state;
	assert_null(aead_test_key((enum cipher)3));
	for (size_t c = 0; c < N_CIPHERS; c++) {
		const uint8_t *key = aead_test_key(ciphers[c]);
		uint8_t other[AEAD_KEY_LEN];
		memcpy(other, key, sizeof other);
		other[31] ^= 1;
		struct aead *seal = made(AEAD_OPENSSL, ciphers[c], AEAD_SEAL, key);
		struct aead *open = made(AEAD_OPENSSL, ciphers[c], AEAD_OPEN, key);
		struct aead *bad_seal = made(AEAD_OPENSSL, ciphers[c], AEAD_SEAL, other);
		struct aead *bad_open = made(AEAD_OPENSSL, ciphers[c], AEAD_OPEN, other);
		struct aead *alien = made(AEAD_OPENSSL, ciphers[1 - c], AEAD_SEAL, key);
		assert_true(aead_is_right(ciphers[c], seal, open));
		assert_false(aead_is_right(ciphers[c], bad_seal, open));
		assert_false(aead_is_right(ciphers[c], seal, bad_open));
		assert_false(aead_is_right(ciphers[c], bad_seal, bad_open));
		assert_false(aead_is_right(ciphers[c], alien, open));
		assert_false(aead_is_right((enum cipher)3, seal, open));
		aead_free(seal);
		aead_free(open);
		aead_free(bad_seal);
		aead_free(bad_open);
		aead_free(alien);
	}
}

/* A worker seals and opens with contexts that another thread made and a third one frees. */
#define N_WORKERS 4

struct worker {
	struct aead *seal, *open;
	size_t wrong;
};

static void *work(void *argument)
{
	struct worker *w = argument;
	uint8_t text[300 + AEAD_TAG_LEN], nonce[AEAD_NONCE_LEN] = {0};
	for (unsigned i = 0; i < 2000; i++) {
		const size_t len = i % 301;
		memcpy(nonce, &i, sizeof i);
		memset(text, (int)(i & 0xff), len);
		if (aead_seal(w->seal, nonce, nonce, sizeof nonce, text, len) != OK ||
			aead_open(w->open, nonce, nonce, sizeof nonce, text, len) != OK)
			w->wrong++;
		for (size_t n = 0; n < len; n++)
			w->wrong += text[n] != (i & 0xff);
	}
	return NULL;
}

static void *release(void *argument)
{
	struct worker *workers = argument;
	for (size_t i = 0; i < N_WORKERS; i++) {
		aead_free(workers[i].seal);
		aead_free(workers[i].open);
	}
	return NULL;
}

static void contexts_move_between_threads(void **state)
{
	(void)state;
	const uint8_t key[AEAD_KEY_LEN] = {1};
	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct worker workers[N_WORKERS] = {0};
		pthread_t threads[N_WORKERS], last;
		for (size_t i = 0; i < N_WORKERS; i++) {
			assert_int_equal(aead_new(&workers[i].seal, ciphers[c], AEAD_SEAL, key), OK);
			assert_int_equal(aead_new(&workers[i].open, ciphers[c], AEAD_OPEN, key), OK);
			assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
		}
		for (size_t i = 0; i < N_WORKERS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			assert_int_equal(workers[i].wrong, 0);
		}
		assert_int_equal(pthread_create(&last, NULL, release, workers), 0);
		assert_int_equal(pthread_join(last, NULL), 0);
	}
}

/* As above, all with the same two at once. */
static void shared_contexts_serve_threads_at_once(void **state)
{
	(void)state;
	const uint8_t key[AEAD_KEY_LEN] = {1};
	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct worker shared = {0};
		const enum err expected = aead_provider_of(ciphers[c]) == AEAD_IPSEC_MB ? OK : ERR_UNSUPPORTED;
		assert_int_equal(aead_new_shared(&shared.seal, ciphers[c], AEAD_SEAL, key), expected);
		assert_int_equal(aead_new_shared(&shared.open, ciphers[c], AEAD_OPEN, key), expected);
		if (expected != OK) {
			assert_null(shared.seal);
			assert_null(shared.open);
			continue;
		}
		struct worker workers[N_WORKERS];
		pthread_t threads[N_WORKERS];
		for (size_t i = 0; i < N_WORKERS; i++) {
			workers[i] = shared;
			assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
		}
		for (size_t i = 0; i < N_WORKERS; i++) {
			assert_int_equal(pthread_join(threads[i], NULL), 0);
			assert_int_equal(workers[i].wrong, 0);
		}
		aead_free(shared.seal);
		aead_free(shared.open);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_used_where_it_can_be),
		cmocka_unit_test(what_it_lacks_is_unsupported),
		cmocka_unit_test(both_agree),
		cmocka_unit_test(nothing_beyond_the_ends_is_touched),
		cmocka_unit_test(the_self_test_finds_what_is_wrong),
		cmocka_unit_test(contexts_move_between_threads),
		cmocka_unit_test(shared_contexts_serve_threads_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
