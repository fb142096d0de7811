/* The way out of a key file in use: each byte for one frame, when the disk has it as used. */
#include "compat/otp_private.h"

enum err otp_pad_seal(struct otp_pad *p, const uint8_t *frame, size_t len, uint8_t *out, size_t *ret_len)
{
	const uint64_t next = atomic_load_explicit(&p->next, memory_order_relaxed);
	const size_t key_len = len + MD5_LEN;
	if (len < OTP_FRAME_MIN || len > OTP_FRAME_MAX) {
		otp_count(&p->counters.odd);
		return ERR_ARGUMENT;
	}
	if (atomic_load_explicit(&p->is_used_up, memory_order_relaxed) || key_len > p->share - next) {
		atomic_store_explicit(&p->is_used_up, true, memory_order_relaxed);
		otp_count(&p->counters.used_up);
		return ERR_FULL;
	}
	if (next + key_len > atomic_load_explicit(&p->allowed, memory_order_acquire) ||
		!otp_key_get(p->send_key, next, p->send_bytes, key_len)) {
		otp_count(&p->counters.unready);
		otp_wake(p, &p->wake_send);
		return ERR_AGAIN;
	}
	atomic_store_explicit(&p->next, next + key_len, memory_order_relaxed);
	if (next + key_len >= atomic_load_explicit(&p->wake_send, memory_order_relaxed))
		otp_wake(p, &p->wake_send);
	enum err err =
		otp_frame_seal(p->send_md5, out, frame, len, p->send_bytes, otptunnel_offset(p->options.role, next));
	if (err != OK) {
		otp_count(&p->counters.unready);
		return err;
	}
	otp_count(&p->counters.sealed);
	*ret_len = len + OTP_OVERHEAD;
	return OK;
}
