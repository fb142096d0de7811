#include "crypto/aead_mb.h"

#include "base/secret.h"

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdlib.h>

#define KEY_ALIGNMENT 64 /* what the assembler loads from; the header says so only where LINUX is defined */
#define GCM_ROOM ((sizeof(struct gcm_key_data) + KEY_ALIGNMENT - 1) / KEY_ALIGNMENT * KEY_ALIGNMENT)

struct aead_mb {
	struct gcm_key_data *gcm; /* owned; NULL: the other cipher, whose key this is */
	uint8_t chacha20[AEAD_KEY_LEN];
};

/*
 * AES-GCM: three direct calls, which touch nothing but their arguments. ChaCha20-Poly1305: the direct calls are
 * slower than libcrypto's, one job at a time is quicker. A job goes through its manager's ring, so each thread
 * that seals or opens has its own manager (some 200 KiB), which goes when the thread ends.
 */
static struct {
	bool has_gcm, has_chacha20;
	aes_gcm_pre_t gcm_expand;
	aes_gcm_enc_dec_t gcm_seal, gcm_open;
	pthread_key_t at_thread_end;
} library;

static _Thread_local IMB_MGR *manager;

static IMB_MGR *manager_new(void)
{
	IMB_MGR *made = alloc_mb_mgr(0);
	if (!made)
		return NULL;
	init_mb_mgr_auto(made, NULL);
	if (imb_get_errno(made) == 0) /* the CPU is too old, or the library's self-test failed */
		return made;
	free_mb_mgr(made);
	return NULL;
}

static void manager_free(void *made)
{
	manager = NULL;
	free_mb_mgr(made);
}

/* The calling thread's own; NULL when there is no memory for it. */
static IMB_MGR *manager_get(void)
{
	if (manager)
		return manager;
	IMB_MGR *made = manager_new();
	if (made && pthread_setspecific(library.at_thread_end, made) != 0) {
		free_mb_mgr(made);
		made = NULL;
	}
	manager = made;
	return made;
}

static bool has_all(uint64_t features, uint64_t wanted)
{
	return (features & wanted) == wanted;
}

/* Measured against libcrypto: without AVX-512's integer multiplication Poly1305 is done one word at a time and
 * loses; without AES instructions the library emulates them with tables, whose use takes time by the key. */
static void look(void)
{
	IMB_MGR *made = manager_new();
	if (!made)
		return;
	library.gcm_expand = made->gcm256_pre;
	library.gcm_seal = made->gcm256_enc;
	library.gcm_open = made->gcm256_dec;
	library.has_gcm = has_all(made->features, IMB_CPUFLAGS_AVX2);
	library.has_chacha20 = has_all(made->features, IMB_CPUFLAGS_AVX512 | IMB_FEATURE_AVX512_IFMA) &&
			       pthread_key_create(&library.at_thread_end, manager_free) == 0;
	free_mb_mgr(made);
}

bool aead_mb_is_available(enum cipher cipher)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, look); /* cannot fail with a valid once and function */
	switch (cipher) {
	case CIPHER_CHACHA20_POLY1305:
		return library.has_chacha20;
	case CIPHER_AES_256_GCM:
		return library.has_gcm;
	}
	return false;
}

const char *aead_mb_version(void)
{
	return imb_get_version_str();
}

enum err aead_mb_new(struct aead_mb **ret, enum cipher cipher, const uint8_t key[static AEAD_KEY_LEN])
{
	*ret = NULL;
	if (!aead_mb_is_available(cipher))
		return ERR_UNSUPPORTED;
	/* Mostly the thread that is going to use it, and it has another choice now. */
	if (cipher == CIPHER_CHACHA20_POLY1305 && !manager_get())
		return ERR_NOMEM;
	struct aead_mb *mb = calloc(1, sizeof *mb);
	if (!mb)
		return ERR_NOMEM;
	if (cipher == CIPHER_AES_256_GCM) {
		mb->gcm = aligned_alloc(KEY_ALIGNMENT, GCM_ROOM);
		if (!mb->gcm) {
			free(mb);
			return ERR_NOMEM;
		}
		memset(mb->gcm, 0, GCM_ROOM);
		library.gcm_expand(key, mb->gcm);
	} else {
		memcpy(mb->chacha20, key, AEAD_KEY_LEN);
	}
	*ret = mb;
	return OK;
}

