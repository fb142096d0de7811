/* clang-format off: cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "base/secret.h"
#include "crypto/algorithms.h"
#include "crypto/dh.h"
#include "hex.h"

static void matches_rfc_7748(void **state)
{
	(void)state;
	uint8_t out[DH_LEN];
	/* Section 6.1. */
	HEX(alice_private, "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
	HEX(alice_public, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
	HEX(bob_private, "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	HEX(bob_public, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
	HEX(secret, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
	assert_int_equal(dh_public(out, alice_private), OK);
	assert_memory_equal(out, alice_public, DH_LEN);
	assert_int_equal(dh_public(out, bob_private), OK);
	assert_memory_equal(out, bob_public, DH_LEN);
	assert_int_equal(dh_derive(out, alice_private, bob_public), OK);
	assert_memory_equal(out, secret, DH_LEN);
	assert_int_equal(dh_derive(out, bob_private, alice_public), OK);
	assert_memory_equal(out, secret, DH_LEN);

	uint8_t answer[DH_LEN];
	assert_int_equal(dh_answer(answer, out, bob_private, alice_public), OK);
	assert_memory_equal(answer, bob_public, DH_LEN);
	assert_memory_equal(out, secret, DH_LEN);

	alice_public[0] ^= 1;
	assert_int_equal(dh_derive(out, bob_private, alice_public), OK);
	assert_memory_not_equal(out, secret, DH_LEN);
}

/* Section 5.2: k and u fed back a thousand times. */
static void matches_rfc_7748_iterated(void **state)
{
	(void)state;
	uint8_t k[DH_LEN] = {9}, u[DH_LEN] = {9}, next[DH_LEN];
	HEX(once, "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
	HEX(thousand, "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
	for (int i = 1; i <= 1000; i++) {
		assert_int_equal(dh_derive(next, k, u), OK);
		memcpy(u, k, DH_LEN);
		memcpy(k, next, DH_LEN);
		if (i == 1)
			assert_memory_equal(k, once, DH_LEN);
	}
	assert_memory_equal(k, thousand, DH_LEN);
}

/* The points of small order, and their non-canonical forms (RFC 7748, section 6.1, last paragraph;
 * Project Wycheproof, x25519_test.json, flag LowOrderPublic). */
static void low_order_points_are_refused(void **state)
{
	(void)state;
	const char *points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
	};
	const uint8_t private_key[DH_LEN] = {42};
	uint8_t point[DH_LEN], secret[DH_LEN];
	for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
		assert_int_equal(hex_read(point, sizeof point, points[i]), DH_LEN);
		memset(secret, 7, sizeof secret);
		assert_int_equal(dh_derive(secret, private_key, point), ERR_AUTH);
		assert_true(secret_is_zero(secret, sizeof secret));
		assert_int_equal(ERR_peek_error(), 0);

		uint8_t answer[DH_LEN];
		memset(answer, 7, sizeof answer);
		memset(secret, 7, sizeof secret);
		assert_int_equal(dh_answer(answer, secret, private_key, point), ERR_AUTH);
		assert_true(secret_is_zero(answer, sizeof answer) && secret_is_zero(secret, sizeof secret));
		assert_int_equal(ERR_peek_error(), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_rfc_7748),
		cmocka_unit_test(matches_rfc_7748_iterated),
		cmocka_unit_test(low_order_points_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
