/*
 * aead: nanoseconds that sealing and opening a packet cost, through src/crypto/aead.h as the data path
 * calls it, with each provider that this machine has. A packet is opened from a fresh copy of the sealed
 * one, and the copy's cost is part of the figure: the data path moves its packets too. Time is the
 * thread's own on the CPU, and a figure is the median of its rounds.
 *
 *   aead [MILLISECONDS_PER_FIGURE]
 */
#include "crypto/aead_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AAD_LEN 16 /* the data header is what the tag covers besides */
#define MAX_LEN 9000
#define ROUNDS 15

static const size_t sizes[] = {64, 256, 512, 1408, 9000};
static const enum aead_provider providers[] = {AEAD_OPENSSL, AEAD_IPSEC_MB};
static const enum cipher ciphers[] = {CIPHER_AES_256_GCM, CIPHER_CHACHA20_POLY1305};

struct packet {
	uint8_t aad[AAD_LEN];
	uint8_t text[MAX_LEN + AEAD_TAG_LEN];
	uint8_t nonce[AEAD_NONCE_LEN];
};

static void check(enum err e, const char *what)
{
	if (!e)
		return;
	fprintf(stderr, "aead: %s fails\n", what);
	exit(1);
}

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void seal_many(struct aead *aead, struct packet *p, size_t len, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		memcpy(p->nonce, &i, sizeof i); /* a new nonce is part of the work */
		check(aead_seal(aead, p->nonce, p->aad, AAD_LEN, p->text, len), "sealing");
	}
}

static void open_many(struct aead *aead, const struct packet *sealed, size_t len, unsigned n)
{
	struct packet p = *sealed;

	for (unsigned i = 0; i < n; i++) {
		memcpy(p.text, sealed->text, len + AEAD_TAG_LEN);
		check(aead_open(aead, p.nonce, p.aad, AAD_LEN, p.text, len), "opening");
	}
}

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The median round's time for a packet. */
static double measure(struct aead *aead, enum aead_direction direction, struct packet *p, size_t len, double budget_ns)
{
	unsigned n = 64;
	double rounds[ROUNDS];

	for (unsigned round = 0; round < ROUNDS;) {
		double start = now_ns();
		if (direction == AEAD_SEAL)
			seal_many(aead, p, len, n);
		else
			open_many(aead, p, len, n);
		double took = now_ns() - start;
		if (took < budget_ns / ROUNDS / 2) /* too short to trust, and the warm-up */
			n *= 2;
		else
			rounds[round++] = took / n;
	}
	qsort(rounds, ROUNDS, sizeof *rounds, compare);
	return rounds[ROUNDS / 2];
}

static void measure_all(enum aead_provider provider, enum cipher cipher, double budget_ns)
{
	static const uint8_t key[AEAD_KEY_LEN] = {1};
	static struct packet p;
	struct aead *sealer, *opener;

	if (aead_new_with(&sealer, provider, cipher, AEAD_SEAL, key) == ERR_UNSUPPORTED)
		return;
	check(sealer ? OK : ERR_CRYPTO, "a new AEAD");
	check(aead_new_with(&opener, provider, cipher, AEAD_OPEN, key), "a new AEAD");
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		size_t len = sizes[s];
		double seal_ns = measure(sealer, AEAD_SEAL, &p, len, budget_ns);
		seal_many(sealer, &p, len, 1);
		double open_ns = measure(opener, AEAD_OPEN, &p, len, budget_ns);
		printf("| %s | %s | %zu | %.0f | %.0f | %.0f | %.0f |\n", cipher_name(cipher),
			provider == AEAD_IPSEC_MB ? "libipsec-mb" : "OpenSSL", len, seal_ns, open_ns,
			(double)len / seal_ns * 1e3, (double)len / open_ns * 1e3);
	}
	aead_free(sealer);
	aead_free(opener);
}

int main(int argc, char **argv)
{
	double budget_ns = (argc > 1 ? atof(argv[1]) : 200) * 1e6;

	if (argc > 2 || budget_ns <= 0) {
		fprintf(stderr, "usage: aead [MILLISECONDS_PER_FIGURE]\n");
		return 2;
	}
	printf("The data path uses %s.\n\n", aead_provider_name());
	printf("| cipher | provider | bytes | seal ns | open ns | seal MB/s | open MB/s |\n"
	       "|---|---|---|---|---|---|---|\n");
	for (size_t c = 0; c < sizeof ciphers / sizeof *ciphers; c++)
		for (size_t i = 0; i < sizeof providers / sizeof *providers; i++)
			measure_all(providers[i], ciphers[c], budget_ns);
	return 0;
}