void aead_mb_free(struct aead_mb *mb)
{
	if (!mb)
		return;
	if (mb->gcm)
		secret_wipe(mb->gcm, GCM_ROOM);
	free(mb->gcm);
	secret_wipe(mb, sizeof *mb);
	free(mb);
}

struct message {
	const uint8_t *nonce;
	struct view aad;
	uint8_t *text; /* in place */
	size_t len;
	uint8_t *tag; /* computed, for both directions: comparing is left to us */
};

static void gcm_run(const struct aead_mb *mb, aes_gcm_enc_dec_t run, const struct message *m)
{
	alignas(KEY_ALIGNMENT) struct gcm_context_data scratch; /* the library fills it, and leaves key stream in it */
	run(mb->gcm, &scratch, m->text, m->text, m->len, m->nonce, m->aad.data, m->aad.len, m->tag, AEAD_TAG_LEN);
	secret_wipe(&scratch, sizeof scratch);
}

/* One job, which is done when it has been submitted. It is filled in as a whole: the ring hands out another one
 * each time. The library's own check of it is skipped; that would be of what stands here and never changes. */
static enum err chacha20_run(const struct aead_mb *mb, IMB_CIPHER_DIRECTION direction, const struct message *m)
{
	IMB_MGR *mine = manager_get();
	if (!mine)
		return ERR_CRYPTO;
	IMB_JOB *job = IMB_GET_NEXT_JOB(mine);
	job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	job->cipher_direction = direction;
	job->chain_order = direction == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job->enc_keys = mb->chacha20;
	job->dec_keys = mb->chacha20;
	job->key_len_in_bytes = AEAD_KEY_LEN;
	job->iv = m->nonce;
	job->iv_len_in_bytes = AEAD_NONCE_LEN;
	job->u.CHACHA20_POLY1305.aad = m->aad.data;
	job->u.CHACHA20_POLY1305.aad_len_in_bytes = m->aad.len;
	job->src = m->text;
	job->dst = m->text;
	job->cipher_start_src_offset_in_bytes = 0;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = m->len;
	job->msg_len_to_hash_in_bytes = m->len;
	job->auth_tag_output = m->tag;
	job->auth_tag_output_len_in_bytes = AEAD_TAG_LEN;
	job = IMB_SUBMIT_JOB_NOCHECK(mine);
	return job && job->status == IMB_STATUS_COMPLETED ? OK : ERR_CRYPTO;
}

enum err aead_mb_seal(const struct aead_mb *mb, const uint8_t nonce[static AEAD_NONCE_LEN], struct view aad,
	uint8_t *text, size_t len)
{
	const struct message m = {.nonce = nonce, .aad = aad, .text = text, .len = len, .tag = text + len};
	if (!mb->gcm)
		return chacha20_run(mb, IMB_DIR_ENCRYPT, &m);
	gcm_run(mb, library.gcm_seal, &m);
	return OK;
}

enum err aead_mb_open(const struct aead_mb *mb, const uint8_t nonce[static AEAD_NONCE_LEN], struct view aad,
	uint8_t *text, size_t len)
{
	uint8_t tag[AEAD_TAG_LEN];
	const struct message m = {.nonce = nonce, .aad = aad, .text = text, .len = len, .tag = tag};
	if (!mb->gcm) {
		const enum err result = chacha20_run(mb, IMB_DIR_DECRYPT, &m);
		if (result != OK)
			return result;
	} else {
		gcm_run(mb, library.gcm_open, &m);
	}
	if (secret_equal(tag, text + len, AEAD_TAG_LEN))
		return OK;
	secret_wipe(tag, sizeof tag); /* the right tag for a forger's bytes */
	return ERR_AUTH;
}
