/* Accept's body: what is written is read back, and whatever is cut off or lies is refused and leaves nothing. */
#include "seeded.h"

#include "wire/accept.h"
#include "wire/control.h"

#include <stdlib.h>

#define assert_err(call, code) assert_int_equal((int)(call), (int)(code))

static struct prefix prefix_of(const char *text)
{
	struct prefix p;
	assert_err(prefix_parse(&p, text), OK);
	return p;
}

static void add_dns(struct accept *a, const char *text)
{
	memcpy(a->dns[a->n_dns++], prefix_of(text).ip, 16);
}

static struct accept example(void)
{
	struct accept a = {
		.addresses = {prefix_of("10.66.0.5/24"), prefix_of("fd66::5/64")},
		.routes = {prefix_of("192.168.0.0/16"), prefix_of("0.0.0.0/0"), prefix_of("fd00:1::/32"),
			prefix_of("::/0")},
		.domains = {"corp.example.com", "_tcp.x-1.lan"},
		.n_addresses = 2,
		.n_routes = 4,
		.n_domains = 2,
		.mtu = 1380,
		.keepalive_s = 25,
		.has_pad_marks = true,
		.pad_marks = {.pad_id = "sixteen bytes...",
			.sent = 1U << 31,
			.received = 7,
			.boundary = 9,
			.max_zero_run = 3},
	};
	add_dns(&a, "10.66.0.1");
	add_dns(&a, "fd66::1");
	return a;
}

/* Parsed from a copy of exactly its length, so that the sanitiser sees each byte too far. */
static enum err parse(struct accept *ret, const void *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	if (len)
		memcpy(copy, data, len);
	enum err e = accept_parse(ret, VIEW(copy, len));
	free(copy);
	return e;
}

static void assert_nothing(const struct accept *a)
{
	static const struct accept nothing;
	assert_memory_equal(a, &nothing, sizeof nothing);
}

/* One TLV after a good one: that, too, is gone when it is refused. */
static enum err parse_one(struct accept *ret, uint8_t type, const void *value, size_t len)
{
	uint8_t body[1024];
	struct writer w = writer_of(body, sizeof body);
	tlv_write(&w, ACCEPT_KEEPALIVE, VIEW("\x19", 2));
	tlv_write(&w, type, VIEW(value, len));
	assert_false(w.failed);
	memset(ret, 0xaa, sizeof *ret);
	enum err e = parse(ret, body, w.at);
	if (e != OK)
		assert_nothing(ret);
	else
		assert_true(type == ACCEPT_KEEPALIVE || ret->keepalive_s == 25);
	return e;
}

static void assert_equal(const struct accept *a, const struct accept *b)
{
	assert_int_equal(a->n_addresses, b->n_addresses);
	for (size_t i = 0; i < a->n_addresses; i++)
		assert_memory_equal(&a->addresses[i], &b->addresses[i], sizeof a->addresses[i]);
	assert_int_equal(a->n_routes, b->n_routes);
	for (size_t i = 0; i < a->n_routes; i++)
		assert_memory_equal(&a->routes[i], &b->routes[i], sizeof a->routes[i]);
	assert_int_equal(a->n_dns, b->n_dns);
	assert_memory_equal(a->dns, b->dns, sizeof a->dns);
	assert_int_equal(a->n_domains, b->n_domains);
	for (size_t i = 0; i < a->n_domains; i++)
		assert_string_equal(a->domains[i], b->domains[i]);
	assert_int_equal(a->mtu, b->mtu);
	assert_int_equal(a->keepalive_s, b->keepalive_s);
	assert_int_equal(a->has_pad_marks, b->has_pad_marks);
	assert_memory_equal(a->pad_marks.pad_id, b->pad_marks.pad_id, PAD_ID_LEN);
	assert_int_equal(a->pad_marks.sent, b->pad_marks.sent);
	assert_int_equal(a->pad_marks.received, b->pad_marks.received);
	assert_int_equal(a->pad_marks.boundary, b->pad_marks.boundary);
	assert_int_equal(a->pad_marks.max_zero_run, b->pad_marks.max_zero_run);
}

static void test_what_is_written_is_read_back(void **state)
{
	(void)state;
	uint8_t body[ACCEPT_BODY_MAX];
	struct accept a = example(), read;
	struct writer w = writer_of(body, sizeof body);
	accept_write(&w, &a);
	assert_false(w.failed);
	assert_err(parse(&read, body, w.at), OK);
	assert_equal(&a, &read);
}

