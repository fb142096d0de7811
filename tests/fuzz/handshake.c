/*
 * A handshake in disorder: the input is a list of steps, each of which delivers a datagram of a real
 * conversation (as it is, or with bytes changed and mac1 made right again), sends raw bytes, or lets
 * time pass. Whatever is done, only true ends agree.
 */
#include "fuzz.h"

#include "handshake/mac.h"
#include "pair.h"

#define STEPS_MAX 40

struct conversation {
	struct pair *pair;
	struct box from_alice, from_bob; /* all that was ever sent */
};

static void keep(struct box *all, struct box *fresh)
{
	for (size_t i = 0; i < fresh->count && all->count < BOX_MAX; i++) {
		memcpy(all->data[all->count], fresh->data[i], fresh->len[i]);
		all->len[all->count++] = fresh->len[i];
	}
	box_clear(fresh);
}

static void deliver(struct conversation *c, bool to_bob, const uint8_t *data, size_t len)
{
	uint8_t *copy = fuzz_copy(VIEW(data, len));
	if (to_bob)
		(void)!pair_to_bob(c->pair, copy, len);
	else
		(void)!pair_to_alice(c->pair, copy, len);
	free(copy);
	keep(&c->from_alice, &c->pair->to_bob);
	keep(&c->from_bob, &c->pair->to_alice);
}

/* Changes bytes of a kept datagram, and makes mac1 right for whoever can know its key. */
static void deliver_changed(struct conversation *c, bool to_bob, uint8_t which, struct view changes)
{
	const struct box *box = to_bob ? &c->from_alice : &c->from_bob;
	uint8_t datagram[HS_DATAGRAM_MAX], key[MAC1_KEY_LEN];
	if (box->count == 0)
		return;
	size_t at = which % box->count, len = box->len[at];
	memcpy(datagram, box->data[at], len);
	struct reader r = reader_of(changes.data, changes.len);
	while (reader_left(&r) >= 3) {
		uint16_t place = reader_u16(&r);
		datagram[place % len] ^= reader_u8(&r);
	}
	if (len > HS_OVERHEAD && datagram[0] != MSG_COOKIE && (!to_bob || datagram[0] == MSG_INIT)) {
		if (to_bob)
			init_key(c->pair, key);
		else
			resp_key(&c->from_alice, key);
		remac(datagram, len, key);
	}
	deliver(c, to_bob, datagram, len);
}

static void step(struct conversation *c, struct reader *r)
{
	uint8_t op = reader_u8(r), which = reader_u8(r);
	bool to_bob = op & 1;
	const struct box *box = to_bob ? &c->from_alice : &c->from_bob;
	switch (op >> 1 & 7) {
	case 0:
		deliver_changed(c, to_bob, which, fuzz_take(r, 3 * (size_t)(op >> 4)));
		break;
	case 1: {
		struct view raw = fuzz_take(r, reader_u16(r) % 1300);
		deliver(c, to_bob, raw.data, raw.len);
		break;
	}
	case 2:
		c->pair->now += which * (50 * USEC_PER_MS);
		responder_tick(c->pair->responder, c->pair->now);
		break;
	case 3:
		c->pair->under_load = to_bob;
		break;
	default: /* some in a row, as they are */
		for (size_t i = which; i < box->count && i < which + (size_t)(op >> 4); i++)
			deliver(c, to_bob, box->data[i], box->len[i]);
	}
	pair_poll(c->pair);
	keep(&c->from_alice, &c->pair->to_bob);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct conversation c;
	struct pair pair = pair_config(SIG_ML_DSA_65, SIG_ML_DSA_65);
	struct reader r = reader_of(data, len);
	memset(&c, 0, sizeof c);
	c.pair = &pair;
	if (len & 1)
		pair_with_pad(&pair);
	pair_start(&pair);
	pair_poll(&pair);
	keep(&c.from_alice, &pair.to_bob);
	for (int i = 0; i < STEPS_MAX && reader_left(&r); i++)
		step(&c, &r);
	MUST(responder_pending(pair.responder) <= pair.responder_config.max_pending);
	MUST(pair.established <= 1);
	MUST(pair.admitted <= pair.taken && pair.taken <= PAD_SECRET_LEN);
	if (pair.established) {
		const struct hs_result *a = initiator_result(pair.initiator);
		enum initiator_state state = initiator_state(pair.initiator);
		if (state == INITIATOR_WAITS_ACCEPT)
			MUST(memcmp(a->k_i2r, pair.session.k_i2r, AEAD_KEY_LEN) == 0);
	}
	pair_done(&pair);
	return 0;
}
