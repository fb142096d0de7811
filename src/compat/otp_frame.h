/*
 * OTPTunnel's datagram:
 *
 *   0      n   XOR( Ethernet frame, key bytes )
 *   n      16  XOR( MD5 of the frame, the key bytes that follow )
 *   n+16   6   offset of the first key byte in the key file, big-endian
 *
 * Key byte i of it is the file's byte offset + 2*i. No state: which key bytes are used, and whether they may be, is
 * compat/otp_pad.h.
 *
 * MD5 has no key here, and XOR hides no change: who knows a frame knows its key bytes, and can put any other of at most
 * this size in its place. Only that no byte is taken twice (compat/otp_window.h) makes it a race that is won once.
 */
#pragma once

#include "base/err.h"
#include "crypto/md5.h"

#define OTP_OFFSET_LEN 6
#define OTP_OVERHEAD (MD5_LEN + OTP_OFFSET_LEN)
#define OTP_FRAME_MIN 14 /* an Ethernet header: the older program dies of shorter ones */
#define OTP_DATAGRAM_MIN (OTP_FRAME_MIN + OTP_OVERHEAD)
#define OTP_DATAGRAM_MAX 4096
#define OTP_FRAME_MAX (OTP_DATAGRAM_MAX - OTP_OVERHEAD)
#define OTP_KEY_MAX (OTP_DATAGRAM_MAX - OTP_OFFSET_LEN)
#define OTP_OFFSET_MAX (((uint64_t)1 << 48) - 1)

struct otp_datagram {
	uint64_t offset;
	size_t frame_len;
	size_t key_len; /* frame_len + MD5_LEN */
};

/* ERR_FORMAT: shorter or longer than the limits above. */
enum err otp_datagram_parse(struct otp_datagram *ret, const uint8_t *datagram, size_t len);

/*
 * Writes the datagram of a frame of OTP_FRAME_MIN..OTP_FRAME_MAX bytes: len + OTP_OVERHEAD bytes, apart from the frame.
 * `key`: len + MD5_LEN bytes. ERR_ARGUMENT: the frame's length, or an offset above OTP_OFFSET_MAX; ERR_CRYPTO, then
 * what was written is zeroed.
 */
enum err otp_frame_seal(
	struct md5 *md5, uint8_t *out, const uint8_t *frame, size_t len, const uint8_t *key, uint64_t offset);

/*
 * Turns the first frame_len bytes of a parsed datagram into the frame. `key`: key_len bytes. ERR_AUTH: another key, or
 * changed; ERR_CRYPTO. After an error these bytes are zeros.
 */
enum err otp_frame_open(struct md5 *md5, uint8_t *datagram, const struct otp_datagram *parsed, const uint8_t *key);
