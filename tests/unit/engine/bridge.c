/*
 * An engine of layer 2 and three peers whose keys the test holds: where frames go, what they teach, what is refused
 * and how it is counted.
 */
#include "seeded.h"

#include "engine/grace.h"
#include "engine/private.h"

#include <stdlib.h>
#include <string.h>

#define PEERS 3U
#define OWN PEERS /* in lists of ports: this host's own side */
#define LOCAL(i) (0x1000 + (i))
#define REMOTE(i) (0x2000 + (i))
#define FRAMES_MAX 64
#define FRAME_LEN 60

static const uint8_t tap_mac[6] = {2, 0, 0, 0, 0, 0xff}, all[6] = {255, 255, 255, 255, 255, 255};

struct end {
	uint32_t number;
	struct peer *peer;
	struct keys *keys; /* the other end's */
};

static struct engine *engine;
static struct end ends[PEERS];
static struct identity *identity;
static struct seeded seed;
static usec now;
static struct event events[64];
static size_t n_events;
static struct engine_config config;

/* What came out, at peers and at the own side. */
static struct {
	uint8_t bytes[2000];
	size_t len;
	uint8_t flags;
} out[PEERS + 1][FRAMES_MAX];
static uint32_t n_out[PEERS + 1], fragments;
static char noticed[256];

static void keep(uint32_t port, const uint8_t *bytes, size_t len, uint8_t flags)
{
	assert_true(n_out[port] < FRAMES_MAX && len <= sizeof out[port][0].bytes);
	memcpy(out[port][n_out[port]].bytes, bytes, len);
	out[port][n_out[port]].flags = flags;
	out[port][n_out[port]++].len = len;
}

static enum err on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment)
{
	(void)context;
	uint32_t i = to->remote.port;
	assert_true(i < PEERS);
	for (size_t at = 0; at < len; at += segment) {
		uint8_t datagram[2000];
		struct view plain;
		struct frame frame;
		uint64_t counter;
		bool is_newest;
		size_t n = len - at < segment ? len - at : segment;
		memcpy(datagram, data + at, n);
		assert_int_equal(keys_open(ends[i].keys, 0, datagram, n, &plain, &counter, &is_newest), OK);
		struct reader r = reader_of(plain.data, plain.len);
		while (frame_next(&r, &frame) == OK) {
			assert_int_not_equal(frame.kind, FRAME_IP);
			fragments += frame.kind == FRAME_FRAGMENT;
			if (frame.kind == FRAME_ETHERNET)
				keep(i, frame.body, frame.len, frame.flags);
		}
	}
	return OK;
}

static enum err on_deliver(void *context, const struct iovec *iov, int n)
{
	(void)context;
	uint8_t bytes[2000];
	struct virtio_net_hdr header;
	size_t len = 0;
	memcpy(&header, iov[0].iov_base, sizeof header);
	for (int i = 1; i < n; len += iov[i++].iov_len)
		memcpy(bytes + len, iov[i].iov_base, iov[i].iov_len);
	keep(OWN, bytes, len, header.flags);
	return OK;
}

static enum err on_post(void *context, const struct event *event)
{
	(void)context;
	assert_true(n_events < 64);
	events[n_events++] = *event;
	return OK;
}

static uint32_t on_mtu(void *context, const struct addr *remote)
{
	(void)context;
	(void)remote;
	return 1280; /* no search: nothing is sent by itself */
}

static void on_notice(void *context, enum notice notice, const char *peer, const char *text)
{
	(void)context;
	(void)peer;
	if (notice == NOTICE_LAYER)
		strncpy(noticed, text, sizeof noticed - 1);
}

/* ---- life ---- */

static void connect_peer(uint32_t i)
{
	struct peer_config peer_config = {.name = "peer", .key_id = {(uint8_t)(7 + i)}};
	struct hs_result result = {.local_index = LOCAL(i),
		.remote_index = REMOTE(i),
		.suite = CIPHER_AES_256_GCM,
		.peer_alg = SIG_ML_DSA_65,
		.k_i2r = {1, (uint8_t)i},
		.k_r2i = {2, (uint8_t)i}};
	struct endpoint from = {.remote = {.port = (uint16_t)i}};
	struct end *end = &ends[i];
	struct session *session;
	struct keys_config keys = {.local_index = REMOTE(i),
		.remote_index = LOCAL(i),
		.cipher = result.suite,
		.born = now,
		.n_lanes = 1,
		.key_send = result.k_i2r,
		.key_receive = result.k_r2i};
	assert_int_equal(keys_new(&end->keys, &keys), OK);
	assert_int_equal(engine_add_peer(engine, &peer_config, &end->number), OK);
	end->peer = engine->peers[end->number];
	peer_set_route(end->peer, &from, true, now);
	assert_int_equal(session_new(&session, end->peer, &result, now), OK);
	end->peer->pending[0] = session;
	peer_confirm(end->peer, session, now);
}

