/* What is said of a pad. */
#include "daemon/report_pad.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000U /* 2027-01-15 08:00:00 UTC */
#define DAY 86400U

static struct pad_status example(void)
{
	return (struct pad_status){.state = PAD_LOW,
		.id = {0x3f, 0x9a},
		.size = (uint64_t)16 << 30,
		.sent = 700,
		.received = 300,
		.left = 5000,
		.peer_left = 2000,
		.burned = 10,
		.used_at_first = 0,
		.first_s = NOW - DAY,
		.slots_left = 4};
}

static json_int_t number_of(const json_t *o, const char *key)
{
	assert_true(json_is_integer(json_object_get(o, key)));
	return json_integer_value(json_object_get(o, key));
}

static void shows_all_of_it(void **state)
{
	const struct pad_status status = example();
	json_t *o = report_pad(&status, NOW);
	assert_string_equal(json_string_value(json_object_get(o, "id")), "3f9a0000000000000000000000000000");
	assert_string_equal(json_string_value(json_object_get(o, "state")), "low");
	assert_true(json_is_null(json_object_get(o, "fault")));
	assert_int_equal(number_of(o, "size"), (json_int_t)16 << 30);
	assert_int_equal(number_of(o, "sent"), 700);
	assert_int_equal(number_of(o, "received"), 300);
	assert_int_equal(number_of(o, "left"), 5000);
	assert_int_equal(number_of(o, "peer_left"), 2000);
	assert_int_equal(number_of(o, "burned"), 10);
	assert_int_equal(number_of(o, "slots_left"), 4);
	/* 1000 bytes in a day: the other 7000 last a week */
	assert_int_equal(number_of(o, "bytes_a_day"), 1000);
	assert_int_equal(number_of(o, "measured_s"), DAY);
	assert_string_equal(json_string_value(json_object_get(o, "lasts_until")), "2027-01-22T08:00:00Z");
	json_decref(o);
}

static void names_every_state(void **state)
{
	static const char *const names[] = {"ready", "low", "used up", "old", "failed"};
	struct pad_status status = example();
	memcpy(status.fault, "no room", sizeof "no room");
	for (enum pad_state s = PAD_READY; s <= PAD_FAILED; s++) {
		status.state = s;
		json_t *o = report_pad(&status, NOW);
		assert_string_equal(json_string_value(json_object_get(o, "state")), names[s]);
		assert_string_equal(json_string_value(json_object_get(o, "fault")), "no room");
		json_decref(o);
	}
}

static void expect_no_end(const struct pad_status *status, uint64_t now, bool has_rate)
{
	json_t *o = report_pad(status, now);
	double rate = 0;
	assert_int_equal(report_pad_rate(status, now, &rate), has_rate);
	assert_int_equal(json_is_null(json_object_get(o, "bytes_a_day")), !has_rate);
	assert_int_equal(json_is_null(json_object_get(o, "measured_s")), !has_rate);
	assert_true(json_is_null(json_object_get(o, "lasts_until")));
	json_decref(o);
}

/* Nothing is made up where nothing is known. */
static void does_not_guess(void **state)
{
	struct pad_status status = example();
	expect_no_end(&status, NOW - DAY + 599, false); /* too short */
	expect_no_end(&status, NOW - 2 * DAY, false);   /* the clock was set back */
	status.first_s = 0;
	expect_no_end(&status, NOW, false); /* not begun */
	status = example();
	status.used_at_first = 1001;
	expect_no_end(&status, NOW, false); /* a record that contradicts itself */
	status.used_at_first = 1000;
	expect_no_end(&status, NOW, true); /* idle: it lasts for ever */
	status.used_at_first = 999;
	status.left = (uint64_t)1 << 47;
	expect_no_end(&status, NOW, true); /* longer than there are dates */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shows_all_of_it),
		cmocka_unit_test(names_every_state),
		cmocka_unit_test(does_not_guess),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
