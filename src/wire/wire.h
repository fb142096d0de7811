/*
 * Every message and constant of the wire protocol (docs/protocol.md). Layout only: who may send
 * what when is the business of handshake, transport and engine. All integers little-endian.
 */
#pragma once

#include <assert.h>
#include <stdint.h>

#define WIRE_VERSION 4

/* "Datagrams": the first byte. */
enum msg_type {
	MSG_INIT = 1,
	MSG_RESP = 2,
	MSG_FINISH = 3,
	MSG_DATA = 4,
	MSG_COOKIE = 5,
	MSG_PAD_HELLO = 6,
	MSG_PAD_DATA = 7,
	MSG_PAD_WELCOME = 8,
	MSG_REJECT = 9,
};

/* Handshake datagram: header, body, mac1, mac2. */
#define HS_HEADER_LEN 16
#define HS_MAC_LEN 16
#define HS_OVERHEAD (HS_HEADER_LEN + 2 * HS_MAC_LEN)
#define HS_DATAGRAM_MAX 1232 /* the IPv6 minimum of 1280 less IPv6 and UDP headers */
#define HS_DATAGRAM_MIN 64
#define HS_BODY_MAX (HS_DATAGRAM_MAX - HS_OVERHEAD)
#define HS_FRAGMENTS_MAX 8
#define HS_MESSAGE_MAX (HS_FRAGMENTS_MAX * HS_BODY_MAX)
#define HS_INIT_FRAGMENTS 3
#define HS_INIT_LEN (HS_INIT_FRAGMENTS * HS_BODY_MAX)

struct hs_header {
	uint8_t type, version, fragment, fragments;
	uint8_t sender[4], receiver[4];
	uint8_t message_len[2], reserved[2];
};
static_assert(sizeof(struct hs_header) == HS_HEADER_LEN);

/* Cookie datagram. */
#define COOKIE_LEN 16
#define COOKIE_SALT_LEN 24
struct cookie_message {
	uint8_t type, version, reserved[2];
	uint8_t receiver[4];
	uint8_t salt[COOKIE_SALT_LEN];
	uint8_t sealed[COOKIE_LEN + 16];
};
static_assert(sizeof(struct cookie_message) == 64);

/* Data datagram: header (the AEAD's associated data), sealed frames, tag. */
#define DATA_HEADER_LEN 16
#define DATA_TAG_LEN 16
#define DATA_OVERHEAD (DATA_HEADER_LEN + DATA_TAG_LEN)
struct data_header {
	uint8_t type, reserved[3];
	uint8_t receiver[4];
	uint8_t counter[8];
};
static_assert(sizeof(struct data_header) == DATA_HEADER_LEN);

/* PadHello and PadWelcome: header, masked marks, tag. PadData has Data's header, with an offset for the counter. */
#define PAD_MARKS_LEN 64
struct pad_hello {
	uint8_t type, version, reserved[2];
	uint8_t sender[4], slot[4];
	uint8_t marks[PAD_MARKS_LEN];
	uint8_t tag[16];
};
#define PAD_HELLO_LEN 92
static_assert(sizeof(struct pad_hello) == PAD_HELLO_LEN);
struct pad_welcome {
	uint8_t type, version, reserved[2];
	uint8_t sender[4], receiver[4], slot[4];
	uint8_t marks[PAD_MARKS_LEN];
	uint8_t tag[16];
};
#define PAD_WELCOME_LEN 96
static_assert(sizeof(struct pad_welcome) == PAD_WELCOME_LEN);

/* Before the frames of a Data that is masked by a pad, too: offset u64, length u16. */
#define PAD_PREFIX_LEN 10

/* Frames: header, body. A zero kind byte ends the plaintext. */
#define FRAME_HEADER_LEN 4
enum frame_kind {
	FRAME_PADDING = 0,
	FRAME_IP = 1,
	FRAME_ETHERNET = 2,
	FRAME_CONTROL = 3,
	FRAME_FRAGMENT = 4,
	FRAME_PROBE = 5,
};
#define FRAME_FLAG_CSUM_PARTIAL 1 /* on IP and ETHERNET: the layer-4 checksum is the pseudo-header sum only */
#define FRAME_FLAG_ECHO 1	  /* on PROBE: the answer */
#define PROBE_LEN 8
#define FRAGMENT_HEADER_LEN 8 /* id u32, offset u16, total u16 */

/* Control frames: header, body. */
#define CONTROL_HEADER_LEN 7 /* id u16, ack u16, type u8, part u8, parts u8 */
#define CONTROL_MESSAGE_MAX 16384
enum control_type {
	CONTROL_ACK = 0,
	CONTROL_ACCEPT = 1,
	CONTROL_REKEY1 = 2,
	CONTROL_REKEY2 = 3,
	CONTROL_PAD_CREDIT = 4,
	CONTROL_CLOSE = 5,
};

/* Sizes of the outer path (docs/protocol.md, "Padding" and "Path MTU"). */
#define PATH_MTU_MIN 1280
#define OUTER_OVERHEAD_V4 28 /* IPv4 and UDP headers */
#define OUTER_OVERHEAD_V6 48
#define PAD_ID_LEN 16
#define PAD_REF_LEN 24 /* pad id, offset u64 */
#define PSK_LEN 32
#define PSK_REF_LEN 16
#define PAD_SECRET_LEN 64
