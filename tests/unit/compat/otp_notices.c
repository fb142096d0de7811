/* What otptunnel tells its user while it runs: each once when it begins, at most once a minute while it lasts, with the
 * remedy; and the link that it is told of. */
#include "place.h"

#include "compat/otp_link.h"
#include "compat/otp_notices.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE 200000

static uint8_t file[SIZE];

/* Both ends have a copy of the file, and a folder of ledgers. */
static struct otp_link *open_link(enum pad_role role, const struct addr *peer)
{
	const bool is_server = role == PAD_OTP_SERVER;
	const struct otp_link_config config = {.key_file = is_server ? "server" : "client",
		.folder = is_server ? "of-server" : "of-client",
		.pad = {.role = role},
		.peer = peer ? *peer : (struct addr){.port = 0}};
	struct otp_link *link = NULL;
	struct fault fault;
	if (otp_link_new(&link, &config, &fault) != OK)
		fail_msg("%s", fault.text);
	return link;
}

static int set_up(void **state)
{
	struct seeded seed = {3};
	if (place_set_up(state) != 0)
		return -1;
	seeded_bytes(&seed, file, sizeof file);
	place_write("client", file, sizeof file);
	place_write("server", file, sizeof file);
	return 0;
}

/* What a look at the link makes it say; "" for nothing. */
static const char *told(struct otp_notices *n, struct otp_link *link, usec now)
{
	static char text[4096];
	const int before = dup(STDERR_FILENO), said = open("said", O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(before >= 0 && said >= 0);
	assert_true(dup2(said, STDERR_FILENO) >= 0);
	otp_notices_tell(n, link, now);
	assert_true(dup2(before, STDERR_FILENO) >= 0);
	const ssize_t len = pread(said, text, sizeof text - 1, 0);
	assert_true(len >= 0);
	text[len] = '\0';
	close(before);
	close(said);
	return text;
}

static void assert_told(struct otp_notices *n, struct otp_link *link, usec now, const char *words)
{
	const char *text = told(n, link, now);
	if (!strstr(text, words))
		fail_msg("\"%s\" has not \"%s\"", text, words);
}

struct sent {
	uint8_t datagram[200];
	size_t len;
};

static struct sent send_one(struct otp_link *link)
{
	struct sent s;
	assert_err(otp_pad_seal(otp_link_pad(link), file, 100, s.datagram, &s.len), OK);
	return s;
}

static void receive(struct otp_link *link, const struct sent *s, int times)
{
	for (int i = 0; i < times; i++) {
		uint8_t copy[200];
		size_t n;
		bool is_new;
		memcpy(copy, s->datagram, s->len);
		(void)!otp_pad_open(otp_link_pad(link), USEC_PER_SEC, copy, s->len, &n, &is_new);
	}
}

/* ---- notices ---- */

static void test_drops_are_told_with_their_remedy(void **state)
{
	(void)state;
	struct otp_notices n = {0};
	struct otp_link *client = open_link(PAD_OTP_CLIENT, NULL), *server = open_link(PAD_OTP_SERVER, NULL);
	struct sent first = send_one(client), own = send_one(server), forged = send_one(client), far = send_one(client);
	usec now = 1000 * USEC_PER_SEC;
	assert_string_equal(told(&n, server, now), "");

	/* One or two of a kind are the network's. */
	receive(server, &first, 3);
	receive(server, &own, 2);
	assert_string_equal(told(&n, server, now), "");
	receive(server, &first, 1);
	assert_told(
		&n, server, now, "warning: 3 datagrams dropped: the peer sends with key bytes that it has used before");
	receive(server, &own, 2);
	assert_told(&n, server, now, "warning: 4 datagrams dropped: they use this end's half");
	forged.datagram[0] ^= 1;
	receive(server, &forged, 10);
	assert_told(&n, server, now, "Has the other end the same key file?");
	far.datagram[far.len - 3] = 3; /* 196608 and more */
	far.datagram[far.len - 2] = 0xff;
	receive(server, &far, 3);
	assert_told(&n, server, now, "Does the other end have a longer file?");

	/* It lasts: once a minute, with what has come since. */
	receive(server, &first, 100);
	assert_string_equal(told(&n, server, now + 59 * USEC_PER_SEC), "");
	assert_told(&n, server, now + 60 * USEC_PER_SEC, "100 datagrams dropped: the peer sends");
	assert_string_equal(told(&n, server, now + 3600 * USEC_PER_SEC), "");
	otp_link_free(server);
	otp_link_free(client);
}

static void test_the_end_of_the_pad_is_told_once(void **state)
{
	(void)state;
	struct otp_notices n = {0};
	struct otp_link *client = open_link(PAD_OTP_CLIENT, NULL);
	uint8_t datagram[2000];
	size_t len;
	const struct otp_counters *c = otp_pad_counters(otp_link_pad(client));
	while (c->sealed < SIZE / 2 / 1016 - 5) {
		if (otp_pad_seal(otp_link_pad(client), file, 1000, datagram, &len) != OK)
			otp_pad_serve(otp_link_pad(client), 0);
	}
	assert_told(
		&n, client, 0, "bytes are left of this end's half of the key file: give both ends a fresh one soon");
	assert_string_equal(told(&n, client, 0), "");
	for (int i = 0; i < 20; i++)
		(void)!otp_pad_seal(otp_link_pad(client), file, 1000, datagram, &len);
	assert_told(&n, client, 0, "error: this end's half of the key file is used up");
	assert_string_equal(told(&n, client, 3600 * USEC_PER_SEC), "");
	otp_link_free(client);

	struct otp_notices again = {0};
	client = open_link(PAD_OTP_CLIENT, NULL);
	assert_told(&again, client, 0, "is used up"); /* before anything is to be sent */
	otp_link_free(client);
}

static void test_the_peer_is_told_when_it_is_known(void **state)
{
	(void)state;
	struct otp_notices n = {0};
	struct addr peer = {.ip = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 7}, .port = 12000}, known;
	struct otp_link *client = open_link(PAD_OTP_CLIENT, &peer), *server = open_link(PAD_OTP_SERVER, NULL);
	assert_told(&n, client, 0, "the peer is at 192.0.2.7:12000");
	assert_string_equal(told(&n, client, 0), "");
	assert_true(otp_link_peer(client, &known));
	assert_true(addr_equal(&known, &peer));
	assert_false(otp_link_peer(server, &known));
	otp_link_free(server);
	otp_link_free(client);
}

