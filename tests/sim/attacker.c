#include "sim/attacker.h"

#include "handshake/cookie.h"
#include "handshake/mac.h"
#include "handshake/message.h"

#include <stdlib.h>

void attacker_init(struct attacker *a, struct world *w, struct network *n)
{
	*a = (struct attacker){.world = w, .network = n, .random = random_fork(&w->random, 3)};
}

void attacker_done(struct attacker *a)
{
	for (uint32_t i = 0; i < a->n_recorded; i++)
		free(a->recorded[i]);
}

/* ---- tools ---- */

static uint32_t host_at(const struct attacker *a, const struct addr *address)
{
	for (uint32_t i = 0; i < a->n_hosts; i++)
		if (addr_equal(&a->network->nodes[a->hosts[i].node].address, address))
			return i;
	return HOSTS_MAX;
}

static void inject(struct attacker *a, const struct datagram *d, usec delay)
{
	network_inject(a->network, d, delay);
}

static void inject_bytes(
	struct attacker *a, const struct addr *from, const struct addr *to, const void *data, size_t len)
{
	struct datagram *d = datagram_new(from, to, data, len);
	inject(a, d, random_below(&a->random, 3000));
	free(d);
}

static const struct datagram *pick(struct attacker *a)
{
	return a->n_recorded ? a->recorded[random_below(&a->random, a->n_recorded)] : NULL;
}

static const struct addr *address_of(const struct attacker *a, uint32_t host)
{
	return &a->network->nodes[a->hosts[host].node].address;
}

static struct addr any_victim(struct attacker *a)
{
	/* Few of them, so that sums grow. */
	return victim_address(random_below(&a->random, 8));
}

static void sign(uint8_t *datagram, size_t len, const uint8_t key[MAC1_KEY_LEN])
{
	uint8_t mac[HASH_SHA256_LEN];
	if (HMAC_SHA256(mac, VIEW(key, MAC1_KEY_LEN), VIEW(datagram, len - 2 * HS_MAC_LEN)) == OK)
		memcpy(datagram + len - 2 * HS_MAC_LEN, mac, HS_MAC_LEN);
}

static bool init_key(const struct attacker *a, uint32_t responder, uint8_t key[MAC1_KEY_LEN])
{
	return mac1_key(key, VIEW(identity_key_id(a->hosts[responder].identity), KEY_ID_LEN)) == OK;
}

/* The key of Resp and Reject follows from an Init that was seen. */
static bool answer_key(const struct init_seen *init, uint8_t key[MAC1_KEY_LEN])
{
	uint8_t hash[HASH_LEN];
	return init->have == (1U << HS_INIT_FRAGMENTS) - 1 && HASH_SHA384(hash, VIEW_ARRAY(init->message)) == OK &&
	       mac1_key(key, VIEW_ARRAY(hash)) == OK;
}

/* ---- watching ---- */

static void watch_init(struct attacker *a, uint32_t from, const struct datagram *d)
{
	struct hs_datagram hs;
	uint32_t to = host_at(a, &d->to);
	if (hs_parse(&hs, d->data, d->len) != OK || hs.type != MSG_INIT || to == HOSTS_MAX)
		return;
	struct init_seen *i = &a->inits[from];
	if (i->sender != hs.sender)
		*i = (struct init_seen){.to = to, .sender = hs.sender};
	memcpy(i->message + (size_t)hs.fragment * HS_BODY_MAX, hs.body.data, hs.body.len);
	memcpy(i->mac1[hs.fragment], hs.mac1, HS_MAC_LEN);
	i->have |= (uint8_t)(1U << hs.fragment);
}

static void record(struct attacker *a, const struct datagram *d)
{
	struct datagram *copy = datagram_new(&d->from, &d->to, d->data, d->len);
	if (a->n_recorded < RECORDED_MAX) {
		a->recorded[a->n_recorded++] = copy;
		return;
	}
	uint32_t at = random_below(&a->random, RECORDED_MAX);
	free(a->recorded[at]);
	a->recorded[at] = copy;
}

/* ---- things of his own ---- */

