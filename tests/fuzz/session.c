/*
 * An engine with a live session, whose peer is the input: a list of steps, each a raw datagram, frames
 * sealed as the peer would, a control message in the right order, a true Rekey1, a packet from the
 * host, another address, or time. What lanes post goes to the control thread after each step.
 */
#include "fuzz.h"

#include "engine/grace.h"
#include "engine/private.h"

#include <linux/virtio_net.h>

#define STEPS_MAX 200
#define EVENTS_MAX 64

struct target {
	struct engine *engine;
	struct peer *peer;
	struct keys *attacker; /* the peer's end of the session */
	struct rekey_start *rekey;
	struct endpoint from;
	usec now;
	uint64_t random;
	uint16_t control_id;
	struct event events[EVENTS_MAX];
	size_t n_events;
};

static struct target target;

/* ---- what the engine calls ---- */

static enum err on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment)
{
	(void)context;
	MUST(to->remote.port != 0 && len > 0 && len <= LANE_SEND_MAX && segment > 0 && segment <= len);
	free(fuzz_copy(VIEW(data, len))); /* can be read */
	return data[len - 1] % 32 ? OK : ERR_TOO_BIG;
}

static enum err on_deliver(void *context, const struct iovec *iov, int n)
{
	(void)context;
	size_t len = 0;
	MUST(n >= 2 && iov[0].iov_len == sizeof(struct virtio_net_hdr));
	for (int i = 1; i < n; i++) {
		free(fuzz_copy(VIEW(iov[i].iov_base, iov[i].iov_len)));
		len += iov[i].iov_len;
	}
	MUST(len >= 20 && len <= 65575);
	const uint8_t *ip = iov[1].iov_base; /* headers are in one piece; the source is the peer's */
	MUST(ip[0] >> 4 == 4 ? ip[12] == 10 : ip[8] == 0xfd);
	return OK;
}

static enum err on_post(void *context, const struct event *event)
{
	(void)context;
	if (target.n_events == EVENTS_MAX)
		return ERR_FULL;
	target.events[target.n_events++] = *event;
	return OK;
}

static uint32_t on_mtu(void *context, const struct addr *remote)
{
	(void)context;
	return remote->port % 2 ? 1500 : 9000;
}

static const struct lane_io io[2] = {
	{.send = on_send, .deliver = on_deliver, .post = on_post, .joins_udp = true},
	{.send = on_send, .deliver = on_deliver, .post = on_post},
};

/* ---- life ---- */

static const struct identity *own_identity(void)
{
	static struct identity *identity;
	static const uint8_t seed[SIG_SEED_LEN] = {1};
	if (!identity) {
		grace_register_thread();
		MUST(identity_generate(&identity, SIG_ML_DSA_65, seed) == OK);
	}
	return identity;
}

static void open_engine(uint8_t choice)
{
	target = (struct target){.now = USEC_PER_SEC, .from = {.remote = {.ip = {[10] = 0xff, 0xff, 9}, .port = 99}}};
	struct rng rng = {fuzz_random, &target.random};
	struct engine_config config = {.identity = own_identity(),
		.n_lanes = 1,
		.suites = CIPHER_ALL,
		.padding = choice & 1 ? PADDING_NONE : PADDING_BUCKETS,
		.reauthenticate = 3600 * USEC_PER_SEC,
		.max_pending = 4,
		.handshake_rate = 100,
		.host = {.interface_mtu = on_mtu}};
	MUST(engine_new(&target.engine, &config, io, &rng, target.now) == OK);
	struct prefix allowed[2];
	MUST(prefix_parse(&allowed[0], "10.0.0.0/8") == OK && prefix_parse(&allowed[1], "fd00::/8") == OK);
	struct peer_config peer = {
		.name = "peer", .key_id = {7}, .allowed_ips = allowed, .n_allowed_ips = 2, .initiates = choice & 2};
	uint32_t number;
	MUST(engine_add_peer(target.engine, &peer, &number) == OK);
	target.peer = target.engine->peers[number];
}

static void open_session(uint8_t choice)
{
	struct hs_result result = {.is_initiator = choice & 4,
		.local_index = 0x1111,
		.remote_index = 0x2222,
		.suite = choice & 8 ? CIPHER_AES_256_GCM : CIPHER_CHACHA20_POLY1305,
		.peer_alg = SIG_ML_DSA_65,
		.k_i2r = {1},
		.k_r2i = {2}};
	struct session *s;
	peer_set_route(target.peer, &target.from, true, target.now);
	MUST(session_new(&s, target.peer, &result, target.now) == OK);
	target.peer->pending[result.is_initiator] = s;
	peer_confirm(target.peer, s, target.now);
	struct keys_config keys = {.local_index = 0x2222,
		.remote_index = 0x1111,
		.cipher = result.suite,
		.born = target.now,
		.n_lanes = 1,
		.key_send = result.is_initiator ? result.k_r2i : result.k_i2r,
		.key_receive = result.is_initiator ? result.k_i2r : result.k_r2i};
	MUST(keys_new(&target.attacker, &keys) == OK);
}

