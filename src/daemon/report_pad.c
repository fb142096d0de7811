#include "daemon/report_pad.h"

#include <stdio.h>
#include <time.h>

#define DAY_S 86400.0
#define RATE_SPAN_MIN_S 600       /* of less nobody can say how long a pad lasts */
#define TIME_MAX_S 253402300799.0 /* the end of the year 9999: RFC 3339 has no more */
#define TIME_LEN sizeof "2027-03-01T12:00:00Z"

bool report_pad_rate(const struct pad_status *status, uint64_t wall_s, double *ret)
{
	uint64_t used = status->sent + status->received;
	if (!status->first_s || wall_s < status->first_s + RATE_SPAN_MIN_S || used < status->used_at_first)
		return false;
	*ret = (double)(used - status->used_at_first) / (double)(wall_s - status->first_s) * DAY_S;
	return true;
}

static json_t *end_document(const struct pad_status *status, uint64_t wall_s)
{
	char text[TIME_LEN];
	double rate;
	if (!report_pad_rate(status, wall_s, &rate) || rate <= 0)
		return json_null();
	double end = (double)wall_s + (double)(status->left + status->peer_left) / rate * DAY_S;
	struct tm tm;
	time_t at = end < TIME_MAX_S ? (time_t)end : 0;
	if (at == 0 || !gmtime_r(&at, &tm) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_null();
	return json_string(text);
}

static const char *state_name(enum pad_state state)
{
	static const char *const names[] = {[PAD_READY] = "ready",
		[PAD_LOW] = "low",
		[PAD_USED_UP] = "used up",
		[PAD_IS_OLD] = "old",
		[PAD_FAILED] = "failed"};
	return names[state];
}

json_t *report_pad(const struct pad_status *status, uint64_t wall_s)
{
	char id[2 * PAD_ID_LEN + 1];
	double rate = 0;
	bool has_rate = report_pad_rate(status, wall_s, &rate);
	for (size_t i = 0; i < PAD_ID_LEN; i++)
		(void)snprintf(id + 2 * i, 3, "%02x", status->id[i]);
	const struct {
		const char *name;
		uint64_t n;
	} numbers[] = {{"size", status->size}, {"sent", status->sent}, {"received", status->received},
		{"left", status->left}, {"peer_left", status->peer_left}, {"burned", status->burned},
		{"slots_left", status->slots_left}};
	json_t *o = json_object();
	json_object_set_new(o, "id", json_string(id));
	json_object_set_new(o, "state", json_string(state_name(status->state)));
	json_object_set_new(o, "fault", status->fault[0] ? json_string(status->fault) : json_null());
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
		json_object_set_new(o, numbers[i].name, json_integer((json_int_t)numbers[i].n));
	json_object_set_new(o, "bytes_a_day", has_rate ? json_integer((json_int_t)rate) : json_null());
	json_object_set_new(
		o, "measured_s", has_rate ? json_integer((json_int_t)(wall_s - status->first_s)) : json_null());
	json_object_set_new(o, "lasts_until", end_document(status, wall_s));
	return o;
}