static void replay(struct attacker *a)
{
	const struct datagram *d = pick(a);
	if (d)
		inject(a, d, 0);
}

/* Finish above all. */
static void replay_finish(struct attacker *a)
{
	for (uint32_t i = 0; i < a->n_recorded; i++)
		if (a->recorded[i]->data[0] == MSG_FINISH && random_chance(&a->random, 500))
			inject(a, a->recorded[i], random_below(&a->random, 1000));
}

static void reflect(struct attacker *a)
{
	const struct datagram *d = pick(a);
	if (d)
		inject_bytes(a, &d->to, &d->from, d->data, d->len);
}

static void damage(struct attacker *a)
{
	const struct datagram *d = pick(a);
	if (!d || !d->len)
		return;
	struct datagram *copy = datagram_new(&d->from, &d->to, d->data, d->len);
	if (random_chance(&a->random, 500))
		copy->len = random_below(&a->random, (uint32_t)copy->len + 1);
	for (uint32_t flips = random_below(&a->random, 4); copy->len && flips; flips--)
		copy->data[random_below(&a->random, (uint32_t)copy->len)] ^=
			(uint8_t)(1U << random_below(&a->random, 8));
	inject(a, copy, 0);
	free(copy);
}

static void send_garbage(struct attacker *a)
{
	uint8_t data[1500];
	size_t len = random_below(&a->random, sizeof data);
	random_fill(&a->random, data, len);
	if (len)
		data[0] = (uint8_t)random_below(&a->random, 12);
	struct addr from = any_victim(a);
	inject_bytes(a, &from, address_of(a, random_below(&a->random, a->n_hosts)), data, len);
}

/* From an address of any host or victim. */
static void move(struct attacker *a)
{
	const struct datagram *d = pick(a);
	if (!d)
		return;
	struct addr from =
		random_chance(&a->random, 700) ? any_victim(a) : *address_of(a, random_below(&a->random, a->n_hosts));
	inject_bytes(a, &from, &d->to, d->data, d->len);
}

/* Init fragments that pass mac1, of nonsense or of an Init that was seen, from many addresses. */
static void flood(struct attacker *a)
{
	uint32_t responder = random_below(&a->random, a->n_hosts);
	const struct init_seen *seen = &a->inits[random_below(&a->random, a->n_hosts)];
	bool is_copy = seen->have == (1U << HS_INIT_FRAGMENTS) - 1 && random_chance(&a->random, 300);
	uint8_t key[MAC1_KEY_LEN], message[HS_INIT_LEN];
	if (!init_key(a, responder, key))
		return;
	random_fill(&a->random, message, sizeof message);
	struct hs_message m = {.type = MSG_INIT, .bytes = is_copy ? VIEW_ARRAY(seen->message) : VIEW_ARRAY(message)};
	for (uint32_t n = random_below(&a->random, is_copy ? 2 : 24) + 1; n; n--) {
		struct addr from = any_victim(a);
		m.sender = (uint32_t)random_u64(&a->random);
		for (uint8_t i = 0; i < HS_INIT_FRAGMENTS; i++) {
			uint8_t datagram[HS_DATAGRAM_MAX];
			size_t len = hs_build(datagram, &m, i);
			sign(datagram, len, key);
			if (is_copy || random_chance(&a->random, 600))
				inject_bytes(a, &from, address_of(a, responder), datagram, len);
		}
	}
}

