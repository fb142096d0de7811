/*
 * One engine and a peer whose keys the test holds: what each kind of frame does, what is refused and
 * how it is counted, what old keys may carry, and how much goes to an address that has proven nothing.
 */
#include "seeded.h"

#include "engine/grace.h"
#include "engine/private.h"

#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL 0x1111
#define REMOTE 0x2222

static struct engine *engine;
static struct peer *peer;
static struct session *session;
static struct keys *sender;
static struct identity *identity;
static struct seeded seed;
static usec now;
static struct event events[64];
static size_t n_events, delivered, bytes_to[2]; /* by the address's port */

static enum err on_send(void *context, const struct endpoint *to, const uint8_t *data, size_t len, size_t segment)
{
	(void)context;
	(void)data;
	(void)segment;
	assert_true(to->remote.port < 2);
	bytes_to[to->remote.port] += len;
	return OK;
}

static enum err on_deliver(void *context, const struct iovec *iov, int n)
{
	(void)context;
	(void)iov;
	(void)n;
	delivered++;
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

static int setup(void **state)
{
	(void)state;
	static const uint8_t identity_seed[SIG_SEED_LEN] = {1};
	struct lane_io io = {.send = on_send, .deliver = on_deliver, .post = on_post}, ios[2] = {io, io};
	struct engine_config config = {.n_lanes = 1,
		.suites = CIPHER_ALL,
		.padding = PADDING_BUCKETS,
		.reauthenticate = 3600 * USEC_PER_SEC,
		.max_pending = 4,
		.handshake_rate = 10,
		.host = {.interface_mtu = on_mtu}};
	struct rng rng = seeded_rng(&seed);
	struct prefix allowed;
	uint32_t number;
	now = USEC_PER_SEC;
	assert_int_equal(identity_generate(&identity, SIG_ML_DSA_65, identity_seed), OK);
	config.identity = identity;
	assert_int_equal(engine_new(&engine, &config, ios, &rng, now), OK);
	assert_int_equal(prefix_parse(&allowed, "10.0.0.2"), OK);
	struct peer_config peer_config = {.name = "peer", .key_id = {7}, .allowed_ips = &allowed, .n_allowed_ips = 1};
	assert_int_equal(engine_add_peer(engine, &peer_config, &number), OK);
	peer = engine->peers[number];

	struct hs_result result = {.local_index = LOCAL,
		.remote_index = REMOTE,
		.suite = CIPHER_AES_256_GCM,
		.peer_alg = SIG_ML_DSA_65,
		.k_i2r = {1},
		.k_r2i = {2}};
	struct endpoint from = {.remote = {.port = 1}};
	peer_set_route(peer, &from, true, now);
	assert_int_equal(session_new(&session, peer, &result, now), OK);
	peer->pending[0] = session;
	peer_confirm(peer, session, now);
	struct keys_config keys = {.local_index = REMOTE,
		.remote_index = LOCAL,
		.cipher = result.suite,
		.born = now,
		.n_lanes = 1,
		.key_send = result.k_i2r,
		.key_receive = result.k_r2i};
	assert_int_equal(keys_new(&sender, &keys), OK);
	n_events = delivered = bytes_to[0] = bytes_to[1] = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	engine_free(engine);
	keys_free(sender);
	identity_free(identity);
	return 0;
}

/* `copies` times the same datagram with these frames, from the address with this port. */
static void receive(uint16_t port, const uint8_t *plain, size_t len, int copies)
{
	uint8_t datagram[2000], one[2000];
	struct endpoint from = {.remote = {.port = port}};
	struct lane *lane = engine_lane(engine, 0);
	memcpy(datagram + DATA_HEADER_LEN, plain, len);
	assert_int_equal(keys_seal(sender, 0, datagram, len, keys_take_counters(sender, 1)), OK);
	while (copies-- > 0) {
		memcpy(one, datagram, sizeof one);
		lane_begin(lane, now);
		lane_datagrams(lane, &from, one, DATA_OVERHEAD + len, 0);
		lane_end(lane);
	}
}

static void receive_frame(uint16_t port, enum frame_kind kind, uint8_t flags, const void *body, size_t len)
{
	uint8_t plain[1500];
	struct writer w = writer_of(plain, sizeof plain);
	frame_write(&w, kind, flags, VIEW(body, len));
	receive(port, plain, w.at, 1);
}

/* A packet from 10.0.0.2 of `len` bytes, of a protocol without checksums that matter here. */
static const uint8_t *packet_of(uint8_t len)
{
	static uint8_t packet[256];
	memcpy(packet, (const uint8_t[20]){0x45, 0, 0, len, 0, 0, 0, 0, 64, 47, 0, 0, 10, 0, 0, 2, 10, 0, 0, 1}, 20);
	return packet;
}

static uint64_t drops(enum drop why)
{
	return engine_drops(engine, why);
}

static void run_events(void)
{
	for (size_t i = 0; i < n_events; i++)
		engine_event(engine, &events[i], false, now);
	n_events = 0;
}

static void test_frames_that_are_refused_are_counted(void **state)
{
	(void)state;
	static const uint8_t zeros[100];
	uint8_t part[FRAGMENT_HEADER_LEN + 10] = {1, 0, 0, 0, 0, 0, 20};
	receive_frame(1, FRAME_IP, 0, packet_of(60), 60);
	assert_int_equal(delivered, 1);
	receive_frame(1, FRAME_IP, 0, packet_of(60), 59); /* lies about its length */
	assert_int_equal(drops(DROP_BAD_INNER), 1);
	receive_frame(1, FRAME_IP, FRAME_FLAG_CSUM_PARTIAL, packet_of(60), 60); /* has no such checksum */
	assert_int_equal(drops(DROP_BAD_INNER), 2);
	receive_frame(1, FRAME_PROBE, 0, zeros, PROBE_LEN - 1);
	assert_int_equal(drops(DROP_BAD_FRAME), 1);
	receive_frame(1, FRAME_FRAGMENT, 0, zeros, FRAGMENT_HEADER_LEN);
	assert_int_equal(drops(DROP_BAD_FRAME), 2);
	receive(1, (const uint8_t[]){FRAME_IP, 0, 5, 0, 1}, 5, 1); /* runs past the plaintext */
	assert_int_equal(drops(DROP_BAD_FRAME), 3);
	receive_frame(1, FRAME_FRAGMENT, 0, part, sizeof part);
	receive_frame(1, FRAME_FRAGMENT, 0, part, sizeof part); /* twice */
	assert_int_equal(drops(DROP_FRAGMENT), 1);
	receive_frame(1, (enum frame_kind)99, 0, zeros, 60); /* a later version's: skipped */
	receive_frame(1, FRAME_ETHERNET, 0, zeros, 60);      /* its Layer is not ours */
	assert_int_equal(drops(DROP_LAYER), 1);
	receive(1, zeros, 0, 3);
	assert_int_equal(drops(DROP_REPLAY), 2);
	assert_int_equal(delivered, 1);
	uint64_t all = 0;
	for (int why = 0; why < DROP_COUNT; why++)
		all += drops((enum drop)why);
	assert_int_equal(all, 2 + 3 + 1 + 1 + 2);
}

static void test_several_frames_share_a_datagram_and_a_bad_one_ends_it(void **state)
{
	(void)state;
	uint8_t plain[400];
	struct writer w = writer_of(plain, sizeof plain);
	for (int i = 0; i < 3; i++)
		frame_write(&w, FRAME_IP, 0, VIEW(packet_of(60), 60));
	writer_bytes(&w, (const uint8_t[]){FRAME_IP, 0, 200, 0}, 4);
	receive(1, plain, w.at, 1);
	assert_int_equal(delivered, 3);
	assert_int_equal(drops(DROP_BAD_FRAME), 1);
}

static void test_a_probe_is_echoed(void **state)
{
	(void)state;
	run_events();
	receive_frame(1, FRAME_PROBE, 0, "12345678", PROBE_LEN);
	size_t before = bytes_to[1];
	run_events();
	assert_int_equal(bytes_to[1] - before, 64 + DATA_OVERHEAD);
	receive_frame(1, FRAME_PROBE, FRAME_FLAG_ECHO, "12345678", PROBE_LEN); /* an echo is not */
	run_events();
	assert_int_equal(bytes_to[1] - before, 64 + DATA_OVERHEAD);
}

/* Under old keys only packet frames (kinds 1, 2, 4) are accepted; they move neither endpoint nor control state. */
static void test_old_keys_carry_packets_only(void **state)
{
	(void)state;
	static const uint8_t control[CONTROL_HEADER_LEN] = {1, 0, 0, 0, CONTROL_CLOSE, 0, 1};
	receive(1, control, 0, 1);
	run_events();
	session_retire(session, now);
	receive_frame(0, FRAME_CONTROL, 0, control, sizeof control);
	receive_frame(0, FRAME_PROBE, 0, "12345678", PROBE_LEN);
	assert_int_equal(drops(DROP_EXPIRED_KEYS), 2);
	receive_frame(0, FRAME_IP, 0, packet_of(60), 60);
	assert_int_equal(delivered, 1);
	assert_int_equal(n_events, 0);
	/* an event that was on its way when they were retired */
	struct event late = {.kind = EVENT_CONTROL, .index = LOCAL, .peer = peer->number, .len = sizeof control};
	memcpy(late.data, control, sizeof control);
	engine_event(engine, &late, false, now);
	late.kind = EVENT_MOVED;
	engine_event(engine, &late, false, now);
	assert_ptr_equal(peer->active, session);
	assert_int_equal(atomic_load(&peer->route)->to.remote.port, 1);
}

/* "Roaming": at most three times what came from an address goes there until a probe has come back. */
static void test_an_unproven_address_gets_three_times_what_it_sent(void **state)
{
	(void)state;
	struct virtio_net_hdr header = {0};
	struct lane *lane = engine_lane(engine, 0);
	uint8_t reply[200];
	run_events();
	size_t came = DATA_OVERHEAD + FRAME_HEADER_LEN + 60;
	receive_frame(0, FRAME_IP, 0, packet_of(60), 60); /* from port 0 now */
	run_events();
	assert_int_equal(atomic_load(&peer->route)->to.remote.port, 0);
	for (int i = 0; i < 50; i++) {
		memcpy(reply, packet_of(100), 100);
		memcpy(reply + 12, (const uint8_t[8]){10, 0, 0, 1, 10, 0, 0, 2}, 8);
		lane_begin(lane, now);
		lane_packet(lane, &header, reply, 100);
		lane_end(lane);
		engine_tick(engine, now);
		now += 10 * USEC_PER_MS;
		assert_true(bytes_to[0] <= 3 * came);
	}
	assert_true(bytes_to[0] > 0);
	assert_true(drops(DROP_UNPROVEN_PATH) > 0);

	receive_frame(1, FRAME_PROBE, FRAME_FLAG_ECHO, peer->proof, PROBE_LEN); /* from elsewhere: proves nothing */
	n_events = 0;
	receive_frame(0, FRAME_PROBE, FRAME_FLAG_ECHO, peer->proof, PROBE_LEN);
	run_events();
	assert_true(atomic_load(&atomic_load(&peer->route)->is_proven));
	size_t before = bytes_to[0];
	for (int i = 0; i < 50; i++) {
		lane_begin(lane, now);
		lane_packet(lane, &header, reply, 100);
		lane_end(lane);
	}
	assert_int_equal(bytes_to[0] - before, 50 * (256 + DATA_OVERHEAD));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_frames_that_are_refused_are_counted),
		TEST(test_several_frames_share_a_datagram_and_a_bad_one_ends_it),
		TEST(test_a_probe_is_echoed),
		TEST(test_old_keys_carry_packets_only),
		TEST(test_an_unproven_address_gets_three_times_what_it_sent),
	};
	grace_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grace_unregister_thread();
	return failed;
}
