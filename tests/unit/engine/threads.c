/*
 * Two engines under threads, for the thread sanitiser: data lanes carry packets both ways while the
 * control threads rekey every few milliseconds, an end moves, peers come and go, and the other end
 * itself is removed and added again. Nothing races, and packets still arrive.
 */
#include "duo.h"

#include "engine/grace.h"
#include "engine/private.h"

#include <stdio.h>
#include <string.h>
#include <sched.h>

#define DURATION (1200 * USEC_PER_MS)
#define PACKETS_AT_LEAST 200

static const struct virtio_net_hdr no_offload;
static struct duo *duo;
static _Atomic bool is_over;

struct worker {
	pthread_t thread;
	uint32_t end, lane;
};

static void rest(void)
{
	sched_yield();
}

static void *data_lane(void *argument)
{
	const struct worker *w = argument;
	struct seeded seed = {w->end * 7 + w->lane};
	uint8_t packet[3100];
	grace_register_thread();
	for (uint32_t i = 0; !is_over; i++) {
		size_t payload = seeded_below(&seed, i % 16 ? 200 : 2900);
		size_t len = duo->is_layer2 ? duo_frame(packet, w->end, (uint8_t)(seeded_next(&seed) % 200),
						      (uint8_t)(seeded_next(&seed) % 256), i % 2, payload, i)
					    : duo_udp(packet, w->end, i % 2, payload, i);
		if (i % 32 == 0 && !duo->is_layer2)
			packet[i % 2 ? 19 : 39] = (uint8_t)(3 + i / 32 % 3); /* to one of those that come and go */
		duo_packet(duo, w->end, w->lane, &no_offload, packet, len);
		for (int n = 0; n < 4; n++)
			duo_lane_work(duo, w->end, w->lane);
		rest();
	}
	grace_unregister_thread();
	return NULL;
}

/* Peers that nobody answers for, at 10.0.0.3 and so on: added, called, removed. */
static void change_peers(struct engine *e, struct seeded *seed, uint32_t *numbers, uint32_t round, usec now)
{
	uint32_t slot = round % 3;
	if (numbers[slot]) {
		engine_remove_peer(e, numbers[slot] - 1);
		numbers[slot] = 0;
		return;
	}
	struct prefix allowed;
	char text[32];
	(void)snprintf(text, sizeof text, "10.0.0.%u", 3 + slot);
	MUST(prefix_parse(&allowed, text) == OK);
	struct peer_config config = {.name = text, .allowed_ips = &allowed, .n_allowed_ips = 1, .initiates = slot == 0};
	seeded_bytes(seed, config.key_id, KEY_ID_LEN);
	uint32_t number;
	MUST(engine_add_peer(e, &config, &number) == OK);
	numbers[slot] = number + 1;
	struct addr nowhere = {.port = 9};
	if (config.initiates)
		engine_set_endpoint(e, number, &nowhere, now);
}

static void *control_thread(void *argument)
{
	const struct worker *w = argument;
	struct duo_end *end = &duo->ends[w->end];
	struct seeded seed = {w->end + 50};
	uint32_t numbers[3] = {0};
	grace_register_thread();
	for (uint32_t round = 0; !is_over; round++) {
		duo->now = clock_now();
		duo_control_work(duo, w->end);
		if (round % 16 == 5)
			change_peers(end->engine, &seed, numbers, round / 16, duo->now);
		if (round % 64 == 20 && w->end == 0)
			end->port++;      /* it moves */
		if (round % 256 == 200) { /* its sessions go at once; the caller begins anew */
			engine_remove_peer(end->engine, end->peer);
			duo_add_peer(duo, w->end);
		}
		struct peer_status status;
		(void)engine_peer_status(end->engine, end->peer, &status);
		(void)engine_drops(end->engine, DROP_REPLAY);
		rest();
	}
	grace_unregister_thread();
	return NULL;
}

