/*
 * For tests: an initiator ("alice") and a responder ("bob") in one process, with seeded randomness,
 * a clock that only the test moves, and a network that keeps every datagram until the test
 * delivers it.
 */
#pragma once

/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "handshake/initiator.h"
#include "handshake/mac.h"
#include "handshake/responder.h"

#define BOX_MAX 64

#define PAIR_PAD_LEN 2048 /* for 32 key exchanges */

/* Datagrams on their way. */
struct box {
	uint8_t data[BOX_MAX][HS_DATAGRAM_MAX];
	size_t len[BOX_MAX];
	size_t count;
	size_t bytes; /* of all that was ever sent, also when it did not fit */
};

struct pair {
	uint64_t seed; /* the state of rng */
	struct rng rng;
	usec now;
	struct addr source; /* alice's, as bob sees it */
	bool under_load;

	enum sig_alg alice_alg, bob_alg;
	struct initiator_config initiator_config;
	struct responder_config responder_config;
	struct initiator *initiator;
	struct responder *responder;
	struct box to_bob, to_alice;

	/* bob's owner */
	struct responder_verdict verdict;
	uint32_t next_index, asked, established;
	struct hs_result session;
	struct addr proven;

	/* The pad, when pair_with_pad was called. alice takes its secrets one after another; bob looks, and records
	 * what he admits. */
	uint8_t alices_pad[PAIR_PAD_LEN], bobs_pad[PAIR_PAD_LEN];
	uint64_t taken, admitted; /* up to there */
	enum err take_fails, find_fails, admit_fails;
	uint32_t looked, asked_to_admit;
	struct responder_claim claim; /* the last; its pointers are only compared with NULL */
	uint8_t request[1024];        /* its bytes */
};

/* The identities, made once a program. */
const struct identity *pair_alice(enum sig_alg alg);
const struct identity *pair_bob(enum sig_alg alg);
void pair_free_identities(void);

/* Zeroed but for what makes a handshake succeed; change the configurations, then pair_start. */
struct pair pair_config(enum sig_alg alice, enum sig_alg bob);
void pair_start(struct pair *p);
void pair_done(struct pair *p);
/* Both have the same pad, and each key exchange uses a secret of it. */
void pair_with_pad(struct pair *p);
/* A second attempt of alice's. */
void pair_new_initiator(struct pair *p);

struct hs_output box_output(struct box *box);
void box_clear(struct box *box);

/* alice sends what is due. */
usec pair_poll(struct pair *p);
/* One datagram to bob from `source`, or to alice. */
enum err pair_to_bob_from(struct pair *p, const struct addr *source, const uint8_t *data, size_t len);
enum err pair_to_bob(struct pair *p, const uint8_t *data, size_t len);
enum err pair_to_alice(struct pair *p, const uint8_t *data, size_t len);
/* All of a box, in order; the last datagram's outcome. The box is emptied first: what is sent meanwhile stays in the
 * boxes. */
enum err pair_deliver_to_bob(struct pair *p);
enum err pair_deliver_to_alice(struct pair *p);
/* When what comes of it does not matter. */
void pair_deliver_both(struct pair *p);

/* Init sent, and delivered; Resp waits in to_alice. */
void pair_until_resp(struct pair *p);
/* Further, until Finish waits in to_bob. */
void pair_until_finish(struct pair *p);
/* All the way. */
void pair_complete(struct pair *p);
/* From any point: time passes and everything is delivered until it is done. */
void pair_settle(struct pair *p);
/* Both ends have the same session. */
void pair_assert_established(const struct pair *p);

/* Writes mac1 anew, as whoever knows the key would, after a datagram was changed. */
void remac(uint8_t *data, size_t len, const uint8_t key[static MAC1_KEY_LEN]);
/* mac1's key of Init; of Resp and Reject, from the datagrams of Init. */
void init_key(const struct pair *p, uint8_t key[static MAC1_KEY_LEN]);
void resp_key(const struct box *init, uint8_t key[static MAC1_KEY_LEN]);