static void test_the_bytes(void **state)
{
	(void)state;
	struct accept a = {.addresses = {prefix_of("10.66.0.5/24")},
		.routes = {prefix_of("fd00::/16")},
		.domains = {"lan"},
		.n_addresses = 1,
		.n_routes = 1,
		.n_domains = 1,
		.mtu = 1380,
		.keepalive_s = 25};
	add_dns(&a, "10.66.0.1");
	static const uint8_t expected[] = {1, 2, 0, 25, 0,                                       /* keepalive */
		2, 5, 0, 10, 66, 0, 5, 24,                                                       /* address */
		3, 17, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16,                 /* route */
		4, 4, 0, 10, 66, 0, 1, 5, 3, 0, 'l', 'a', 'n', 6, 2, 0, 1380 & 0xff, 1380 >> 8}; /* DNS, domain, MTU */
	uint8_t body[sizeof expected];
	struct writer w = writer_of(body, sizeof body);
	accept_write(&w, &a);
	assert_false(w.failed);
	assert_int_equal(w.at, sizeof expected);
	assert_memory_equal(body, expected, sizeof expected);

	w = writer_of(body, sizeof body - 1);
	accept_write(&w, &a);
	assert_true(w.failed);
}

static void test_nothing_said_is_nothing_written(void **state)
{
	(void)state;
	struct accept a = {0}, read;
	struct writer w = writer_of(NULL, 0);
	accept_write(&w, &a);
	assert_false(w.failed);
	assert_int_equal(w.at, 0);
	assert_err(parse(&read, NULL, 0), OK);
	assert_nothing(&read);
}

static void test_the_fullest_fits(void **state)
{
	(void)state;
	uint8_t body[ACCEPT_BODY_MAX];
	struct accept a = {.mtu = 65535, .keepalive_s = 65535, .has_pad_marks = true}, read;
	while (a.n_addresses < ACCEPT_ADDRESSES_MAX)
		a.addresses[a.n_addresses++] = prefix_of("fd00::1/128");
	while (a.n_routes < ACCEPT_ROUTES_MAX)
		a.routes[a.n_routes++] = prefix_of("fd00::1/128");
	while (a.n_dns < ACCEPT_DNS_MAX)
		add_dns(&a, "fd00::1");
	for (; a.n_domains < ACCEPT_DOMAINS_MAX; a.n_domains++)
		for (size_t i = 0; i < ACCEPT_DOMAIN_LEN - 1; i++)
			a.domains[a.n_domains][i] = i % 64 == 63 ? '.' : 'a';
	struct writer w = writer_of(body, sizeof body);
	accept_write(&w, &a);
	assert_false(w.failed);
	assert_err(parse(&read, body, w.at), OK);
	assert_equal(&a, &read);
}

static void test_every_truncation_is_refused_or_ends_between_two(void **state)
{
	(void)state;
	uint8_t body[ACCEPT_BODY_MAX];
	struct accept a = example(), read;
	struct writer w = writer_of(body, sizeof body);
	accept_write(&w, &a);
	size_t whole = 0, boundaries = 0;
	for (size_t len = 0; len <= w.at; len++) {
		bool is_boundary = len == whole;
		if (is_boundary) {
			boundaries++;
			whole += len < w.at ? 3U + le16_get(body + len + 1) : 1;
		}
		memset(&read, 0xaa, sizeof read);
		assert_err(parse(&read, body, len), is_boundary ? OK : ERR_FORMAT);
		if (!is_boundary)
			assert_nothing(&read);
	}
	assert_int_equal(boundaries, 1 + 1 + 2 + 4 + 2 + 2 + 1 + 1);
}