static void check_no_races(bool is_layer2)
{
	struct worker workers[2 * (DUO_LANES + 1)];
	size_t n = 0;
	duo = calloc(1, sizeof *duo);
	duo->now = clock_now();
	duo->rekey = 5 * USEC_PER_MS;
	duo->joins_udp = true;
	duo->is_layer2 = is_layer2;
	is_over = false;
	duo_open(duo);
	for (uint32_t end = 0; end < 2; end++)
		for (uint32_t lane = 0; lane <= DUO_LANES; lane++, n++) {
			workers[n] = (struct worker){.end = end, .lane = lane};
			assert_int_equal(pthread_create(&workers[n].thread, NULL,
						 lane < DUO_LANES ? data_lane : control_thread, &workers[n]),
				0);
		}
	usec begun = clock_now(), most = begun + 20 * DURATION; /* a sanitiser on a busy machine is slow */
	do
		rest();
	while (clock_now() < begun + DURATION ||
		((duo->ends[0].delivered < PACKETS_AT_LEAST || duo->ends[1].delivered < PACKETS_AT_LEAST) &&
			clock_now() < most));
	is_over = true;
	/* joining waits for threads, which wait for this one's quiescence if it were reading: it is not */
	while (n > 0)
		pthread_join(workers[--n].thread, NULL);
	uint64_t rekeys = engine_handshake_counts(duo->ends[0].engine).rekeys;
	print_message("%llu and %llu packets came through, %llu sessions, %llu rekeys\n",
		(unsigned long long)duo->ends[0].delivered, (unsigned long long)duo->ends[1].delivered,
		(unsigned long long)duo->ends[0].established, (unsigned long long)rekeys);
	assert_true(duo->ends[0].delivered >= PACKETS_AT_LEAST);
	assert_true(duo->ends[1].delivered >= PACKETS_AT_LEAST);
	assert_true(rekeys > 0);
	duo_close(duo);
	free(duo);
}

static void test_lanes_and_control_do_not_race(void **state)
{
	(void)state;
	check_no_races(false);
}

/* Stations are learned and forgotten, and those who get what is for all change. */
static void test_nor_do_they_at_layer_2(void **state)
{
	(void)state;
	check_no_races(true);
}

/* ---- a batch under way while the keys are replaced ---- */

static void *everything_but_lane_0(void *argument)
{
	(void)argument;
	grace_register_thread();
	while (!is_over) {
		for (uint32_t end = 0; end < 2; end++) {
			duo_lane_work(duo, end, 1);
			duo_control_work(duo, end); /* waits, at the switch, until lane 0 has sent */
		}
		duo->now += USEC_PER_MS;
		rest();
	}
	grace_unregister_thread();
	return NULL;
}

static void test_a_batch_under_way_is_not_lost_when_keys_are_replaced(void **state)
{
	(void)state;
	pthread_t thread;
	uint8_t packet[200];
	duo = calloc(1, sizeof *duo);
	duo->rekey = 3 * USEC_PER_SEC;
	duo_open(duo);
	duo_run(duo, 2 * USEC_PER_SEC);
	struct duo_end *end = &duo->ends[0];
	struct peer *peer = end->engine->peers[end->peer];
	struct keys *keys = atomic_load(&peer->send_keys);
	assert_non_null(keys);

	struct lane *lane = engine_lane(end->engine, 0);
	lane_begin(lane, duo->now);
	lane_packet(lane, &no_offload, packet, duo_udp(packet, 0, true, 50, 1)); /* gathered, not sealed yet */
	is_over = false;
	assert_int_equal(pthread_create(&thread, NULL, everything_but_lane_0, NULL), 0);
	while (atomic_load(&peer->send_keys) == keys)
		rest();
	lane_end(lane);
	is_over = true;
	pthread_join(thread, NULL);
	duo_run(duo, USEC_PER_SEC);
	assert_int_equal(duo->ends[1].delivered, 1);
	assert_int_equal(engine_drops(end->engine, DROP_MEMORY), 0);
	duo_close(duo);
	free(duo);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lanes_and_control_do_not_race),
		cmocka_unit_test(test_nor_do_they_at_layer_2),
		cmocka_unit_test(test_a_batch_under_way_is_not_lost_when_keys_are_replaced),
	};
	grace_register_thread();
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	grace_unregister_thread();
	return failed;
}