/* Resp and Reject of nonsense under the right mac1; Cookies that open. */
static void forge_answer(struct attacker *a)
{
	uint32_t initiator = random_below(&a->random, a->n_hosts);
	const struct init_seen *seen = &a->inits[initiator];
	uint8_t key[MAC1_KEY_LEN], message[HS_MESSAGE_MAX], datagram[HS_DATAGRAM_MAX];
	if (!answer_key(seen, key))
		return;
	const struct addr *from = address_of(a, seen->to), *to = address_of(a, initiator);
	uint32_t what = random_below(&a->random, 3);
	random_fill(&a->random, message, sizeof message);
	if (what == 0) {
		struct cookie_datagram c = {.receiver = seen->sender};
		memcpy(c.sealed, message, COOKIE_LEN);
		memcpy(c.salt, message + COOKIE_LEN, sizeof c.salt);
		if (cookie_seal(datagram, &c, identity_key_id(a->hosts[seen->to].identity), seen->mac1[0]) == OK)
			inject_bytes(a, from, to, datagram, COOKIE_DATAGRAM_LEN);
		return;
	}
	struct hs_message m = {.type = what == 1 ? MSG_RESP : MSG_REJECT,
		.sender = (uint32_t)random_u64(&a->random),
		.receiver = seen->sender};
	size_t len = what == 2 ? 100 : resp_len(random_chance(&a->random, 500) ? SIG_ML_DSA_65 : SIG_ML_DSA_87);
	m.bytes = VIEW(message, len);
	for (uint8_t i = 0; i < hs_fragments(len); i++) {
		size_t n = hs_build(datagram, &m, i);
		sign(datagram, n, key);
		inject_bytes(a, from, to, datagram, n);
	}
}

static void act(void *context, void *owned)
{
	static void (*const actions[])(struct attacker *) = {
		replay, replay, replay_finish, reflect, damage, send_garbage, move, move, flood, forge_answer};
	struct attacker *a = context;
	(void)owned;
	if (!a->is_active)
		return;
	actions[random_below(&a->random, sizeof actions / sizeof *actions)](a);
	world_at(a->world, a->world->now + 1 + random_below(&a->random, 2 * (uint32_t)a->pause), act, a, NULL);
}

void attacker_start(struct attacker *a)
{
	if (a->is_active)
		return;
	a->is_active = true;
	world_at(a->world, a->world->now, act, a, NULL);
}

void attacker_rest(struct attacker *a)
{
	a->is_active = false;
}

/* ---- with what is under way ---- */

/* Sender or receiver index changed, and mac1 with it where he has the key. */
static void rewrite(struct attacker *a, uint32_t from, struct datagram *d)
{
	struct hs_datagram hs;
	uint8_t key[MAC1_KEY_LEN];
	uint32_t to = host_at(a, &d->to);
	if (d->len < 16)
		return;
	bool is_hs = hs_parse(&hs, d->data, d->len) == OK;
	le32_put(d->data + (random_chance(&a->random, 500) ? 4 : 8), (uint32_t)random_u64(&a->random));
	if (!is_hs || to == HOSTS_MAX)
		return;
	if (hs.type == MSG_INIT && init_key(a, to, key))
		sign(d->data, d->len, key);
	else if (answer_key(&a->inits[to], key))
		sign(d->data, d->len, key);
	(void)from;
}

static bool interfere(struct attacker *a, uint32_t from, const struct datagram *d)
{
	struct datagram *copy = datagram_new(&d->from, &d->to, d->data, d->len);
	bool passes = false;
	switch (random_below(&a->random, 6)) {
	case 0: /* delays */
		inject(a, copy, random_between(&a->random, USEC_PER_MS, 12 * USEC_PER_SEC));
		break;
	case 1: /* moves the sender, before or instead of the true datagram */
		copy->from = any_victim(a);
		inject(a, copy, 0);
		passes = random_chance(&a->random, 300);
		break;
	case 2:
		rewrite(a, from, copy);
		inject(a, copy, 0);
		passes = random_chance(&a->random, 500);
		break;
	case 3: /* drops */
		break;
	case 4: /* truncates */
		copy->len = random_below(&a->random, (uint32_t)copy->len + 1);
		inject(a, copy, 0);
		break;
	default: /* doubles, now and later */
		inject(a, copy, random_below(&a->random, 1000));
		inject(a, copy, random_between(&a->random, USEC_PER_MS, 40 * USEC_PER_SEC));
		passes = true;
	}
	free(copy);
	return passes;
}

bool attacker_tap(struct attacker *a, uint32_t from, const struct datagram *d)
{
	watch_init(a, from, d);
	record(a, d);
	if (!a->is_active || !random_chance(&a->random, a->interference))
		return true;
	return interfere(a, from, d);
}
