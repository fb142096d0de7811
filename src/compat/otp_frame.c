#include "compat/otp_frame.h"

#include "base/bytes.h"
#include "base/secret.h"

static void mask(uint8_t *restrict data, const uint8_t *restrict key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] ^= key[i];
}

enum err otp_datagram_parse(struct otp_datagram *ret, const uint8_t *datagram, size_t len)
{
	if (len < OTP_DATAGRAM_MIN || len > OTP_DATAGRAM_MAX)
		return ERR_FORMAT;
	struct reader r = reader_of(datagram, len);
	(void)reader_take(&r, len - OTP_OFFSET_LEN);
	const uint8_t *o = reader_take(&r, OTP_OFFSET_LEN);
	*ret = (struct otp_datagram){.offset = (uint64_t)be16_get(o) << 32 | be32_get(o + 2),
		.frame_len = len - OTP_OVERHEAD,
		.key_len = len - OTP_OFFSET_LEN};
	return OK;
}

enum err otp_frame_seal(
	struct md5 *md5, uint8_t *out, const uint8_t *frame, size_t len, const uint8_t *key, uint64_t offset)
{
	if (len < OTP_FRAME_MIN || len > OTP_FRAME_MAX || offset > OTP_OFFSET_MAX)
		return ERR_ARGUMENT;
	enum err err = md5_sum(md5, out + len, frame, len);
	if (err != OK) {
		secret_wipe(out, len + OTP_OVERHEAD);
		return err;
	}
	memcpy(out, frame, len);
	mask(out, key, len + MD5_LEN);
	uint8_t *o = out + len + MD5_LEN;
	be16_put(o, (uint16_t)(offset >> 32));
	be32_put(o + 2, (uint32_t)offset);
	return OK;
}

enum err otp_frame_open(struct md5 *md5, uint8_t *datagram, const struct otp_datagram *parsed, const uint8_t *key)
{
	uint8_t sum[MD5_LEN];
	mask(datagram, key, parsed->key_len);
	enum err err = md5_sum(md5, sum, datagram, parsed->frame_len);
	if (err == OK && !secret_equal(sum, datagram + parsed->frame_len, MD5_LEN))
		err = ERR_AUTH;
	if (err != OK)
		secret_wipe(datagram, parsed->key_len);
	return err;
}