static void forget(void)
{
	memset(n_out, 0, sizeof n_out);
	n_events = fragments = 0;
}

static int open_with(bool apart)
{
	static const uint8_t identity_seed[SIG_SEED_LEN] = {1};
	struct lane_io io = {.send = on_send, .deliver = on_deliver, .post = on_post}, ios[2] = {io, io};
	struct rng rng = seeded_rng(&seed);
	config = (struct engine_config){.n_lanes = 1,
		.suites = CIPHER_ALL,
		.reauthenticate = 3600 * USEC_PER_SEC,
		.max_pending = 4,
		.handshake_rate = 10,
		.is_layer2 = true,
		.are_peers_apart = apart,
		.host = {.interface_mtu = on_mtu, .notice = on_notice}};
	memcpy(config.mac, tap_mac, sizeof tap_mac);
	now = 1000 * USEC_PER_SEC;
	assert_int_equal(identity_generate(&identity, SIG_ML_DSA_65, identity_seed), OK);
	config.identity = identity;
	assert_int_equal(engine_new(&engine, &config, ios, &rng, now), OK);
	for (uint32_t i = 0; i < PEERS; i++)
		connect_peer(i);
	engine_tick(engine, now);
	forget();
	noticed[0] = '\0';
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return open_with(false);
}

static int setup_apart(void **state)
{
	(void)state;
	return open_with(true);
}

static int teardown(void **state)
{
	(void)state;
	engine_free(engine);
	for (uint32_t i = 0; i < PEERS; i++)
		keys_free(ends[i].keys);
	identity_free(identity);
	return 0;
}

/* ---- frames ---- */

static const uint8_t *station(uint8_t number)
{
	static uint8_t address[4][6];
	static int at;
	uint8_t *a = address[at++ % 4];
	memcpy(a, (const uint8_t[6]){2, 0, 0, 0, 1, number}, 6);
	return a;
}

static size_t make(uint8_t *frame, const uint8_t *to, const uint8_t *from, uint16_t vlan)
{
	memset(frame, 0x55, FRAME_LEN);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	be16_put(frame + 12, 0x8100);
	be16_put(frame + 14, vlan);
	be16_put(frame + 16, 0x0806);
	return FRAME_LEN;
}

static void receive(uint32_t i, enum frame_kind kind, uint8_t flags, const void *body, size_t len)
{
	uint8_t datagram[2100];
	struct endpoint from = {.remote = {.port = (uint16_t)i}};
	struct writer w = writer_of(datagram + DATA_HEADER_LEN, 1500);
	frame_write(&w, kind, flags, VIEW(body, len));
	assert_int_equal(keys_seal(ends[i].keys, 0, datagram, w.at, keys_take_counters(ends[i].keys, 1)), OK);
	struct lane *lane = engine_lane(engine, 0);
	lane_begin(lane, now);
	lane_datagrams(lane, &from, datagram, DATA_OVERHEAD + w.at, 0);
	lane_end(lane);
}

/* From a peer's station, or with OWN from this host's own side, to another. */
static void pass(uint32_t port, const uint8_t *to, const uint8_t *from, uint16_t vlan)
{
	static const struct virtio_net_hdr plain;
	uint8_t frame[FRAME_LEN];
	make(frame, to, from, vlan);
	if (port < PEERS) {
		receive(port, FRAME_ETHERNET, 0, frame, sizeof frame);
		return;
	}
	struct lane *lane = engine_lane(engine, 0);
	lane_begin(lane, now);
	lane_packet(lane, &plain, frame, sizeof frame);
	lane_end(lane);
}

/* Exactly these ports have got exactly one frame each; forgets them. */
static void assert_out(bool peer0, bool peer1, bool peer2, bool own)
{
	const bool wanted[PEERS + 1] = {peer0, peer1, peer2, own};
	for (uint32_t i = 0; i <= PEERS; i++)
		assert_int_equal(n_out[i], wanted[i]);
	forget();
}

