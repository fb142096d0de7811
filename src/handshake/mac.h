/*
 * mac1 and mac2 of handshake datagrams (docs/protocol.md, "Datagrams"), and sending a message
 * as datagrams that carry them. Pure but for the caller's output.
 */
#pragma once

#include "handshake/result.h"
#include "wire/hs.h"

#define MAC1_KEY_LEN 32

/* SHA-256("jorm4 mac1" || K): K is the responder's key ID for Init, H(Init) for Resp and Reject.
 * (Finish is keyed by k_m3 itself.) ERR_CRYPTO. */
enum err mac1_key(uint8_t ret[static MAC1_KEY_LEN], struct view k);

/* Constant time. OK; ERR_AUTH: another key or damaged; ERR_CRYPTO. */
enum err mac1_check(const uint8_t key[static MAC1_KEY_LEN], const struct hs_datagram *datagram);
enum err mac2_check(const uint8_t cookie[static COOKIE_LEN], const struct hs_datagram *datagram);

/* Sends all datagrams of a message, with mac2 when `cookie` (COOKIE_LEN bytes) is not NULL.
 * mac1s, when not NULL, gets each datagram's mac1 (hs_fragments of them) before it is sent.
 * ERR_ARGUMENT (a length that no message has), ERR_CRYPTO: the datagrams not sent yet are left out. */
enum err mac_send(const struct hs_message *message, const uint8_t key[static MAC1_KEY_LEN], const uint8_t *cookie,
	uint8_t (*mac1s)[HS_MAC_LEN], const struct hs_output *out);