/* ---- the link ---- */

static void test_an_end_keeps_its_ethernet_address(void **state)
{
	(void)state;
	uint8_t client_mac[6], server_mac[6], again[6];
	struct otp_link *client = open_link(PAD_OTP_CLIENT, NULL), *server = open_link(PAD_OTP_SERVER, NULL);
	assert_err(otp_link_mac(client, client_mac), OK);
	assert_err(otp_link_mac(server, server_mac), OK);
	assert_memory_not_equal(client_mac, server_mac, 6);
	assert_int_equal(client_mac[0] & 3, 2); /* of one station, and locally given */
	assert_int_equal(server_mac[0] & 3, 2);
	otp_link_free(client);
	client = open_link(PAD_OTP_CLIENT, NULL);
	assert_err(otp_link_mac(client, again), OK);
	assert_memory_equal(again, client_mac, 6);
	otp_link_free(server);
	otp_link_free(client);
	otp_link_free(NULL);
}

static void test_what_is_wrong_with_a_key_file_is_told(void **state)
{
	(void)state;
	struct fault fault;
	struct otp_link *link = NULL;
	struct otp_link_config config = {.key_file = "nowhere", .folder = "of-client", .pad = {.role = PAD_OTP_CLIENT}};
	assert_err(otp_link_new(&link, &config, &fault), ERR_NOT_FOUND);
	assert_fault(&fault, ERR_NOT_FOUND, "nowhere", "correct the path");
	otp_link_free(open_link(PAD_OTP_CLIENT, NULL));
	config.key_file = "client";
	config.pad.role = PAD_OTP_SERVER;
	assert_err(otp_link_new(&link, &config, &fault), ERR_STATE);
	assert_fault(&fault, ERR_STATE, "used it as the client", "leave out -S");
	config.pad.role = PAD_OTP_CLIENT;
	config.pad.first = SIZE + 1;
	assert_err(otp_link_new(&link, &config, &fault), ERR_STATE);
	config.pad.first = 0;
	assert_null(link);
	assert_int_equal(chmod("client", 0640), 0);
	assert_err(otp_link_new(&link, &config, &fault), OK);
	assert_true(otp_link_is_exposed(link));
	assert_int_equal(otp_link_size(link), SIZE);
	otp_link_free(link);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, place_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_drops_are_told_with_their_remedy),
		TEST(test_the_end_of_the_pad_is_told_once),
		TEST(test_the_peer_is_told_when_it_is_known),
		TEST(test_an_end_keeps_its_ethernet_address),
		TEST(test_what_is_wrong_with_a_key_file_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
