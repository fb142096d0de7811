/*
 * What stands in the handshake's messages (docs/protocol.md, "Handshake"): layouts of Init, Resp
 * and its box, Finish and the reason of a Reject, read and written strictly. No crypto. Parsed
 * structs borrow the bytes they were parsed from; public keys are copied.
 */
#pragma once

#include "crypto/dh.h"
#include "crypto/kem.h"
#include "handshake/result.h"

#define INIT_NONCE_LEN 32
#define REQUEST_MAX 1024
/* Resp before its box: epk_R, ct. */
#define RESP_HEAD_LEN (DH_LEN + KEM_CIPHERTEXT_LEN)
#define REASON_MAX (1 + REJECT_TEXT_MAX) /* code and text */

struct init_message {
	const uint8_t *nonce; /* INIT_NONCE_LEN bytes */
	uint32_t suites;
	const uint8_t *epk; /* DH_LEN */
	const uint8_t *ek;  /* KEM_PUBLIC_LEN */
};

struct resp_box {
	uint8_t suite;
	struct sig_public key;
	struct view sig;
	const uint8_t *fin; /* HASH_LEN */
};

struct finish_message {
	struct sig_public key;
	struct view sig;
	const uint8_t *fin;     /* HASH_LEN */
	const uint8_t *psk_ref; /* PSK_REF_LEN */
	const uint8_t *pad_ref; /* PAD_REF_LEN */
	struct view tlvs;       /* the request without its length */
};

/* ERR_FORMAT: not HS_INIT_LEN bytes, or the padding is not zero. */
enum err init_parse(struct init_message *ret, struct view message);
void init_build(uint8_t out[static HS_INIT_LEN], const struct init_message *message);

/* The plaintext of Resp's box; its length, and the whole message's. 0 for an unknown alg. */
size_t resp_box_len(enum sig_alg alg);
size_t resp_len(enum sig_alg alg);
/* ERR_FORMAT: unknown alg, or a length that does not fit it. suite is not judged here. */
enum err resp_box_parse(struct resp_box *ret, struct view plain);
void resp_box_build(struct writer *w, const struct resp_box *box);

/* The sealed message's length: the smallest multiple of HS_BODY_MAX. 0 for an unknown alg. */
size_t finish_len(enum sig_alg alg, size_t tlvs_len);
/* ERR_FORMAT: unknown alg, a request over REQUEST_MAX, padding that is not zero, or more of it
 * than it takes to fill the datagrams. */
enum err finish_parse(struct finish_message *ret, struct view plain);
/* Fills w, which must be the plaintext's whole room, with the message and padding. */
void finish_build(struct writer *w, const struct finish_message *message);

/* code u8, text, which is cut off where REASON_MAX ends; returns the length. */
size_t reason_build(uint8_t out[static REASON_MAX], const struct reject_reason *reason);
/* The text is made printable: what is not well-formed UTF-8, and control characters, become '?'.
 * ERR_FORMAT: empty or over REASON_MAX; *ret as it was. */
enum err reason_parse(struct reject_reason *ret, struct view plain);