static void test_each_kind_has_its_lengths(void **state)
{
	(void)state;
	static const uint8_t zeros[300] = {[0] = 10, [4] = 8, [16] = 8};
	struct accept a;
	for (size_t len = 0; len <= sizeof zeros; len++) {
		bool is_u16 = len == 2, is_prefix = len == 5 || len == 17, is_ip = len == 4 || len == 16;
		assert_err(parse_one(&a, ACCEPT_KEEPALIVE, zeros, len), is_u16 ? OK : ERR_FORMAT);
		assert_err(parse_one(&a, ACCEPT_MTU, "\x64\x05", len <= 3 ? len : 3), is_u16 ? OK : ERR_FORMAT);
		assert_err(parse_one(&a, ACCEPT_ADDRESS, zeros, len), is_prefix ? OK : ERR_FORMAT);
		assert_err(parse_one(&a, ACCEPT_DNS, zeros, len), is_ip ? OK : ERR_FORMAT);
		assert_err(parse_one(&a, ACCEPT_PAD_MARKS, zeros, len), len == PADMARKS_LEN ? OK : ERR_FORMAT);
		assert_err(parse_one(&a, 8, zeros, len), OK); /* a later version's */
		assert_err(parse_one(&a, 0, zeros, len), OK);
	}
	static const uint8_t v4[5] = {10, 0, 0, 0, 8}, v6[17] = {[0] = 0xfd, [16] = 8};
	assert_err(parse_one(&a, ACCEPT_ROUTE, v4, 5), OK);
	assert_err(parse_one(&a, ACCEPT_ROUTE, v6, 17), OK);
	for (size_t len = 0; len < 17; len++) {
		assert_err(parse_one(&a, ACCEPT_ROUTE, v6, len), ERR_FORMAT);
		if (len < 5)
			assert_err(parse_one(&a, ACCEPT_ROUTE, v4, len), ERR_FORMAT);
	}
}

static void test_prefixes_must_be_possible(void **state)
{
	(void)state;
	static const struct {
		uint8_t value[17], len;
		bool as_address, as_route;
	} cases[] = {
		{{10, 0, 0, 1, 32}, 5, true, true}, {{10, 0, 0, 1, 33}, 5, false, false},
		{{10, 0, 0, 1, 255}, 5, false, false}, {{10, 0, 0, 1, 24}, 5, true, false}, /* host bits */
		{{10, 0, 0, 1, 1}, 5, true, false},                                         /* host bits */
		{{10, 0, 0, 1, 0}, 5, false, false}, /* an address whose network is the world */
		{{0, 0, 0, 0, 0}, 5, false, true},   /* the default route */
		{{[16] = 0}, 17, false, true},       /* IPv6's */
		{{[0] = 0xfd, [15] = 1, [16] = 128}, 17, true, true},
		{{[0] = 0xfd, [15] = 1, [16] = 129}, 17, false, false},
		{{[0] = 0xfd, [15] = 1, [16] = 64}, 17, true, false},
		{{[10] = 0xff, [11] = 0xff, 10, 0, 0, 1, 128}, 17, false, false}, /* IPv4 that poses as IPv6 */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct accept a;
		assert_err(parse_one(&a, ACCEPT_ADDRESS, cases[i].value, cases[i].len),
			cases[i].as_address ? OK : ERR_FORMAT);
		assert_int_equal(a.n_addresses, cases[i].as_address);
		assert_err(
			parse_one(&a, ACCEPT_ROUTE, cases[i].value, cases[i].len), cases[i].as_route ? OK : ERR_FORMAT);
		assert_int_equal(a.n_routes, cases[i].as_route);
	}
	struct accept a;
	static const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 1};
	assert_err(parse_one(&a, ACCEPT_DNS, mapped, sizeof mapped), ERR_FORMAT);
}

static void test_a_small_mtu_is_refused(void **state)
{
	(void)state;
	struct accept a;
	uint8_t value[2];
	for (unsigned mtu = 0; mtu <= 65535; mtu++) {
		le16_put(value, (uint16_t)mtu);
		assert_err(parse_one(&a, ACCEPT_MTU, value, 2), mtu >= 1280 ? OK : ERR_FORMAT);
		assert_int_equal(a.mtu, mtu >= 1280 ? mtu : 0);
	}
}

static void test_the_last_of_two_counts(void **state)
{
	(void)state;
	static const uint8_t body[] = {6, 2, 0, 0, 6, 1, 2, 0, 9, 0, 6, 2, 0, 0, 7, 1, 2, 0, 0, 0};
	struct accept a;
	assert_err(parse(&a, body, sizeof body), OK);
	assert_int_equal(a.mtu, 0x700);
	assert_int_equal(a.keepalive_s, 0);
}

/* `n` TLVs of a type, and then a wrong one. */
static void assert_limit(uint8_t type, struct view value, size_t limit, size_t (*count)(const struct accept *))
{
	uint8_t body[8192];
	struct accept a;
	struct writer w = writer_of(body, sizeof body);
	for (size_t n = 1; n <= limit + 3; n++) {
		tlv_write(&w, type, value);
		assert_err(parse(&a, body, w.at), OK);
		assert_int_equal(count(&a), n < limit ? n : limit);
	}
	tlv_write(&w, type, VIEW_TEXT("!"));
	assert_false(w.failed);
	assert_err(parse(&a, body, w.at), ERR_FORMAT); /* what is left out is checked all the same */
	assert_nothing(&a);
}