/* A UDP packet in a frame from a peer's station, with the pseudo-header's sum only. */
static size_t make_udp(uint8_t *frame, const uint8_t *to, size_t payload)
{
	size_t len = 14 + 20 + 8 + payload;
	memset(frame, 0, len);
	memcpy(frame, to, 6);
	memcpy(frame + 6, station(1), 6);
	be16_put(frame + 12, 0x0800);
	frame[14] = 0x45;
	be16_put(frame + 16, (uint16_t)(len - 14));
	frame[23] = IP_PROTOCOL_UDP;
	be16_put(frame + 38, (uint16_t)(8 + payload));
	return len;
}

static uint64_t drops(enum drop why)
{
	return engine_drops(engine, why);
}

/* ---- tests ---- */

static void test_what_is_for_all_goes_to_all_but_where_it_came_from(void **state)
{
	(void)state;
	pass(OWN, all, tap_mac, 0);
	assert_out(true, true, true, false);
	pass(0, all, station(1), 0);
	assert_out(false, true, true, true);
	pass(1, (const uint8_t[6]){1, 0, 0x5e, 0, 0, 251}, station(2), 0);
	assert_out(true, false, true, true);
	pass(2, station(77), station(3), 0); /* nobody knows it */
	assert_out(true, true, false, true);
}

static void test_stations_are_learned(void **state)
{
	(void)state;
	pass(0, all, station(1), 0);
	pass(1, all, station(2), 0);
	pass(OWN, all, station(9), 0); /* behind a bridge on this host */
	forget();
	pass(OWN, station(1), station(9), 0);
	assert_out(true, false, false, false);
	pass(0, station(2), station(1), 0);
	assert_out(false, true, false, false);
	pass(1, station(9), station(2), 0);
	assert_out(false, false, false, true);
	pass(2, tap_mac, station(3), 0);
	assert_out(false, false, false, true);
	pass(2, tap_mac, station(3), 12); /* in all networks */
	assert_out(false, false, false, true);
	pass(OWN, station(1), station(9), 12); /* known in another network only */
	assert_out(true, true, true, false);
	struct peer_status status;
	assert_true(engine_peer_status(engine, ends[2].number, &status));
	assert_int_equal(status.stations, 2);
	assert_int_equal(engine_own_stations(engine), 2);
}

static void test_frames_come_out_as_they_went_in(void **state)
{
	(void)state;
	uint8_t frame[FRAME_LEN];
	pass(0, all, station(1), 0x6007);
	make(frame, all, station(1), 0x6007);
	for (uint32_t i = 1; i <= PEERS; i++) {
		assert_int_equal(out[i][0].len, FRAME_LEN);
		assert_memory_equal(out[i][0].bytes, frame, FRAME_LEN);
		assert_int_equal(out[i][0].flags, 0);
	}
}

static void test_nothing_goes_back(void **state)
{
	(void)state;
	pass(0, all, station(1), 0);
	pass(0, all, station(2), 0);
	pass(OWN, all, station(9), 0);
	forget();
	pass(0, station(2), station(1), 0);
	pass(OWN, station(9), tap_mac, 0);
	pass(OWN, tap_mac, station(9), 0);
	assert_out(false, false, false, false);
	assert_int_equal(drops(DROP_SAME_SIDE), 3);
}

static void test_peers_that_are_kept_apart(void **state)
{
	(void)state;
	pass(0, all, station(1), 0);
	assert_out(false, false, false, true);
	pass(1, station(1), station(2), 0);
	assert_out(false, false, false, false);
	assert_int_equal(drops(DROP_BETWEEN_PEERS), 1);
	pass(1, station(88), station(2), 0);
	assert_out(false, false, false, true);
	pass(OWN, station(1), tap_mac, 0);
	assert_out(true, false, false, false);
	pass(OWN, all, tap_mac, 0);
	assert_out(true, true, true, false);
}

/* One has an address of the pool; another sends a packet for it to this host, which would forward it. */
static void test_no_way_round_by_this_host(void **state)
{
	(void)state;
	uint8_t frame[100];
	struct prefix leased;
	assert_int_equal(prefix_parse(&leased, "10.0.0.2"), OK);
	assert_int_equal(trie_insert(engine->trie, &leased, ends[1].peer), OK);
	size_t len = make_udp(frame, tap_mac, 10);
	memcpy(frame + 30, (const uint8_t[4]){10, 0, 0, 2}, 4);
	receive(0, FRAME_ETHERNET, 0, frame, len);
	assert_out(false, false, false, false);
	assert_int_equal(drops(DROP_BETWEEN_PEERS), 1);
	frame[33] = 1; /* its own packets arrive, and those for others than peers */
	receive(0, FRAME_ETHERNET, 0, frame, len);
	assert_out(false, false, false, true);
}

