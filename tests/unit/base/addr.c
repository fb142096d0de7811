/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/addr.h"

#include <arpa/inet.h>
#include <stdio.h>

static struct addr addr_from(const char *ip, uint16_t port, uint32_t scope)
{
	struct addr a = {.port = port, .scope = scope};
	struct prefix p;
	assert_int_equal(prefix_parse(&p, ip), OK);
	memcpy(a.ip, p.ip, sizeof a.ip);
	return a;
}

static void addresses_are_formatted(void **state)
{
	(void)state;
	const struct {
		const char *ip;
		uint16_t port;
		uint32_t scope;
		const char *text;
	} cases[] = {
		{"192.0.2.1", 51820, 0, "192.0.2.1:51820"}, {"0.0.0.0", 0, 0, "0.0.0.0:0"},
		{"255.255.255.255", 65535, 0, "255.255.255.255:65535"},
		{"2001:db8::1", 51820, 0, "[2001:db8::1]:51820"}, {"::", 1, 0, "[::]:1"},
		{"::1.2.3.4", 1, 0, "[::1.2.3.4]:1"}, {"fe80::1", 10666, 3, "[fe80::1%3]:10666"},
		{"fe80:1111:2222:3333:4444:5555:6666:7777", 65535, UINT32_MAX,
			"[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535"}, /* the longest there is */
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[ADDR_TEXT_LEN];
		struct addr a = addr_from(cases[i].ip, cases[i].port, cases[i].scope);
		assert_string_equal(addr_format(&a, text), cases[i].text);
		assert_string_equal(addr_format_ip(a.ip, text), cases[i].ip);
		assert_int_equal(addr_is_unset(&a), cases[i].port == 0);
		assert_int_equal(addr_is_v4(a.ip), strchr(cases[i].ip, ':') == NULL);
	}
}

static void equality_looks_at_everything(void **state)
{
	(void)state;
	const struct addr a = addr_from("fe80::1", 1, 2);
	struct addr b = a;
	assert_true(addr_equal(&a, &b));
	b.port++;
	assert_false(addr_equal(&a, &b));
	b = a;
	b.scope++;
	assert_false(addr_equal(&a, &b));
	b = a;
	b.ip[15] ^= 1;
	assert_false(addr_equal(&a, &b));
}

static void sockaddrs_round_trip(void **state)
{
	(void)state;
	const struct addr cases[] = {
		addr_from("192.0.2.1", 51820, 0), addr_from("2001:db8::1", 1, 0), addr_from("fe80::1", 65535, 7)};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct sockaddr_in6 sa = addr_to_sockaddr(&cases[i]);
		struct sockaddr_storage storage = {0};
		struct addr back;
		assert_int_equal(sa.sin6_family, AF_INET6);
		assert_int_equal(ntohs(sa.sin6_port), cases[i].port);
		memcpy(&storage, &sa, sizeof sa);
		assert_int_equal(addr_of_sockaddr(&back, &storage), OK);
		assert_true(addr_equal(&back, &cases[i]));
	}
}

static void other_sockaddrs(void **state)
{
	(void)state;
	const struct addr expected = addr_from("192.0.2.1", 53, 0);
	struct addr a;
	struct sockaddr_storage storage = {0};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0xc0000201)};
	memcpy(&storage, &v4, sizeof v4);
	assert_int_equal(addr_of_sockaddr(&a, &storage), OK);
	assert_true(addr_equal(&a, &expected));

	/* The kernel may report a scope for global addresses; it is no part of them. */
	struct sockaddr_in6 v6 = addr_to_sockaddr(&(struct addr){.ip = {0x20, 1}, .port = 1, .scope = 5});
	memcpy(&storage, &v6, sizeof v6);
	assert_int_equal(addr_of_sockaddr(&a, &storage), OK);
	assert_int_equal(a.scope, 0);

	storage.ss_family = AF_UNIX;
	a = expected;
	assert_int_equal(addr_of_sockaddr(&a, &storage), ERR_FORMAT);
	assert_true(addr_equal(&a, &expected));
}

static void prefixes_are_parsed(void **state)
{
	(void)state;
	const struct {
		const char *text, *canonical;
		bool host_bits;
	} good[] = {
		{"10.0.0.0/8", "10.0.0.0/8", false},
		{"10.0.0.1/8", "10.0.0.1/8", true},
		{"10.66.0.2", "10.66.0.2/32", false},
		{"0.0.0.0/0", "0.0.0.0/0", false},
		{"128.0.0.0/1", "128.0.0.0/1", false},
		{"128.0.0.0/0", "128.0.0.0/0", true},
		{"255.255.255.255/31", "255.255.255.255/31", true},
		{"fd00::/64", "fd00::/64", false},
		{"FD00::1", "fd00::1/128", false},
		{"fd00::1/64", "fd00::1/64", true},
		{"::/0", "::/0", false},
		{"2001:db8:0:0:0:0:0:0/127", "2001:db8::/127", false},
	};
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct prefix p;
		char text[ADDR_TEXT_LEN];
		assert_int_equal(prefix_parse(&p, good[i].text), OK);
		assert_string_equal(prefix_format(&p, text), good[i].canonical);
		assert_int_equal(prefix_has_host_bits(&p), good[i].host_bits);
	}
}

