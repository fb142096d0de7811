/*
 * What a finished handshake gives (docs/protocol.md, "Handshake"): the peer's identity, the
 * negotiated suite, and the secrets of the session's first epoch. Plain data with secrets in it:
 * whoever holds one wipes it with hs_result_wipe.
 */
#pragma once

#include "base/clock.h"
#include "base/secret.h"
#include "crypto/aead.h"
#include "crypto/kdf.h"
#include "crypto/sig.h"
#include "wire/wire.h"

struct hs_result {
	bool is_initiator; /* which side this end is */
	uint32_t local_index, remote_index;
	enum cipher suite;
	enum sig_alg peer_alg;
	uint8_t peer_key_id[KEY_ID_LEN];
	bool has_psk, has_pad; /* what T was made with besides the key exchange */
	uint8_t k_i2r[AEAD_KEY_LEN], k_r2i[AEAD_KEY_LEN];
	uint8_t rekey_0[HASH_LEN];
	uint8_t h6[HASH_LEN];
	uint16_t request_len;
	uint8_t request[1024]; /* the initiator's request TLVs, at the responder */
};

static inline void hs_result_wipe(struct hs_result *r)
{
	secret_wipe(r, sizeof *r);
}

/* A finished datagram for the network. `data` is borrowed for the call only. */
struct hs_output {
	void (*send)(void *context, const uint8_t *data, size_t len);
	void *context;
};

/* Why a peer was refused, as the Reject message carries it. */
enum reject_code {
	REJECT_UNAUTHORISED = 1, /* key not known here */
	REJECT_PSK = 2,          /* a pre-shared key is required, or another one, or none */
	REJECT_PAD = 3,
	REJECT_POOL = 4, /* no address left */
	REJECT_CONFIG = 5,
};
#define REJECT_TEXT_MAX 199 /* UTF-8; with the code 200 bytes on the wire */
struct reject_reason {
	enum reject_code code;
	char text[REJECT_TEXT_MAX + 1];
};