static void test_sources_that_no_station_has(void **state)
{
	(void)state;
	static const uint8_t zero[6], group[6] = {3, 0, 0, 0, 1, 1};
	pass(0, all, zero, 0);
	pass(0, all, group, 0);
	pass(0, all, all, 0);
	pass(0, all, tap_mac, 0);
	pass(0, all, tap_mac, 5);
	assert_out(false, false, false, false);
	assert_int_equal(drops(DROP_BAD_MAC), 5);
	pass(OWN, all, group, 0); /* our own kernel's business; nothing is learned */
	assert_out(true, true, true, false);
	assert_int_equal(engine_own_stations(engine), 0);
}

static void test_nobody_is_impersonated(void **state)
{
	(void)state;
	pass(0, all, station(1), 0);
	pass(OWN, all, station(9), 0);
	forget();
	for (int i = 0; i < 20; i++) {
		pass(1, all, station(1), 0);
		pass(1, all, station(9), 0);
		assert_out(false, false, false, false);
		pass(0, tap_mac, station(1), 0);
		pass(OWN, station(1), station(9), 0);
		assert_out(true, false, false, true);
		now += 2 * USEC_PER_SEC;
	}
	assert_int_equal(drops(DROP_MAC_TAKEN), 40);
	now += MACS_QUIET_PEER + 1; /* it may have moved by now */
	pass(1, all, station(1), 0);
	forget();
	pass(2, station(1), station(3), 0);
	assert_out(false, true, false, false);
}

static void test_groups_that_bridges_keep(void **state)
{
	(void)state;
	const uint8_t pause[6] = {1, 0x80, 0xc2, 0, 0, 1}, spanning_tree[6] = {1, 0x80, 0xc2, 0, 0, 0};
	pass(0, pause, station(1), 0);
	pass(OWN, pause, tap_mac, 0);
	assert_out(false, false, false, false);
	assert_int_equal(drops(DROP_LINK_LOCAL), 2);
	pass(0, spanning_tree, station(1), 0);
	assert_out(false, true, true, true);
}

static void test_a_flood_has_its_limit_and_leaves_others_theirs(void **state)
{
	(void)state;
	uint32_t most = 2 * USEC_PER_SEC / FLOOD_PEER_EACH / PEERS;
	for (uint32_t i = 0; i < most; i++) {
		pass(0, all, station(1), 0);
		forget();
	}
	assert_in_range(drops(DROP_FLOOD), most / 2 - 2, most / 2);
	pass(0, all, station(1), 0);
	assert_out(false, false, false, false);
	pass(0, tap_mac, station(1), 0); /* what is for one has none */
	assert_out(false, false, false, true);
	pass(1, all, station(2), 0);
	assert_out(true, false, true, true);
	pass(OWN, all, tap_mac, 0);
	assert_out(true, true, true, false);
	now += 4 * PEERS * FLOOD_PEER_EACH;
	for (int i = 0; i < 3; i++) {
		pass(0, all, station(1), 0);
		assert_out(false, true, true, true);
	}
}

static void test_malformed_frames(void **state)
{
	(void)state;
	uint8_t frame[100];
	make(frame, all, station(1), 0);
	for (size_t len = 0; len < 18; len++)
		receive(0, FRAME_ETHERNET, 0, frame, len);
	assert_int_equal(drops(DROP_BAD_INNER), 18);
	receive(0, FRAME_ETHERNET, FRAME_FLAG_CSUM_PARTIAL, frame, FRAME_LEN); /* ARP has no such checksum */
	assert_int_equal(drops(DROP_BAD_INNER), 19);
	assert_out(false, false, false, false);
	static const struct virtio_net_hdr plain;
	struct lane *lane = engine_lane(engine, 0);
	lane_begin(lane, now);
	lane_packet(lane, &plain, frame, 13);
	lane_end(lane);
	assert_int_equal(drops(DROP_BAD_PACKET), 1);
}