/* ---- steps ---- */

static void receive(const uint8_t *data, size_t len)
{
	struct lane *lane = engine_lane(target.engine, 0);
	uint8_t *copy = fuzz_copy(VIEW(data, len));
	lane_begin(lane, target.now);
	lane_datagrams(lane, &target.from, copy, len, 0);
	lane_end(lane);
	free(copy);
}

static void receive_sealed(struct view plain)
{
	size_t len = DATA_OVERHEAD + plain.len;
	uint8_t *datagram = malloc(len);
	if (plain.len)
		memcpy(datagram + DATA_HEADER_LEN, plain.data, plain.len);
	if (keys_seal(target.attacker, 0, datagram, plain.len, keys_take_counters(target.attacker, 1)) == OK)
		receive(datagram, len);
	free(datagram);
}

/* A control message in as many parts as it takes, each with the id that is due. */
static void receive_message(uint8_t type, uint16_t ack, struct view body)
{
	const uint8_t *bytes = body.data;
	uint8_t parts = (uint8_t)(body.len / STREAM_PART_MAX + 1);
	for (uint8_t part = 0; part < parts; part++) {
		uint8_t control[CONTROL_HEADER_LEN + STREAM_PART_MAX], frame[sizeof control + FRAME_HEADER_LEN];
		size_t from = (size_t)part * STREAM_PART_MAX;
		size_t len = body.len - from < STREAM_PART_MAX ? body.len - from : STREAM_PART_MAX;
		struct control_part p = {.id = ++target.control_id,
			.ack = ack,
			.type = type,
			.part = part,
			.parts = parts,
			.body = VIEW(bytes + from, len)};
		struct writer w = writer_of(control, sizeof control), f = writer_of(frame, sizeof frame);
		control_write(&w, &p);
		frame_write(&f, FRAME_CONTROL, 0, VIEW(control, w.at));
		MUST(!w.failed && !f.failed);
		receive_sealed(VIEW(frame, f.at));
	}
}

static void receive_rekey(uint16_t ack, struct view changes)
{
	struct rng rng = {fuzz_random, &target.random};
	struct rekey1_body one;
	rekey_abandon(target.rekey);
	target.rekey = NULL;
	MUST(rekey_begin(&target.rekey, &one, 0x3333, NULL, &rng) == OK);
	struct reader r = reader_of(changes.data, changes.len);
	while (reader_left(&r) >= 3) {
		uint16_t place = reader_u16(&r);
		((uint8_t *)&one)[place % sizeof one] ^= reader_u8(&r);
	}
	receive_message(CONTROL_REKEY1, ack, VIEW(&one, sizeof one));
}

static void host_packet(struct reader *r)
{
	struct virtio_net_hdr header;
	reader_copy(r, &header, sizeof header);
	struct view packet = fuzz_take(r, reader_u16(r));
	uint8_t *copy = fuzz_copy(packet);
	struct lane *lane = engine_lane(target.engine, 0);
	lane_begin(lane, target.now);
	lane_packet(lane, &header, copy, packet.len);
	lane_end(lane);
	free(copy);
}

static void step(struct reader *r)
{
	uint8_t op = reader_u8(r), value;
	switch (op % 8) {
	case 0: {
		struct view raw = fuzz_take(r, reader_u16(r) & 4095);
		receive(raw.data, raw.len);
		break;
	}
	case 1:
	case 2:
		receive_sealed(fuzz_take(r, reader_u16(r) & 4095));
		break;
	case 3:
		value = reader_u8(r);
		receive_message(value, op >> 3, fuzz_take(r, reader_u16(r) & 4095));
		break;
	case 4:
		receive_rekey(op >> 3, fuzz_take(r, reader_u8(r) & 15));
		break;
	case 5:
		host_packet(r);
		break;
	case 6:
		target.from.remote.port = (uint16_t)(90 + (op >> 3));
		break;
	default:
		target.now += (usec)reader_u8(r) * (op >> 3) * (20 * USEC_PER_MS);
		engine_tick(target.engine, target.now);
	}
	for (size_t i = 0; i < target.n_events; i++)
		engine_event(target.engine, &target.events[i], op & 8, target.now);
	target.n_events = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reader r = reader_of(data, len);
	uint8_t choice = reader_u8(&r);
	open_engine(choice);
	open_session(choice);
	for (int i = 0; i < STEPS_MAX && reader_left(&r); i++)
		step(&r);
	engine_tick(target.engine, target.now);
	engine_free(target.engine);
	keys_free(target.attacker);
	rekey_abandon(target.rekey);
	return 0;
}