static void other_texts_are_refused(void **state)
{
	(void)state;
	const char *bad[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/ 8",
		"10.0.0.0/8 ", " 10.0.0.0/8", "10.0.0.0/8/8", "10.0.0.0/0x8", "10.0.0.0/8a", "10.0.0.0/4294967304",
		"10.0.0.0/1000", "10.0.0", "10.0.0.256", "10.0.0.0.0", "010.0.0.1", "a.b.c.d", "fd00::/129", "fd00:::1",
		"fd00::1::", "[fd00::1]", "fe80::1%1", "fd00::12345", "::ffff:10.0.0.1", "::ffff:0:0/96", "example.org",
		"1111:2222:3333:4444:5555:6666:7777:8888:9999",
		"0000000000000000000000000000000000000000000000000000000000000000000000"};
	const struct prefix before = {.ip = {1, 2, 3}, .bits = 7};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct prefix p = before;
		assert_int_equal(prefix_parse(&p, bad[i]), ERR_FORMAT);
		assert_memory_equal(p.ip, before.ip, sizeof p.ip);
		assert_int_equal(p.bits, before.bits);
		assert_false(p.v4);
	}
}

/* The model: compares bit by bit, as one would with a pencil. */
static bool naive_contains(const struct prefix *p, const uint8_t ip[16])
{
	const unsigned from = p->v4 ? 96 : 0;
	if (addr_is_v4(ip) != p->v4)
		return false;
	for (unsigned i = from; i < from + p->bits; i++) {
		const unsigned mask = 0x80U >> i % 8;
		if ((p->ip[i / 8] & mask) != (ip[i / 8] & mask))
			return false;
	}
	return true;
}

static void contains_agrees_with_the_model(void **state)
{
	(void)state;
	const char *addresses[] = {"10.170.85.255", "255.255.255.255", "0.0.0.0", "fd00:aaaa:5555::ffff:1", "::", "::1",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::fffe:102:304"};
	unsigned inside = 0, outside = 0;
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		struct prefix p, other;
		assert_int_equal(prefix_parse(&p, addresses[i]), OK);
		const unsigned most = p.bits, from = p.v4 ? 96 : 0;
		for (unsigned bits = 0; bits <= most; bits++) {
			p.bits = (uint8_t)bits;
			/* The same address with one bit changed, in turn. */
			for (unsigned bit = 0; bit < 128; bit++) {
				uint8_t ip[16];
				memcpy(ip, p.ip, sizeof ip);
				ip[bit / 8] ^= (uint8_t)(0x80U >> bit % 8);
				const bool expected = naive_contains(&p, ip);
				assert_int_equal(prefix_contains(&p, ip), expected);
				if (bit >= from && addr_is_v4(ip) == p.v4)
					assert_int_equal(expected, bit >= from + bits);
				inside += expected;
				outside += !expected;
			}
			assert_true(prefix_contains(&p, p.ip));
			for (size_t j = 0; j < sizeof addresses / sizeof *addresses; j++) {
				assert_int_equal(prefix_parse(&other, addresses[j]), OK);
				assert_int_equal(prefix_contains(&p, other.ip), naive_contains(&p, other.ip));
			}
		}
	}
	assert_true(inside > 1000 && outside > 1000);
}

/* "::/0" is all of IPv6 and nothing of IPv4, although IPv4 is kept within IPv6. */
static void families_are_apart(void **state)
{
	(void)state;
	struct prefix all_v4, all_v6, one_v4, one_v6;
	assert_int_equal(prefix_parse(&all_v4, "0.0.0.0/0"), OK);
	assert_int_equal(prefix_parse(&all_v6, "::/0"), OK);
	assert_int_equal(prefix_parse(&one_v4, "10.0.0.1"), OK);
	assert_int_equal(prefix_parse(&one_v6, "fd00::1"), OK);
	assert_true(prefix_contains(&all_v4, one_v4.ip));
	assert_false(prefix_contains(&all_v4, one_v6.ip));
	assert_true(prefix_contains(&all_v6, one_v6.ip));
	assert_false(prefix_contains(&all_v6, one_v4.ip));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_formatted),
		cmocka_unit_test(equality_looks_at_everything),
		cmocka_unit_test(sockaddrs_round_trip),
		cmocka_unit_test(other_sockaddrs),
		cmocka_unit_test(prefixes_are_parsed),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(contains_agrees_with_the_model),
		cmocka_unit_test(families_are_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