static size_t n_addresses(const struct accept *a)
{
	return a->n_addresses;
}
static size_t n_routes(const struct accept *a)
{
	return a->n_routes;
}
static size_t n_dns(const struct accept *a)
{
	return a->n_dns;
}
static size_t n_domains(const struct accept *a)
{
	return a->n_domains;
}

static void test_what_is_more_than_fits_is_left_out(void **state)
{
	(void)state;
	static const uint8_t prefix[5] = {10, 0, 0, 0, 8}, ip[4] = {10, 0, 0, 1};
	assert_limit(ACCEPT_ADDRESS, VIEW_ARRAY(prefix), ACCEPT_ADDRESSES_MAX, n_addresses);
	assert_limit(ACCEPT_ROUTE, VIEW_ARRAY(prefix), ACCEPT_ROUTES_MAX, n_routes);
	assert_limit(ACCEPT_DNS, VIEW_ARRAY(ip), ACCEPT_DNS_MAX, n_dns);
	assert_limit(ACCEPT_DOMAIN, VIEW_TEXT("lan"), ACCEPT_DOMAINS_MAX, n_domains);
}

static void test_domains_are_host_names(void **state)
{
	(void)state;
	static const char *const good[] = {"a", "lan", "example.com", "_dmarc.x", "a-b.c", "1.2", "A.B", "a.-b"};
	static const char *const bad[] = {"", ".", "a.", ".a", "a..b", "-a", "--help", "a b", "a/b", "a\nb", "a;b",
		"\xc3\xa4", "a\x7f", "$(x)", "~.", "*"};
	struct accept a;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_true(accept_is_domain(good[i], strlen(good[i])));
		assert_err(parse_one(&a, ACCEPT_DOMAIN, good[i], strlen(good[i])), OK);
		assert_string_equal(a.domains[0], good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(accept_is_domain(bad[i], strlen(bad[i])));
		assert_err(parse_one(&a, ACCEPT_DOMAIN, bad[i], strlen(bad[i])), ERR_FORMAT);
	}
	assert_false(accept_is_domain("a\0b", 3));
	char name[300];
	memset(name, 'a', sizeof name);
	assert_true(accept_is_domain(name, 63));
	assert_false(accept_is_domain(name, 64));
	for (size_t i = 63; i < sizeof name; i += 64)
		name[i] = '.';
	assert_true(accept_is_domain(name, 253));
	assert_false(accept_is_domain(name, 254));
}

static void test_whatever_comes_is_read_back_as_it_was_understood(void **state)
{
	(void)state;
	struct seeded seed = {5};
	uint8_t start[ACCEPT_BODY_MAX], body[ACCEPT_BODY_MAX], again[ACCEPT_BODY_MAX];
	struct accept a = example(), b;
	struct writer w = writer_of(start, sizeof start);
	accept_write(&w, &a);
	int taken = 0;
	for (int i = 0; i < 50000; i++) {
		memcpy(body, start, w.at);
		for (uint32_t n = seeded_below(&seed, 4); n > 0; n--)
			body[seeded_below(&seed, (uint32_t)w.at)] = (uint8_t)seeded_next(&seed);
		if (parse(&a, body, w.at) != OK) {
			assert_nothing(&a);
			continue;
		}
		struct writer v = writer_of(again, sizeof again);
		accept_write(&v, &a);
		assert_false(v.failed);
		assert_err(parse(&b, again, v.at), OK);
		assert_equal(&a, &b);
		taken++;
	}
	assert_true(taken > 1000 && taken < 49000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read_back),
		cmocka_unit_test(test_the_bytes),
		cmocka_unit_test(test_nothing_said_is_nothing_written),
		cmocka_unit_test(test_the_fullest_fits),
		cmocka_unit_test(test_every_truncation_is_refused_or_ends_between_two),
		cmocka_unit_test(test_each_kind_has_its_lengths),
		cmocka_unit_test(test_prefixes_must_be_possible),
		cmocka_unit_test(test_a_small_mtu_is_refused),
		cmocka_unit_test(test_the_last_of_two_counts),
		cmocka_unit_test(test_what_is_more_than_fits_is_left_out),
		cmocka_unit_test(test_domains_are_host_names),
		cmocka_unit_test(test_whatever_comes_is_read_back_as_it_was_understood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