static void test_an_unfinished_checksum_travels_on(void **state)
{
	(void)state;
	uint8_t frame[2000];
	pass(1, all, station(2), 0);
	forget();
	size_t len = make_udp(frame, station(2), 100);
	receive(0, FRAME_ETHERNET, FRAME_FLAG_CSUM_PARTIAL, frame, len);
	assert_int_equal(n_out[1], 1);
	assert_int_equal(out[1][0].flags, FRAME_FLAG_CSUM_PARTIAL);
	assert_memory_equal(out[1][0].bytes, frame, len);
	frame[20] = 0x20; /* a fragment has none that could be finished */
	receive(0, FRAME_ETHERNET, FRAME_FLAG_CSUM_PARTIAL, frame, len);
	assert_int_equal(n_out[1], 1);
	assert_int_equal(drops(DROP_BAD_INNER), 1);
	frame[20] = 0;
	memcpy(frame, tap_mac, 6);
	receive(0, FRAME_ETHERNET, FRAME_FLAG_CSUM_PARTIAL, frame, len);
	assert_int_equal(n_out[OWN], 1);
	assert_int_equal(out[OWN][0].flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
}

/* What comes in parts, and is too large for the path to the next peer, goes there in parts. */
static void test_fragments_between_peers(void **state)
{
	(void)state;
	uint8_t frame[2000], part[1400];
	pass(1, all, station(2), 0);
	forget();
	size_t len = make_udp(frame, station(2), 1500), half = len / 2;
	for (size_t at = 0; at < len; at += half) {
		size_t n = len - at < half ? len - at : half;
		le32_put(part, 5);
		le16_put(part + 4, (uint16_t)at);
		le16_put(part + 6, (uint16_t)len);
		memcpy(part + FRAGMENT_HEADER_LEN, frame + at, n);
		receive(0, FRAME_FRAGMENT, 0, part, FRAGMENT_HEADER_LEN + n);
	}
	assert_int_equal(fragments, 2);
	assert_out(false, false, false, false);
	struct peer_status status;
	assert_true(engine_peer_status(engine, ends[0].number, &status));
	assert_int_equal(status.stations, 1);
}

static void test_another_layer_is_said_once(void **state)
{
	(void)state;
	uint8_t packet[40] = {0x45, 0, 0, 40}, part[FRAGMENT_HEADER_LEN + 40] = {1, 0, 0, 0, 0, 0, 40, 0};
	n_events = 0;
	for (int i = 0; i < 3; i++)
		receive(0, FRAME_IP, 0, packet, sizeof packet);
	receive(0, FRAME_FRAGMENT, 0, part, sizeof part);
	assert_int_equal(drops(DROP_LAYER), 4);
	uint32_t said = 0;
	for (size_t i = 0; i < n_events; i++)
		said += events[i].kind == EVENT_LAYER;
	assert_int_equal(said, 1);
	for (size_t i = 0; i < n_events; i++)
		engine_event(engine, &events[i], false, now);
	assert_non_null(strstr(noticed, "write the same Layer"));
	assert_out(false, false, false, false);
}

static void test_a_peer_that_goes_takes_its_stations_along(void **state)
{
	(void)state;
	pass(0, all, station(1), 0);
	pass(1, all, station(2), 0);
	engine_remove_peer(engine, ends[0].number);
	forget();
	pass(OWN, station(1), tap_mac, 0);
	assert_out(false, true, true, false);
	pass(1, station(1), station(2), 0);
	assert_out(false, false, true, true);
	peer_drop_session(ends[2].peer, ends[2].peer->active); /* who has no session gets nothing of what is for all */
	engine_tick(engine, now);
	forget();
	pass(OWN, all, tap_mac, 0);
	assert_out(false, true, false, false);
	engine_remove_peer(engine, ends[1].number);
	forget();
	pass(OWN, all, tap_mac, 0);
	assert_int_equal(drops(DROP_NO_ROUTE), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_for_all_goes_to_all_but_where_it_came_from),
		TEST(test_stations_are_learned),
		TEST(test_frames_come_out_as_they_went_in),
		TEST(test_nothing_goes_back),
		cmocka_unit_test_setup_teardown(test_peers_that_are_kept_apart, setup_apart, teardown),
		cmocka_unit_test_setup_teardown(test_no_way_round_by_this_host, setup_apart, teardown),
		TEST(test_sources_that_no_station_has),
		TEST(test_nobody_is_impersonated),
		TEST(test_groups_that_bridges_keep),
		TEST(test_a_flood_has_its_limit_and_leaves_others_theirs),
		TEST(test_malformed_frames),
		TEST(test_an_unfinished_checksum_travels_on),
		TEST(test_fragments_between_peers),
		TEST(test_another_layer_is_said_once),
		TEST(test_a_peer_that_goes_takes_its_stations_along),
	};
	grace_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grace_unregister_thread();
	return failed;
}
