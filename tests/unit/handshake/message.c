#include "pair.h"

#include "handshake/message.h"

static void init_is_strict(void **state)
{
	(void)state;
	static const uint8_t nonce[INIT_NONCE_LEN] = {1}, epk[DH_LEN] = {2}, ek[KEM_PUBLIC_LEN] = {3};
	const struct init_message m = {.nonce = nonce, .suites = 0x04030201, .epk = epk, .ek = ek};
	uint8_t bytes[HS_INIT_LEN + 1] = {0};
	struct init_message got;
	init_build(bytes, &m);
	assert_int_equal(init_parse(&got, VIEW(bytes, HS_INIT_LEN)), OK);
	assert_int_equal(got.suites, m.suites);
	assert_memory_equal(got.nonce, nonce, sizeof nonce);
	assert_memory_equal(got.epk, epk, sizeof epk);
	assert_memory_equal(got.ek, ek, sizeof ek);
	assert_int_equal(init_parse(&got, VIEW(bytes, HS_INIT_LEN - 1)), ERR_FORMAT);
	assert_int_equal(init_parse(&got, VIEW(bytes, HS_INIT_LEN + 1)), ERR_FORMAT);
	assert_int_equal(init_parse(&got, VIEW(bytes, 0)), ERR_FORMAT);
	for (size_t at = INIT_NONCE_LEN + 4 + DH_LEN + KEM_PUBLIC_LEN; at < HS_INIT_LEN; at++) {
		bytes[at] = 1;
		assert_int_equal(init_parse(&got, VIEW(bytes, HS_INIT_LEN)), ERR_FORMAT);
		bytes[at] = 0;
	}
}

/* docs/decisions/0001, findings 8 and 10: sizes on the wire. */
static void sizes_are_the_protocols(void **state)
{
	(void)state;
	assert_int_equal(resp_len(SIG_ML_DSA_65), 6927);
	assert_int_equal(resp_len(SIG_ML_DSA_87), 8885);
	assert_int_equal(resp_len((enum sig_alg)3), 0);
	assert_int_equal(finish_len(SIG_ML_DSA_65, 0), 5 * HS_BODY_MAX);
	assert_int_equal(finish_len(SIG_ML_DSA_65, 552), 5 * HS_BODY_MAX);
	assert_int_equal(finish_len(SIG_ML_DSA_65, 553), 6 * HS_BODY_MAX);
	assert_int_equal(finish_len(SIG_ML_DSA_87, 0), 7 * HS_BODY_MAX);
	assert_int_equal(finish_len(SIG_ML_DSA_87, REQUEST_MAX), 8 * HS_BODY_MAX);
	assert_int_equal(finish_len((enum sig_alg)0, 0), 0);
}

static size_t build_finish(uint8_t *out, size_t size, enum sig_alg alg, size_t tlvs_len)
{
	static const uint8_t zeros[SIG_MAX + REQUEST_MAX + 1];
	struct finish_message m = {.key = {.alg = alg},
		.sig = VIEW(zeros, sig_len(alg)),
		.fin = zeros,
		.psk_ref = zeros,
		.pad_ref = zeros,
		.tlvs = VIEW(zeros, tlvs_len)};
	struct writer w = writer_of(out, size);
	finish_build(&w, &m);
	assert_false(w.failed);
	return w.at;
}

static void finish_has_room_for_its_request_only(void **state)
{
	(void)state;
	uint8_t plain[HS_MESSAGE_MAX];
	struct finish_message got;
	for (size_t n = 0; n <= REQUEST_MAX; n += 64) {
		size_t len = finish_len(SIG_ML_DSA_65, n) - AEAD_TAG_LEN;
		assert_int_equal(build_finish(plain, len, SIG_ML_DSA_65, n), len);
		assert_int_equal(finish_parse(&got, VIEW(plain, len)), OK);
		assert_int_equal(got.tlvs.len, n);
	}
	size_t len = finish_len(SIG_ML_DSA_65, REQUEST_MAX + 1) - AEAD_TAG_LEN;
	build_finish(plain, len, SIG_ML_DSA_65, REQUEST_MAX + 1);
	assert_int_equal(finish_parse(&got, VIEW(plain, len)), ERR_FORMAT);
	plain[0] = 3;
	assert_int_equal(finish_parse(&got, VIEW(plain, len)), ERR_FORMAT);
}

static void assert_shown(const char *text, const char *shown)
{
	uint8_t plain[1 + REJECT_TEXT_MAX] = {REJECT_PSK};
	struct reject_reason got;
	memcpy(plain + 1, text, strlen(text));
	assert_int_equal(reason_parse(&got, VIEW(plain, 1 + strlen(text))), OK);
	assert_int_equal(got.code, REJECT_PSK);
	assert_string_equal(got.text, shown);
}

/* The text comes from afar and goes to a terminal. */
static void reason_is_made_printable(void **state)
{
	(void)state;
	assert_shown("", "");
	assert_shown("no such peer", "no such peer");
	assert_shown("nicht erlaubt \xe2\x80\x93 f\xc3\xbcr Sie \xf0\x9f\x94\x92",
		"nicht erlaubt \xe2\x80\x93 f\xc3\xbcr Sie \xf0\x9f\x94\x92");
	assert_shown("\x1b[31mred\n\x7f", "?[31mred??");
	assert_shown("\x9b"
		     "31m",
		"?31m");
	assert_shown("\xc2\x9b"
		     "31m",
		"??31m");                                /* C1 */
	assert_shown("\xc0\xaf \xe0\x80\x80", "?? ???"); /* overlong */
	assert_shown("\xed\xa0\x80", "???");             /* a surrogate */
	assert_shown("\xf4\x90\x80\x80 \xff", "???? ?");
	assert_shown("cut \xe2\x80", "cut ??");
}

static void reason_has_a_limit(void **state)
{
	(void)state;
	uint8_t plain[REASON_MAX + 1] = {REJECT_CONFIG};
	struct reject_reason reason = {.code = REJECT_CONFIG}, got;
	memset(reason.text, 'a', REJECT_TEXT_MAX);
	assert_int_equal(reason_build(plain, &reason), REASON_MAX);
	assert_int_equal(reason_parse(&got, VIEW(plain, REASON_MAX)), OK);
	assert_string_equal(got.text, reason.text);
	assert_int_equal(reason_parse(&got, VIEW(plain, REASON_MAX + 1)), ERR_FORMAT);
	assert_int_equal(reason_parse(&got, VIEW(plain, 0)), ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(init_is_strict),
		cmocka_unit_test(sizes_are_the_protocols),
		cmocka_unit_test(finish_has_room_for_its_request_only),
		cmocka_unit_test(reason_is_made_printable),
		cmocka_unit_test(reason_has_a_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
