#include "sim/scene.h"

struct addr scene_new_address(struct scenario *s, bool v4)
{
	uint32_t n = ++s->addresses;
	uint16_t port = (uint16_t)(20000 + n);
	if (v4)
		return (struct addr){.ip = {[10] = 0xff, 0xff, 203, 0, 113, (uint8_t)n}, .port = port};
	return (struct addr){.ip = {0x20, 0x01, 0x0d, 0xb8, [14] = (uint8_t)(n >> 8), (uint8_t)n}, .port = port};
}

void scene_choose_path(struct scenario *s)
{
	static const uint32_t mtus[] = {1280, 1280, 1400, 1492, 1500, 1500, 9000};
	static const uint32_t losses[] = {0, 0, 10, 50, 100, 300};
	struct stream_random *r = &s->random;
	s->network.conditions = (struct conditions){
		.loss = losses[random_below(r, 6)],
		.duplication = random_chance(r, 500) ? 30 : 0,
		.corruption = random_chance(r, 500) ? 20 : 0,
		.reordering = random_chance(r, 500) ? 200 : 0,
		.latency = random_between(r, 200, 80000),
		.jitter = random_between(r, 1000, 300000),
		.mtu = mtus[random_below(r, 7)],
	};
}

static void choose_host(struct scenario *s, uint32_t number, struct identity *const identities[IDENTITIES])
{
	struct stream_random *r = &s->random;
	struct host *h = &s->hosts[number];
	static const uint32_t mtus[] = {1280, 1500, 1500, 9000};
	static const uint32_t suites[] = {CIPHER_ALL, CIPHER_ALL, CIPHER_CHACHA20_POLY1305};
	*h = (struct host){
		.world = &s->world,
		.ledger = &s->ledger,
		.observer = &s->observer,
		.number = number,
		.identity = identities[number],
		.keepalive = random_chance(r, 300) ? random_between(r, 5, 40) * USEC_PER_SEC : 0,
		.joins_udp = random_chance(r, 500),
		.is_under_load = random_chance(r, 100),
		.interface_mtu = mtus[random_below(r, 4)],
		.send_failures = random_chance(r, 200) ? 20 : 0,
		.lateness = random_chance(r, 200) ? random_between(r, 1000, 700000) : 0,
		.clock_ahead = random_between(r, 0, 1000000) * USEC_PER_MS,
	};
	h->config = (struct engine_config){
		.suites = suites[random_below(r, 3)],
		.prefer_aes = random_chance(r, 500),
		.padding = random_chance(r, 300) ? PADDING_NONE : PADDING_BUCKETS,
		.tunnel_mtu = 1420,
		.reauthenticate = random_chance(r, 500) ? 300 * USEC_PER_SEC : 3600 * USEC_PER_SEC,
		.rekey = random_chance(r, 400) ? random_between(r, 5, 60) * USEC_PER_SEC : 0,
		.max_pending = random_chance(r, 200) ? 4 : 64,
		.handshake_rate = random_chance(r, 200) ? 2 : 10,
	};
	struct addr address = scene_new_address(s, random_chance(r, 600));
	host_attach(h, &s->network, &address);
}

static void know(struct host *h, const struct host *other, bool initiates, const uint8_t *psk)
{
	struct host_peer *p = &h->peers[h->n_peers++];
	*p = (struct host_peer){.host = other->number, .initiates = initiates, .has_psk = psk};
	if (psk)
		memcpy(p->psk, psk, PSK_LEN);
}

/* The client that both have just come to know has a pad. */
static void give_pad(struct scenario *s, uint32_t client)
{
	static const enum protection protections[] = {PROTECTION_OTP, PROTECTION_OTP, PROTECTION_PQ_OTP, PROTECTION_PQ};
	enum protection protection = protections[random_below(&s->random, 4)];
	struct host_peer *at_client = &s->hosts[client].peers[0],
			 *at_server = &s->hosts[0].peers[s->hosts[0].n_peers - 1];
	struct sim_link *link = sim_link_new(&s->world, client);
	link->crashes &= !s->is_calm;
	s->links[client] = link;
	at_client->protection = at_server->protection = protection;
	at_client->end = &link->ends[1];
	at_server->end = &link->ends[0];
}

/* Host 0 is the server. Sometimes a client is a stranger to it, or has another pre-shared key. */
static void choose_peers(struct scenario *s)
{
	struct stream_random *r = &s->random;
	bool is_mutual = s->n_hosts == 2 && random_chance(r, 400);
	for (uint32_t i = 1; i < s->n_hosts; i++) {
		uint8_t psk[PSK_LEN];
		bool has_psk = random_chance(r, 300), is_stranger = s->n_hosts > 2 && random_chance(r, 150);
		random_fill(r, psk, sizeof psk);
		know(&s->hosts[i], &s->hosts[0], true, has_psk ? psk : NULL);
		if (is_stranger && has_psk)
			psk[0] ^= 1;
		else if (is_stranger)
			continue;
		know(&s->hosts[0], &s->hosts[i], is_mutual, has_psk ? psk : NULL);
		if (!is_stranger && !is_mutual && random_chance(r, 250))
			give_pad(s, i);
		s->may_talk[0][i] = s->may_talk[i][0] = !is_stranger;
	}
}

void scene_stop_host(struct scenario *s, struct host *h, bool politely)
{
	if (!h->engine)
		return;
	struct handshake_counts counts = engine_handshake_counts(h->engine);
	s->handshakes += counts.established;
	s->rekeys += counts.rekeys;
	host_stop(h, politely);
}

void scene_set(struct scenario *s, struct identity *const identities[IDENTITIES])
{
	struct stream_random *r = &s->random;
	s->n_hosts = random_chance(r, 750) ? 2 : (uint32_t)random_between(r, 3, HOSTS_MAX);
	scene_choose_path(s);
	s->is_calm = random_chance(r, 100);
	if (s->is_calm)
		s->network.conditions = (struct conditions){.latency = 20000, .mtu = 1500};
	for (uint32_t i = 0; i < s->n_hosts; i++)
		choose_host(s, i, identities);
	choose_peers(s);
	s->attacker.hosts = s->hosts;
	s->attacker.n_hosts = s->n_hosts;
	s->attacker.interference = random_chance(r, 500) ? random_below(r, 300) : 0;
	s->attacker.pause = random_between(r, 20, 2000) * USEC_PER_MS;
	s->largest = random_chance(r, 300) ? 8000 : 1400;
	s->direction = random_chance(r, 700) ? BOTH_WAYS : random_chance(r, 500) ? UP_ONLY : DOWN_ONLY;
	s->pause = random_between(r, 200, 4000) * USEC_PER_MS;
	static const uint32_t lengths[] = {20, 60, 60, 150, 400, 900};
	s->ends = s->world.now + random_between(r, 5, lengths[random_below(r, 6)]) * USEC_PER_SEC;
}
