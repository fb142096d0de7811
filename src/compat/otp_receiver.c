/* The way in of a key file in use: the peer's bytes alone, each once, and little work for who names places at random.
 */
#include "compat/otp_private.h"

/* Whoever names places at random makes us read the disk: so often, and no more until one was right. */
static bool may_fetch(struct otp_pad *p, usec now)
{
	const uint64_t earned = (now - p->fetched_at) * OTP_FETCH_RATE / USEC_PER_SEC;
	if (earned > 0) {
		p->fetches = (uint32_t)otp_earlier(p->fetches + earned, OTP_FETCHES);
		p->fetched_at = now;
	}
	if (p->fetches == 0)
		return false;
	p->fetches--;
	return true;
}

/* A peer of the older kind that begins again does so at its first byte. Its first frames may be lost. */
static bool may_be_restart(const struct otp_pad *p, uint64_t position)
{
	return position < OTP_RESTART_SPAN || position < otp_window_floor(p->window);
}

static enum err find_key(struct otp_pad *p, usec now, uint64_t position, size_t len, bool *ret_is_fetched)
{
	*ret_is_fetched = false;
	if (otp_key_get(p->receive_key, position, p->receive_bytes, len))
		return OK;
	*ret_is_fetched = true;
	if (!may_fetch(p, now) || otp_key_read(p->receive_key, position, p->receive_bytes, len) != OK) {
		otp_count(&p->counters.unread);
		return ERR_AGAIN;
	}
	return OK;
}

/* It is authentic, and its bytes are new, or taken for new. */
static void accept(struct otp_pad *p, uint64_t position, size_t len, bool was_fetched)
{
	const uint64_t received = otp_window_next(p->window);
	atomic_store_explicit(&p->received, received, memory_order_relaxed);
	if (was_fetched)
		p->fetches++;
	if (position + len >= atomic_load_explicit(&p->wake_receive, memory_order_relaxed))
		otp_wake(p, &p->wake_receive);
	otp_count(&p->counters.opened);
}

static enum err check_place(struct otp_pad *p, const struct otp_datagram *d, uint64_t *ret_position)
{
	const enum pad_role peer = otptunnel_role_other(p->options.role);
	if (d->offset % 2 != otptunnel_parity(peer)) {
		otp_count(&p->counters.reflected);
		return ERR_REPLAY;
	}
	const uint64_t position = otp_position(peer, d->offset);
	if (position > p->peer_share || d->key_len > p->peer_share - position) {
		otp_count(&p->counters.outside);
		return ERR_FORMAT;
	}
	*ret_position = position;
	return OK;
}

enum err otp_pad_open(
	struct otp_pad *p, usec now, uint8_t *datagram, size_t len, size_t *ret_frame_len, bool *ret_is_new)
{
	struct otp_datagram d;
	uint64_t position;
	bool is_fetched;
	if (otp_datagram_parse(&d, datagram, len) != OK) {
		otp_count(&p->counters.malformed);
		return ERR_FORMAT;
	}
	enum err err = check_place(p, &d, &position);
	if (err != OK)
		return err;
	const bool is_repeated = otp_window_check(p->window, position, d.key_len) != OK;
	if (is_repeated && !may_be_restart(p, position)) {
		otp_count(&p->counters.replayed);
		return ERR_REPLAY;
	}
	err = find_key(p, now, position, d.key_len, &is_fetched);
	if (err != OK)
		return err;
	err = otp_frame_open(p->receive_md5, datagram, &d, p->receive_bytes);
	if (err != OK) {
		otp_count(&p->counters.forged);
		return err;
	}
	if (is_repeated && !p->options.peer_restarts) {
		otp_count(&p->counters.restarted);
		return ERR_REPLAY;
	}
	if (is_repeated)
		otp_window_restart(p->window, position);
	const bool is_new = position + d.key_len > otp_window_next(p->window);
	err = otp_window_accept(p->window, position, d.key_len);
	if (err != OK)
		return err;
	accept(p, position, d.key_len, is_fetched);
	*ret_frame_len = d.frame_len;
	*ret_is_new = is_new;
	return OK;
}
